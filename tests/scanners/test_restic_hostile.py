"""Repositories that somebody forged: each is a problem that names it, or a scan that fails, and never a wrong entry."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from catalog import names, table
from catalog.errors import UnreachableError
from scanners import restic as kind
from tests.scanners.contract import entries, problems, scan
from tests.scanners.forged import Forger
from tests.scanners.repositories import declared_of

STRANGE = [b"new\nline", b"\x1b[2Jesc", b"\xff\xfe", "\u202egnp.exe".encode(), b"back\\slash", b'"quoted"', b"'; DROP TABLE x; --"]


@pytest.fixture(params=["inside", "listed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a repository is read."""
    if request.param == "listed":
        monkeypatch.setattr(kind, "_can_decrypt", lambda: False)
    return str(request.param)


def quoted(raw: bytes) -> str:
    """A name as restic stores it: each byte escaped."""
    return "".join(f"\\x{byte:02x}" for byte in raw)


def found(folder: Path, forger: Forger) -> tuple[dict[bytes, dict[str, Any]], list[tuple[str, str]]]:
    """Entries by raw path and problems of a forged repository."""
    result = scan(folder / "catalog", declared_of(forger.repository))
    rows = entries(folder / "catalog", result)
    assert all(row["error"].isprintable() and row["path"].isprintable() for row in problems(folder / "catalog", result))
    return {names.unescape(row["dir"] + row["name"]): row for row in rows}, [(row["path"], row["stage"]) for row in problems(folder / "catalog", result)]


def test_no_name_steers_leads_out_or_hides(tmp_path: Path, way: str) -> None:
    forger = Forger(tmp_path)
    bad = ["..", ".", "", "a/b", "/etc/passwd", "../../etc/passwd", "nul\\x00l"]
    inner = forger.tree(*({"name": name} for name in bad), *({"name": quoted(name)} for name in STRANGE), {"name": "good"})
    forger.finish(forger.tree(forger.folder("d", inner)))
    paths, wrong = found(tmp_path, forger)
    told = [name for name in STRANGE if way == "inside" or name != b"\xff\xfe"]
    assert set(paths) == {b"d", b"d/good", *(b"d/" + name for name in told)}
    assert {stage for _, stage in wrong} == {"name"}
    assert len(wrong) >= 3


@pytest.mark.usefixtures("way")
def test_sizes_and_times_that_no_file_has_do_no_harm(tmp_path: Path) -> None:
    forger = Forger(tmp_path)
    odd: list[dict[str, Any]] = [
        {"name": "vast", "size": 2**64 - 1},
        {"name": "early", "mtime": "0001-01-01T00:00:00Z", "ctime": "0000-01-01T00:00:00Z"},
        {"name": "late", "mtime": "9999-12-31T23:59:59.999999999Z"},
        {"name": "east", "mtime": "2020-01-01T05:30:00.5+05:30"},
        {"name": "kind", "type": "irregular"},
        {"name": "good"},
    ]
    forger.finish(forger.tree(*odd))
    paths, wrong = found(tmp_path, forger)
    assert wrong == [("vast", "name")]
    assert b"vast" not in paths
    assert paths[b"early"]["modified_at"] is None
    assert paths[b"east"]["modified_at"].isoformat() == "2020-01-01T00:00:00.500000"
    assert paths[b"kind"]["type"] == "special"
    assert paths[b"good"]["size_bytes"] == 0


def test_a_tree_that_repeats_itself_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forger = Forger(tmp_path)
    tree = forger.tree({"name": "leaf"})
    for _ in range(40):
        tree = forger.tree(forger.folder("a", tree), forger.folder("b", tree))
    forger.finish(tree)
    monkeypatch.setattr("scanners._trees.LEAST_NODES", 1_000)
    with pytest.raises(UnreachableError, match="repeats"):
        scan(tmp_path / "catalog", declared_of(forger.repository))


