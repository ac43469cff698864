"""Jobs on the sample estate, by the real command line: what a plan says comes true, and whatever was taken away comes back bit for bit."""

import hashlib
import os
import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import lastcopy
from catalog.names import escape
from catalog.words import THREATS
from sample_data import demo
from tests.lastcopy.program import Ended, ask, run

TIB = 1 << 40
PRICES = {"projects": 25.0, "archive": 4.0}  # of a TiB a month, as the sample's configuration has them
BLOCK_BYTES = 4096  # so much more than its size a file may take
HOLE_BYTES = 1 << 20
OLD_NS = 1_262_304_000_123_456_789  # 2010, with nanoseconds
ODD = b"closed/2010 \xff\x1b[31m 'quay'/plan \n.dwg"
PAIR = (b"closed/2010-twins/one.dwg", b"closed/2010-twins/two.dwg")
CLOSED = "volume = 'projects' AND path LIKE 'closed/%'"


class Company:
    """The sample estate with some richer files among the closed work, scanned, its volumes prepared."""

    def __init__(self, folder: Path, *, richer: bool = True) -> None:
        self.folder = demo.build(folder).parent
        if richer:
            _enrich(self.root("projects"))
        self.scan()
        for volume in ("projects", "archive", "lyon"):
            self.run("volume", "prepare", volume)

    def root(self, volume: str) -> bytes:
        """The folder of a volume."""
        return os.fsencode(self.folder / "estate" / volume)

    def run(self, *arguments: str, code: int = 0) -> Ended:
        """Run a command, whose data is JSON."""
        return run(*arguments, "--format", "json", folder=self.folder, code=code, obedient=arguments[0] == "scan")

    def scan(self) -> None:
        """Scan every volume; one folder of the estate may not be listed."""
        self.run("scan", code=4)

    def plan(self, *arguments: str) -> Any:  # noqa: ANN401  parsed JSON, of any shape
        """A new plan, approved."""
        made = self.run("plan", "create", *arguments).data
        self.run("plan", "approve", made["id"])
        return made

    def job(self, made: Any) -> Any:  # noqa: ANN401  parsed JSON, of any shape
        """The job of a plan, run."""
        return self.run("job", "run", made["id"]).data

    def coverage(self) -> dict[str, Any]:
        """What the newest snapshot's reports say: assets and bytes by status, and by threat and answer."""
        assets = self._report("assets")
        return {"status": _summed(assets, "status"), "threats": {threat: _summed(assets, threat) for threat in THREATS}}

    def cost(self, volume: str) -> float:
        """What a volume costs a month: what its files take by the report, whose own figure is rounded, at its price."""
        (row,) = [row for row in self._report("costs", by="volume") if row["name"] == volume]
        return float(row["paid_bytes"] * PRICES[volume] / TIB)

    def _report(self, name: str, **params: Any) -> list[dict[str, Any]]:  # noqa: ANN401  a report's parameters are its own
        with lastcopy.open(str(self.folder / "catalog")) as catalog:
            return catalog.report(name, **params).to_dicts()


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path / "a company")


def _enrich(root: bytes) -> None:
    """Closed work with everything that a file can have: an odd name, two names of one file, owner, mode, attributes, an access list, a hole."""
    for path in (ODD, PAIR[0], b"closed/2010-holes/tower.las"):
        where = os.path.join(root, path)
        os.makedirs(os.path.dirname(where))
        with open(where, "wb") as file:
            file.write(hashlib.sha256(path).digest() * 900)
            if b"holes" in path:
                file.truncate(HOLE_BYTES)
        os.setxattr(where, "user.project", b"closed \xff\x00 in 2010")
        os.setxattr(where, "system.posix_acl_access", _ACCESS)
        if os.geteuid() == 0:
            os.chown(where, 12_345, 54_321)
        os.utime(where, ns=(OLD_NS + 1, OLD_NS))
    os.link(os.path.join(root, PAIR[0]), os.path.join(root, PAIR[1]))


# acl(5) as the kernel keeps it: version 2, then tag, permissions and id: owner, a user, the group, the mask, others.
_ACCESS = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry) for entry in ((1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 4, 0xFFFFFFFF))
)


