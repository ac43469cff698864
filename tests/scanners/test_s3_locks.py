"""What a scan knows of the locks of objects: as each says itself, never what nobody asked or was told."""

import base64
import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scanners import _heads
from scanners._store import Query, Store, StoreError
from tests.scanners import stores
from tests.scanners.contract import entries, scan
from tests.scanners.stores import Server

UNTIL = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=30)
UNLOCKED = ("none", None, None)
NOTHING = (None, None, None)


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
