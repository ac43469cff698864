"""What a scan knows of the locks of objects: as each says itself, never what nobody asked or was told."""

import base64
import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from catalog import config, derive, names
from catalog.connect import connect
from catalog.errors import ConfigError
from catalog.store import Query, Store, StoreError
from scanners import _heads, crawl
from tests.scanners import stores
from tests.scanners.contract import clock, entries, scan
from tests.scanners.stores import Server

UNTIL = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=30)
UNLOCKED = ("none", None, None)
NOTHING = (None, None, None)
TAG = b"<Tag><Key>%d</Key><Value>b</Value></Tag>"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture(params=["weed", "ceph"])
def server(request: pytest.FixtureRequest) -> Server:
    return stores.weed() if request.param == "weed" else stores.ceph()


def locked(server: Server) -> str:
    """A bucket with an object of each kind of lock, below `b` a version that is not locked over one that is."""
    bucket, client = server.bucket(locked=True), server.client

    def put(key: str, content: bytes, **lock: object) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=content, ContentMD5=base64.b64encode(hashlib.md5(content).digest()).decode(), **lock)

    put("b", b"in the way", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=UNTIL)
    put("b", b"over it")
    put("c", b"kept", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=UNTIL)
    put("h", b"held", ObjectLockLegalHoldStatus="ON")
    return bucket


def told(root: Path, declared: Mapping[str, Any]) -> dict[str, tuple[object, ...]]:
    """By content's size and name what is known: mode, end, hold."""
    rows = entries(root, scan(root, dict(declared)))
    assert all(row["lock_seen_at"] for row in rows if row["lock_mode"] or row["legal_hold"] is not None)
    return {f"{row['name']}{row['size_bytes']}": (row["lock_mode"], row["retain_until"], row["legal_hold"] or None) for row in rows if row["type"] == "object"}


def test_each_version_tells_of_its_own_lock(root: Path, server: Server) -> None:
    bucket, until = locked(server), UNTIL.replace(tzinfo=None)
    found = told(root, server.declared(bucket, heads=True, versions=True))
    assert {key: found[key] for key in ("b10", "b7", "c4")} == {"b10": ("governance", until, None), "b7": UNLOCKED, "c4": ("compliance", until, None)}
    assert found["h4"] in ((None, None, True), ("none", None, True))


def test_what_nobody_was_asked_for_is_unknown(root: Path, server: Server) -> None:
    assert set(told(root, server.declared(locked(server), versions=True)).values()) == {NOTHING}


def test_a_bucket_that_locks_nothing_has_no_locked_object(root: Path, server: Server) -> None:
    bucket = server.bucket(versioned=True)
    server.client.put_object(Bucket=bucket, Key="a", Body=b"open")
    assert told(root, server.declared(bucket, heads=True, versions=True)) == {"a4": UNLOCKED}


def test_who_may_not_ask_for_locks_knows_of_none(root: Path) -> None:
    """Ceph tells of locks to who may read an object; of other stores a HEAD says nothing then. What the bucket may not tell is unknown, too."""
    server = stores.ceph()
    bucket = locked(server)
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    actions = ["s3:ListBucket", "s3:GetObject", "s3:ListBucketVersions", "s3:GetObjectVersion"]
    granted = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/reader"]}, "Action": actions, "Resource": resources}
    server.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [granted]}))
    found = told(root, server.declared(bucket, reader=True, heads=True, versions=True))
    assert found["b7"] == NOTHING
    assert UNLOCKED not in found.values()


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (405, "MethodNotAllowed"), (501, "NotImplemented"), (404, "NoSuchKey"), (500, "InternalError")]
)
def test_a_store_that_does_not_answer_the_question_leaves_it_open(root: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: str) -> None:
    server = stores.weed()
    bucket, get = locked(server), Store.get

    def refuse(store: Store, key: bytes | None, query: Query, tries: int = 5) -> bytes:
        if {"object-lock", "retention", "legal-hold"} & set(query):
            raise StoreError("no", status, code)
        return get(store, key, query, tries)

    monkeypatch.setattr(Store, "get", refuse)
    found = told(root, server.declared(bucket, heads=True, versions=True, digest="off"))
    assert (found["b7"], found["c4"][0]) == (NOTHING, "compliance")


