"""A catalog in a bucket: what one host publishes all others read, whole; and what is wrong there is found, not believed."""

import datetime
import json
import os
import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from catalog import compaction, derive, expiry, integrity, inventory, log, mirror, place, snapshot, table, thinning
from catalog.connect import connect
from catalog.errors import CatalogError, ConfigError, LockedError, RefusedError, UnreachableError
from catalog.retention import Wish
from catalog.schema import DERIVED, TABLES
from tests.catalog import kept, object_kills
from tests.catalog.estates import NOON, write_scan
from tests.catalog.hosts import Shared
from tests.lifecycle import proxy
from tests.lifecycle.proxy import Fault, Kind, Proxy
from tests.scanners import stores

DAY = datetime.timedelta(days=1)


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    server = stores.weed()
    return Shared(server, tmp_path, server.bucket())


@pytest.fixture
def network(shared: Shared) -> Iterator[Proxy]:
    with proxy.running(shared.server.endpoint) as found:
        yield found


def rows(root: Path) -> dict[str, list[str]]:
    return {name: sorted(map(str, table.read(root, name).to_pylist())) for name in TABLES if name not in DERIVED}


def wrong(root: Path) -> list[integrity.Finding]:
    return [finding for finding in integrity.verify(root, contents=True)[0] if finding.state == "error"]


@pytest.mark.slow
def test_what_one_host_publishes_another_one_reads(shared: Shared, tmp_path: Path) -> None:
    kept.grow(shared.root("one"), 2)
    kept.grow(tmp_path / "local", 2)
    other = shared.root("other")
    assert {name: found for name, found in rows(other).items() if name != "snapshots"} == {
        name: found for name, found in rows(tmp_path / "local").items() if name != "snapshots"
    }
    asked = "SELECT volume, path, status, user_error FROM assets ORDER BY ALL"
    answers = [connect(root, snapshot.find(root), derives=False).execute(asked).fetchall() for root in (other, tmp_path / "local")]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 2
    assert wrong(other) == []
    found = {row["table"]: row for row in inventory.tables(other)}["scans"]
    assert (found["rows"], found["version"], found["other_files"]) == (4, 4, 0)
    kept.grow(other, 1, 2)
    assert len(snapshot.snapshots(shared.root("one"))) == 3
    assert len(snapshot.scans(shared.root("one"))) == 6


@pytest.mark.slow
def test_no_secret_comes_into_the_catalog_or_its_mirror(shared: Shared) -> None:
    root = shared.root("one")
    kept.grow(root, 1)
    secrets = (stores.KEY.encode(), stores.SECRET.encode(), b"credentials")
    held = [shared.content(path) for path in shared.paths()] + [file.read_bytes() for file in root.rglob("*") if file.is_file()]
    assert not [secret for secret in secrets for content in held if secret in content]
    assert "credentials" not in shared.config("one").stored()
    assert str(root) not in shared.config("one").stored()


STRAY = {
    "AWS_SESSION_TOKEN": "of other keys",
    "AWS_ACCESS_KEY_ID": "another",
    "AWS_SECRET_ACCESS_KEY": "another",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_ENDPOINT": "http://127.0.0.1:9",
    "AWS_DEFAULT_REGION": "eu-north-1",
    "AWS_REGION": "eu-north-1",
    "AWS_ALLOW_HTTP": "false",
    "AWS_S3_LOCKING_PROVIDER": "dynamodb",
    "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
    "AWS_COPY_IF_NOT_EXISTS": "multipart",
    "AWS_CONDITIONAL_PUT": "disabled",
    "AWS_SKIP_SIGNATURE": "true",
    "AWS_UNSIGNED_PAYLOAD": "true",
    "AWS_BUCKET": "another",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    "AWS_SERVER_SIDE_ENCRYPTION": "sse-c",
    "AWS_CHECKSUM_ALGORITHM": "none",
    "AWS_S3_EXPRESS": "true",
    "AWS_REQUEST_PAYER": "true",
    "AWS_PROXY_URL": "http://127.0.0.1:9",
    "AWS_TIMEOUT": "nonsense",
    "BUCKET": "another",
    "TOKEN": "of other keys",
    "SKIP_SIGNATURE": "true",
    "PROXY_URL": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "OBJECT_STORE_CONCURRENCY_LIMIT": "none",
}


