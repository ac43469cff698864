"""Buckets of real object stores."""

import hashlib
import http.server
import json
import os
import shlex
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

import scanners
from catalog import names, table
from catalog.config import Config
from catalog.errors import ConfigError, UnreachableError
from catalog.store import Store
from scanners import _gets, _lister, digest
from tests.scanners import stores
from tests.scanners.contract import Contract, Item, clock, entries, paths, problems, scan, settings_of
from tests.scanners.stores import Server

# Legal keys that other tools refuse, change or stumble over.
ODD = [
    b"a//b", b"//x", b"/lead", b"./z", b"a/../b", b"a/./b", b".", b"..", b"dir/", b"dir/sub/", b"q/a/b", b"q/a-b", b"q/a", b"trail ", b"a+b", b"a b", b"a%2Bb",
    b"a&amp;b", b"a<b>c", b"\x01ctl", b"new\nline", b"\x7f", b"back\\slash", b"n" * 900, "\ufffd".encode(), "é".encode(), "e\u0301".encode(), b"?x=1#y",
]  # fmt: skip


class _Factory:
    kind = "s3"
    folders = False

    def __init__(self, server: Server, **declared: Any) -> None:  # noqa: ANN401 - keys of a table
        self._server, self._declared = server, declared

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        return self._server.declared(self._server.filled(items, versioned=bool(self._declared.get("versions"))), **self._declared)

    def takes(self, name: bytes) -> bool:
        try:
            text = name.decode()
        except UnicodeDecodeError:
            return False
        if self._server.name != "weed":
            return True
        if self._declared.get("versions") and not text.isprintable():
            return False  # SeaweedFS tells versions of such names with U+FFFD
        return b"\\" not in name  # of which it makes a slash


class TestSeaweedFS(Contract):
    @pytest.fixture
    def factory(self) -> _Factory:
        return _Factory(stores.weed())


class TestCeph(Contract):
    @pytest.fixture
    def factory(self) -> _Factory:
        return _Factory(stores.ceph())


class TestVersionsOnCeph(Contract):
    @pytest.fixture
    def factory(self) -> _Factory:
        return _Factory(stores.ceph(), versions=True)


@pytest.fixture(params=["weed", "ceph"])
def server(request: pytest.FixtureRequest) -> Server:
    return stores.weed() if request.param == "weed" else stores.ceph()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


def digests(root: Path, chosen: Config, mode: digest.Mode) -> set[bytes]:
    """What a reading of all volumes finds."""
    digest.digest(root, chosen, mode=mode, now=clock, workers=1)
    rows = table.read(root, "digests").to_pylist() if table.exists(root, "digests") else []
    return {row["digest"] for row in rows if row["digest"]}


def of_type(root: Path, result: Any) -> list[tuple[bytes, str, bool | None]]:  # noqa: ANN401 - a ScanResult
    rows = entries(root, result)
    return sorted((names.unescape(row["dir"] + row["name"]), row["type"], row["is_latest"]) for row in rows)


@pytest.mark.parametrize("versions", [False, True])
def test_every_legal_key_is_a_path_to_the_byte(root: Path, versions: bool) -> None:
    server = stores.ceph()
    result = scan(root, server.declared(server.filled([Item(key, b"x") for key in ODD], versioned=versions), versions=versions))
    assert paths(root, result) == sorted(ODD)
    assert result.state == "complete"
    assert all(row["dir"].endswith("/") or row["dir"] == "" for row in entries(root, result))


def test_a_prefix_is_a_folder_and_no_beginning_of_names(root: Path, server: Server) -> None:
    bucket = server.filled([Item(b"a/b/c"), Item(b"a/b-c"), Item(b"a/bc/d"), Item(b"x")])
    assert paths(root, scan(root, server.declared(bucket, url=f"s3://{bucket}/a/b"))) == [b"c"]


