"""S3 Inventory: what a bucket held by the word of its store; deliveries that are not whole, and hostile ones."""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog import config, derive, names, snapshot, store, table
from catalog.connect import connect
from catalog.errors import RefusedError, UnreachableError
from scanners import crawl, digest
from tests.scanners import stores
from tests.scanners.contract import Factory, Item, clock, entries, paths, scan
from tests.scanners.inventories import AT, FORMS, Delivery, deliver, row
from tests.scanners.test_manifest import Told
from tests.scanners.test_s3 import ODD

LOCKED = datetime(2031, 1, 2, 3, 4, 5)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def declared(place: Path, **more: object) -> dict[str, Any]:
    return {"url": f"listing:{place}", "role": "backup", **more}


class Delivered:
    """Makes the inventory of a bucket with items."""

    kind = "listing"
    folders = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        return declared(deliver(self.folder / "daily", "csv", [[row(item.path, len(item.content or b"")) for item in items]]).folder)

    def takes(self, name: bytes) -> bool:
        return bool(name)


class TestInventory(Told):
    """The suite that every kind passes, on an inventory."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Delivered(tmp_path)


def test_every_format_tells_the_same_of_every_key(tmp_path: Path, root: Path, form: str) -> None:
    rows = [row(key, len(key), StorageClass="GLACIER", ReplicationStatus="COMPLETED", EncryptionStatus=None, ChecksumAlgorithm="SHA256") for key in ODD]
    result = scan(root, declared(deliver(tmp_path / "daily", form, [rows[:9], rows[9:]]).folder))
    assert paths(root, result) == sorted(ODD)
    assert (result.entries, result.bytes, result.state) == (len(ODD), sum(map(len, ODD)), "complete")
    for found in entries(root, result):
        assert (found["type"], found["modified_at"], found["storage_class"], found["size_bytes"]) == ("object", AT, "GLACIER", _length(found))
        assert (found["attested_at"], found["attested_level"], found["is_latest"], found["version_id"], found["lock_seen_at"]) == (AT, 0, True, None, None)
        assert json.loads(found["tags"]) == {"aws:replication-status": "COMPLETED", "aws:checksum-algorithm": "SHA256"}
    assert snapshot.newest_scans(root)["v"].known_at == AT


def _length(found: dict[str, Any]) -> int:
    return len(names.unescape(found["dir"] + found["name"]))


def test_versions_delete_markers_and_locks_are_told(tmp_path: Path, root: Path, form: str) -> None:
    def version(key: bytes, number: str | None, mode: str | None, hold: str | None, until: datetime | None = LOCKED, **more: object) -> dict[str, Any]:
        told = {"VersionId": number, "IsLatest": False, "IsDeleteMarker": False, "ObjectLockMode": mode, "ObjectLockRetainUntilDate": until}
        return row(key, 3) | told | {"ObjectLockLegalHoldStatus": hold} | more

    rows = [
        version(b"a", "v3", None, None, None, Size=None, ETag=None, StorageClass=None, IsLatest=True, IsDeleteMarker=True),
        version(b"a", "v2", "COMPLIANCE", "Off"),
        version(b"a", "v1", "Governance", "ON"),
        version(b"b", None, None, "OFF", None, IsLatest=True),
        version(b"c", "v4", None, None, None, IsLatest=True),
        version(b"d", "v5", "WORM", "perhaps"),
    ]
    found = {one["version_id"]: one for one in entries(root, scan(root, declared(deliver(tmp_path / "daily", form, [rows]).manifest)))}
    assert {number: (one["type"], one["is_latest"]) for number, one in found.items()} == {
        "v3": ("delete_marker", True), "v2": ("object", False), "v1": ("object", False), "null": ("object", True), "v4": ("object", True),
        "v5": ("object", False),
    }  # fmt: skip
    locks = {number: (one["lock_mode"], one["retain_until"], one["legal_hold"]) for number, one in found.items()}
    assert locks == {
        "v3": (None, None, None), "v2": ("compliance", LOCKED, False), "v1": ("governance", LOCKED, True), "null": ("none", None, False),
        "v4": (None, None, None), "v5": (None, LOCKED, None),
    }  # fmt: skip
    assert {one["lock_seen_at"] for one in found.values()} == {AT}


def test_the_newest_delivery_of_a_folder_is_read(tmp_path: Path, root: Path) -> None:
    later = AT + timedelta(days=1)
    deliver(tmp_path / "daily", "csv", [[row(b"old")]])
    made = deliver(tmp_path / "daily", "csv", [[row(b"new")]], later)
    result = scan(root, declared(tmp_path / "daily"))
    assert (paths(root, result), snapshot.newest_scans(root)["v"].known_at) == ([b"new"], later)
    shutil.move(made.parts[0], made.manifest.parent / made.parts[0].name)
    assert paths(root, scan(root, declared(made.manifest.parent))) == [b"new"]  # one that was copied by itself
    made.manifest.unlink()
    with pytest.raises(UnreachableError, match=r"2024-05-07T07-08Z has no manifest\.json: wait"):
        scan(root, declared(tmp_path / "daily"))


def test_many_rows_are_read_batch_by_batch(tmp_path: Path, root: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_BATCH_ROWS", "_ORC_ROWS"):
        monkeypatch.setattr(f"scanners._inventory_rows.{name}", 10)
    monkeypatch.setattr("scanners._parquet._BATCH_ROWS", 10)
    keys = [b"k%03d" % number for number in range(95)]
    result = scan(root, declared(deliver(tmp_path / "daily", form, [[row(key) for key in keys[:50]], [row(key) for key in keys[50:]]]).folder), workers=1)
    assert paths(root, result) == keys


def _gone(made: Delivery) -> None:
    made.parts[1].unlink()


def _cut(made: Delivery) -> None:
    made.parts[1].write_bytes(made.parts[1].read_bytes()[:-1])


def _flipped(made: Delivery) -> None:
    content = bytearray(made.parts[1].read_bytes())
    content[-1] ^= 1
    made.parts[1].write_bytes(content)


def _linked(made: Delivery) -> None:
    elsewhere = made.folder.parent / "elsewhere"
    made.parts[1].rename(elsewhere)
    made.parts[1].symlink_to(elsewhere)


def _piped(made: Delivery) -> None:
    made.parts[1].unlink()
    os.mkfifo(made.parts[1])


def _unsealed(made: Delivery) -> None:
    (made.manifest.parent / "manifest.checksum").unlink()


def _edited(made: Delivery) -> None:
    made.manifest.write_bytes(made.manifest.read_bytes() + b" ")


def _told(**change: object) -> Callable[[Delivery], None]:
    return lambda made: made.say(lambda told: told.update(change))


def _part(**change: object) -> Callable[[Delivery], None]:
    return lambda made: made.say(lambda told: told["files"][1].update(change))


BROKEN: dict[str, tuple[Callable[[Delivery], None], str]] = {
    "a data file is missing": (_gone, "060708-1.csv.gz, which manifest.json names, is missing"),
    "a data file is cut off": (_cut, "and manifest.json says"),
    "a data file was changed": (_flipped, "its MD5 is not what manifest.json says"),
    "a data file is a link": (_linked, "symbolic link"),
    "a data file is a pipe": (_piped, "not a regular file"),
    "there is no checksum": (_unsealed, "there is no manifest.checksum"),
    "the manifest was changed": (_edited, "manifest.json is not what manifest.checksum says"),
    "another version": (_told(version="2030-01-01"), "it has version|has version '2030-01-01'"),
    "another bucket": (_told(sourceBucket="other-bucket"), "it lists objects of another bucket than other-bucket"),
    "no bucket": (_told(sourceBucket="../x"), "a sourceBucket"),
    "no format": (_told(fileFormat="XML"), "a fileFormat"),
    "no schema": (_told(fileSchema=7), "a fileSchema"),
    "no list": (_told(files={"a": 1}), "a list of files"),
    "no time": (_told(creationTimestamp="soon"), "a creationTimestamp"),
    "a time that is true": (_told(creationTimestamp=True), "a creationTimestamp"),
    "the future": (_told(creationTimestamp="99999999999999"), "of the future"),
    "a column that is needed is missing": (_told(fileSchema="Bucket, Key, Size, Modified, ETag, StorageClass"), "it has no column LastModifiedDate"),
    "a column twice": (_told(fileSchema="Bucket, Key, Size, LastModifiedDate, Key, StorageClass"), "a column twice"),
    "fewer columns than the file": (_told(fileSchema="Bucket, Key, Size, LastModifiedDate"), "Expected 4 columns"),
    "versions without their marks": (_told(fileSchema="Bucket, Key, Size, LastModifiedDate, VersionId, StorageClass"), "it must have all, or none"),
    "a key that leads out": (_part(key="a/../../../etc/passwd"), "which is the key of no file"),
    "an absolute key": (_part(key="/etc/passwd"), "which is the key of no file"),
    "a gigantic key": (_part(key="a/" + "b" * 2000), "which is the key of no file"),
    "a key with a NUL": (_part(key="a/b\0"), "which is the key of no file"),
    "half of a pair": (_part(key="a/\ud800"), "keys in UTF-8"),
    "a size that is true": (_part(size=True), "a key, a size and an MD5checksum"),
    "a size below zero": (_part(size=-1), "a key, a size and an MD5checksum"),
    "no checksum": (_part(MD5checksum="x"), "a key, a size and an MD5checksum"),
    "a file that is none": (_told(files=[7]), "a key, a size and an MD5checksum"),
    "one file twice": (lambda made: made.say(lambda told: told["files"].append(told["files"][0])), "names one file twice"),
    "no table": (lambda made: made.write(b"[1]"), "it must have a table"),
    "no JSON": (lambda made: made.write(b"{"), "is no JSON in UTF-8"),
    "no UTF-8": (lambda made: made.write(b'{"a": "\xff"}'), "is no JSON in UTF-8"),
    "deep": (lambda made: made.write(b"[" * 200_000), "is no JSON in UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_delivery_that_is_not_whole_fails_and_nothing_of_it_is_published(tmp_path: Path, root: Path, what: str) -> None:
    made = deliver(tmp_path / "daily", "csv", [[row(b"a")], [row(b"b")]])
    change, why = BROKEN[what]
    change(made)
    with pytest.raises(UnreachableError, match=rf"volume v: .*daily: .*(?:{why})"):
        scan(root, declared(made.folder))
    assert snapshot.newest_scans(root) == {}
    assert table.files(root, "entries") == []


ROWS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a key that is not encoded": ([row(b"a"), {**row(b"a"), "Key": "100%"}], "a key is not encoded"),
    "an empty key": ([row(b"")], "a key is empty"),
    "a long key": ([row(b"k" * 1025)], "more than 1024 bytes"),
    "a huge value": ([row(b"a", StorageClass="x" * 5000)], "a value of more than 4096 bytes"),
    "no size": ([row(b"a", None)], "a row lacks one of"),
    "a size that is none": ([row(b"a", 2**63)], "a size that is none"),
    "no time": ([row(b"a", LastModifiedDate="yesterday")], "a time that is none"),
    "a flag that is none": ([row(b"a", VersionId="1", IsLatest="maybe", IsDeleteMarker="false")], "neither true nor false"),
}  # fmt: skip


@pytest.mark.parametrize("what", ROWS)
def test_rows_that_no_inventory_has_fail_the_scan(tmp_path: Path, root: Path, what: str) -> None:
    rows, why = ROWS[what]
    with pytest.raises(UnreachableError, match=rf"060708-0.csv.gz: .*{why}"):
        scan(root, declared(deliver(tmp_path / "daily", "csv", [rows]).folder))
    assert table.files(root, "entries") == []


def test_the_inventory_of_another_bucket_at_the_same_place_is_refused(tmp_path: Path, root: Path) -> None:
    made = deliver(tmp_path / "daily", "csv", [[row(b"a")]])
    scan(root, declared(made.folder))
    shutil.rmtree(made.folder)
    deliver(tmp_path / "daily", "csv", [[row(b"a", Bucket="other-bucket")]], bucket="other-bucket")
    with pytest.raises(RefusedError, match="is on file system s3-"):
        scan(root, declared(made.folder))


def _estate(folder: Path, server: stores.Server) -> tuple[dict[str, Any], Delivery]:
    """A production tree, its bucket, and the inventory of this, made from what the store lists; each says of itself that it is another place."""
    (folder / "projects").mkdir()
    for name in ("empty", "plan"):
        (folder / "projects" / name).write_bytes(name.encode() if name == "plan" else b"")
    bucket = server.filled([Item(b"empty", b""), Item(b"plan", b"plan")])
    listed = server.client.list_objects_v2(Bucket=bucket)["Contents"]
    rows = [
        row(one["Key"].encode(), one["Size"], Bucket=bucket, LastModifiedDate=one["LastModified"].replace(tzinfo=None), ETag=one["ETag"].strip('"'))
        for one in listed
    ]
    made = deliver(folder / "daily", "parquet", [rows], max(one["LastModifiedDate"] for one in rows), bucket)
    safe: dict[str, Any] = {"access": "offline", "keeps_versions": "90d"}
    volumes = {
        "p": {"url": str(folder / "projects"), "system": "nas", "site": "paris", "device": "one"},
        "listed": declared(made.folder, endpoint=server.endpoint, system="paper", site="mars", device="three", **safe),
        "vault": server.declared(bucket, system="cloud", site="lyon", device="two", **safe),
    }
    return {"volumes": volumes, "classes": {"all": {"select": "TRUE", "copies": 3, "systems": 3, "sites": 3, "offline_or_immutable": 2}}}, made


def _judged(root: Path, told: dict[str, Any], volumes: Iterable[str]) -> list[tuple[Any, ...]]:
    for volume in volumes:
        crawl.scan(root, config.parse(told), volume, now=clock)
    digest.digest(root, config.parse(told), mode="match", now=clock, workers=1)
    with connect(root, derive.derive(root, config.parse(told), clock().replace(tzinfo=None))) as connection:
        assert connection.sql("SELECT DISTINCT copy_volume FROM copies").fetchall() == [(tuple(volumes)[1],)]
        assert connection.sql("SELECT * FROM orphans WHERE volume <> $first", params={"first": tuple(volumes)[1]}).fetchall() == []
        return connection.sql(
            "SELECT path, status, copies, systems, sites, offline_or_immutable_copies, not_met FROM (SELECT *, dir || name AS path FROM files) "
            "WHERE volume = 'p' ORDER BY path"
        ).fetchall()


def _rows(root: Path, volume: str) -> list[dict[str, Any]]:
    scanned = snapshot.newest_scans(root)[volume].scan_id
    found: list[dict[str, Any]] = table.read(root, "entries", scan_id=[scanned], volume=[volume]).to_pylist()
    return found


@pytest.mark.slow_but_first
@pytest.mark.parametrize("mapping", [{}, {"path_map": {"/": "p:"}}])
def test_a_bucket_and_its_inventory_are_one_copy(tmp_path: Path, root: Path, mapping: dict[str, Any]) -> None:
    told, _ = _estate(tmp_path, stores.weed())
    told["volumes"]["listed"] |= mapping
    both = _judged(root, told, ("p", "vault", "listed"))
    vault, listed = ({one["name"]: (one["fs_id"], one["inode"]) for one in _rows(root, volume)} for volume in ("vault", "listed"))
    assert vault == listed  # whole seconds are enough
    assert [one[1:6] for one in both] == [("partly", 2, 2, 2, 1)] * 2
    told["volumes"].pop("listed")
    assert both == _judged(tmp_path / "alone", told, ("p", "vault"))


@pytest.mark.parametrize("endpoint", [None, "http://localhost"])
def test_where_they_say_other_endpoints_nobody_knows_whether_it_is_one_bucket(tmp_path: Path, root: Path, endpoint: str | None) -> None:
    told, _ = _estate(tmp_path, stores.weed())
    theirs = told["volumes"]["listed"].pop("endpoint")
    if endpoint:
        told["volumes"]["listed"]["endpoint"] = f"{endpoint}:{theirs.rpartition(':')[2]}"
    for first, second in (("vault", "listed"), ("listed", "vault")):
        crawl.scan(root / first, config.parse(told), first, now=clock)
        with pytest.raises(RefusedError, match="they are at other endpoints, or one says none"):
            crawl.scan(root / first, config.parse(told), second, now=clock)


def test_a_bucket_of_amazon_is_one_whatever_its_address() -> None:
    hosts = ("s3.amazonaws.com", "S3.eu-west-1.amazonaws.com", "s3.dualstack.eu-west-1.amazonaws.com")
    assert {store.identity(f"https://{host}", "b") for host in hosts} == {store.identity(None, "b")}
    assert store.identity("https://s3.amazonaws.com.example.org", "b") != store.identity(None, "b")


@pytest.mark.slow
def test_two_inventories_of_one_bucket_are_one_copy(tmp_path: Path, root: Path) -> None:
    told, made = _estate(tmp_path, stores.weed())
    again = told["volumes"]["vault"] = dict(told["volumes"]["listed"])
    again |= {"url": f"listing:{shutil.copytree(made.folder, tmp_path / 'again')}", "system": "stone", "site": "moon", "device": "four"}
    found = {one[0]: one[1:6] for one in _judged(root, told, ("p", "listed", "vault"))}
    assert found["empty"] == ("partly", 2, 2, 2, 1)
