"""One file explained, and files found by name."""

import dataclasses
import datetime
import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog import config, connect, derive, names, table
from catalog.errors import NotFoundError
from catalog.schema import DIGESTS
from catalog.words import REASONS
from reports import explain, find, mending, rescue
from tests.catalog.estates import NOON, write_scan
from tests.lastcopy.program import ask
from tests.reports.conftest import AS_OF, Estate, answer

VOLUMES = [
    {"volume": "projects", "url": "/srv/projects"},
    {"volume": "mirror", "role": "replica", "url": "/mnt/mirror", "systems": ["nas-2"], "sites": []},
    {"volume": "tape", "role": "backup", "url": "/media/tape", "access": "offline"},
]
YES = {"user_error": "no", "ransomware": "unknown", "system_failure": "yes", "facility_outage": "no"}


def one(estate: Estate, **asset: object) -> explain.Explanation:
    file = {
        "path": "x/a b.txt",
        "modified_at": AS_OF - datetime.timedelta(days=3),
        "status": "partly",
        "reasons": "mirror_only",
        "not_met": "user_error,copies",
    }
    reasons = {"user_error_reasons": "mirror_only", "ransomware_reasons": "metadata_match_only", "system_failure_reasons": ""}
    connection = estate(
        volumes=VOLUMES,
        files=[file | YES | reasons | {"unknown_controls": "ransomware"} | asset],
        classes=[{"data_class": "default", "copies": 3, "waive": ["facility_outage"], "max_copy_age_days": 1.0}],
        copies=[
            {"path": "x/a b.txt", "copy_volume": "tape", "is_current": False, "usable": "no", "match": "older", "usable_reason": "changed_since_copy"},
            {"path": "x/a b.txt", "copy_volume": "mirror", "verified_at": AS_OF - datetime.timedelta(days=10), "seen_at": AS_OF},
        ],
    )
    [found] = explain.explain(connection, None, "x/a b.txt")
    return found


def test_it_names_every_copy_the_best_first(estate: Estate) -> None:
    found = one(estate)
    assert [(copy.volume, copy.match, copy.usable, copy.reason) for copy in found.copies] == [
        ("mirror", "content", "yes", None),
        ("tape", "older", "no", "changed_since_copy"),
    ]


def test_it_tells_each_control_and_what_would_mend_it(estate: Estate) -> None:
    found = one(estate)
    assert {control.name: control.result for control in found.controls} == {
        "user_error": "not_met",
        "ransomware": "unknown",
        "system_failure": "met",
        "facility_outage": "waived",
        "copies": "not_met",
        "max_copy_age": "met",
    }
    assert found.mend == (mending.MEND["mirror_only"], mending.MEND["metadata_match_only"], mending.MEND_CONTROL["copies"])


def test_what_is_known_to_be_shared_is_not_mended_by_a_declaration(estate: Estate) -> None:
    unknown = one(estate, user_error="unknown", user_error_reasons="same_system_only", unknown_controls="user_error,ransomware", not_met="copies")
    known = one(estate, user_error_reasons="same_system_only")
    assert unknown.mend[0] == mending.MEND["same_system_only"]
    assert known.mend[0] == mending.MEND_KNOWN["same_system_only"]
    assert set(mending.MEND_KNOWN) <= set(mending.MEND)


def test_every_reason_has_a_sentence_that_mends_it() -> None:
    assert tuple(mending.MEND) == REASONS


def test_its_text_says_evidence_level_and_age(estate: Estate) -> None:
    text = one(estate).text()
    assert "projects:x/a b.txt" in text
    assert "content; level 2: read and digested, 2026-11-10 12:00 (10 d before the snapshot); counts" in text
    assert "system nas-2, site unknown, online" in text
    assert "cp --archive --no-clobber --no-target-directory -- '/mnt/mirror/x/a b.txt' '/srv/projects/x/a b.txt'" in text


