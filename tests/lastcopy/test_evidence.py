"""What programs find out about repositories is recorded, and vouches for what they looked at and for nothing else."""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.lastcopy.program import ask, run
from tests.lastcopy.test_borg_backups import DECLARED as OF_BORG
from tests.scanners import borgs, repositories
from tests.scanners.borgs import borg
from tests.scanners.repositories import restic

DECLARED = OF_BORG.replace('retention = "10d"', 'min_verification_level = 1\nwaive = ["user_error"]')
NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
EARLY = "2020-10-05T00:00:00Z"
FILES = {f"{n}.txt": os.urandom(2000 + n) for n in range(6)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name, content in FILES.items():
        (tmp_path / "data" / name).write_bytes(content)
        os.utime(tmp_path / "data" / name, (1_600_000_000, 1_600_000_000))
    return tmp_path / "data"


@pytest.fixture
def by_restic(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that can only be listed, as one behind a network."""
    repository = repositories.new(tmp_path)
    restic(repository, "backup", "--quiet", "--time", "2020-10-01 03:00:00", str(data))
    monkeypatch.setattr("scanners.restic._can_decrypt", lambda: False)
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)).replace("borg:", "restic:"))
    ask("scan", folder=tmp_path)
    return tmp_path


@pytest.fixture
def by_borg(tmp_path: Path, data: Path) -> Path:
    repository = borgs.new(tmp_path)
    borg(repository, "create", "--timestamp", "2020-10-01T03:00:00", "::first", str(data))
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)))
    run("scan", folder=tmp_path)
    return tmp_path


def checked(folder: Path, *words: str) -> tuple[int, Path]:
    """What restic's check says of the repository: its exit code, and a file with all that it wrote."""
    env = {**os.environ, "RESTIC_PASSWORD_FILE": str(folder / "password")}
    command = ["restic", "-r", str(folder / "repository"), "check", *words]
    ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    (folder / "said").write_bytes(ran.stdout)
    return ran.returncode, folder / "said"


def checked_by_borg(folder: Path, *words: str) -> tuple[int, Path]:
    env = {**os.environ, "BORG_PASSPHRASE": borgs.PASSPHRASE, "BORG_BASE_DIR": str(folder / "base"), "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
    command = ["borg", "--log-json", *words, str(folder / "repository")]
    ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    (folder / "said").write_bytes(ran.stdout)
    return ran.returncode, folder / "said"


def record(folder: Path, said: tuple[int, Path] | Path, *words: str, tool: str = "restic-check", code: int = 0) -> str:
    exit_code, file = said if isinstance(said, tuple) else (0, said)
    return ask("evidence", "record", "nightly", str(file), "--tool", tool, "--exit-code", str(exit_code), *words, folder=folder, code=code).err


def verdicts(folder: Path) -> set[tuple[str, str, int | None]]:
    ask("scan", folder=folder, code=None)
    rows = ask("report", "assets", "--format", "json", folder=folder).data
    assert len(rows) == len(FILES)
    return {(row["status"], row["reasons"], row["verification_level"]) for row in rows}


def flip(file: Path, at: int) -> None:
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def largest(folder: Path) -> Path:
    return max((path for path in (folder / "repository" / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


LISTED = {("unknown", "metadata_match_only", 0)}


@pytest.mark.slow_but_first
@pytest.mark.parametrize(("words", "level"), [([], 1), (["--read-data"], 2), (["--read-data-subset=1/2"], 1), (["--read-data-subset=50%"], 1)])
def test_a_check_of_restic_without_an_error_vouches_for_what_it_looked_at(by_restic: Path, words: Sequence[str], level: int) -> None:
    assert verdicts(by_restic) == LISTED
    record(by_restic, checked(by_restic, *words), "--started", NOW)
    assert verdicts(by_restic) == {("protected", "", level)}
    [row] = ask("report", "evidence", "--format", "json", folder=by_restic).data
    assert (row["ok"], row["counts"], row["method"]) == (True, True, "restic-check")
    assert row["read_pct"] == {"": 0, "--read-data": 100, "--read-data-subset=1/2": 50, "--read-data-subset=50%": 50}["".join(words)]


@pytest.mark.slow
def test_all_parts_of_a_repository_are_the_whole_as_of_the_first(by_restic: Path) -> None:
    for part in (2, 1):
        record(by_restic, checked(by_restic, f"--read-data-subset={part}/2"), "--started", f"2020-10-0{9 - part}T00:00:00Z")
        assert verdicts(by_restic) == {("protected", "", 3 - part)}
    rows = ask("report", "assets", "--format", "json", folder=by_restic).data
    assert {row["verified_at"] for row in rows} == {"2020-10-07T00:00:00Z"}


@pytest.mark.slow
def test_a_check_says_nothing_of_what_was_stored_later(by_restic: Path) -> None:
    record(by_restic, checked(by_restic, "--read-data"), "--started", "2020-09-30T00:00:00Z")
    assert verdicts(by_restic) == LISTED


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flipped", "deleted", "cut off"])
def test_errors_that_restic_finds_put_all_in_doubt_until_it_finds_none(by_restic: Path, damage: str) -> None:
    record(by_restic, checked(by_restic, "--read-data"), "--started", EARLY)
    assert verdicts(by_restic) == {("protected", "", 2)}
    pack = largest(by_restic)
    content = pack.read_bytes()
    if damage == "flipped":
        flip(pack, 100)
    else:
        pack.unlink()
        if damage == "cut off":
            pack.write_bytes(content[:-10])
    words = ["--read-data"] if damage == "flipped" else []  # restic tries for a long time to read what is not there
    told = record(by_restic, checked(by_restic, *words), "--started", "2020-10-06T00:00:00Z")
    assert "in doubt" in told
    assert {(status, reasons) for status, reasons, _ in verdicts(by_restic)} == {("unknown", "scan_incomplete")}
    [_, row] = ask("report", "evidence", "--format", "json", folder=by_restic).data
    assert (row["ok"], row["errors"] >= 1, "ack" in row["told"]) == (False, True, True)
    pack.unlink(missing_ok=True)
    pack.write_bytes(content)
    record(by_restic, checked(by_restic, "--read-data"), "--started", "2020-10-07T00:00:00Z")
    assert verdicts(by_restic) == {("protected", "", 2)}


@pytest.mark.slow
def test_what_newer_restics_say_in_json_is_understood_and_what_was_read_is_to_be_given(by_restic: Path) -> None:
    said = by_restic / "said"
    summary = {"message_type": "summary", "num_errors": 0, "broken_packs": None, "suggest_repair_index": False, "suggest_prune": False}
    said.write_text(json.dumps(summary) + "\n")
    record(by_restic, said, "--started", EARLY)
    assert verdicts(by_restic) == {("protected", "", 1)}
    record(by_restic, said, "--started", EARLY, "--read-data")
    assert verdicts(by_restic) == {("protected", "", 2)}
    pack = "ab" * 32
    lines = [{"message_type": "error", "message": f"pack {pack}: \x1b[31mdoes not exist"}, summary | {"num_errors": 1, "broken_packs": [pack]}]
    said.write_text("".join(json.dumps(line) + "\n" for line in lines))
    record(by_restic, (1, said), "--started", NOW, "--read-data-subset", "1/9")
    assert {status for status, _, _ in verdicts(by_restic)} == {"unknown"}
    row = ask("report", "evidence", "--format", "json", folder=by_restic).data[-1]
    assert (row["part"], row["parts"], row["told"]) == (1, 9, f"pack {pack}: \\x1b[31mdoes not exist")


@pytest.mark.parametrize(
    ("said", "exit_code", "words", "why"),
    [
        ("", 0, [], "nothing is recorded"),
        ("no errors were found\n", 1, [], "nothing is recorded"),
        ("Fatal: repository contains errors\n", 0, [], "nothing is recorded"),
        ('{"message_type":"summary","num_errors":0}\n', 1, [], "nothing is recorded"),
        ('{"message_type":"summary","num_errors":true}\n', 0, [], "number of errors"),
        ('{"message_type":"summary","num_errors":2}\n', 130, [], "nothing is recorded"),
        ("[" * 100_000, 0, [], "nothing is recorded"),
        ("unable to create lock in backend: repository is already locked\n", 1, [], "nothing is recorded"),
        ("no errors were found\n", 0, ["--read-data"], "says that nothing was read"),
        (
            "read group #1 of 1 data packs (out of total 2 packs in 3 groups)\nno errors were found\n",
            0,
            ["--read-data-subset", "2/3"],
            "says that 1/3 was read",
        ),
        ("no errors were found\n", 0, ["--started", "2999-01-01T00:00:00Z"], "is of the future"),
    ],
)
def test_what_proves_nothing_is_refused(by_restic: Path, said: str, exit_code: int, words: Sequence[str], why: str) -> None:
    (by_restic / "said").write_text(said)
    started = [] if "--started" in words else ["--started", EARLY]
    told = record(by_restic, (exit_code, by_restic / "said"), *started, *words, code=5)
    assert why in told
    assert "nightly" in told
    assert ask("report", "evidence", "--format", "json", folder=by_restic).data == []


def test_what_cannot_be_meant_is_told(by_restic: Path) -> None:
    (by_restic / "said").write_text("no errors were found\n")
    for words, code, why in (
        (["--started", "2020-10-05"], 2, "no time with its zone"),
        (["--started", EARLY, "--read-data-subset", "4/3"], 2, "is no part"),
        (["--started", EARLY, "--read-data", "--read-data-subset", "1/3"], 2, "leave --read-data-subset out"),
        ([], 5, "give --started"),
    ):
        assert why in record(by_restic, by_restic / "said", *words, code=code)
    ask("evidence", "record", "data", str(by_restic / "said"), "--tool", "restic-check", "--exit-code", "0", "--started", EARLY, folder=by_restic, code=5)
    ask("evidence", "record", "other", str(by_restic / "said"), "--tool", "restic-check", "--exit-code", "0", folder=by_restic, code=6)
    ask("evidence", "record", "nightly", "nowhere", "--tool", "restic-check", "--exit-code", "0", folder=by_restic, code=6)


@pytest.mark.slow
def test_what_is_recorded_twice_stands_once(by_restic: Path) -> None:
    for _ in range(2):
        record(by_restic, checked(by_restic), "--started", EARLY, "--tool-version", "0.14.0\x1b[2J")
    verdicts(by_restic)
    [row] = ask("report", "evidence", "--format", "json", folder=by_restic).data
    assert row["tool_version"] == "0.14.0\\x1b[2J"


@pytest.mark.slow
def test_a_check_of_borg_tells_what_it_looked_at_and_when(by_borg: Path) -> None:
    assert verdicts(by_borg) == {("protected", "", 1)}
    assert "--info" in record(by_borg, checked_by_borg(by_borg, "check"), "--started", NOW, tool="borg-check", code=5)
    assert "--info" in record(by_borg, checked_by_borg(by_borg, "--info", "check", "--archives-only"), tool="borg-check", code=5)
    record(by_borg, checked_by_borg(by_borg, "--info", "check"), tool="borg-check")
    assert verdicts(by_borg) == {("protected", "", 1)}
    record(by_borg, checked_by_borg(by_borg, "--info", "check", "--verify-data"), tool="borg-check")
    assert verdicts(by_borg) == {("protected", "", 2)}


@pytest.mark.slow
def test_errors_that_borg_finds_have_the_next_scan_read_what_they_may_hit_and_our_own_reading_tells_which_files_are_hit(by_borg: Path) -> None:
    record(by_borg, checked_by_borg(by_borg, "--info", "check", "--verify-data"), tool="borg-check")
    segment = largest(by_borg)
    before = segment.stat()
    flip(segment, 1000)
    os.utime(segment, ns=(before.st_atime_ns, before.st_mtime_ns))
    record(by_borg, checked_by_borg(by_borg, "--info", "check", "--verify-data"), tool="borg-check")
    assert verdicts(by_borg) == {("unknown", "scan_incomplete", None), ("protected", "", 3)}
    rows = ask("report", "evidence", "--format", "json", folder=by_borg).data
    assert {row["path"].rpartition("/")[2] for row in rows if row["path"]} == set(FILES)
    run("fixity", "nightly", folder=by_borg, code=4)
    rows = ask("report", "assets", "--format", "json", folder=by_borg).data
    assert sorted(row["verification_level"] or 0 for row in rows) == [0, 3, 3, 3, 3, 3]


def made_by_nobody(folder: Path, *command: str, **env: str) -> tuple[int, Path]:
    """What a backup says that runs as an account that may not read all; its exit code, and a file with all that it wrote."""
    if os.geteuid():
        pytest.skip("only root can run a backup as somebody else")
    for path in (folder / "repository", *(folder / "repository").rglob("*"), folder / "password"):
        os.chown(path, 65534, 65534)
    for path in (folder, *folder.parents[:3]):
        path.chmod(path.stat().st_mode | 0o555)
    (folder / "data" / "2.txt").chmod(0o600)
    base = folder / "nobody"
    base.mkdir()
    os.chown(base, 65534, 65534)
    words = ["setpriv", "--reuid=65534", "--clear-groups", "env", f"HOME={base}", *command]
    ran = subprocess.run(words, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    (folder / "said").write_bytes(ran.stdout)
    return ran.returncode, folder / "said"


@pytest.mark.slow
def test_a_run_of_restic_that_could_not_read_a_file_is_known_as_partial(by_restic: Path) -> None:
    env = {"RESTIC_REPOSITORY": str(by_restic / "repository"), "RESTIC_PASSWORD_FILE": str(by_restic / "password")}
    code, said = made_by_nobody(by_restic, "restic", "--no-cache", "backup", "--json", str(by_restic / "data"), **env)
    assert code == 3
    told = ask("evidence", "run", "nightly", str(said), "--tool", "restic-backup", "--exit-code", "3", "--format", "json", folder=by_restic).data
    assert (told["state"], told["unread_files"]) == ("partial", 1)
    ask("scan", folder=by_restic)
    points = ask("report", "recovery-points", "--format", "json", folder=by_restic).data
    assert [(row["run"], row["unread_files"]) for row in points] == [(None, None), ("partial", 1)]
    rows = ask("report", "evidence", "--format", "json", folder=by_restic).data
    assert [(row["level"], row["ok"], (row["path"] or "").rpartition("/")[2]) for row in rows] == [(0, False, ""), (0, False, "2.txt")]
    assert verdicts(by_restic) == LISTED, "it proves nothing, and puts nothing in doubt"


@pytest.mark.slow
def test_a_run_of_borg_that_could_not_read_a_file_is_known_as_partial(by_borg: Path) -> None:
    env = {"BORG_PASSPHRASE": borgs.PASSPHRASE, "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes", "BORG_BASE_DIR": str(by_borg / "nobody")}
    command = ["borg", "--log-json", "create", "--json", f"{by_borg / 'repository'}::second", str(by_borg / "data")]
    code, said = made_by_nobody(by_borg, *command, **env)
    assert code == 1, said.read_text()
    ask("evidence", "run", "nightly", str(said), "--tool", "borg-create", "--exit-code", "1", folder=by_borg)
    assert "not one run" in ask("evidence", "run", "nightly", str(said), "--tool", "borg-create", "--exit-code", "0", folder=by_borg, code=5).err
    ask("scan", folder=by_borg)
    points = ask("report", "recovery-points", "--format", "json", folder=by_borg).data
    assert [(row["run"], row["unread_files"]) for row in points] == [(None, None), ("partial", 1)]


def test_a_run_that_does_not_tell_what_it_made_is_refused_and_one_that_made_nothing_is_kept(by_restic: Path) -> None:
    said = by_restic / "said"
    said.write_text("Fatal: \x1b[2Jnothing\n" + "[" * 100_000 + "\n" + '{"message_type":"error","item":7}\n')
    record_run = ("evidence", "run", "nightly", str(said), "--tool", "restic-backup")
    assert "--recovery-point" in ask(*record_run, "--exit-code", "0", folder=by_restic, code=5).err
    assert "hexadecimal" in ask(*record_run, "--exit-code", "0", "--recovery-point", "latest", folder=by_restic, code=2).err
    assert ask(*record_run, "--exit-code", "1", "--format", "json", folder=by_restic).data["state"] == "failed"
    [point] = ask("report", "recovery-points", "--format", "json", folder=by_restic).data
    ask(*record_run, "--exit-code", "0", "--recovery-point", point["recovery_point"], folder=by_restic)
    ask("scan", folder=by_restic)
    assert [row["run"] for row in ask("report", "recovery-points", "--format", "json", folder=by_restic).data] == ["complete"]