def test_stray_variables_of_the_environment_change_nothing(shared: Shared, network: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []
    for variables in ({}, STRAY):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        root = replace(shared, prefix=f"with-{len(variables)}").root(f"one-{len(variables)}", network.endpoint)
        network.seen.clear()
        write_scan(root, "work", {"a": {}})
        assert [scan.volume for scan in snapshot.scans(root)] == ["work"]
        writing = [one.split("?")[0] for one in network.seen if not one.startswith("GET ")]  # how often it is looked is a matter of time
        requests.append(sorted(re.sub("[0-9a-f]{16,}", "", one).replace(f"with-{len(variables)}", "") for one in writing))
    assert requests[0] == requests[1]


@pytest.mark.slow_but_first
@pytest.mark.parametrize(("kind", "times"), [("lose_answer", 1), ("none", 1), ("none", 9)])
def test_a_commit_that_is_kept_otherwise_than_it_was_sent_is_stored_anew_or_kept_here(shared: Shared, network: Proxy, kind: Kind, times: int) -> None:
    root = shared.root("one", network.endpoint)
    write_scan(root, "first", {"a": {}})
    path = f"entries/{log.FOLDER}/{2:020d}.json"

    def spoil() -> None:
        content = shared.content(path)
        assert b'"size":' in content
        shared.put(path, content.replace(b'"size":', b'"size":1'))

    network.faults.append(Fault("PUT", path, kind, times, then=spoil))
    if times == 1:
        write_scan(root, "work", {"a": {}, "b": {}}, NOON + DAY)
        other = shared.root("other")
        assert table.read(other, "entries").num_rows == 3
        assert wrong(other) == []
        return
    with pytest.raises(RefusedError, match=r"00002.json is not kept as it was sent") as told:
        write_scan(root, "work", {"a": {}, "b": {}}, NOON + DAY)
    assert [scan.volume for scan in snapshot.scans(shared.root("other"))] == ["first"]
    [(kept_here, there)] = re.findall(r"put (\S+) there, as s3://[^/]+/[^/]+/(\S+);", str(told.value))
    shared.put(there, Path(kept_here).read_bytes())
    late = shared.root("late")
    assert wrong(late) == []
    assert table.read(late, "entries").num_rows == 3


@pytest.mark.slow_but_first
@pytest.mark.parametrize("then", ["is read changed", "is read", "was not there when what was spoiled was seen"])
def test_what_another_host_commits_is_not_overwritten(shared: Shared, network: Proxy, then: str) -> None:
    one, other = shared.root("one", network.endpoint), shared.root("other")
    write_scan(other, "first", {"a": {}})
    path = f"scans/{log.FOLDER}/{2:020d}.json"

    def land() -> None:  # as on a store that looks whether there is something, and then stores: both hosts hear that theirs is
        shared.delete(path)
        write_scan(other, "work", {"a": {}})

    if then.startswith("is read"):
        network.faults += [Fault("PUT", path, "none", then=land), Fault("GET", path, "flip_down" if then == "is read changed" else "none")]
    else:
        network.faults += [Fault("PUT", path, "none", then=lambda: shared.put(path, b'{"add":')), Fault("PUT", path, "none", first=land)]
    write_scan(one, "copy", {"b": {}})
    assert [fault.times for fault in network.faults] == [0, 0]
    for root in (one, other, shared.root("late")):
        mirror._looked.clear()
        assert {scan.volume for scan in snapshot.scans(root)} == {"first", "work", "copy"}
        assert wrong(root) == []


def test_whose_commit_it_is_that_lies_there(tmp_path: Path) -> None:
    for name, scans in {"one": ["work"], "other": ["copy"]}.items():
        for volume in scans:
            write_scan(tmp_path / name, volume, {"a": {}})
    [path] = table.files(tmp_path / "one", "scans")
    table.commit(tmp_path / "one", "scans", [], "taken", [path])
    made, added, taken = (log.commit_file(tmp_path / "one" / "scans", version).read_bytes() for version in range(3))
    made_there, added_there = (log.commit_file(tmp_path / "other" / "scans", version).read_bytes() for version in range(2))
    assert log.is_of_another(made_there, made)
    assert log.is_of_another(added_there, added)
    twin = re.sub(rb'"(part-|(?<=lastcopyCommit":"))[0-9a-f]{32}', lambda found: found[0][:-32] + b"0" * 32, added)
    assert json.loads(twin.split(b"\n")[-1]) == json.loads(added.split(b"\n")[-1])  # the same transaction, done by another host at once
    assert log.is_of_another(twin, added)
    assert log.is_of_another(b'{"remove":{"path":"another"}}', taken)
    for ours in (made, added, taken):
        for changed in (ours, ours[:-1], ours[1:], b"", b"[]", b"\xff", ours.replace(b'"appId":"', b'"appId":"x'), ours.replace(b'ize":', b'ize":1')):
            assert not log.is_of_another(changed, ours)


@pytest.mark.parametrize("kind", ["flip_up", "flip_down"])
def test_a_store_whose_etags_only_look_like_md5s_is_written_and_read(shared: Shared, network: Proxy, kind: Kind) -> None:
    network.has_strange_etags = True
    write_scan(root := shared.root("one", network.endpoint), "work", {"a": {}})
    assert [scan.volume for scan in snapshot.scans(shared.root("other", network.endpoint))] == ["work"]
    puts = [one for one in network.seen if one.startswith("PUT") and "/part-" in one]
    assert len(puts) == len(set(puts)) == 2
    network.faults.append(Fault("PUT" if kind == "flip_up" else "GET", "scans/part-", kind))
    write_scan(root, "copy", {"a": {}})
    assert [scan.volume for scan in snapshot.scans(shared.root("late", network.endpoint))] == ["copy", "work"]
    assert wrong(shared.root("last")) == []


def test_what_its_store_changed_is_not_taken_for_whole_by_its_new_etag(shared: Shared) -> None:
    write_scan(root := shared.root("one"), "work", {"a": {}})
    [path] = table.named(root, "scans")
    key, client = f"{shared.prefix}/scans/{path}", shared.server.client
    known = client.head_object(Bucket=shared.bucket, Key=key)["Metadata"]
    content = shared.content(f"scans/{path}")
    client.put_object(Bucket=shared.bucket, Key=key, Body=content[:-20] + b"x" + content[-19:], Metadata=known)
    with pytest.raises(CatalogError, match="is not what was stored"):
        snapshot.scans(shared.root("other"))
    assert [(finding.table, finding.check) for finding in wrong(root)] == [("scans", "unreadable")]


def test_a_bucket_that_wants_the_md5_of_whatever_it_stores_gets_it(shared: Shared, network: Proxy) -> None:
    network.demanded = b"content-md5:"
    root = shared.root("one", network.endpoint)
    write_scan(root, "work", {"a": {}})
    assert mirror.bucket(root).create("made", b"content")
    mirror.bucket(root).replace("made", b"other")
    assert shared.content("made") == b"other"


@pytest.mark.slow
def test_a_checkpoint_is_stored_with_its_commit_and_read(shared: Shared) -> None:
    root = shared.root("one")
    for number in range(101):
        table.append(root, "digests", kept.digests("work", "scan", number, NOON), str(number))
    assert [path for path in shared.paths() if path.endswith(".checkpoint.parquet")]
    assert len(table.named(shared.root("late"), "digests")) == 101


@pytest.mark.slow
def test_a_mirror_is_never_taken_for_a_catalog(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    root = shared.root("one")
    kept.grow(root, 1)
    monkeypatch.setattr(place, "_mirrors", {})
    with pytest.raises(ConfigError, match=r"is only what this host has of the catalog s3://"):
        snapshot.snapshots(root)


@pytest.mark.parametrize("mark", ["", "[]", "{}", None])
def test_a_mirror_whose_mark_is_damaged_is_no_catalog(tmp_path: Path, mark: str | None) -> None:
    shared = Shared(stores.weed(), tmp_path, "any")
    root = shared.folder / "one"
    (root / "mirror-of.json").mkdir(parents=True) if mark is None else root.mkdir()
    if mark is not None:
        (root / "mirror-of.json").write_text(mark)
    for ask in (lambda: snapshot.scans(root), lambda: shared.root("one")):
        with pytest.raises(ConfigError, match="of which catalog this folder is a mirror"):
            ask()


def test_two_processes_make_a_mirror_at_once(shared: Shared) -> None:
    (shared.folder / "one").mkdir()
    (shared.folder / "one" / "mirror-of.json~1").touch()  # of the other one
    assert snapshot.scans(shared.root("one")) == []


def test_a_mirror_is_of_one_catalog(shared: Shared) -> None:
    shared.root("one")
    with pytest.raises(ConfigError, match="is that of another catalog"):
        replace(shared, prefix="other").root("one")
    (shared.folder / "full").mkdir()
    (shared.folder / "full" / "file").touch()
    with pytest.raises(ConfigError, match="holds something else"):
        shared.root("full")


@pytest.mark.slow  # a second store is started
def test_a_bucket_that_ignores_conditions_is_refused(tmp_path: Path) -> None:
    server = stores.ceph()
    with pytest.raises(RefusedError, match="ignores If-None-Match"):
        kept.grow(Shared(server, tmp_path, server.bucket(versioned=True)).root("one"), 1)


@pytest.mark.slow
def test_who_may_only_read_reads_and_is_told_that_he_may_not_write(tmp_path: Path) -> None:
    server = stores.ceph()
    shared = Shared(server, tmp_path, server.bucket())
    kept.grow(shared.root("one"), 1)
    resources = [f"arn:aws:s3:::{shared.bucket}", f"arn:aws:s3:::{shared.bucket}/*"]
    granted = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/reader"]}, "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": resources}
    server.client.put_bucket_policy(Bucket=shared.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [granted]}))
    other = replace(shared, reader=True).root("other")
    assert connect(other, snapshot.find(other), derives=False).execute("SELECT count(*) FROM assets").fetchall() == [(1,)]
    with pytest.raises(CatalogError, match="a canary could not be written"):
        write_scan(other, "work", {"a": {}}, NOON + DAY)
    assert len(snapshot.scans(shared.root("late"))) == 2