@pytest.mark.parametrize(
    "raw", [b"plain", b"with space", b"it's", b"$(reboot)", b"a\nb", b"\xff\xfe", b"-rf", b"\x1b[31m", b"back\\slash", "é".encode(), b"`x`", b"!x", b"\\xff"]
)
def test_the_restore_command_copies_exactly_that_file(raw: bytes, tmp_path: Path) -> None:
    for folder in ("from", "to"):
        (tmp_path / folder).mkdir()
    source = bytes(tmp_path / "from") + b"/" + raw
    with open(source, "wb") as file:
        file.write(b"content")
    path = names.escape(raw)
    command = rescue.command({"kind": "posix", "url": str(tmp_path / "from")}, path, {"kind": "posix", "url": f"file://{tmp_path / 'to'}/"}, path)
    assert command is not None
    assert command.isascii()
    assert command.isprintable()
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-c", command], check=True)
    with open(bytes(tmp_path / "to") + b"/" + raw, "rb") as file:
        assert file.read() == b"content"
    assert len([*(tmp_path / "to").iterdir()]) == 1


def test_what_would_restore_an_older_version_says_so(estate: Estate) -> None:
    found = one(estate)
    assert "Restore with\n" in found.text()
    older = dataclasses.replace(found, copies=tuple(dataclasses.replace(copy, match="older", is_current=False) for copy in found.copies))
    assert "Restore with (not its current content)\n" in older.text()


def test_an_older_version_that_counts_is_not_said_to_be_its_current_content(estate: Estate) -> None:
    found = one(estate)
    counts = dataclasses.replace(found, copies=tuple(dataclasses.replace(copy, match="older", is_current=True) for copy in found.copies)).text()
    assert "Restore with (not its current content)\n" in counts
    assert "  an older version, within the copy age of its class; " in counts


def test_a_conflict_is_named_and_not_said_to_be_unread(estate: Estate) -> None:
    found = one(estate)
    differs: dict[str, Any] = {"match": "conflict", "is_current": False, "usable": "no", "reason": "conflict", "verification_level": None, "verified_at": None}
    text = dataclasses.replace(found, copies=(dataclasses.replace(found.copies[0], **differs),)).text()
    assert "; a copy is in conflict\n" in text
    assert "  conflict: same size and time, but its content, or that of another such copy, is another; does not count (conflict)\n" in text
    assert "not verified" not in text


def test_names_and_duplicates_on_its_own_volume_are_listed(tmp_path: Path) -> None:
    digest = {"digest": b"d" * 32}
    linked = {"inode": 7, "link_count": 2} | digest
    write_scan(tmp_path, "work", {"a": linked, "b/name": linked, "twin": digest, "else": {"digest": b"e" * 32}})
    made = config.parse({"volumes": {"work": {"url": "/work"}}})
    with connect.connect(tmp_path, derive.derive(tmp_path, made, NOON)) as connection:
        [found] = explain.explain(connection, "work", "a")
    assert found.same_volume == ("b/name", "twin")
    assert "Also on its own volume, which protects nothing\n  b/name\n  twin\n" in found.text()


def test_what_stands_in_the_place_of_an_archived_file_leads_to_it(tmp_path: Path) -> None:
    digest = bytes(range(32))
    stub = {"storage_class": "stub", "link_target": "vault:old/a:b", "tags": json.dumps({"sha256": digest.hex(), "size_bytes": 10})}
    links = {"link": "/vault/old/a:b", "beside": "old/a:b", "out": "/elsewhere/a"}
    pointing = {name: {"type": "symlink", "link_target": target} for name, target in links.items()}
    write_scan(tmp_path, "work", {"dir/stub": stub, **pointing})
    write_scan(tmp_path, "vault", {"old/a:b": {"digest": digest}})
    made = config.parse({"volumes": {"work": {"url": "/work"}, "vault": {"url": "/vault", "role": "archive"}}})
    with connect.connect(tmp_path, derive.derive(tmp_path, made, NOON)) as connection:
        for asked, said in (("work:dir/stub", "the stub work:dir/stub"), ("dir/stub", "the stub work:dir/stub"), ("/work/link", "the symbolic link work:link")):
            [found] = explain.explain(connection, None, asked)
            assert (found.volume, found.path, found.is_asset) == ("vault", "old/a:b", True)
            assert found.text().startswith(f"vault:old/a:b\n  {said} leads there\n")
        [itself] = explain.explain(connection, None, "old/a:b")
        assert itself.pointer is None
        for nowhere in ("beside", "out"):
            with pytest.raises(NotFoundError, match="no volume holds such a file"):
                explain.explain(connection, None, nowhere)