def test_few_trees_with_many_files_that_repeat_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forger = Forger(tmp_path)
    tree = forger.tree(*({"name": f"leaf{number}"} for number in range(200)))
    for _ in range(8):
        tree = forger.tree(forger.folder("a", tree), forger.folder("b", tree))
    forger.finish(tree)
    monkeypatch.setattr("scanners._trees.LEAST_NODES", 1_000)
    with pytest.raises(UnreachableError, match="repeats"):
        scan(tmp_path / "catalog", declared_of(forger.repository))


def _deep(folder: Path, levels: int) -> Forger:
    """A repository whose every folder has two folders of long names, which are the same tree."""
    forger = Forger(folder)
    tree = forger.tree({"name": "leaf"})
    for _ in range(levels):
        tree = forger.tree(forger.folder("a" * 250, tree), forger.folder("b" * 250, tree))
    forger.finish(tree)
    return forger


def test_few_folders_whose_paths_are_long_and_repeat_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forger = _deep(tmp_path, 11)
    monkeypatch.setattr("scanners._trees.LEAST_BYTES", 1 << 20)
    with pytest.raises(UnreachableError, match="repeats"):
        scan(tmp_path / "catalog", declared_of(forger.repository))


def test_what_waits_to_be_read_of_a_tree_that_is_wide_and_deep_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forger = _deep(tmp_path, 62)
    monkeypatch.setattr("scanners._trees.LEAST_BYTES", 32 << 20)
    monkeypatch.setattr("scanners._trees._BATCH_BYTES", 64 << 10)
    monkeypatch.setattr("scanners._trees._PATHS_BYTES", 256 << 10)
    monkeypatch.setattr("scanners._trees.LEAST_NODES", 10_000)
    tracemalloc.start()
    try:
        with pytest.raises(UnreachableError, match="repeats"):
            scan(tmp_path / "catalog", declared_of(forger.repository))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("node", [{"name": "\\Uffffffff"}, {"name": "\ud800"}, {"name": "file", "content": ["zz"]}, {"name": "file", "content": 7}])
def test_a_node_that_cannot_be_understood_is_damage(tmp_path: Path, node: dict[str, Any]) -> None:
    forger = Forger(tmp_path)
    forger.finish(forger.tree({"type": "file", **node}))
    with pytest.raises(UnreachableError, match="damaged"):
        scan(tmp_path / "catalog", declared_of(forger.repository))


def test_what_a_node_does_not_say_or_says_of_no_form_that_is_known_is_unknown(tmp_path: Path) -> None:
    forger = Forger(tmp_path)
    forger.finish(forger.tree({"name": "file", "type": "file", "uid": None, "mtime": "yesterday"}))
    [entry] = found(tmp_path, forger)[0].values()
    assert (entry["uid"], entry["modified_at"], entry["size_bytes"]) == (None, None, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"uid": True},
        {"size": "7"},
        {"size": 2**64},
        {"size": -1},
        {"mtime": 5},
        {"mtime": "\ud800"},
        {"content": "a"},
        {"content": ["0" * 62 + "  "]},
        {"name": 3},
    ],
    ids=str,
)
def test_a_tree_with_a_node_that_restic_cannot_have_written_is_damaged_and_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    forger = Forger(tmp_path)
    forger.finish(forger.tree({"name": "good"}, {"name": "sub", "type": "dir", "subtree": forger.tree({"name": "file", "type": "file", "size": 7} | wrong)}))
    with pytest.raises(UnreachableError, match=r"the repository is damaged: tree [0-9a-f]{8} cannot be read"):
        scan(tmp_path / "catalog", declared_of(forger.repository))


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"7", b'{"nodes":[]}{"nodes":[]}', b'{"nodes":[null]}', b'{"nodes":[{"name":"\xff"}]}', b"[" * 5_000_000, b'{"a":' + b"[" * 5_000_000],
    ids=lambda text: text[:12],
)
def test_a_tree_that_is_no_tree_is_damaged(tmp_path: Path, text: bytes) -> None:
    forger = Forger(tmp_path)
    forger.finish(forger._add("tree", text))
    with pytest.raises(UnreachableError, match=r"the repository is damaged: tree [0-9a-f]{8} cannot be read"):
        scan(tmp_path / "catalog", declared_of(forger.repository))