def test_an_entry_has_what_the_store_tells(root: Path, server: Server) -> None:
    bucket = server.filled([Item(b"docs/a.TXT", b"content")])
    shown = server.client.head_object(Bucket=bucket, Key="docs/a.TXT")
    [row] = entries(root, scan(root, server.declared(bucket)))
    assert (row["dir"], row["name"], row["extension"], row["type"], row["size_bytes"]) == ("docs/", "a.TXT", "txt", "object", 7)
    assert (row["etag"], row["owner"], row["storage_class"]) == (hashlib.md5(b"content").hexdigest(), "lab", "STANDARD")
    assert row["modified_at"].replace(microsecond=0) == shown["LastModified"].replace(tzinfo=None)
    assert row["is_latest"] is True
    assert row["version_id"] is None


def test_versions_and_delete_markers_are_entries_and_the_latest_says_so(root: Path, server: Server) -> None:
    bucket, client = server.bucket(versioned=True), server.client
    ids = [client.put_object(Bucket=bucket, Key="a", Body=body)["VersionId"] for body in (b"1", b"22", b"333")]
    client.put_object(Bucket=bucket, Key="gone", Body=b"x")
    client.delete_object(Bucket=bucket, Key="gone")
    result = scan(root, server.declared(bucket, versions=True))
    assert of_type(root, result) == sorted(
        [(b"a", "object", False), (b"a", "object", False), (b"a", "object", True), (b"gone", "delete_marker", True), (b"gone", "object", False)]
    )
    rows = {row["version_id"]: row for row in entries(root, result) if row["name"] == "a"}
    assert [(rows[one]["size_bytes"], rows[one]["is_latest"]) for one in ids] == [(1, False), (2, False), (3, True)]
    assert paths(root, scan(root, server.declared(bucket))) == [b"a"]


# SeaweedFS loses versions of one folder, too, where a page has fewer than these.
@pytest.mark.slow_but_first
@pytest.mark.parametrize(("server", "page"), [("ceph", 1), ("ceph", 2), ("ceph", 3), ("ceph", 7), ("weed", 7)], indirect=["server"])
def test_no_version_is_lost_between_pages(root: Path, server: Server, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [b"q/a/b", b"q/a-b", b"q/a", b"p/1", b"p/2", b"p/x/1", b"z", b"a b+c%2B&d"]
    bucket = server.filled([Item(key, b"1") for key in keys], versioned=True)
    for key in keys:
        server.client.put_object(Bucket=bucket, Key=key.decode(), Body=b"2")
    monkeypatch.setattr(_lister, "MOST_KEYS", page)
    result = scan(root, server.declared(bucket, versions=True), workers=1)
    assert of_type(root, result) == sorted((key, "object", latest) for key in keys for latest in (False, True))
    assert problems(root, result) == []


def test_a_version_whose_name_the_store_does_not_tell_is_a_problem_and_its_object_an_entry(root: Path) -> None:
    server = stores.weed()
    result = scan(root, server.declared(server.filled([Item(b"\x01ctl", b"x"), Item(b"plain", b"y")], versioned=True), versions=True))
    assert paths(root, result) == [b"\x01ctl", b"plain"]
    assert {row["path"] for row in problems(root, result)} == {names.escape("\ufffdctl".encode()), names.escape(b"\x01ctl")}
    assert result.state == "incomplete"


@pytest.mark.slow_but_first
def test_content_is_read_in_ranges_and_bound_to_the_version(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gets, "_RANGE_BYTES", 100_000)
    old, new = os.urandom(350_001), os.urandom(350_001)
    bucket = server.bucket(versioned=True)
    for body in (old, new):
        server.client.put_object(Bucket=bucket, Key="large", Body=body)
    declared = server.declared(bucket, versions=True)
    result = scan(root, declared)
    assert digests(root, settings_of(declared), mode="all") == {hashlib.sha256(old).digest(), hashlib.sha256(new).digest()}
    assert result.entries == 2


def test_an_object_that_was_overwritten_since_is_not_read_for_it(root: Path, server: Server) -> None:
    bucket = server.filled([Item(b"a", b"before")])
    declared = server.declared(bucket)
    result = scan(root, declared)
    server.client.put_object(Bucket=bucket, Key="a", Body=b"after!")
    assert digests(root, settings_of(declared), mode="all") == set()
    assert [row["stage"] for row in problems(root, result)] == ["changed"]


@contextmanager
def _fault(server: Server, cut_after: int, times: int) -> Iterator[tuple[str, list[int]]]:
    """A proxy on loopback that breaks off the first answers after so many bytes of their bodies; gives its address and what it counts."""
    left = [times]

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            answer = urllib3.request("GET", server.endpoint + self.path, headers=headers, redirect=False, decode_content=False)
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.data)))
            self.send_header("Connection", "close")
            self.end_headers()
            body = answer.data
            if left[0] and len(body) > cut_after:
                left[0] -= 1
                body = body[:cut_after]
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}", left
    finally:
        proxy.shutdown()
        proxy.server_close()