@pytest.mark.slow
def test_an_unreachable_store_is_said_to_be(shared: Shared) -> None:
    root = shared.root("one")
    kept.grow(root, 1)
    with pytest.raises(UnreachableError, match="no connection"):
        snapshot.snapshots(replace(shared, endpoint="http://127.0.0.1:9").root("late"))


def test_what_could_not_be_made_says_why(shared: Shared, network: Proxy) -> None:
    root = shared.root("one", network.endpoint)
    kept.grow(root, 1)
    network.faults.append(Fault("PUT", "made", "busy"))
    with pytest.raises(UnreachableError, match=r"made could not be stored: .*503"):
        mirror.bucket(root).create("made", b"content")
    assert mirror.bucket(root).create("made", b"content")
    assert not mirror.bucket(root).create("made", b"other")


@pytest.mark.slow_but_first
@pytest.mark.parametrize("kind", ["lose_answer", "busy", "refuse", "cut_request", "cut_answer", "flip_up"])
def test_a_commit_whose_request_or_answer_is_lost_is_done_once(shared: Shared, network: Proxy, kind: Kind) -> None:
    root = shared.root("one", network.endpoint)
    write_scan(root, "work", {"a": {}})
    network.faults.append(Fault("PUT", "entries/_delta_log/00000000000000000002", kind))
    network.faults.append(Fault("PUT", "scans/_delta_log/00000000000000000002", kind))
    network.faults.append(Fault("PUT", "entries/scan_id", kind))
    write_scan(root, "work", {"a": {}, "b": {}}, NOON + DAY)
    assert [fault.times for fault in network.faults] == [0, 0, 0]
    other = shared.root("other")
    assert [scan.entries for scan in snapshot.scans(other)] == [1, 2]
    assert table.read(other, "entries").num_rows == 3
    assert wrong(other) == []


