"""Derivations that are broken on purpose: each must be caught by the truth table."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from catalog import derive, domains, verification
from catalog.derive import facts, labels
from tests.protection import bare
from tests.protection.table import ASSET, Row, rows
from tests.protection.test_truth import derived_findings, expected

ROWS = {row.case: row for row in rows()}
_MODULES: dict[str, types.ModuleType] = {"domains.py": domains, "facts.py": facts, "labels.py": labels, "verification.py": verification}


@dataclass(frozen=True)
class Mutant:
    """One change of one text of the derivation, and the case of the table that shows it."""

    breaks: str
    text: str  # a step of SQL, or a Python file
    old: str
    new: str
    case: str


MUTANTS = [
    Mutant(
        "a stale scan counts as absence",
        "absences",
        "f.scanned_at < i.changed_for_absence",
        "FALSE",
        "a volume last scanned before the change proves no absence",
    ),
    Mutant(
        "a copy seen before the change counts as outdated", "evidence", "j.scanned_at < j.changed_for_absence", "FALSE", "an older copy seen before the change"
    ),
    Mutant("a shelved medium is to be scanned again", "absences", "NOT f.offline AND ", "", "a shelved medium could not have got it since"),
    Mutant(
        "a volume that was never scanned counts as absence", "facts.py", "if protector not in inputs.scans:", "if False:", "a volume that was never scanned"
    ),
    Mutant("an unreadable directory proves absence", "blind_dirs", "d.dir >= p.prefix", "FALSE", "an unreadable directory hides what is below it"),
    Mutant("a metadata match survives a conflict elsewhere", "conflicts", "found = 2", "found = 9", "a conflict voids the listed copy elsewhere"),
    Mutant("another sample is no conflict", "path_matches", "NOT coalesce(same_sample, FALSE)", "FALSE", "same size and time but another sample"),
    Mutant("equal size and time prove the content", "path_matches", "ELSE 3\n", "ELSE 5\n", "a listed copy below the level is unknown"),
    Mutant(
        "a flagged time proves the content",
        "path_matches",
        "asset_size_bytes = size_bytes IS NULL OR NOT times_trusted",
        "asset_size_bytes = size_bytes IS NULL",
        "equal times that are flagged prove nothing",
    ),
    Mutant(
        "a time that is not there is equal",
        "path_matches",
        "same_time IS NULL OR asset_size_bytes = size_bytes IS NULL OR NOT times_trusted",
        "NOT times_trusted AND same_time",
        "equal size without a time proves nothing and denies nothing",
    ),
    Mutant(
        "other content without a time is in conflict",
        "path_matches",
        "CASE WHEN same_time AND asset_size_bytes = size_bytes THEN 2 ELSE 1 END",
        "2",
        "other content without a time is another version",
    ),
    Mutant(
        "times kept to the second are compared to the microsecond",
        "same_time",
        "WHEN coarse",
        "WHEN FALSE",
        "a copy whose time is kept to the second is listed under that second",
    ),
    Mutant(
        "the time when a storage got a copy is that of its content",
        "path_pairs",
        "WHEN b.time_stored THEN",
        "WHEN FALSE THEN",
        "a copy whose time is when its storage got it is known by no listing",
    ),
    Mutant(
        "the time when a storage got a copy says nothing at all",
        "path_pairs",
        "THEN FALSE END",
        "THEN NULL END",
        "what a storage got before the file was written is an older version",
    ),
    Mutant(
        "of several versions at a path any may be the match",
        "items",
        "OR e.version_id IS NOT NULL AS listed",
        "AS listed",
        "a version that was replaced in a bucket counts",
    ),
    Mutant(
        "times that were rounded are compared to the microsecond",
        "same_time",
        "WHEN rounded",
        "WHEN FALSE",
        "a copy whose time is rounded up is listed under it",
    ),
    Mutant(
        "a digest outlives a change of the file",
        "items",
        "AND e.changed_at IS NOT DISTINCT FROM k.changed_at\n",
        "",
        "a digest from before the last change of the copy proves nothing",
    ),
    Mutant(
        "an attested digest is as good as one that was read",
        "items",
        "coalesce(k.has_digest, FALSE) OR p.digest IS NOT NULL AS digest_read",
        "TRUE AS digest_read",
        "an attested copy below the level was never verified",
    ),
    Mutant(
        "a hard link seen through another volume is a copy",
        "own_copies",
        "b.inode = i.inode",
        "b.inode = -i.inode",
        "a hard link seen through another volume is the file itself",
    ),
    Mutant("a copy that was carried over counts", "evidence", "j.is_current AND j.carried", "FALSE", "a copy that was seen only by an earlier scan"),
    Mutant("the verification level is not asked for", "evidence", "j.level < j.min_level", "FALSE", "a listed copy below the level is unknown"),
    Mutant("the age of a verification is not asked for", "evidence", "j.verified_at < j.verified_since", "FALSE", "read too long ago"),
    Mutant(
        "an older copy protects at any age",
        "evidence",
        "coalesce(greatest(m.modified_at, m.held_at) >= m.current_since, FALSE)",
        "TRUE",
        "changed just now but the copy is from long before its age",
    ),
    Mutant(
        "the age of a change is that of the copy",
        "evidence",
        "coalesce(greatest(m.modified_at, m.held_at) >= m.current_since, FALSE)",
        "coalesce(m.changed_for_absence >= m.current_since, FALSE)",
        "changed just now but the copy is from long before its age",
    ),
    Mutant("an empty file is a version", "path_matches", "AND size_bytes > 0, FALSE)", ", FALSE)", "an empty file is no version of one with content"),
    Mutant("what is younger is a version", "path_matches", "AND modified_at <= asset_modified_at", "", "what was written after the asset is no version of it"),
    Mutant(
        "a flagged time dates a version", "path_matches", "times_trusted AND modified_at <=", "modified_at <=", "a version whose time proves nothing is none"
    ),
    Mutant(
        "the same device is another system",
        "domains.py",
        "if here.devices & there.devices:",
        "if False:",
        "the same declared device and nothing else known",
    ),
    Mutant(
        "an unknown site counts as another",
        "domains.py",
        "        return UNKNOWN\n    return NO if one & two",
        "        return YES\n    return NO if one & two",
        "an undeclared site is not another",
    ),
    Mutant(
        "what lies on another volume does not share its fate",
        "domains.py",
        "while above := config.volumes[links[-1]].on:",
        "while above := None:",
        "a volume on another that says it is elsewhere",
    ),
    Mutant("a mirror keeps versions", "domains.py", 'NO if volume.role == "replica" else UNKNOWN', "YES", "a replica keeps no versions unless it says so"),
    Mutant(
        "any retention is long enough", "domains.py", "volume.keeps_versions >= retention(data_class)", "True", "versions are kept for less than the retention"
    ),
    Mutant(
        "a declared lock holds unasked", "domains.py", " or not data_class.accept_declared", "", "a declared lock that the class does not accept is unknown"
    ),
    Mutant("the same admin cannot unlock", "domains.py", " and other_admin != YES", " and False", "governance under the same admin"),
    Mutant("undeclared access is offline", "domains.py", "None: UNKNOWN", "None: YES", "undeclared access is unknown"),
    Mutant(
        "a declared name is another device than one that was seen",
        "domains.py",
        "UNKNOWN if place in here.perhaps else YES",
        "YES",
        "a declared device against the same one detected is perhaps that one",
    ),
    Mutant(
        "two file systems of unknown disks are two devices",
        "domains.py",
        "return not apart and bool(",
        "return False and bool(",
        "file systems of which nothing tells the disks are perhaps on one",
    ),
    Mutant(
        "a file system of unknown disks is another device than a disk",
        "domains.py",
        "any(device.startswith(FILE_SYSTEM) for device in devices[one] | devices[two])",
        "all(any(device.startswith(FILE_SYSTEM) for device in devices[name]) for name in (one, two))",
        "a file system of which nothing tells the disks is perhaps on the disk of the original",
    ),
    Mutant(
        "what is perhaps on the disk of another copy is counted as another",
        "domains.py",
        "dark = {name for name in near[1:] if",
        "dark = {name for name in () if",
        "a file system of which nothing tells the disks is perhaps on the disk of another copy",
    ),
    Mutant(
        "what is perhaps on the disks of two makes them one",
        "domains.py",
        "found[name].perhaps & lit for",
        "found[name].perhaps for",
        "a file system of which nothing tells the disks makes no two others one",
    ),
    Mutant(
        "what is perhaps one device is counted as two",
        "domains.py",
        "    for name, doubted in perhaps.items():",
        "    for name, doubted in ():",
        "a declared device on the other side is perhaps that one too",
    ),
    Mutant(
        "a file that waits for its first copy is said to have one",
        "control_results",
        "WHEN k.control = 'max_copy_age' THEN c.current",
        "WHEN k.control = 'max_copy_age' THEN CASE WHEN s.freshness_no = 4 THEN 2 ELSE c.current END",
        "an old file that is new here is within the copy age",
    ),
    Mutant(
        "a volume inside the other is another place",
        "domains.py",
        " and not holds(config, asset, protector) and not holds(config, protector, asset)",
        "",
        "a volume inside the other is no other place",
    ),
    Mutant("another primary protects by itself", "domains.py", 'volume.role != "primary"', "True", "another primary protects nobody by itself"),
    Mutant(
        "two copies on one device are two", "counts", "t.usable = 2 THEN t.device_bit", "t.usable = 2 THEN t.volume_bit", "two copies on one device are one"
    ),
    Mutant(
        "what might be there is not counted as possible",
        "counts",
        "t.usable > 0 THEN t.device_possible",
        "t.usable > 1 THEN t.device_possible",
        "a third copy might be there",
    ),
    Mutant("what is told is of the time of its scan", "items", "e.attested_at, ", "", "what is told is as old as its own reading"),
    Mutant(
        "a listing is as young as its scan",
        "facts.py",
        "scan.known_at if scan",
        "scan.started_at if scan",
        "a listing from before the change proves no absence whenever it was scanned",
    ),
    Mutant("what is told is worth what was seen", "items", "e.attested_level, ", "", "a listing that is worth no level proves no content"),
    Mutant(
        "a size that nobody tells is equal",
        "path_matches",
        "asset_size_bytes = size_bytes IS NULL OR ",
        "",
        "a manifest without sizes and digests proves nothing",
    ),
    Mutant("a digest without a size is none", "holders", "coalesce(b.size_bytes, 1) > 0", "b.size_bytes > 0", "a manifest tells the digest and no size"),
    Mutant(
        "what a backup lists is as good as what a tree shows",
        "best_matches",
        "m.told_level",
        "1",
        "a version that a backup lists proves no content",
    ),
    Mutant(
        "an older version in a backup is known at once",
        "path_matches",
        "ELSE told_level",
        "ELSE 1",
        "an older version that a recovery point holds within the age",
    ),
    Mutant(
        "any version of a backup is as good as another",
        "chosen_versions",
        "WHEN 3 THEN 3",
        "WHEN 3 THEN 9",
        "of two versions of a backup the one that is current counts",
    ),
    Mutant(
        "a version is as old as its file was",
        "evidence",
        "greatest(m.modified_at, m.held_at)",
        "m.modified_at",
        "an older version that a recovery point holds within the age",
    ),
    Mutant("patterns of a backup leave nothing out", "left_out", "contains(w.path, x.text)", "FALSE", "a backup left it out"),
    Mutant(
        "patterns that are anchored leave out anywhere",
        "left_out",
        "starts_with(w.path, x.text)",
        "contains(w.path, x.text)",
        "a backup left out a folder of that name elsewhere",
    ),
    Mutant("recovery points show nothing", "domains.py", "kept >= retention(data_class)", "False", "a backup is seen to keep versions for the retention"),
    Mutant("any recovery points are enough", "domains.py", "kept >= retention(data_class)", "True", "a backup is not seen to keep versions for the retention"),
    Mutant("a copy that could not be read counts", "own_matches", "m.carried OR u.v IS NOT NULL", "m.carried", "a copy that is listed and could not be read"),
    Mutant(
        "a copy elsewhere that could not be read counts",
        "holders",
        "b.carried OR u.v IS NOT NULL AS",
        "b.carried AS",
        "a copy elsewhere that could not be read",
    ),
    Mutant("what could not be read is so for ever", "tried", "<= t.unread_at", "IS NOT NULL", "a copy that was read after it could not be"),
    Mutant(
        "a version takes the others of its path with it", "tried", "t.inode = f.inode", "TRUE", "an older version at the path of a copy that could not be read"
    ),
    Mutant("a version that could not be read is any other", "tried", "t.inode = f.inode", "FALSE", "a version that could not be read beside an older one"),
    Mutant("a failed reading is forgotten", "failed", "WHERE r.v IS NULL", "WHERE FALSE", "a copy that could not be read again under an earlier scan"),
    Mutant("a failed reading holds for ever", "failed", "k.digested_at > h.failed_at", "FALSE", "a copy that was read after a reading failed"),
    Mutant(
        "a failed reading counts for the volume that tried alone",
        "failed",
        "OR (t.volume IS NULL AND f.volume <> t.reader)",
        "",
        "a copy that another volume which shows the file could not read",
    ),
    Mutant(
        "other content that another volume found is nothing",
        "failures",
        "WHERE f.digest <> n.digest",
        "WHERE FALSE",
        "a copy of which another volume found other content",
    ),
    Mutant("only the name that was tried could not be read", "unreadable", "e.inode = n.inode AND", "FALSE AND", "an asset whose other name could not be read"),
    Mutant(
        "an old digest proves what can no longer be read",
        "evidence",
        "m.carried OR (m.found = 5 AND n.v IS NOT NULL)",
        "m.carried",
        "an asset that was read before it could not be",
    ),
    Mutant("an accepted finding never runs out", "labels.py", "if as_of < ends", "if True", "an accepted finding that ran out yesterday"),
    Mutant(
        "accepting one finding settles them all",
        "verdicts",
        "(k.not_met_bits & s.excepted) = k.not_met_bits",
        "(k.not_met_bits & s.excepted) > 0",
        "only one of two findings was accepted",
    ),
    Mutant("a stub is a pointer wherever it leads", "stub_targets", "s.target_name", "e.name", "a stub that leads past the archived file"),
    Mutant("what waits for its purge is a copy", "items", "OR e.dir = '.lastcopy/quarantine/'", "", "what waits in a quarantine for its purge is no copy"),
    Mutant("what waits on a volume inside is a copy", "items", "OR ends_with(e.dir, '/.lastcopy/quarantine/')", "", "nor is it in a volume that lies inside"),
    Mutant("a stub leads to any volume", "stub_targets", " AND v.role IN ('archive', 'primary')", "", "a stub of what only a backup holds"),
    Mutant("a stub leads to any size", "stub_targets", "AND e.size_bytes = s.size_bytes\n", "", "a stub of what an archive holds in another size"),
    Mutant(
        "a stub leads to any content",
        "stub_targets",
        "coalesce(k.digest, t.attested) = t.digest",
        "TRUE",
        "a stub of what an archive holds with another content",
    ),
    Mutant("a stub leads to a stub", "stub_targets", " AND e.storage_class IS DISTINCT FROM 'stub'", "", "a stub of what a stub stands for"),
    Mutant("equal size proves what a stub stands for", "stub_targets", "t.attested)", "t.attested, t.digest)", "a stub of what an archive seems to hold"),
    Mutant("what a stub seems to stand for is nothing", "path_matches", "s.proven IS NULL", "FALSE", "a stub of what an archive seems to hold"),
    Mutant("another content may be what a stub stands for", "path_matches", "s.proven IS NULL", "TRUE", "a stub of what an archive holds with another content"),
    Mutant("a stub that is a pointer is a file", "stub_targets", " = t.digest AS proven", " = NULL AS proven", "a stub of what an archive holds"),
    Mutant(
        "what a stub leads to is no asset",
        "homes",
        "WHERE t.proven",
        "WHERE FALSE",
        "what a stub leads to is an asset though another primary holds its content",
    ),
    Mutant("copies of a stub's text protect it", "path_pairs", "AND NOT i.aside ", "", "a stub that leads nowhere is not saved by copies of its text"),
    Mutant("a stub at the path is a copy", "path_pairs", " AND NOT b.aside", "", "a stub is a copy of nothing"),
    Mutant(
        "equal content of stubs protects",
        "items",
        "CASE WHEN NOT aside THEN CASE WHEN k.has_digest THEN k.digest_no ELSE n.digest_no END END",
        "CASE WHEN k.has_digest THEN k.digest_no ELSE n.digest_no END",
        "a stub that leads nowhere is not saved by copies of its text",
    ),
    Mutant(
        "an archive whose content is nowhere else is no asset", "homes", "m.found >= 3", "m.found >= 1", "an archive that a primary seems to hold and does not"
    ),
    Mutant("one site is in two regions", "domains.py", '    _share(sets, "sites", ("regions",))', "", "one site is in one region whatever is declared"),
    Mutant(
        "an undeclared region is another",
        "counts",
        "t.usable = 2 THEN t.region_bit",
        "t.usable = 2 THEN t.region_possible",
        "an undeclared region is not another",
    ),
    Mutant(
        "an undeclared administrator is another",
        "counts",
        "t.usable = 2 THEN t.admin_bit",
        "t.usable = 2 THEN t.admin_possible",
        "an undeclared administrator is not another",
    ),
    Mutant(
        "a program vouches for what was stored after it looked",
        "checked",
        "coalesce(r.ended_at, r.started_at) <= c.checked_at",
        "TRUE",
        "what a backup stored after its program has read it",
    ),
    Mutant(
        "a program that read a repository vouches for its replica",
        "checked",
        "f.fs_id IS NOT DISTINCT FROM c.fs_id",
        "TRUE",
        "a backup whose program has read it as a whole at another place",
    ),
    Mutant(
        "a program vouches for what is not all stored",
        "checked",
        "f.restore_state = 'whole'",
        "TRUE",
        "a version that lacks a part and whose backup was read as a whole",
    ),
    Mutant(
        "errors that a program found are forgotten", "doubted", "i.listed AND", "FALSE AND", "errors that no file is known of and a file that we read before"
    ),
    Mutant(
        "what was read after errors stays in doubt",
        "doubted",
        "i.digested_at > d.checked_at",
        "FALSE",
        "errors that no file is known of and a file that we read since",
    ),
    Mutant(
        "what a program failed to give back counts as restored",
        "restored",
        "arg_max(t.ok, t.ended_at)",
        "bool_or(t.ok)",
        "a copy that its program gave back once and failed to give back later",
    ),
    Mutant("some parts are all parts", "verification.py", "set(read) == set(range(1, parts + 1))", "True", "two parts of three are not all of a backup"),
    Mutant(
        "parts that were read one after the other are of the last time",
        "verification.py",
        "[min(read.values())",
        "[max(read.values())",
        "three parts of three are all of what the backup had at the first",
    ),
    Mutant(
        "to look mends what had errors when it was read",
        "verification.py",
        "other.level >= one.level and",
        "",
        "to look is not to read what had errors",
    ),
    Mutant(
        "the age of what is known best is not asked for",
        "evidence",
        "b.min_level <= 2 AND b.read_at BETWEEN b.since AND b.until THEN 3",
        "b.min_level <= 2 AND b.read_at IS NOT NULL THEN 3",
        "a backup that was read too long ago and looked at since",
    ),
    Mutant(
        "the stored size and time of a listing prove",
        "evidence",
        "CASE WHEN e.found = 5 THEN x.restored_at END",
        "x.restored_at",
        "what a program gave back of a copy that nobody compared",
    ),
    Mutant(
        "a lock of an object needs no end",
        "lock_files",
        "WHEN retain_until IS NOT NULL THEN CASE",
        "WHEN TRUE THEN CASE",
        "a lock of an object without an end tells nothing",
    ),
    Mutant(
        "what an object tells adds to what is declared",
        "testimonies",
        "f.offline, l.locked)",
        "f.ransomware, l.locked)",
        "an object that is not locked in what is declared to be",
    ),
    Mutant(
        "any lock outlasts ransomware",
        "copy_locks",
        "WHEN k.retain_until >= c.locked_least THEN",
        "WHEN k.mode_no > 0 THEN",
        "a lock of an object that ends within the retention",
    ),
    Mutant(
        "a lock that holds now is long enough",
        "copy_locks",
        "k.retain_until >= c.locked_least",
        "k.retain_until >= c.locked_now",
        "a lock of an object that ends within the retention",
    ),
    Mutant(
        "governance is compliance",
        "copy_locks",
        "CASE k.mode_no WHEN 2 THEN 2 ELSE",
        "CASE WHEN k.mode_no > 0 THEN 2 ELSE",
        "governance of an object under the same admin",
    ),
    Mutant(
        "a legal hold holds back who set it",
        "copy_locks",
        "WHEN k.held THEN p.other_admin",
        "WHEN k.held THEN 2",
        "a legal hold under the same admin may be lifted by him",
    ),
    Mutant(
        "no word of a mode is that there is no lock",
        "copy_locks",
        "WHEN k.mode_no IS NULL THEN p.locked",
        "WHEN k.mode_no IS NULL THEN p.append_only",
        "a file of which nobody asked beside one that is not locked",
    ),
    Mutant(
        "append-only is a lock of objects",
        "copy_locks",
        "ELSE p.append_only",
        "ELSE 0",
        "an object that is not locked where another admin's server only appends",
    ),
    Mutant(
        "a lock on one file and the verification of another are one",
        "copy_locks",
        "least(usable, outlasts) AS outlasts",
        "outlasts",
        "a lock on another file that is not as well known as its class asks",
    ),
    Mutant(
        "the lock of another file counts for nothing",
        "copy_locks",
        "greatest(m.outlasts, least(b.outlasts, CASE WHEN e.state = 2 THEN 1 ELSE 2 END))",
        "m.outlasts",
        "a lock on another file of the same content",
    ),
    Mutant(
        "a reading of any age proves a lock",
        "copy_locks",
        "WHEN b.digested_at < c.verified_since OR b.digested_at > c.verified_until THEN 1",
        "",
        "a lock on another file whose reading is too old",
    ),
    Mutant("a lock opens what a lost key closes", "testimonies", "l.locked), f.key)", "l.locked), 2)", "an object that is locked and opened by a lost key"),
]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with bare.connect(tmp_path) as opened:
        yield opened


# They prove the table, which is run whole: of them every fifth is enough but where CI looks.
_EVERY = [pytest.param(mutant, id=mutant.breaks, marks=[pytest.mark.slow] if place % 5 else []) for place, mutant in enumerate(MUTANTS)]


@pytest.mark.parametrize("mutant", _EVERY)
def test_a_broken_derivation_is_caught(mutant: Mutant, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROWS[mutant.case]
    assert found(row, connection) == expected(row)
    _break(mutant, monkeypatch)
    assert found(row, connection) != expected(row)


def found(row: Row, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What the derivation says of a case's asset."""
    files: list[dict[str, Any]] = bare.files(connection, row.estate)
    return derived_findings(next((one for one in files if (one["volume"], one["dir"] + one["name"]) == ("a", ASSET)), None))


def _break(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    if mutant.text in _MODULES:
        intact = _MODULES[mutant.text]
        source = Path(str(intact.__file__)).read_text("utf-8")
        broken = types.ModuleType(intact.__name__)
        exec(compile(_changed(source, mutant), mutant.text, "exec"), broken.__dict__)  # the module's own text, changed in one place
        user, name = (facts, mutant.text.removesuffix(".py")) if mutant.text in ("domains.py", "verification.py") else (derive, mutant.text.removesuffix(".py"))
        monkeypatch.setattr(user, name, broken)
    else:
        texts = derive.sql
        monkeypatch.setattr(derive, "sql", lambda name: _changed(texts(name), mutant) if name == mutant.text else texts(name))


def _changed(text: str, mutant: Mutant) -> str:
    assert mutant.old in text, f"{mutant.text} no longer says {mutant.old!r}: adapt the mutant"
    return text.replace(mutant.old, mutant.new)