@pytest.mark.slow
def test_a_connection_that_breaks_off_is_tried_again_and_one_that_always_does_fails_the_scan(root: Path, server: Server) -> None:
    content = os.urandom(3_000_000)
    bucket = server.filled([Item(b"large", content), *(Item(b"f%03d" % number, b"x") for number in range(200))])
    with _fault(server, 2_000, 3) as (endpoint, left):
        declared = server.declared(bucket, endpoint=endpoint)
        assert scan(root, declared).entries == 201
        assert left == [0]
        left[0] = 3
        assert hashlib.sha256(content).digest() in digests(root, settings_of(declared), mode="all")
        assert left == [0]
        left[0] = 1_000_000
        with pytest.raises(UnreachableError, match=r"volume v: .*the connection broke off"):
            scan(root, declared)


@pytest.mark.slow_but_first
def test_what_is_refused_says_what_to_do(root: Path, server: Server, tmp_path: Path) -> None:
    bucket = server.filled([Item(b"a", b"x")])
    wrong = tmp_path / "wrong"
    wrong.write_text(f"[default]\naws_access_key_id = {stores.KEY}\naws_secret_access_key = canary-of-a-wrong-secret\n")
    cases = {
        "there is no such bucket": server.declared("no-such-bucket-here"),
        "the secret key is wrong": server.declared(bucket, credentials_file=str(wrong)),
        "no connection: correct the endpoint": server.declared(bucket, endpoint="http://127.0.0.1:1"),
        "ProfileNotFound; look": server.declared(bucket, profile="nobody-of-that-name"),
        "its url is no s3://BUCKET": server.declared(bucket, url="s3://UPPER"),
    }
    for said, declared in cases.items():
        with pytest.raises(UnreachableError, match=said) as raised:
            scan(root, declared)
        assert "volume v" in str(raised.value)
        assert "canary" not in str(raised.value)


def test_a_url_or_an_endpoint_that_holds_a_secret_is_refused() -> None:
    for wrong in ({"url": "s3://key:secret@bucket"}, {"url": "s3://bucket", "endpoint": "https://key:secret@host"}):
        with pytest.raises(ConfigError, match="must"):
            settings_of(wrong)


def test_two_volumes_of_one_bucket_have_the_same_objects(root: Path, server: Server) -> None:
    bucket = server.filled([Item(b"a/b", b"x"), Item(b"a/c", b"x")])
    whole = {row["name"]: (row["fs_id"], row["inode"]) for row in entries(root, scan(root, server.declared(bucket)))}
    part = {row["name"]: (row["fs_id"], row["inode"]) for row in entries(root, scan(root, server.declared(bucket, url=f"s3://{bucket}/a"), accept_losses=True))}
    assert whole == part
    assert whole["b"] != whole["c"]