@pytest.mark.slow_but_first
@pytest.mark.parametrize("kind", ["flip_down", "cut_answer", "busy"])
def test_what_is_read_is_what_is_stored(shared: Shared, network: Proxy, kind: Kind) -> None:
    kept.grow(shared.root("one"), 1)
    other = shared.root("other", network.endpoint)
    network.faults += [Fault("GET", "scans/part-", kind), Fault("GET", "scans/_delta_log/00000000000000000001", kind)]
    assert rows(other) == rows(shared.root("one"))
    assert [fault.times for fault in network.faults] == [0, 0]


def test_two_hosts_add_to_a_table_at_once(shared: Shared, network: Proxy) -> None:
    one, other = shared.root("one", network.endpoint), shared.root("other")
    write_scan(other, "first", {"a": {}})
    network.faults.append(Fault("PUT", "scans/_delta_log/00000000000000000002", "none", first=lambda: write_scan(other, "work", {"a": {}})))
    write_scan(one, "copy", {"b": {}})
    assert table.read(one, "entries").num_rows == 3  # of all scans that it saw when it published its own
    for root in (one, shared.root("other")):
        assert {scan.volume for scan in snapshot.scans(root)} == {"first", "work", "copy"}
        assert table.read(root, "entries").num_rows == 3


def test_a_scan_that_is_published_while_a_host_looks_is_seen_whole_or_not_at_all(shared: Shared, network: Proxy) -> None:
    write_scan(shared.root("one"), "first", {"a": {}})
    looking = shared.root("looking", network.endpoint)
    network.faults.append(Fault("GET", "scans%2F_delta_log", "none", first=lambda: write_scan(shared.root("one"), "work", {"a": {}, "b": {}})))
    assert [scan.volume for scan in snapshot.scans(looking)] == ["first", "work"]
    assert table.read(looking, "entries").num_rows == 3


