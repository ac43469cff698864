"""Files of a repository that its own program gives back by chance: at level 4 are exactly those that came back as they were stored."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lastcopy.program import ask
from tests.lastcopy.test_borg_backups import DECLARED as OF_BORG
from tests.scanners import borgs, repositories
from tests.scanners.borgs import borg
from tests.scanners.repositories import restic

DECLARED = OF_BORG.replace('retention = "10d"', 'min_verification_level = 1\nwaive = ["user_error"]')
NAMES = ["plain.txt", "-rf", "--help", "pp:x*", "re:.*", "a b\n{now}", "\u202eevil", os.fsdecode(b"latin-\xe9"), "*", "$(id)"]
FILES = {name: os.urandom(3000 + place) for place, name in enumerate(NAMES)} | {"large.bin": os.urandom(3 << 20)}
Make = Callable[[Path, Path], Path]


def by_restic(folder: Path, data: Path) -> Path:
    repository = repositories.new(folder)
    restic(repository, "backup", "--quiet", "--time", "2020-10-01 03:00:00", str(data))
    return repository


def by_borg(folder: Path, data: Path) -> Path:
    repository = borgs.new(folder)
    borg(repository, "create", "--timestamp", "2020-10-01T03:00:00", "::fi{{rst", str(data))
    return repository


@pytest.fixture(params=[by_restic, by_borg])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    data = tmp_path / "data"
    for name, content in FILES.items():
        data.mkdir(exist_ok=True)
        (data / name).write_bytes(content)
        os.utime(data / name, (1_600_000_000, 1_600_000_000))
    request.param(tmp_path, data)
    kind = "restic:" if request.param is by_restic else "borg:"
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)).replace("borg:", kind))
    return tmp_path


def levels(folder: Path) -> dict[str, int | None]:
    return {row["path"]: row["verification_level"] for row in ask("report", "assets", "--format", "json", folder=folder).data}


def sample(folder: Path, count: int, *words: str, code: int = 0) -> dict[str, Any]:
    told = ask("fixity", "nightly", "--restore-sample", str(count), *words, "--format", "json", folder=folder, code=code).data
    found: dict[str, Any] = told["restored"][0]
    return found


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted((folder / "repository").rglob("*")) if path.is_file()}


def flip(file: Path, at: int) -> None:
    before, content = file.stat(), bytearray(file.read_bytes())
    file.chmod(0o600)
    content[at] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.slow
def test_whatever_their_names_files_are_restored_and_exactly_these_are_at_level_4(folder: Path) -> None:
    ask("scan", folder=folder)
    before, listed = state(folder), sorted(os.listdir(folder))
    first = sample(folder, 4, "--seed", "7")
    assert (first["chosen"], first["same"], first["failed"], first["untried"], first["seed"]) == (4, 4, 0, 0, 7)
    restored = {path for path, level in levels(folder).items() if level == 4}
    assert len(restored) == 4
    rows = ask("report", "evidence", "--format", "json", folder=folder).data
    assert {row["path"].rpartition("data/")[2] for row in rows} == restored
    assert {(row["method"], row["ok"], row["level"], row["seed"]) for row in rows} == {("restore", True, 4, 7)}
    sample(folder, 4, "--seed", "7")
    assert {path for path, level in levels(folder).items() if level == 4} == restored, "the same seed, the same files"
    assert sample(folder, 1000)["same"] == len(FILES)
    assert set(levels(folder).values()) == {4}
    assert state(folder) == before
    assert sorted(os.listdir(folder)) == listed


@pytest.mark.slow
def test_a_file_that_is_not_given_back_loses_its_level(folder: Path) -> None:
    ask("scan", folder=folder)
    sample(folder, 1000)
    largest = max((path for path in (folder / "repository" / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    flip(largest, 1 << 20)
    found = sample(folder, 1000, code=4)
    assert (found["same"], found["failed"]) == (len(FILES) - 1, 1)
    assert {path for path, level in levels(folder).items() if level != 4} == {"large.bin"}
    [problem] = ask("report", "problems", "--format", "json", folder=folder).data
    assert (problem["stage"], problem["path"].rpartition("/")[2]) == ("read", "large.bin")
    assert "was not given back" in problem["error"]
    flip(largest, 1 << 20)
    ask("fixity", "nightly", folder=folder)
    assert levels(folder)["large.bin"] == 3, "it was read, and not restored"
    sample(folder, 1000)
    assert levels(folder)["large.bin"] == 4


@pytest.mark.slow
def test_what_was_restored_is_no_copy_of_a_source_that_has_changed(folder: Path) -> None:
    (folder / "data" / "plain.txt").write_bytes(bytes(3000))
    os.utime(folder / "data" / "plain.txt", (1_600_000_000, 1_600_000_000))
    ask("scan", folder=folder, code=None)
    sample(folder, 1000)
    rows = {row["path"]: (row["status"], row["reasons"]) for row in ask("report", "assets", "--format", "json", folder=folder).data}
    assert rows["plain.txt"] == ("unprotected", "conflict")


def test_what_cannot_be_restored_is_refused(folder: Path) -> None:
    ask("fixity", "--restore-sample", "3", folder=folder, code=2)
    ask("fixity", "nightly", "--restore-sample", "3", "--budget", "1GiB", folder=folder, code=2)
    ask("fixity", "nightly", "--seed", "3", folder=folder, code=2)
    assert "no repository of a backup" in ask("fixity", "data", "--restore-sample", "3", folder=folder, code=5).err
