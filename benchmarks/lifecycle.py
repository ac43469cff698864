"""A verified archive of small and of large files, against rsync with checksums and a verifying re-read."""

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks import peers
from benchmarks.estate import Estate, VoidError
from benchmarks.measure import Command, CommandError, Usage, interleaved, run, say
from benchmarks.table import Asked, Row, ratio

SMALL_FILES = 10_000
LARGE_FILES, LARGE_BYTES = 8, 256 << 20
_SMALL_BYTES = 40_000
_OLD = 1_500_000_000
_DECLARED = """
[catalog]
path = "catalog"

[lifecycle]
min_copies = 1

[volumes.data]
url = {source}
system = "nas-1"
device = "disk-1"

[volumes.vault]
url = {target}
role = "archive"
of = ["data"]
system = "nas-2"
device = "disk-2"

[policies.archive]
action = "archive"
report = "assets"
where = "volume = 'data'"
to = "vault"
quiet = "1s"
"""
_FORGET = """
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        descriptor = os.open(os.path.join(folder, name), os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
"""


def measure(asked: Asked) -> list[Row]:
    """The rows of both populations."""
    rsync = peers.program("rsync")
    small, large = asked.size(SMALL_FILES), LARGE_BYTES // (10 if asked.quick else 1)
    return [
        *_rows(asked, rsync, f"{small:,} files of up to {_SMALL_BYTES // 1000} kB", lambda root: _small(root, small)),
        *_rows(asked, rsync, f"{LARGE_FILES} files of {large >> 20} MiB", lambda root: _large(root, large)),
    ]


def _rows(asked: Asked, rsync: str, what: str, fill: Callable[[Path], None]) -> list[Row]:
    folder = asked.scratch / "lifecycle"
    shutil.rmtree(folder, ignore_errors=True)
    kept = folder / "kept"
    kept.mkdir(parents=True)
    fill(kept)
    say(f"{what}: archive")
    contenders = {
        "lastcopy job run": lambda: _ours(folder, kept),
        "rsync -c, re-read from memory": lambda: _theirs(folder, kept, rsync, durable=False),
        "rsync -c --fsync, re-read from the disk": lambda: _theirs(folder, kept, rsync, durable=True),
    }
    used = interleaved(contenders, asked.runs)
    shutil.rmtree(folder)
    us = used.pop("lastcopy job run")
    rows = []
    for name, them in used.items():
        note = f"wall {us.wall_seconds:.2f} s against {them.wall_seconds:.2f} s, CPU {us.cpu_seconds:.2f} s against {them.cpu_seconds:.2f} s"
        rows.append(ratio(f"verified archive of {what}: wall", name, 1.0, us.wall_seconds, them.wall_seconds, note, asked=asked))
    return rows


def _ours(folder: Path, kept: Path) -> Usage:
    """A job alone: prepared, scanned, planned and approved before. The source ends in quarantine."""
    source, target = _fresh(folder, kept)
    made = Estate(folder / "estate")
    shutil.rmtree(made.folder, ignore_errors=True)
    made.folder.mkdir()
    declared = _DECLARED.format(source=json.dumps(str(source)), target=json.dumps(str(target)))
    (made.folder / "lastcopy.toml").write_text(declared, "utf-8")
    planned, told = made.folder / "plan.json", made.folder / "job.json"
    run(made.lastcopy("volume", "prepare", "data"), made.lastcopy("volume", "prepare", "vault"))
    run(made.lastcopy("scan", "--digest", "off", "--accept-losses"), made.lastcopy("plan", "create", "archive", "--format", "json", output=planned))
    plan = json.loads(planned.read_bytes())["data"]["id"]
    run(made.lastcopy("plan", "approve", plan))
    os.sync()
    usage = run(made.lastcopy("job", "run", plan, "--format", "json", output=told))
    counts, files = json.loads(told.read_bytes())["data"]["counts"], count(kept)
    if counts != {"QUARANTINED": files}:
        raise VoidError(f"{files} files were to be archived; the job came to {counts}")
    if (found := count(target)) != files:
        raise VoidError(f"{files} files were archived, {found} are at the target")
    return usage


def _theirs(folder: Path, kept: Path, rsync: str, *, durable: bool) -> Usage:
    """A copy with checksums, then a comparison by checksums that must find nothing. The source stays."""
    source, target = _fresh(folder, kept)
    told = folder / "differences"
    options = ("-a", "-c", "--fsync") if durable else ("-a", "-c")
    copy = Command((rsync, *options, f"{source}/", f"{target}/"))
    forget = [Command((sys.executable, "-c", _FORGET, str(target)))] if durable else []
    compare = Command((rsync, "-a", "-c", "--dry-run", "--itemize-changes", f"{source}/", f"{target}/"), told)
    usage = run(copy, *forget, compare)
    if told.stat().st_size:
        raise VoidError(f"rsync's copy differs: {told.read_text(errors='replace')[:200]}")
    if count(target) != count(kept):
        raise CommandError("rsync left files out")
    return usage


def _fresh(folder: Path, kept: Path) -> tuple[Path, Path]:
    """The source anew, from what is kept, and an empty target; everything durable, so that nobody pays for what was before.

    What earlier runs left goes at the end, if it is more than a few files: ext4 looks at every inode that was deleted within the last minutes, and passes it
    over (`recently_deleted` in fs/ext4/ialloc.c), so that the next to make files there would be timed for what another had left.
    """
    earlier = list(folder.glob("turn*"))
    if count(kept) <= LARGE_FILES:
        for turn in earlier:
            shutil.rmtree(turn)
    source, target = (folder / f"turn{len(earlier)}" / name for name in ("source", "target"))
    target.mkdir(parents=True)
    run(Command(("cp", "-a", str(kept), str(source))))
    os.sync()
    return source, target


def _small(root: Path, files: int) -> None:
    chance = random.Random(1)
    for number in range(files):
        folder = root / f"d{number // 100:03}"
        folder.mkdir(exist_ok=True)
        _write(folder / f"f{number:05}", [chance.randbytes(chance.randint(1, _SMALL_BYTES))])


def _large(root: Path, size_bytes: int) -> None:
    chance = random.Random(2)
    for number in range(LARGE_FILES):
        _write(root / f"large{number}", (chance.randbytes(1 << 20) for _ in range(size_bytes >> 20)))


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    with open(path, "wb") as file:
        file.writelines(blocks)
    os.utime(path, (_OLD, _OLD))


def count(root: Path) -> int:
    """How many files are in a tree, without those of ours."""
    return sum(len(names) for folder, _, names in os.walk(root) if "/.lastcopy" not in folder)