def test_a_tree_of_many_lines_is_read(tmp_path: Path) -> None:
    forger = Forger(tmp_path)
    forger.finish(forger._add("tree", b'{\n "nodes": [\n  {"name": "one", "type": "file"},\r\n {"name": "two"}\n]}\n'))
    assert set(found(tmp_path, forger)[0]) == {b"one", b"two"}


def test_a_newer_state_of_equal_size_and_time_that_is_not_stored_whole_is_not_had_by_an_older_one(tmp_path: Path) -> None:
    forger = Forger(tmp_path)
    stored = [forger._add("data", piece) for piece in (b"o", b"ld")]
    old = forger.tree({"name": "file", "size": 3, "content": stored})
    new = forger.tree({"name": "file", "size": 3, "content": ["1" * 64, "2" * 64]})
    forger.finish(old)
    forger.store("snapshots", {"time": "2020-01-02T00:00:00Z", "tree": new, "paths": ["/"], "hostname": "h", "username": "u"})
    result = scan(tmp_path / "catalog", declared_of(forger.repository))
    versions = {row["restore_state"]: row["last_recovery_point"] for row in entries(tmp_path / "catalog", result)}
    assert set(versions) == {"whole", None}
    assert versions["whole"] != versions[None]
    assert [(row["path"], row["stage"]) for row in problems(tmp_path / "catalog", result)] == [("file", "read")]


def test_an_index_that_is_being_written_is_none_yet(tmp_path: Path) -> None:
    forger = Forger(tmp_path)
    forger.finish(forger.tree({"name": "good"}))
    (forger.repository / "index" / f"{'0' * 64}-tmp-1").write_bytes(b"x")
    assert set(found(tmp_path, forger)[0]) == {b"good"}


@pytest.mark.usefixtures("way")
def test_a_repository_of_a_version_that_is_not_known_is_told(tmp_path: Path) -> None:
    forger = Forger(tmp_path)
    forger.finish(forger.tree({"name": "good"}))
    forger.configure(version=3)
    with pytest.raises(UnreachableError, match="version"):
        scan(tmp_path / "catalog", declared_of(forger.repository))


def test_what_a_recovery_point_says_of_itself_is_kept_within_bounds(tmp_path: Path) -> None:
    forger = Forger(tmp_path)
    patterns = ["(((", "*a" + "?" * 200, "\x1b[2J", "x" * 100_000, *(f"*.{number}" for number in range(5_000))]
    forger.finish(forger.tree({"name": "good"}), excludes=patterns, hostname="h\n\x1b[2J", tags=["t"] * 5_000, paths=["/p"] * 5_000)
    found(tmp_path, forger)
    [row] = table.read(tmp_path / "catalog", "recovery_points").to_pylist()
    assert row["host"] == "h\\x0a\\x1b[2J"
    assert max(len(row[name]) for name in ("paths", "excludes", "tags", "left_out")) < 200_000
    assert all(text.isprintable() for name in ("paths", "excludes") for text in json.loads(row[name]))


def test_a_tree_that_is_not_what_its_id_says_is_told(tmp_path: Path) -> None:
    forger = Forger(tmp_path)
    tree = forger.tree({"name": "good"})
    forger._blobs = [(name, found, forger.secret.seal(b'{"nodes":[]}')) for name, found, _ in forger._blobs]
    forger.finish(tree)
    with pytest.raises(UnreachableError, match="not what its id says"):
        scan(tmp_path / "catalog", declared_of(forger.repository))
