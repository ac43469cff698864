"""What a repository of borg on this host holds is read by `fixity`, and by nothing else."""

import json
import os
import random
import struct
from pathlib import Path

import pytest

from tests.lastcopy.backed_up import assets, write
from tests.lastcopy.program import ask, run
from tests.lastcopy.test_borg_backups import DECLARED as OF_BACKUPS
from tests.scanners import borgs
from tests.scanners.borgs import borg

DECLARED = OF_BACKUPS.replace('retention = "10d"', 'waive = ["user_error"]')
_CHANCE = random.Random(5)
LARGE = _CHANCE.randbytes(9 << 20)  # more pieces than one, wherever borg cuts: none is larger than 8 MiB
SMALL = {f"small/{n}.txt": _CHANCE.randbytes(2000 + n) for n in range(40)}
FILES = {"large.bin": LARGE, "half/large.bin": LARGE[: 8 << 20] + b"another end", "twin.txt": SMALL["small/7.txt"], **SMALL}
READ = ("protected", "", 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    repository, data = borgs.new(tmp_path), tmp_path / "data"
    for path, content in FILES.items():
        write(data / path, content)
    os.link(data / "small/3.txt", data / "linked.txt")
    for name in ("2020-10-01", "2020-10-20"):
        borg(repository, "create", "--timestamp", f"{name}T03:00:00", f"::{name}", str(data))
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)))
    return tmp_path


def problems(folder: Path) -> list[tuple[str, str, str]]:
    rows = ask("report", "problems", "--format", "json", folder=folder).data
    return [(row["path"].rpartition("/data/")[2], row["stage"], row["error"]) for row in rows]


def segments(folder: Path) -> list[Path]:
    """The segments, that of most bytes first."""
    return sorted((path for path in (folder / "repository" / "data").rglob("*") if path.is_file()), key=lambda path: -path.stat().st_size)


def pieces(segment: Path) -> list[tuple[int, int, str]]:
    """What a segment consists of, as its format says: from where and to where, and the id of the piece."""
    content, at, found = segment.read_bytes(), len("BORG_SEG"), []
    while at < len(content):
        _, size, tag = struct.unpack_from("<IIB", content, at)
        if tag == 0:
            found.append((at, at + size, content[at + 9 : at + 41].hex()))
        at += size
    return found


def made_of(folder: Path, archive: str) -> dict[str, set[str]]:
    """The pieces of each file of an archive, as borg tells them; of a further name those of the file."""
    items = json.loads(borg(folder / "repository", "debug", "dump-archive", f"::{archive}", "-"))["_items"]
    found = {item["path"].rpartition("data/")[2]: {piece[0].removeprefix("\x7f") for piece in item["chunks"]} for item in items if "chunks" in item}
    return found | {
        item["path"].rpartition("data/")[2]: found[item["source"].rpartition("data/")[2]] for item in items if "source" in item and "chunks" not in item
    }


def flip(file: Path, at: int) -> None:
    """As a disk does it: no time tells."""
    before = file.stat()
    file.chmod(0o600)
    with file.open("r+b") as opened:
        opened.seek(at)
        [byte] = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted((folder / "repository").rglob("*")) if path.is_file()}


def test_fixity_reads_all_that_archives_hold_and_changes_nothing(folder: Path) -> None:
    before = state(folder)
    told = ask("scan", "--format", "json", folder=folder).data
    assert told["digested_files"] == 2, "of originals those two that have one size, and nothing to compare it with borg"
    assert {level for _, _, level in assets(folder).values()} == {1}
    ask("fixity", "nightly", "--format", "json", folder=folder)
    assert set(assets(folder).values()) == {READ}
    again = ask("scan", "--format", "json", folder=folder).data
    assert again["digested_files"] == 0, "what was read is known"
    assert set(assets(folder).values()) == {READ}
    assert state(folder) == before


@pytest.mark.slow
def test_a_flipped_byte_takes_its_level_from_the_files_that_it_hits_and_from_no_other(folder: Path) -> None:
    run("scan", folder=folder)
    run("fixity", "nightly", folder=folder)
    assert set(assets(folder).values()) == {READ}
    before, largest, made = state(folder), segments(folder)[0], made_of(folder, "2020-10-01")
    for name in ("small/7.txt", "large.bin"):
        damaged = next(iter(sorted(made[name])))
        wanted = {path for path, ids in made.items() if damaged in ids}
        assert name in wanted
        [start] = [start for start, _, piece in pieces(largest) if piece == damaged]
        flip(largest, start + 1000)
        told = ask("fixity", "nightly", "--format", "json", folder=folder, code=4).data
        assert told["digest_problems"] == len(wanted)
        assert {path for path, stage, error in problems(folder) if stage == "read" and "the repository is damaged" in error} == wanted
        found = assets(folder)
        assert {path for path, verdict in found.items() if verdict != READ} == wanted
        assert {found[path][0] for path in wanted} == {"unknown"}
        run("scan", "--digest", "off", folder=folder, code=4)
        assert {path for path, verdict in assets(folder).items() if verdict != READ} == wanted, "nothing has shown that they are whole again"
        flip(largest, start + 1000)
        run("scan", folder=folder)
        assert set(assets(folder).values()) == {READ}, "they were read again, and are what they were"
    assert state(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["deleted", "cut off"])
def test_a_segment_that_is_lost_takes_its_files_and_raises_nothing(folder: Path, damage: str) -> None:
    run("scan", folder=folder)
    largest = segments(folder)[0]
    run("fixity", "nightly", "--budget", "1", folder=folder)
    known = {path for path, verdict in assets(folder).items() if verdict == READ}
    assert 1 <= len(known) <= 3
    if damage == "deleted":
        largest.unlink()
        run("fixity", "nightly", folder=folder, code=None)
    else:
        last = pieces(largest)[-1]
        os.truncate(largest, last[1] - 1)
        run("fixity", "nightly", folder=folder, code=None)
    assert not {path for path, (status, _, level) in assets(folder).items() if level is not None and level > 1} - known


@pytest.mark.slow
def test_what_nobody_has_read_is_read_first_and_no_more_than_the_budget(folder: Path) -> None:
    run("scan", folder=folder)
    names = set[str]()
    for turn in (1, 2):
        run("fixity", "nightly", "--budget", "50000", folder=folder)
        [counted] = ask("sql", "SELECT count(*) AS n FROM digests WHERE volume = 'nightly'", "--format", "json", folder=folder).data
        assert 1 * turn <= counted["n"] <= 26 * turn, "each small file has two thousand bytes"
        read = {path for path, verdict in assets(folder).items() if verdict == READ}
        assert read > names
        names = read