def everything(root: bytes) -> dict[str, Any]:
    """All that a tree holds but `.lastcopy`: each entry with its content or target, size, ns time, mode, owner, attributes, and which names are one file."""
    found, inodes = dict[str, Any](), dict[int, str]()
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - {b".lastcopy"})
        for name in sorted([*folders, *files]):
            path = os.path.join(folder, name)
            seen, shown = os.lstat(path), escape(os.path.relpath(path, root))
            if name in folders and not os.path.islink(path):
                found[shown] = (seen.st_mode, seen.st_uid, seen.st_gid)
                continue
            first = inodes.setdefault(seen.st_ino, shown)
            attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}
            said = (seen.st_size, seen.st_mtime_ns, seen.st_mode, seen.st_uid, seen.st_gid, attributes, seen.st_nlink, first)
            found[shown] = (_content(path), *said)
    return found


def _content(path: bytes) -> bytes:
    if os.path.islink(path):
        return os.readlink(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _summed(rows: list[dict[str, Any]], key: str) -> dict[str, dict[str, int]]:
    assets, size = Counter(row[key] for row in rows), Counter[str]()
    for row in rows:
        size[row[key]] += row["counted_bytes"]
    return {word: {"assets": assets[word], "bytes": size[word]} for word in assets}


@pytest.mark.slow
def test_dormant_files_are_archived_as_the_plan_said_and_undo_brings_every_bit_back(company: Company) -> None:
    before, archived_before = everything(company.root("projects")), everything(company.root("archive"))
    covered, costs = company.coverage(), {volume: company.cost(volume) for volume in ("projects", "archive")}

    made = company.plan("archive-dormant")
    assert made["totals"]["steps"] == 7
    assert made["effect"]["coverage"]["before"] == covered
    assert everything(company.root("projects")) == before, "a plan only looks"

    outcome = company.job(made)
    assert outcome["counts"] == {"QUARANTINED": 7}
    assert company.run("job", "run", made["id"]).data["id"] == outcome["id"], "a plan has one job"
    left = everything(company.root("projects"))
    assert left.keys() == before.keys() - {path for path in before if path.startswith("closed/") and isinstance(before[path][0], bytes)}
    moved = everything(company.root("archive"))
    for path in before.keys() - left.keys():
        assert moved[path] == before[path], path

    company.scan()
    assert company.coverage() == made["effect"]["coverage"]["after"] != covered
    effect = made["effect"]["cost"]
    assert costs["projects"] - company.cost("projects") == pytest.approx(effect["saved_per_month"])
    assert effect["added_per_month"] == pytest.approx(made["totals"]["bytes"] * PRICES["archive"] / TIB), "by the sizes"
    assert company.cost("archive") - costs["archive"] == pytest.approx(
        effect["added_per_month"], abs=(7 * BLOCK_BYTES + HOLE_BYTES) * PRICES["archive"] / TIB
    ), "holes and whole blocks make the difference"

    assert company.run("job", "undo", outcome["id"]).data["counts"] == {"DONE": 7}
    assert everything(company.root("projects")) == before
    assert everything(company.root("archive")) == moved, "copies stay"
    assert archived_before.items() <= moved.items()
    company.scan()
    assert company.coverage()["status"]["protected"]["assets"] >= covered["status"]["protected"]["assets"]
    assert company.run("audit", "verify").data["state"] == "whole"
    company.run("job", "run", made["id"], code=5)  # a plan has one job, and one that was undone is not gone on with
    shown = run("audit", "log", folder=company.folder).out.decode().splitlines()
    assert max(map(len, shown)) <= 200
    assert any("QUARANTINED 1-7" in line for line in shown)


@pytest.mark.slow
@pytest.mark.parametrize("leave", ["stub", "symlink"])
def test_what_was_purged_comes_back_in_the_place_of_the_pointer_that_was_left(company: Company, leave: str) -> None:
    before = everything(company.root("projects"))
    options = ("--report", "dormant-copies", "--where", CLOSED, "--to", "archive", "--quiet-time", "0s", "--grace", "0s")
    made = company.plan("--action", "archive", *options, "--leave", leave)
    company.job(made)
    for path in (path for path in before if path.startswith("closed/") and isinstance(before[path][0], bytes)):
        _assert_points(company, path, leave)
    company.scan()
    [asked] = company.run("explain", f"projects:{path}").data
    assert (asked["volume"], asked["path"], asked["is_asset"]) == ("archive", path, True)
    assert company.coverage() == made["effect"]["coverage"]["after"]

    assert company.job(company.plan("purge"))["counts"] == {"DONE": 7}
    assert not [name for _, _, names in os.walk(company.root("projects") + b"/.lastcopy/quarantine") for name in names]
    assert company.job(company.plan("--action", "recall"))["counts"] == {"DONE": 7}
    assert everything(company.root("projects")) == before
    assert company.run("audit", "verify").data["state"] == "whole"


def _assert_points(company: Company, path: str, leave: str) -> None:
    """What was left at a name leads to the content in the archive."""
    from catalog.names import unescape

    here, there = (os.path.join(company.root(volume), unescape(path)) for volume in ("projects", "archive"))
    if leave == "symlink":
        assert os.path.realpath(here) == os.path.realpath(there)
    else:
        with open(here, "rb") as file:
            text = file.read()
        assert text.startswith(b"#!lastcopy-stub ")
        assert _content(there).hex().encode() in text


@pytest.mark.slow
def test_the_other_policies_of_the_sample_do_what_their_plans_say(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    # A duplicate is done where the kernel shares blocks; where an equal file takes its place it rests in quarantine.
    for policy, ends in {"protect": [{"DONE": 13}], "dedupe": [{"DONE": 1}, {"QUARANTINED": 1}], "thin-out": [{"QUARANTINED": 2}]}.items():
        made = company.run("plan", "create", policy).data
        if made["policy"]["two_persons"]:
            assert "somebody else must approve it" in company.run("plan", "approve", made["id"], code=5).err
            monkeypatch.setattr("lifecycle.people.actor", lambda: "another person")
        ask("plan", "approve", made["id"], folder=company.folder)
        assert company.job(made)["counts"] in ends
        company.scan()
        assert company.coverage() == made["effect"]["coverage"]["after"], policy


@pytest.mark.slow
def test_what_cannot_come_true_is_said_when_it_is_planned(company: Company) -> None:
    options = ("--quiet-time", "0s", "--where", "path IN ('research/TODO', 'inbox/empty.txt')")
    made = company.run("plan", "create", "--action", "archive", "--report", "assets", "--to", "archive", *options, code=5)
    assert made.data["totals"]["refusals"]["empty"]["files"] == 2
    assert "every file was left out" in made.err

    options = ("--quiet-time", "0s", "--where", "path = 'app/cache/session.tmp'")
    unseen = company.plan("--action", "copy", "--report", "unprotected", "--to", "lyon", *options)
    assert unseen["totals"]["steps"] == 1
    assert unseen["effect"]["coverage"]["after"] == unseen["effect"]["coverage"]["before"], "scans of lyon leave caches out"
    company.job(unseen)
    company.scan()
    assert company.coverage() == unseen["effect"]["coverage"]["after"]


@pytest.mark.slow
def test_the_readme_shows_what_jobs_really_print(tmp_path: Path) -> None:
    company = Company(tmp_path / "demo", richer=False)
    section = (Path(demo.__file__).parent.parent / "README.md").read_text("utf-8").partition("## From report to action")[2].partition("\n## ")[0]
    blocks = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2
    real: dict[str, str] = {}  # the ids in the readme, and those of this run
    for part in "".join(blocks).split("$ lastcopy ")[1:]:
        command, *lines = part.splitlines()
        for one in command.split(" && lastcopy "):
            ended = run(*(real.get(word, word) for word in one.split()), folder=company.folder)
        printed = (ended.out.decode() + ended.err).splitlines()
        real |= dict(zip(_ids("\n".join(lines)), _ids("\n".join(printed)), strict=False))
        told = {_without_ids(line) for line in printed}
        assert [line for line in lines if line.strip() not in ("", "…") and _without_ids(line) not in told] == [], command


_ID = re.compile(r"\b[pj][a-z2-7]{10}\b")


def _ids(text: str) -> list[str]:
    return list(dict.fromkeys(_ID.findall(text)))


def _without_ids(line: str) -> str:
    """A line without what differs from run to run: ids, times, who ran it."""
    timeless = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d|\d{8}T\d+Z-\w+", "(when)", _ID.sub("(id)", line))
    return re.sub(r"created \(when\) by \S+,", "created by somebody,", timeless)