def test_what_is_known_only_by_its_path_is_not_said_to_be_old(estate: Estate) -> None:
    found = one(estate)
    listed = dataclasses.replace(found, copies=tuple(dataclasses.replace(copy, match="path_only", is_current=False) for copy in found.copies)).text()
    assert "Restore with (perhaps not its current content)\n" in listed
    assert "proves nothing: same path, size and time, but no time to trust; " in listed
    assert "not current" not in listed


def test_status_and_freshness_are_named_and_without_a_copy_that_is_said_once(estate: Estate) -> None:
    found = one(estate)
    assert f"\n  status {found.status}; freshness of its copies: {found.freshness}\n" in found.text()
    assert "\n\nCopies: none is known\n" in dataclasses.replace(found, copies=()).text()
    assert "Copies" not in dataclasses.replace(found, copies=(), is_asset=False, copy_of=("work:a",)).text()


@pytest.mark.parametrize("url", ["file:/a", "file:///a", "/a", "/a/"])
def test_a_volume_is_restored_to_where_a_scan_finds_it(url: str) -> None:
    tree = {"kind": "posix", "url": url}
    assert shlex.split(rescue.command(tree, "x", tree, "x") or "")[-2:] == ["/a/x", "/a/x"]


def test_a_relative_place_is_restored_to_only_where_its_folder_is_known() -> None:
    tree = {"kind": "posix", "url": "file:a"}
    assert rescue.command(tree, "x", tree, "x") is None


def test_a_folder_in_the_place_of_the_lost_file_does_not_receive_it(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "x").write_text("content")
    (tmp_path / "to" / "x").mkdir(parents=True)
    command = rescue.command({"kind": "posix", "url": str(tmp_path / "from")}, "x", {"kind": "posix", "url": str(tmp_path / "to")}, "x")
    subprocess.run(["bash", "-c", command or "false"], check=False, capture_output=True)
    assert list((tmp_path / "to" / "x").iterdir()) == []


def test_nothing_can_be_restored_without_a_copy_or_from_what_is_no_file_tree() -> None:
    tree, repository = {"kind": "posix", "url": "/a"}, {"kind": "restic", "url": "restic:/b"}
    assert rescue.command(repository, "x", tree, "x") is None
    assert shlex.split(rescue.command(tree, "x", tree, "x") or "")[-2:] == ["/a/x", "/a/x"]


@pytest.mark.parametrize(("volume", "path"), [(None, "projects:x/a"), (None, "/srv/projects/x/a"), ("projects", "x/a"), ("projects", "/srv/projects/x/a")])
def test_a_file_may_be_named_in_several_ways(estate: Estate, volume: str | None, path: str) -> None:
    connection = estate(volumes=VOLUMES, files=[{"path": "x/a"}, {"path": "x/a", "volume": "mirror", "is_asset": False, "status": None}])
    assert [(found.volume, found.path) for found in explain.explain(connection, volume, path)] == [("projects", "x/a")]


def test_a_copy_is_explained_by_the_assets_that_it_is_a_copy_of(estate: Estate) -> None:
    connection = estate(
        volumes=VOLUMES,
        files=[{"path": "b", "volume": "mirror", "is_asset": False}],
        copies=[{"path": "a", "copy_volume": "mirror", "copy_path": "b"}],
    )
    [found] = explain.explain(connection, "mirror", "b")
    assert found.copy_of == ("projects:a",)
    assert found.controls == ()
    assert "not an asset; a copy of projects:a" in found.text()


def test_a_file_or_volume_that_is_not_there_is_not_found(estate: Estate) -> None:
    connection = estate(volumes=VOLUMES)
    with pytest.raises(NotFoundError, match="no volume holds such a file"):
        explain.explain(connection, None, "nothing")
    for folder in ("docs", "docs/"):
        with pytest.raises(NotFoundError, match=f"{folder}: is a folder on projects, and files are explained"):
            explain.explain(estate(volumes=VOLUMES, files=[{"volume": "projects", "path": "docs/deep/a"}]), None, folder)
    with pytest.raises(NotFoundError, match="there is no volume 'tap'; volumes are projects, mirror, tape"):
        explain.explain(connection, "tap", "x")