@pytest.mark.parametrize("commits", [False, True])
def test_processes_that_share_a_mirror_see_a_scan_whole_or_not_at_all(shared: Shared, network: Proxy, *, commits: bool) -> None:
    write_scan(shared.root("one"), "first", {"a": {}})
    root = shared.root("host", network.endpoint)
    snapshot.scans(root)
    write_scan(shared.root("one"), "work", {"a": {}, "b": {}})
    mirror._looked.clear()
    seen = []

    def see() -> None:  # as another process sees that looked at the store just now
        seen.append([log.newest(root / name) for name in ("scans", "entries")])

    network.faults.append(Fault("GET", "entries%2F_delta_log", "none", first=see))
    network.faults.append(Fault("GET", "entries/_delta_log", "none", first=see))
    mirror.catch_up(root, "scans" if commits else None)
    see()
    assert seen == [[1, 1], [1, 1], [2, 2]]


def test_no_snapshot_is_made_of_a_part_of_a_scan(shared: Shared) -> None:
    write_scan(root := shared.root("one"), "work", {"a": {}}, entries=2)
    with pytest.raises(CatalogError, match="had 2 entries, and the log names 1 of it"):
        derive.derive(root, kept.CONFIG, NOON)
    assert snapshot.snapshots(root) == []


def test_a_commit_that_takes_files_out_and_whose_answer_is_lost_is_done(shared: Shared, network: Proxy) -> None:
    root = shared.root("one", network.endpoint)
    write_scan(root, "work", {"a": {}})
    [path] = table.files(root, "scans")
    network.faults.append(Fault("PUT", "scans/_delta_log/00000000000000000002", "lose_answer"))
    assert table.commit(root, "scans", [], "taken", [path]) == 2
    assert snapshot.scans(shared.root("other")) == []


