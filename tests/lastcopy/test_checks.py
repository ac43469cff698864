"""After a check by the backup's program that found errors our reading takes their level from exactly the files that are hit: a restore gives the truth."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from catalog import names
from reports.state import counted
from tests.lastcopy.program import ask
from tests.lastcopy.test_borg_contents import flip, pieces
from tests.protection.products import BORG, RESTIC, Estate, Product, estate
from tests.scanners.borgs import borg

DAYS = ("first", "second", "third", "fourth")
KNOWN = ("protected", 3)


def now() -> str:
    """A second later than all that was done before."""
    time.sleep(1.1)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def check(made: Estate, *words: str) -> None:
    """Have the program check its repository, and record what it says, which is that there are errors."""
    told = made.folder / "said"
    place = [str(made.repository)] if made.product is BORG else []
    with told.open("wb") as out:
        code = subprocess.run([*words, *place], env=made.product.environment(made.repository), stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    assert code == 1, told.read_text()
    tool = f"{made.product.name}-check"
    said = ask("evidence", "record", "nightly", str(told), "--tool", tool, "--exit-code", "1", "--started", now(), "--format", "json", folder=made.folder)
    assert said.data["hit_versions"], said.err
    assert f"{counted(said.data['hit_versions'], 'version')} of files may be hit; all that is not read by us later is in doubt" in said.err


def of_data_only(made: Estate) -> list[Path]:
    """Files of the repository that hold contents of files, and nothing of what lists these; one of each of the first three days."""
    if made.product is RESTIC:
        found = sorted((path for path in made.repository.glob("data/*/*") if path.stat().st_size > 100_000), key=lambda path: path.stat().st_mtime_ns)
        return found[:3]
    items = json.loads(borg(made.repository, "debug", "dump-archive", f"::{DAYS[-1]}", "-"))["_items"]
    contents = {chunk[0].removeprefix("\x7f") for item in items for chunk in item.get("chunks", ())}
    segments = sorted(made.repository.glob("data/0/*"), key=lambda path: int(path.name))
    found = [path for path in segments if (held := {piece for _, _, piece in pieces(path)}) and held <= contents]
    return found[:3]


def restored(made: Estate, archive: str = DAYS[-1]) -> set[str]:
    """The files that the program gives back as they were. Of restic's packs what is missing are zeros, for those it does not try for minutes to read."""
    whole, files = set[str](), [path for path in made.data.rglob("*") if path.is_file()]
    if made.product is RESTIC:
        to = made.folder / "restored"
        subprocess.run(
            ["restic", "--no-cache", "restore", "latest", "--target", str(to)], env=made.product.environment(made.repository), capture_output=True, check=False
        )
        for path in files:
            there = to / path.relative_to("/") if (to / "tmp").exists() else to / path.relative_to(made.folder)
            whole |= {str(path.relative_to(made.data))} if there.is_file() and there.read_bytes() == path.read_bytes() else set()
        return whole
    for path in files:
        words = ["borg", "extract", "--stdout", f"::{archive}", f"pp:{str(path)[1:]}"]
        given = subprocess.run(words, env=made.product.environment(made.repository), capture_output=True, check=False)
        whole |= {str(path.relative_to(made.data))} if given.stdout == path.read_bytes() else set()
    return whole


def verdicts(made: Estate) -> dict[str, tuple[str, int | None]]:
    """Status and level of each asset."""
    return {path: (row["status"], row["verification_level"]) for path, row in made.assets().items()}


@pytest.fixture(params=[RESTIC, BORG], ids=lambda product: product.name)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Estate:
    """Four days of backups, of which all is known by reading."""
    product: Product = request.param
    made = estate(tmp_path, product, {"old\npack 00: does not exist": os.urandom(3000)})
    if product is BORG:
        borg(made.repository, "config", str(made.repository), "max_segment_size", "500000")
    for day in DAYS:
        for n in range(3):
            made.write(f"{day}-{n}", os.urandom(200_000 + n))
        if day == DAYS[-1]:
            made.write("twin", (made.data / "second-1").read_bytes())
        made.back_up(day)
    ask("fixity", folder=made.folder)
    assert set(verdicts(made).values()) == {KNOWN}
    return made


@pytest.mark.slow
def test_after_a_check_that_found_errors_exactly_the_files_that_are_hit_lose_their_level_for_good(made: Estate) -> None:
    flipped, deleted, cut = of_data_only(made)
    flip(flipped, 120_000)
    sizes = {path: path.stat().st_size for path in (deleted, cut)}
    deleted.unlink()
    cut.chmod(0o600)
    os.truncate(cut, 60)
    if made.product is RESTIC:
        check(made, "restic", "--no-cache", "check")
        check(made, "restic", "--no-cache", "check", f"--read-data-subset={int(flipped.name[:2], 16) + 1}/256")
    else:
        check(made, "borg", "--info", "--log-json", "check", "--verify-data")
    ask("scan", "--digest", "off", folder=made.folder, code=None)
    assert {status for status, _ in verdicts(made).values()} == {"unknown"}
    told = ask("fixity", folder=made.folder, code=4)
    found = verdicts(made)
    lost = {path for path, verdict in found.items() if verdict != KNOWN}
    evidence: list[dict[str, Any]] = ask("report", "evidence", "--format", "json", folder=made.folder).data
    problems = {row["path"] for row in ask("report", "problems", "--format", "json", folder=made.folder).data if row["stage"] == "read"}
    explained = ask("explain", f"data:{min(lost)}", folder=made.folder).out.decode()
    if made.product is RESTIC:
        for path, size in sizes.items():
            path.write_bytes(bytes(size))
    assert lost == set(found) - {names.escape(path.encode()) for path in restored(made)}
    assert 3 <= len(lost) < len(found)
    assert {found[path] for path in lost} == {("unknown", None)}
    assert {path.rpartition("/data/")[2] for path in problems} >= lost, told
    assert {(row["path"] or "").rpartition("/data/")[2] for row in evidence if not row["ok"]} >= lost | {""}
    assert all(row["level"] == 0 for row in evidence if row["path"])
    assert "scan_incomplete" in explained