def test_a_file_below_a_folder_that_could_not_be_read_is_unknown_not_absent(estate: Estate) -> None:
    unread = {"volume": "mirror", "path": "x/secret", "stage": "list", "error": "denied", "hides_below": True}
    connection = estate(volumes=VOLUMES, problems=[unread, unread | {"path": "x/file", "stage": "stat", "hides_below": False}])
    for path, problem in (("x/secret/a", "x/secret"), ("x/secret", "x/secret"), ("x/file", "x/file")):
        with pytest.raises(NotFoundError, match=f"{path}: unknown: the scan of mirror could not read {problem} .denied"):
            explain.explain(connection, None, path)
    for path in ("x/secrets", "x/file/a", "x"):
        with pytest.raises(NotFoundError, match="no volume holds such a file"):
            explain.explain(connection, None, path)


def test_data_is_plain_json(estate: Estate) -> None:
    data = one(estate).data()
    assert data["as_of"] == "2026-11-20T12:00:00Z"
    assert data["copies"][0]["sites"] == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("PLAN", ["a/Plan.txt", "plans/x"]),
        ("*.TXT", ["a/Plan.txt", "b_c.txt"]),
        ("a/*", ["a/Plan.txt"]),
        ("b_c", ["b_c.txt"]),
        ("b?c.txt", ["b_c.txt", "b1c.md.txt"][:1]),
        ("b_c*", ["b_c.txt"]),
        ("100%", ["100%.md"]),
        ("1*%*", ["100%.md"]),
        ("!", ["wow!"]),
        ("*!", ["wow!"]),
        (r"\xff*", [r"\xff.bin"]),
        ("'; DROP TABLE files; --", []),
        ("nothing", []),
    ],
)
def test_files_are_found_by_a_part_of_their_path_or_a_pattern(estate: Estate, pattern: str, found: list[str]) -> None:
    paths = ["a/Plan.txt", "b_c.txt", "bxc", "plans/x", "100%.md", "wow!", r"\xff.bin"]
    connection = estate(files=[{"path": path} for path in paths], rollup=[{"volume": "projects", "by": "folder", "key": key} for key in ("", "a/", "plans/")])
    assert sorted(path for (path,) in answer(find.find(connection, pattern), "path")) == sorted(found)


def test_shelved_media_are_searched_too_and_the_limit_holds(estate: Estate) -> None:
    connection = estate(volumes=VOLUMES, files=[{"path": "a", "volume": "tape"}, {"path": "a"}])
    assert answer(find.find(connection, "a"), "volume", "access") == [("projects", "online"), ("tape", "offline")]
    assert len(answer(find.find(connection, "a", 1))) == 1


def test_a_file_of_other_content_is_no_copy(tmp_path: Path) -> None:
    write_scan(tmp_path, "work", {"same": {"digest": b"1" * 32}, "other": {"digest": b"2" * 32}})
    write_scan(tmp_path, "disk", {"same": {"digest": b"1" * 32}, "other": {"digest": b"3" * 32}})
    made = derive.derive(tmp_path, config.parse({"volumes": {"work": {"url": "/work"}, "disk": {"url": "/disk", "role": "backup"}}}), NOON)
    with connect.connect(tmp_path, made) as connection:
        assert [explain.explain(connection, "disk", path)[0].copy_of for path in ("same", "other")] == [("work:same",), ()]


def test_what_holds_the_content_and_may_not_protect_is_named_with_why(tmp_path: Path) -> None:
    for volume, path, content in (
        ("prod", "a", b"precious"),
        ("b1", "x/a", b"precious"),
        ("b1", "other", b"obvious!"),
        ("b2", "a", b"precious"),
        ("lab", "a", b"precious"),
    ):
        (tmp_path / volume / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / volume / path).write_bytes(content)
    (tmp_path / "lastcopy.toml").write_text(
        "".join(
            f'[volumes.{name}]\nurl = "{name}"\nsystem = "{system}"\ndevice = "{name}"\n{more}\n'
            for name, system, more in (
                ("prod", "nas-1", 'role = "primary"'),
                ("b1", "nas-1", 'role = "backup"\nof = []'),
                ("b2", "nas-2", 'role = "archive"\nof = ["prod"]'),
                ("lab", "nas-3", 'role = "primary"'),
            )
        )
    )
    ask("scan", folder=tmp_path)
    [told] = ask("explain", "prod:a", "--format", "json", folder=tmp_path).envelope["data"]
    assert [(one["volume"], one["path"], one["why"]) for one in told["uncounted"]] == [
        ("b1", "x/a", "its 'of' does not name prod; it shares system nas-1"),
        ("lab", "a", "it is primary itself, and its 'of' does not name prod"),
    ]
    assert [copy["volume"] for copy in told["copies"]] == ["b2"]
    assert "b1:x/a" in ask("explain", "prod:a", folder=tmp_path).out.decode()