@pytest.mark.parametrize(
    ("mode", "until"),
    [
        ("compliance", "2099-01-01T00:00:00+00:00"),
        ("FOREVER", "2099-01-01T00:00:00+00:00"),
        ("COMPLIANCE", "soon"),
        ("COMPLIANCE", ""),
        ("COMPLIANCE", "2031-01-01"),
        ("", ""),
    ],
)
def test_odd_words_of_a_lock_tell_nothing(root: Path, monkeypatch: pytest.MonkeyPatch, mode: str, until: str) -> None:
    server = stores.weed()
    bucket, head = locked(server), Store.head

    def odd(store: Store, key: bytes, query: Query, headers: Mapping[str, str] | None = None) -> Mapping[str, str]:
        said = {"x-amz-object-lock-mode": mode, "x-amz-object-lock-retain-until-date": until, "x-amz-object-lock-legal-hold": "perhaps"}
        return {**head(store, key, query, headers), **said}

    monkeypatch.setattr(Store, "head", odd)
    rows = entries(root, scan(root, server.declared(bucket, heads=True, versions=True)))
    assert {(row["lock_mode"], row["retain_until"], row["legal_hold"]) for row in rows} == {NOTHING}


TAGS = {"project": "apollo 11", "ünï": "a=b/c@d:e+f"}


def tagged(server: Server) -> str:
    """A bucket with an object that has tags, and one that has none."""
    bucket, client = server.bucket(), server.client
    for key in ("plain", "tagged"):
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    client.put_object_tagging(Bucket=bucket, Key="tagged", Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in TAGS.items()]})
    return bucket


def test_tags_are_kept_where_they_are_asked_for(root: Path, server: Server) -> None:
    bucket = tagged(server)
    asked = {row["name"]: row["tags"] for row in entries(root, scan(root, server.declared(bucket, heads=True, tags=True)))}
    assert asked.pop("plain") == "{}"
    assert {key: names.unescape(value).decode() for key, value in json.loads(asked.pop("tagged")).items()} == TAGS
    assert {row["tags"] for row in entries(root, scan(root, server.declared(bucket, heads=True)))} == {None}
    with pytest.raises(ConfigError, match=r"volumes\.v\.tags: only objects that are asked"):
        scan(root, server.declared(bucket, tags=True))


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        (403, 0),
        (501, 0),
        (404, 0),
        (503, 2),
        (b"<Other/>", 0),
        (b"<Tagging><TagSet>", 2),
        (b"<Tagging><TagSet>" + b"".join(TAG % number for number in range(51)) + b"</TagSet></Tagging>", 2),
    ],
)
def test_tags_that_are_not_told_are_unknown(root: Path, monkeypatch: pytest.MonkeyPatch, answer: int | bytes, problems: int) -> None:
    server, get = stores.weed(), Store.get

    def odd(store: Store, key: bytes | None, query: Query, tries: int = 5) -> bytes:
        if "tagging" not in query:
            return get(store, key, query, tries)
        if isinstance(answer, int):
            raise StoreError("no", answer)
        return answer

    monkeypatch.setattr(Store, "get", odd)
    result = scan(root, server.declared(tagged(server), heads=True, tags=True))
    assert {(row["tags"], row["lock_mode"]) for row in entries(root, result)} == {(None, "none")}
    assert result.problems == problems


def test_what_hides_or_forges_text_is_escaped_in_tags() -> None:
    odd = "<Tagging><TagSet><Tag><Key>a\u202e</Key><Value>&lt;&#10;</Value></Tag></TagSet></Tagging>".encode()
    assert json.loads(_heads._tag_set(odd) or "") == {"a\\xe2\\x80\\xae": "<\\x0a"}


@pytest.mark.slow
def test_a_class_is_of_what_has_a_tag(root: Path) -> None:
    server = stores.weed()
    declared = server.declared(tagged(server), heads=True, tags=True, role="archive")
    chosen = config.parse({"volumes": {"v": declared}, "classes": {"space": {"select": 'contains(tags, \'"project": "apollo 11"\')'}}})
    crawl.scan(root, chosen, "v", now=clock)
    with connect(root, derive.derive(root, chosen, clock().replace(tzinfo=None))) as connection:
        assert connection.sql("SELECT name, data_class FROM files ORDER BY name").fetchall() == [("plain", "default"), ("tagged", "space")]


@pytest.mark.slow
def test_a_sample_proves_what_was_looked_at_and_nothing_of_the_rest(root: Path) -> None:
    server = stores.weed()
    bucket = server.bucket(versioned=True)
    for number in range(60):
        server.client.put_object(Bucket=bucket, Key=f"{number:02}", Body=b"x")
    found = told(root, server.declared(bucket, heads=0.5))
    assert set(found.values()) == {UNLOCKED, NOTHING}
    assert 10 < list(found.values()).count(UNLOCKED) < 50
    asked = _heads.Asked(0.1, 1), _heads.Asked(0.1, 2)
    chosen = [{key for key in range(1000) if one.has(b"%d" % key, None)} for one in asked]
    assert all(50 < len(some) < 160 for some in chosen)
    assert chosen[0] != chosen[1]