@pytest.mark.slow
@pytest.mark.parametrize("product", [RESTIC, BORG], ids=lambda product: product.name)
def test_a_version_that_is_damaged_takes_its_level_from_no_other_version_of_its_path(tmp_path: Path, product: Product) -> None:
    made = estate(tmp_path, product, {"report": os.urandom(300_000)})
    made.back_up("first")
    before = max(made.repository.rglob("data/*/*"), key=lambda path: path.stat().st_size)
    made.write("report", os.urandom(150_000))
    made.back_up("second")
    flip(before, 120_000)
    ask("scan", folder=tmp_path, code=None)
    ask("fixity", folder=tmp_path, code=4)
    problems = [row["path"] for row in ask("report", "problems", "--format", "json", folder=tmp_path).data if row["stage"] == "read"]
    assert len(problems) == 1
    assert problems[0].endswith("/report")
    assert verdicts(made) == {"report": KNOWN}
    assert "could not be read" not in ask("explain", "data:report", folder=tmp_path).out.decode()
    assert restored(made, "second") == {"report"}


@pytest.mark.slow_but_first
@pytest.mark.parametrize(("pack", "read"), [("healthy", True), ("healthy", False), ("unknown", True)])
def test_what_is_only_said_to_be_damaged_counts_again_once_it_was_read(tmp_path: Path, pack: str, read: bool) -> None:
    made = estate(tmp_path, RESTIC, {"one": b"the report", "two": b"its figures"})
    made.back_up("first")
    first = min(made.repository.glob("data/*/*"), key=lambda path: path.stat().st_size).name  # the other one has the folders
    made.write("three", b"of the next day")
    made.back_up("second")
    made.scan()
    said = {"message_type": "summary", "num_errors": 1, "broken_packs": [first if pack == "healthy" else "ab" * 32]}
    (tmp_path / "said").write_text(json.dumps(said))
    words = ("evidence", "record", "nightly", str(tmp_path / "said"), "--tool", "restic-check", "--exit-code", "1", "--started", now())
    told = ask(*words, folder=tmp_path).err
    ask("scan", "--digest", "match" if read else "off", folder=tmp_path, code=None)
    found = {path: row["status"] for path, row in made.assets().items()}
    if pack == "unknown":
        assert "all that is not read by us later is in doubt" in told
        assert "does not know pack abababab" in told
        assert set(found.values()) == {"unknown"}
    else:
        assert "2 versions of files" in told
        assert found == {"three": "unknown", **dict.fromkeys(("one", "two"), "protected" if read else "unknown")}


@pytest.mark.slow
def test_what_is_known_to_be_damaged_is_not_forgotten_as_the_repository_is_packed_anew(tmp_path: Path) -> None:
    made = estate(tmp_path, RESTIC, {"junk": os.urandom(2_000_000), "large": os.urandom(30_000_000)})
    made.back_up("first")
    (made.data / "junk").unlink()
    made.back_up("second")
    ask("scan", "--digest", "off", folder=tmp_path)
    env = made.product.environment(made.repository)
    for pack in [path for path in made.repository.glob("data/*/*") if path.stat().st_size > 100_000]:  # one without a piece of junk stays where it is
        kept = pack.read_bytes()
        flip(pack, 50_000)
        check(made, "restic", "--no-cache", "check", "--read-data")
        subprocess.run(["restic", "--no-cache", "forget", "--keep-last", "1", "--prune", "--max-unused", "0"], env=env, capture_output=True, check=False)
        if pack.exists():
            break
        pack.write_bytes(kept)
    ask("scan", "--digest", "off", folder=tmp_path, code=None)
    assert subprocess.run(["restic", "--no-cache", "dump", "latest", str(made.data / "large")], env=env, capture_output=True, check=False).returncode
    assert verdicts(made)["large"][0] == "unknown"


@pytest.mark.slow
@pytest.mark.parametrize("product", [RESTIC, BORG], ids=lambda product: product.name)
def test_a_check_is_recorded_again_where_the_repository_lies_elsewhere_now(tmp_path: Path, product: Product) -> None:
    made = estate(tmp_path, product, {"one": os.urandom(300_000), "two": os.urandom(200_000)})
    made.back_up("first")
    made.scan()
    flip(max(made.repository.rglob("data/*/*"), key=lambda path: path.stat().st_size), 150_000)
    words = ("restic", "--no-cache", "check", "--read-data") if product is RESTIC else ("borg", "--info", "--log-json", "check", "--verify-data")
    check(made, *words)
    made.repository.rename(tmp_path / "before")
    shutil.copytree(tmp_path / "before", made.repository)
    ask("scan", "--digest", "off", folder=tmp_path)
    assert {status for status, _ in verdicts(made).values()} == {"unknown"}
    rows = len(ask("report", "evidence", "--format", "json", folder=tmp_path).data)
    record = ("evidence", "record", "nightly", str(tmp_path / "said"), "--tool", f"{product.name}-check", "--exit-code", "1", "--started", now())
    ask(*record, folder=tmp_path)
    ask("scan", "--digest", "off", folder=tmp_path, code=4)
    assert len(ask("report", "evidence", "--format", "json", folder=tmp_path).data) > rows