def test_keys_come_by_command_or_the_environment_and_from_no_service_of_a_cloud(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = server.filled([Item(b"a", b"x")])
    declared = server.declared(bucket)
    del declared["credentials_file"]
    told = f'{{"Version": 1, "AccessKeyId": "{stores.KEY}", "SecretAccessKey": "{stores.SECRET}"}}'
    assert scan(root, declared | {"credentials_command": shlex.join(["echo", told])}).entries == 1
    with pytest.raises(UnreachableError, match="credentials_command gave no credentials") as raised:
        scan(root, declared | {"credentials_command": "sh -c 'echo canary; exit 1'"})
    assert "canary" not in str(raised.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", stores.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", stores.SECRET)
    assert scan(root, declared).entries == 1
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    asked: list[object] = []
    monkeypatch.setattr("botocore.utils.IMDSFetcher._get_request", lambda *given, **more: asked.append(given))
    monkeypatch.setattr("botocore.utils.IMDSFetcher._fetch_metadata_token", lambda *given: asked.append(given))
    with pytest.raises(UnreachableError, match="no credentials"):
        scan(root, declared)
    assert asked == []


def test_what_may_not_be_listed_hides_what_lies_below(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stores.ceph()
    bucket = server.filled([Item(b"open/a", b"x"), Item(b"shut/a", b"x")])
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    granted = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/reader"]}, "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": resources}
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:ListBucket", "Resource": resources[0], "Condition": {"StringLike": {"s3:prefix": "shut/*"}}}
    server.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [granted, denied]}))
    monkeypatch.setattr(_lister, "MOST_KEYS", 1)
    result = scan(root, server.declared(bucket, reader=True), workers=1)
    assert paths(root, result) == [b"open/a"]
    assert [(row["path"], row["stage"], row["hides_below"]) for row in problems(root, result)] == [("shut", "list", True)]
    server.client.delete_bucket_policy(Bucket=bucket)
    with pytest.raises(UnreachableError, match="grant s3:ListBucket"):
        scan(root, server.declared(bucket, reader=True))


def test_an_attested_sha256_of_a_whole_object_is_a_digest_and_one_of_its_parts_is_none(root: Path) -> None:
    server = stores.weed()
    bucket, client, large = server.bucket(), server.client, os.urandom(6 << 20)
    client.put_object(Bucket=bucket, Key="whole", Body=b"content", ChecksumAlgorithm="SHA256")
    client.put_object(Bucket=bucket, Key="without", Body=b"content")
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts", ChecksumAlgorithm="SHA256")["UploadId"]
    of = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    told = [client.upload_part(**of, PartNumber=number, Body=part, ChecksumAlgorithm="SHA256") for number, part in ((1, large), (2, b"end"))]
    parts = [{"PartNumber": number, "ETag": one["ETag"], "ChecksumSHA256": one["ChecksumSHA256"]} for number, one in enumerate(told, 1)]
    client.complete_multipart_upload(**of, MultipartUpload={"Parts": parts})
    found = {row["name"]: row["digest"] for row in entries(root, scan(root, server.declared(bucket, heads=True)))}
    assert found == {"whole": hashlib.sha256(b"content").digest(), "without": None, "parts": None}
    assert {row["digest"] for row in entries(root, scan(root, server.declared(bucket)))} == {None}


@pytest.mark.slow
def test_of_a_store_that_loses_versions_between_pages_every_folder_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """SeaweedFS loses versions where a key is also the folder of others; with pages of five such that no list of objects shows."""
    server = stores.weed()
    keys = [b"q/a/b", b"q/a-b", b"q/a", b"p/1", b"p/2", b"p/x/1", b"z"]
    bucket = server.filled([Item(key, b"1") for key in keys], versioned=True)
    for key in keys:
        server.client.put_object(Bucket=bucket, Key=key.decode(), Body=b"2")
    monkeypatch.setattr(_lister, "MOST_KEYS", 5)
    found: list[bytes] = []
    store = Store(scanners.settings(settings_of(server.declared(bucket, versions=True)), "v"))
    _lister.Lister(store, versions=True).below(b"", lambda items: found.extend(items.keys), lambda key, why: pytest.fail(f"{key!r}: {why}"))
    assert sorted(found) == sorted(2 * keys)
