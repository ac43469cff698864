"""What a repository of restic on this host holds is read: large files for a match, and everything by `fixity`."""

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.lastcopy.backed_up import OLD, assets, write
from tests.lastcopy.program import ask, run
from tests.scanners import repositories
from tests.scanners.repositories import restic

DECLARED = """\
[classes.default]
min_verification_level = 1
waive = ["user_error"]

[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"

[volumes.nightly]
url = "restic:repository"
role = "backup"
password_file = "password"
of = ["data"]
path_map = { "DATA" = "data:" }
system = "shelf"
site = "lyon"
admin = "records"
device = "disk-2"
access = "offline"
"""
_CHANCE = random.Random(3)
LARGE = _CHANCE.randbytes(9 << 20)  # more pieces than one, wherever restic cuts: none is larger than 8 MiB
FILES = {"large.bin": LARGE, "half/large.bin": LARGE[: 8 << 20] + b"another end", **{f"small/{n}.txt": _CHANCE.randbytes(2000 + n) for n in range(40)}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    repository, data = repositories.new(tmp_path), tmp_path / "data"
    for path, content in FILES.items():
        write(data / path, content)
    for part, time in ((data / "small", "2020-10-01 03:00:00"), (data, "2020-10-02 03:00:00")):  # the small ones in a pack of their own
        restic(repository, "backup", "--quiet", "--time", time, str(part))
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)))
    return tmp_path


def problems(folder: Path) -> list[tuple[str, str, str]]:
    return [(row["path"], row["stage"], row["error"]) for row in ask("report", "problems", "--format", "json", folder=folder).data]