@pytest.mark.slow
def test_snapshots_of_two_hosts_follow_one_another(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = shared.root("one"), shared.root("other")
    kept.grow(one, 1)
    really = derive._derive_tables

    def overtaken(root: Path, new: snapshot.Snapshot) -> None:
        really(root, new)
        monkeypatch.setattr(derive, "_derive_tables", really)
        write_scan(shared.root("other"), "work", {"a": {}, "b": {}}, NOON + DAY)
        derive.derive(other, kept.CONFIG, NOON + 2 * DAY)

    monkeypatch.setattr(derive, "_derive_tables", overtaken)
    with pytest.raises(LockedError, match="another host published a snapshot meanwhile"):
        derive.derive(one, kept.CONFIG, NOON + 9 * DAY)
    known = snapshot.snapshots(one)
    assert len(known) == 2
    assert known[1].previous_id == known[0].snapshot_id
    assert {file.partition["snapshot_id"] for name in DERIVED for file in table.named(one, name).values()} == {one.snapshot_id for one in known}
    new = derive.derive(one, kept.CONFIG, NOON + DAY)  # its clock is behind
    other = shared.root("other")
    assert snapshot.find(other).snapshot_id == new.snapshot_id
    assert snapshot.find(other).scans["work"] == snapshot.newest_scans(other)["work"].scan_id


@pytest.mark.slow
def test_a_snapshot_that_rests_on_as_much_is_taken(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = shared.root("one"), shared.root("other")
    kept.grow(one, 1)
    really, theirs = derive._derive_tables, []

    def overtaken(root: Path, new: snapshot.Snapshot) -> None:
        really(root, new)
        monkeypatch.setattr(derive, "_derive_tables", really)
        shared.root("other")
        theirs.append(derive.derive(other, kept.CONFIG, NOON + DAY).snapshot_id)

    monkeypatch.setattr(derive, "_derive_tables", overtaken)
    assert derive.derive(one, kept.CONFIG, NOON + 2 * DAY).snapshot_id == theirs[0]
    assert len(snapshot.snapshots(one)) == 2


@pytest.mark.slow_but_first
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_what_is_damaged_on_the_store_is_found_though_the_mirror_is_whole(shared: Shared, damage: str) -> None:
    root = shared.root("one")
    kept.grow(root, 1)
    path = next(iter(table.named(root, "scans")))
    content = shared.content(f"scans/{path}")
    if damage == "gone":
        shared.delete(f"scans/{path}")
    else:
        shared.put(f"scans/{path}", content[:-10] if damage == "cut" else bytes(len(content)))
    assert {(finding.table, finding.check) for finding in wrong(root)} == {("scans", {"gone": "missing", "cut": "size", "changed": "unreadable"}[damage])}
    if damage != "changed":
        with pytest.raises(CatalogError):
            rows(shared.root("other"))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_log_that_is_not_what_it_was_is_found(shared: Shared, damage: str) -> None:
    root = shared.root("one")
    write_scan(root, "work", {"a": {}})
    write_scan(root, "work", {"a": {}}, NOON + DAY)
    name = f"scans/{log.FOLDER}/{1:020d}.json"
    content = shared.content(name)
    if damage == "gone":
        shared.delete(name)
    else:
        shared.put(name, content[:-1] if damage == "cut" else content.replace(b'"numRecords', b'"numRecordz'))
        assert shared.content(name) != content
    assert {(finding.table, finding.check) for finding in wrong(root)} == {("scans", "log")}
    if damage == "gone":
        with pytest.raises(CatalogError, match="not readable as a Delta table"):
            rows(shared.root("other"))


@pytest.mark.slow
def test_another_catalog_at_the_same_place_is_not_mixed_with_what_was_there(shared: Shared) -> None:
    root = shared.root("one")
    kept.grow(root, 2)
    for path in shared.paths():
        shared.delete(path)
    shared.root("one")
    with pytest.raises(CatalogError, match="another catalog was put there"):
        snapshot.snapshots(root)
    kept.grow(shared.root("new"), 1)
    shared.root("one")
    with pytest.raises(CatalogError, match="another catalog was put there"):
        snapshot.snapshots(root)


def test_a_catalog_of_the_same_size_in_its_place_is_another_one(shared: Shared) -> None:
    write_scan(root := shared.root("one"), "work", {"a": {}})
    for path in shared.paths():
        shared.delete(path)
    write_scan(new := shared.root("new"), "work", {"b": {}})
    sizes = [[file.stat().st_size for file in sorted((folder / "scans" / log.FOLDER).glob("*.json"))] for folder in (root, new)]
    assert sizes[0] == sizes[1]
    shared.root("one")
    with pytest.raises(CatalogError, match="another catalog was put there"):
        snapshot.scans(root)
    found = mirror.bucket(new)
    name = f"scans/{log.FOLDER}/{1:020d}.json"
    [listed] = found.list(name)
    strange = replace(listed, etag="0" * 32)  # as of an object that is encrypted with a key of KMS
    contents = [(folder / name).read_bytes() for folder in (new, root)]
    assert [found.holds(one, content) for one in (listed, strange) for content in contents] == [True, False, True, False]
    shared.delete(name)
    assert not found.holds(strange, contents[0])


@pytest.mark.slow
def test_expire_removes_from_the_store_what_nobody_can_need(shared: Shared) -> None:
    one, other = shared.root("one"), shared.root("other")
    kept.grow(one, 4)
    shared.root("other")
    shared.put("entries/scan_id=x/volume=work/part-" + "0" * 32 + ".parquet", b"about to be committed")
    before = rows(other)
    wish, now = Wish(0, 0, 0, 0), time.time()
    assert {len(one.snapshot_id) for one in expiry.expire(other, wish, now, 3600.0).dropped} == {len("20260301T130000000000Z-0000")}
    removed = expiry.expire(other, wish, now + 7200, 3600.0)
    gone = {f"{one.name}/{path}" for one in removed.removed for path in one.paths}
    assert gone
    assert gone.isdisjoint(shared.paths())
    assert any("scan_id=x" in path for path in shared.paths())  # another host may be at it
    assert rows(one) == rows(shared.root("late")) == before
    assert wrong(shared.root("one")) == []
    expiry.expire(one, wish, now + 7200 + expiry._LEASE_SECONDS, 3600.0)
    assert not any("scan_id=x" in path for path in shared.paths())


@pytest.mark.slow
def test_older_scans_and_small_files_are_written_together(shared: Shared) -> None:
    one, other = shared.root("one"), shared.root("other")
    for day in range(8):
        before = snapshot.newest_scans(one).get("work")
        files = {f"f{number:04}": {"size_bytes": day if number % 50 == 0 else number, "path_hash": number**5 % 2**48} for number in range(2_000)}
        write_scan(one, "work", files, NOON + day * DAY, previous_scan_id=before and before.scan_id)
    shared.root("other")
    wanted = {scan.scan_id: table.read(one, "entries", scan_id=[scan.scan_id]).num_rows for scan in snapshot.scans(one)}
    assert [merge.name for merge in compaction.compact(other)] == ["scans"]
    assert all(thinned.stays_whole is None for thinned in thinning.thin(other))
    assert thinning.plan(shared.root("one")) == []
    assert len(table.named(one, "scans")) == len(table.named(one, "entries")) == 1
    assert wrong(one) == []
    assert set(wanted.values()) == {2_000}


@pytest.mark.slow
def test_what_nobody_used_for_long_leaves_the_mirror_but_for_the_newest_snapshot(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    root = shared.root("one")
    kept.grow(root, 3)
    held = rows(root)
    served = connect(root, snapshot.find(root), derives=False)
    asked = ("assets", "entries", "digests", "verifications", "history", "files_before")
    answers = [served.execute(f"SELECT count(*) FROM {name}").fetchall() for name in asked]
    monkeypatch.setattr(mirror, "_tidied", set())
    monkeypatch.setattr(mirror, "_KEPT_SECONDS", -60.0)
    (root / "scans" / next(iter(table.named(root, "scans")))).unlink()
    table.files(root, "scans")
    new = snapshot.find(root)
    assert {file.parent.parent.name for file in (root / "entries").rglob("*.parquet")} == {f"scan_id={scan_id}" for scan_id in new.scans.values()}
    assert {file.parent.name for file in (root / "files").rglob("*.parquet")} == {f"snapshot_id={new.snapshot_id}", f"snapshot_id={new.previous_id}"}
    assert [served.execute(f"SELECT count(*) FROM {name}").fetchall() for name in asked] == answers
    assert rows(root) == held


@pytest.mark.parametrize("scans", [False, True])
def test_what_killed_processes_left_in_a_mirror_is_removed_after_a_day(shared: Shared, monkeypatch: pytest.MonkeyPatch, *, scans: bool) -> None:
    write_scan(root := shared.root("one"), "work", {"a": {}})
    left = [root / "scans" / ".part-1.parquet~0123456789abcdef", root / "scans" / log.FOLDER / ".1.json~0123456789abcdef", root / ".tmp" / "stored-1"]
    left.append(root / ".tmp" / "commit-1")

    def do(day: int) -> None:
        monkeypatch.setattr(mirror, "_tidied", set())
        monkeypatch.setattr(mirror, "_safe", set())
        if scans:
            write_scan(root, "work", {"a": {}}, NOON + day * DAY)
        else:
            (root / "scans" / next(iter(table.named(root, "scans")))).unlink()
            table.files(root, "scans")

    for file in left:
        file.parent.mkdir(exist_ok=True)
        (file / "scans").mkdir(parents=True) if file.name == "commit-1" else file.touch()
        os.utime(file, (1.0, 1.0))  # of a commit that the store got long ago
    do(1)
    assert all(file.exists() for file in left)
    monkeypatch.setattr(mirror, "_LEFT_SECONDS", -60.0)
    do(2)
    assert not any(file.exists() for file in left)


def test_a_checkpoint_that_cannot_be_stored_fails_no_commit(shared: Shared, network: Proxy) -> None:
    write_scan(root := shared.root("one", network.endpoint), "work", {"a": {}})
    name = f"{2:020d}.checkpoint.parquet"

    def spoil() -> None:
        [folder] = (root / ".tmp").glob(f"commit-*/scans/{log.FOLDER}")
        (folder / name).symlink_to("nothing")

    network.faults.append(Fault("PUT", f"scans/{log.FOLDER}/{2:020d}.json", "none", then=spoil))
    write_scan(root, "copy", {"a": {}})
    assert [fault.times for fault in network.faults] == [0]
    assert len(snapshot.scans(shared.root("other"))) == 2


def test_a_mirror_whose_log_cannot_be_linked_is_written_from(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:  # the kernel does so to a user who may not write the file, and not to the one who runs tests
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    write_scan(shared.root("one"), "work", {"a": {}})
    assert [scan.volume for scan in snapshot.scans(shared.root("other"))] == ["work"]


def test_a_commit_that_comes_while_logs_are_compared_is_not_lost(shared: Shared, network: Proxy) -> None:
    write_scan(root := shared.root("one", network.endpoint), "work", {"a": {}})

    def come() -> None:  # by another process of this host
        write_scan(shared.root("other"), "copy", {"a": {}})
        mirror.catch_up(root, "scans")

    network.faults.append(Fault("GET", "scans%2F_delta_log", "none", then=come))
    assert mirror.log_differences(root, "scans") == []
    assert log.newest(root / "scans") == 2


def test_what_cannot_be_written_is_named_by_the_table(shared: Shared) -> None:
    write_scan(root := shared.root("one"), "work", {"a": {}})
    made = log.commit_file(root / "scans", 0)
    made.write_bytes(made.read_bytes().replace(b'"minWriterVersion":7', b'"minWriterVersion":9').replace(b'"timestampNtz"]}}', b'"timestampNtz","strange"]}}'))
    with pytest.raises(CatalogError, match=rf"^{re.escape(str(root / 'scans'))}: could not be written as a Delta table"):
        write_scan(root, "copy", {"a": {}})


@pytest.mark.slow
def test_a_host_that_is_killed_while_it_publishes_leaves_whole_scans(tmp_path: Path) -> None:
    with proxy.running(stores.weed().endpoint) as network:
        sweep = object_kills.Sweep(stores.weed(), tmp_path, network)
        points = random.Random(7).sample(sweep.points(), 2)
        assert [problem for point in points if (problem := sweep.wrong(point))] == []
