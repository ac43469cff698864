"""What others put into a bucket that jobs read from and write to: it ends its own step at the most, and moves nobody's upload."""

import base64
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from catalog import stubs
from catalog.store import StoreError
from lifecycle import job, plan, rebuilding
from lifecycle.ends import EndError
from lifecycle.stores._bucket import Bucket
from lifecycle.stores.s3 import Store
from tests.lifecycle import buckets, proxy
from tests.lifecycle.buckets import Buckets
from tests.lifecycle.proxy import Fault
from tests.scanners import stores
from tests.scanners.stores import Server


def prepared(folder: Path, *, versioned: bool = False) -> Buckets:
    return buckets.made(folder, stores.weed(), versioned=versioned).prepared()


def put(estate: Buckets, path: str, content: bytes, **metadata: str) -> None:
    told = {f"lastcopy-{name}": value for name, value in metadata.items()}
    estate.server.client.put_object(Bucket=estate.bucket, Key=f"kept/{path}", Body=content, Metadata=told)


def restored(estate: Buckets) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(os.fsdecode(estate.at("far"))).iterdir() if path.is_file()}


@pytest.mark.slow_but_first
@pytest.mark.parametrize("text", [b"a\0b", b"x" * 4096, b""])
def test_an_object_that_says_that_it_is_a_link_and_can_be_none_ends_its_own_step(tmp_path: Path, text: bytes) -> None:
    estate = prepared(tmp_path)
    put(estate, "good", b"good")
    put(estate, "evil", text, type="symlink")
    came = estate.scanned().run("restore", to="far")
    assert came.counts.get("DONE") == 1, estate.reasons(came.job_id)
    assert restored(estate) == {"good": b"good"}
    assert not os.path.lexists(estate.at("far", "evil"))
    assert not text or came.counts == {"DONE": 1, "FAILED": 1}


def test_a_link_of_any_length_is_not_read(tmp_path: Path) -> None:
    estate = prepared(tmp_path)
    put(estate, "evil", bytes(9 << 20), type="symlink")
    store = estate.store()
    found = store.look(b"evil")
    assert found is not None
    source = store.open(b"evil", found)
    with pytest.raises(EndError, match="can be none"):
        source.metadata()


@pytest.mark.slow_but_first
@pytest.mark.parametrize("times", [
    "9223372036854775807:9223372036854775807",
    "-9223372036854775808:-9223372036854775808",
    "99999999999999999999:1",
    "x",
])  # fmt: skip
def test_times_out_of_all_bounds_end_no_job(tmp_path: Path, times: str) -> None:
    estate = prepared(tmp_path)
    put(estate, "good", b"good")
    put(estate, "evil", b"evil", times=times)
    came = estate.scanned().run("restore", to="far")
    assert came.counts.get("DONE", 0) >= 1, estate.reasons(came.job_id)
    assert restored(estate)["good"] == b"good"


@pytest.mark.slow
def test_no_object_makes_a_file_that_counts_as_a_stub(tmp_path: Path) -> None:
    estate = prepared(tmp_path)
    names = (stubs.ATTRIBUTE, "user.lastcopy.other", "user.note")
    given = json.dumps({base64.b64encode(name.encode()).decode(): base64.b64encode(b"jx-1-1").decode() for name in names})
    put(estate, "evil", stubs.write(stubs.Stub("vault", "secret", b"\1" * 32, 12345)), xattrs=given)
    came = estate.scanned().run("restore", to="far")
    assert came.counts == {"DONE": 1}, estate.reasons(came.job_id)
    assert os.listxattr(estate.at("far", "evil")) == ["user.note"]


@pytest.mark.slow
def test_an_upload_that_a_forged_note_names_goes_on(tmp_path: Path) -> None:
    server = stores.weed()
    with proxy.running(server.endpoint) as network:
        estate = buckets.made(tmp_path, server, endpoint=network.endpoint, versioned=True).prepared()
        estate.write("data", "f", b"content")
        client = estate.server.client
        upload = client.create_multipart_upload(Bucket=estate.bucket, Key="other/big")["UploadId"]
        made = estate.scanned().plan("archive", to="vault")
        note = json.dumps({"key": base64.b64encode(b"other/big").decode(), "upload": upload}).encode()
        put(estate, f".lastcopy/uploads/{job._id(made.hash)}-1-1", note)
        with estate.journal() as journal:
            plan.approve(made, journal, actor="bob", at_us=estate.now_us)
        network.faults = [Fault("PUT", "/kept/f", "refuse", times=9)]
        job.run(estate.root, estate.config, made.id, clock=lambda: estate.now_us, actor="ada")
        assert [one["Key"] for one in client.list_multipart_uploads(Bucket=estate.bucket)["Uploads"]] == ["other/big"]


