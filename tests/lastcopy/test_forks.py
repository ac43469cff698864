"""A fork of the loaded program is, to who asks it, the program."""

import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.lastcopy.conftest import Estate
from tests.lastcopy.forks import Forks
from tests.lastcopy.program import Ended, ask, environment


@pytest.fixture(scope="module")
def forks() -> Forks:
    return Forks(environment(Path("/")))


def run(forks: Forks, *arguments: str, folder: Path, **more: str) -> Ended:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = forks.run(arguments, folder, environment(folder, **more), (out, err), 60)
        out.seek(0)
        err.seek(0)
        return Ended(code, out.read(), err.read().decode())


@pytest.mark.parametrize("arguments", [["report", "volumes", "--format", "json"], ["explain", "deep/nothing"], ["report", "--days"]])
def test_it_says_what_the_program_says(forks: Forks, estate: Estate, arguments: list[str]) -> None:
    assert run(forks, *arguments, folder=estate.folder) == ask(*arguments, folder=estate.folder, code=None)


def test_it_runs_in_its_own_folder_with_its_own_environment(forks: Forks, estate: Estate, tmp_path: Path) -> None:
    assert run(forks, "volume", "list", folder=tmp_path).code == 2
    told = run(forks, "volume", "list", folder=tmp_path, LASTCOPY_CONFIG=str(estate.folder / "lastcopy.toml"))
    assert told.out == run(forks, "volume", "list", folder=estate.folder).out


def test_one_that_takes_too_long_is_killed(forks: Forks, estate: Estate) -> None:
    with tempfile.TemporaryFile() as out:
        with pytest.raises(subprocess.TimeoutExpired):
            forks.run(["report", "volumes"], estate.folder, environment(estate.folder), (out, out), 0)
        out.seek(0)
        assert not out.read()
    assert run(forks, "--version", folder=estate.folder).out


@pytest.mark.parametrize(
    ("command", "more", "able"),
    [("scan", {"TZ": "Asia/Tokyo"}, True), ("scan", {"PYTHONHASHSEED": "7"}, False), ("scan", {"LD_PRELOAD": "/x.so"}, False), ("serve", {}, False)],
)
def test_what_only_a_start_can_give_is_left_to_one(forks: Forks, tmp_path: Path, command: str, more: dict[str, str], able: bool) -> None:
    assert forks.able(command, environment(Path("/"), **more)) is able