def _read(root: Path, volume: str, inode: int, digest: bytes | None, at: datetime.datetime) -> None:
    long_ago = datetime.datetime(2020, 1, 1)
    place = {"volume": volume, "fs_id": volume, "inode": inode, "dir": "", "name": "a"}
    read = {"size_bytes": 10, "modified_at": long_ago, "changed_at": long_ago, "digest": digest, "digested_at": at}
    table.append(root, "digests", pa.Table.from_pylist([place | read], DIGESTS), f"{volume}-{at:%H%M}")


@pytest.mark.parametrize("whose", ["lab", "prod"])
def test_what_was_read_holds_where_the_word_of_a_storage_is_another(tmp_path: Path, whose: str) -> None:
    told, found = b"1" * 32, b"2" * 32
    for volume in ("prod", "lab"):
        write_scan(tmp_path, volume, {"a": {"digest": told}})
    volumes = {name: {"url": f"/{name}", "role": "primary", "device": name} for name in ("prod", "lab")}
    made = config.parse({"volumes": volumes})

    def uncounted() -> list[tuple[str, datetime.datetime | None]]:
        with connect.connect(tmp_path, derive.derive(tmp_path, made, NOON)) as connection:
            [one] = explain.explain(connection, "prod", "a")
        assert (one.restored_from, one.doubt) == (("lab", " (from a file that counts for nothing)") if one.uncounted else (None, ""))
        return [(other.volume, other.read_at) for other in one.uncounted]

    assert uncounted() == [("lab", None)]
    _read(tmp_path, whose, 1, told, NOON)
    assert uncounted() == [("lab", NOON if whose == "lab" else None)]
    _read(tmp_path, whose, 1, found, NOON + datetime.timedelta(hours=1))
    assert uncounted() == []


@pytest.mark.parametrize("given", [{}, {"is_latest": False}, {"carried_from": "earlier"}, {"fs_id": "prod", "inode": 1}, {"type": "symlink"}])
def test_only_what_a_job_could_read_is_named_beside_the_copies(tmp_path: Path, given: dict[str, object]) -> None:
    write_scan(tmp_path, "prod", {"a": {"digest": b"1" * 32}})
    write_scan(tmp_path, "lab", {"a": {"digest": b"1" * 32} | given})
    volumes = {name: {"url": f"/{name}", "role": "primary", "device": name} for name in ("prod", "lab")}
    with connect.connect(tmp_path, derive.derive(tmp_path, config.parse({"volumes": volumes}), NOON)) as connection:
        [one] = explain.explain(connection, "prod", "a")
    assert [other.volume for other in one.uncounted] == ([] if given else ["lab"])


def test_what_could_not_be_read_lately_is_not_named_beside_the_copies(tmp_path: Path) -> None:
    for volume in ("prod", "lab"):
        write_scan(tmp_path, volume, {"a": {}})
        _read(tmp_path, volume, 1, b"1" * 32, NOON)
    volumes = {name: {"url": f"/{name}", "role": "primary", "device": name} for name in ("prod", "lab")}
    found = []
    for at in (None, NOON + datetime.timedelta(hours=1)):
        if at is not None:
            _read(tmp_path, "lab", 1, None, at)
        with connect.connect(tmp_path, derive.derive(tmp_path, config.parse({"volumes": volumes}), NOON)) as connection:
            [one] = explain.explain(connection, "prod", "a")
        found.append([other.volume for other in one.uncounted])
    assert found == [["lab"], []]