@pytest.mark.slow
def test_nothing_of_a_note_stays_in_a_bucket_with_versions(tmp_path: Path) -> None:
    estate = prepared(tmp_path, versioned=True)
    estate.write("data", "f", os.urandom(9 << 20))
    assert estate.scanned().run("copy", to="vault").counts == {"DONE": 1}
    left = estate.server.client.list_object_versions(Bucket=estate.bucket, Prefix="kept/.lastcopy/uploads/")
    assert (left.get("Versions"), left.get("DeleteMarkers")) == (None, None)


@pytest.mark.slow
def test_the_versions_of_a_name_are_found_without_those_of_all_that_begin_with_it(tmp_path: Path) -> None:
    server = stores.ceph()
    with proxy.running(server.endpoint) as network:
        estate = buckets.made(tmp_path, server, endpoint=network.endpoint, versioned=True).prepared()
        for number in range(1001):
            put(estate, f"f{number:04d}", b"x")
        for _ in range(2):
            put(estate, "f", b"content")
        network.seen.clear()
        assert len(estate.store()._bucket.versions(b"kept/f")) == 2
        assert sum("versions=" in one for one in network.seen) == 1


@pytest.mark.slow
def test_a_store_that_is_full_rests_its_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = prepared(tmp_path)
    for name in ("one", "two"):
        estate.write("data", name, b"content of " + name.encode())
    estate.scanned()

    def full(*_: object) -> Any:  # noqa: ANN401  it gives nothing
        raise StoreError("the store answers InsufficientStorage, HTTP status 507", 507, "InsufficientStorage")

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "put", full)
        came = estate.run("archive", to="vault")
    assert "is full" in str(came.reasons)
    assert estate.resume(came.job_id).counts == {"QUARANTINED": 2}, estate.reasons(came.job_id)


def test_a_rebuild_closes_every_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = prepared(tmp_path)
    closed: list[str] = []
    really = Store.close

    def close(store: Store) -> None:
        closed.append(store._volume)
        really(store)

    monkeypatch.setattr(Store, "close", close)
    rebuilding.rebuild(estate.root, estate.config, at_us=estate.now_us, actor="ada", take_over=True)
    assert closed == ["vault"]


@pytest.mark.slow
def test_a_locked_copy_is_the_one_that_was_read_back_though_its_time_is_another(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores say that an object was modified when it was locked."""
    estate = buckets.made(tmp_path, server, 'immutability = "governance"\nlock_for = "2d"\n', locked=True).prepared()
    estate.write("data", "f", b"content")
    really = Bucket.lock

    def late(*given: Any) -> None:  # noqa: ANN401  handed on
        time.sleep(1.1)
        really(*given)

    monkeypatch.setattr(Bucket, "lock", late)
    came = estate.scanned().run("archive", to="vault")
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)


@pytest.mark.slow
def test_an_object_of_which_the_store_tells_other_content_goes_and_is_sent_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = prepared(tmp_path, versioned=True)
    estate.write("data", "f", b"content")
    estate.scanned()
    really, told = Bucket.find, list[str]()

    def find(bucket: Bucket, key: bytes, version: str | None = None) -> Mapping[str, str] | None:
        found = really(bucket, key, version)
        if version is None or key != b"kept/f" or told:
            return found
        told.append(version)
        return {**(found or {}), "content-length": "6"}

    monkeypatch.setattr(Bucket, "find", find)
    came = estate.run("archive", to="vault")
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    listed = estate.server.client.list_object_versions(Bucket=estate.bucket, Prefix="kept/f")["Versions"]
    assert len(listed) == 1
    assert listed[0]["VersionId"] not in told