def packs(folder: Path) -> list[Path]:
    """The packs of the repository, that of most bytes last."""
    return sorted((path for path in (folder / "repository" / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def flip(pack: Path, at: int) -> None:
    """As a disk does it: no time tells."""
    content, before = bytearray(pack.read_bytes()), pack.stat()
    content[at] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    os.utime(pack, ns=(before.st_atime_ns, before.st_mtime_ns))


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    found = (path for path in (folder / "repository").rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def named(rows: dict[str, Any], *names: str) -> list[Any]:
    return [rows[name] for name in names]


@pytest.mark.slow
def test_a_file_of_many_pieces_is_matched_by_its_content(folder: Path) -> None:
    before = state(folder)
    run("scan", folder=folder)
    found = assets(folder)
    assert named(found, "large.bin", "half/large.bin") == [("protected", "", 3)] * 2, "read by us on both sides"
    assert found["small/3.txt"] == ("protected", "", 1), "its storage names it by its content"
    again = ask("scan", "--format", "json", folder=folder).data
    assert again["digested_files"] == 0, "what was read is known"
    assert state(folder) == before


def test_a_change_of_a_file_of_many_pieces_that_shows_nowhere_is_a_conflict(folder: Path) -> None:
    write(folder / "data" / "large.bin", LARGE[:-1] + bytes([LARGE[-1] ^ 1]))
    write(folder / "data" / "small" / "3.txt", bytes(2003))
    run("scan", folder=folder)
    found = assets(folder)
    assert [(status, reasons.split(",")[0]) for status, reasons, _ in named(found, "large.bin", "small/3.txt")] == [("unprotected", "conflict")] * 2
    assert found["half/large.bin"] == ("protected", "", 3)


@pytest.mark.slow
def test_versions_that_differ_by_nothing_but_their_pieces_are_told_apart(folder: Path) -> None:
    write(folder / "data" / "large.bin", LARGE[:-1] + bytes([LARGE[-1] ^ 1]))
    restic(folder / "repository", "backup", "--quiet", "--force", "--time", "2020-10-03 03:00:00", str(folder / "data"))
    write(folder / "data" / "large.bin", LARGE)  # the older of both
    run("scan", folder=folder)
    assert assets(folder)["large.bin"] == ("protected", "", 3)
    query = "SELECT count(*) AS n FROM files WHERE volume = 'nightly' AND name = 'large.bin' AND dir NOT LIKE '%half/'"
    assert ask("sql", query, "--format", "json", folder=folder).data == [{"n": 2}]


@pytest.mark.slow
def test_fixity_reads_all_of_a_repository_and_a_flipped_byte_takes_its_level_from_the_files_that_it_hits_and_from_no_other(folder: Path) -> None:
    run("scan", folder=folder)
    assert run("fixity", "nightly", folder=folder)
    assert set(assets(folder).values()) == {("protected", "", 3)}
    before = state(folder)
    small = next(pack for pack in packs(folder) if 40 * 2000 < pack.stat().st_size < 2 << 20)
    flip(small, 100)
    told = ask("fixity", "nightly", "--format", "json", folder=folder, code=4).data
    assert told["digest_problems"] == 1
    [(path, stage, error)] = problems(folder)
    assert (stage, "is not what was stored" in error) == ("read", True)
    found, hit = assets(folder), path.removeprefix(str(folder / "data").lstrip("/") + "/")
    assert [name for name, verdict in found.items() if verdict != ("protected", "", 3)] == [hit]
    assert found[hit][0] == "unknown"
    run("scan", "--digest", "off", folder=folder, code=4)
    assert assets(folder)[hit][0] == "unknown", "nothing has shown that it is whole again"
    flip(small, 100)
    run("scan", folder=folder)
    assert assets(folder)[hit] == ("protected", "", 3), "it was read again, and is what it was"
    assert {path: content for path, (content, _) in state(folder).items()} == {path: content for path, (content, _) in before.items()}


@pytest.mark.slow
def test_a_pack_that_is_lost_takes_its_files_at_the_next_scan(folder: Path) -> None:
    run("scan", folder=folder)
    run("fixity", "nightly", folder=folder)
    largest = packs(folder)[-1]
    largest.chmod(0o600)
    largest.write_bytes(largest.read_bytes()[:-1000])
    run("scan", folder=folder, code=4)
    lost = {path.rpartition("data/")[2] for path, stage, _ in problems(folder) if stage == "read"}
    found = assets(folder)
    assert lost in ({"large.bin"}, {"half/large.bin"}, {"large.bin", "half/large.bin"}), "only files with a piece in it"
    assert all(found[name][0] != "protected" for name in lost)
    assert all(verdict == ("protected", "", 3) for name, verdict in found.items() if name not in lost)


@pytest.mark.slow
def test_the_damage_of_a_repository_is_none_of_its_replica(folder: Path) -> None:
    shutil.copytree(folder / "repository", folder / "elsewhere")
    replica = (folder / "lastcopy.toml").read_text().partition("[volumes.nightly]")[2]
    for old, new in (('"restic:repository"', '"restic:elsewhere"'), ('"shelf"', '"cloud"'), ('"disk-2"', '"disk-3"'), ('"lyon"', '"rome"')):
        replica = replica.replace(old, new)
    with open(folder / "lastcopy.toml", "a") as config:
        config.write(f"\n[volumes.second]{replica}")
    for pack in packs(folder):
        flip(pack, pack.stat().st_size // 3)
    run("scan", "data", "second", folder=folder)
    run("fixity", "second", folder=folder)
    ask("fixity", "nightly", folder=folder, code=8)  # its folders cannot be read any more
    assert set(assets(folder).values()) == {("protected", "", 3)}


@pytest.mark.slow
def test_what_was_read_of_a_repository_says_nothing_of_another_disk_in_its_place(folder: Path) -> None:
    run("scan", folder=folder)
    run("fixity", "nightly", folder=folder)
    assert set(assets(folder).values()) == {("protected", "", 3)}
    shutil.copytree(folder / "repository", folder / "copied")  # as the other disk of two that take turns
    shutil.rmtree(folder / "repository")
    (folder / "copied").rename(folder / "repository")
    flip(packs(folder)[-1], packs(folder)[-1].stat().st_size // 2)
    run("scan", "--digest", "off", folder=folder)
    assert {level for _, _, level in assets(folder).values()} == {1}, "its storage names all by their content, and nobody has read that there"
    run("scan", folder=folder, code=4)
    found = assets(folder)
    assert named(found, "small/3.txt") == [("protected", "", 1)]
    assert {"large.bin", "half/large.bin"} & {path.rpartition("data/")[2] for path, stage, _ in problems(folder) if stage == "read"}


@pytest.mark.slow
def test_a_touched_file_is_two_versions_and_no_hard_link(folder: Path) -> None:
    os.utime(folder / "data" / "small" / "3.txt", (OLD + 60, OLD + 60))
    restic(folder / "repository", "backup", "--quiet", "--time", "2020-10-03 03:00:00", str(folder / "data"))
    run("scan", folder=folder)
    query = "SELECT count(*) AS n, sum(size_bytes) AS size, sum(counted_bytes) AS counted FROM files WHERE volume = 'nightly' AND name = '3.txt'"
    assert ask("sql", query, "--format", "json", folder=folder).data == [{"n": 2, "size": 2 * 2003, "counted": 2 * 2003}]


@pytest.mark.slow
def test_fixity_reads_what_nobody_has_read_before_what_was_and_no_more_than_its_budget(folder: Path) -> None:
    run("scan", folder=folder)
    first = ask("fixity", "nightly", "--budget", "50000", "--format", "json", folder=folder).data
    assert 20 <= first["digested_files"] <= 26, "of the small ones, which nobody has read"
    levels = [level for _, _, level in assets(folder).values()]
    assert (levels.count(3), levels.count(1)) == (2 + first["digested_files"], 40 - first["digested_files"])
    second = ask("fixity", "nightly", "--budget", "50000", "--format", "json", folder=folder).data
    assert second["digested_files"] == 40 - first["digested_files"] + 1, "the rest of these, and then one of those that were read first"
    assert {level for _, _, level in assets(folder).values()} == {3}
