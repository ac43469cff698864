"""What no listing tells of objects: their checksum, lock, legal hold, restore state and tags, by one HEAD an object, several at a time.

A HEAD that tells of no lock does not say that there is none: stores leave that out for who may not know, too. That an object is not locked is known where its
bucket locks none, or where the store says of it that it is neither retained nor held (GetObjectRetention, GetObjectLegalHold); all else is unknown.
"""

import base64
import binascii
import datetime
import hashlib
import io
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from catalog import names
from catalog.store import Query, Store, StoreError
from scanners import Sink, _xml
from scanners._bucket import locks_objects
from scanners._gets import told_by
from scanners._objects import Naming

_AT_ONCE = 16
_DIGEST_BYTES = 32
_GONE = (404, 405)  # meanwhile
_UNTOLD = (400, 403, 404, 405, 501)  # to a question after tags: refused, gone, or not known to the store
_MOST_TAGS = 50  # of one object; Amazon takes ten
_OFF = re.compile(rb"<Status>\s*OFF\s*</Status>")
_NO_LOCK = ("NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "NoSuchObjectLegalHold")  # Amazon's word; others have the other two
_MODES = {"COMPLIANCE": "compliance", "GOVERNANCE": "governance"}
_COLUMNS = {
    "digest": pa.binary(),
    "lock_mode": pa.string(),
    "retain_until": pa.timestamp("us"),
    "legal_hold": pa.bool_(),
    "lock_seen_at": pa.timestamp("us"),
    "restore_state": pa.string(),
    "tags": pa.string(),
}


@dataclass(frozen=True)
class _Told:
    """What an object says of itself; None where it does not, or is not, or no longer, the one that was listed."""

    digest: bytes | None = None
    lock_mode: str | None = None
    retain_until: datetime.datetime | None = None
    legal_hold: bool | None = None
    lock_seen_at: datetime.datetime | None = None
    restore_state: str | None = None
    tags: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Asked:
    """Which objects are asked, and the time that their answers are of: all, or a share that chance takes anew in each scan, so that nobody knows which."""

    share: float
    at_us: int
    tags: bool = False  # whether they are asked for these, too

    @property
    def at(self) -> datetime.datetime:
        """When the scan began: what is asked is so at that time or later."""
        return datetime.datetime.fromtimestamp(self.at_us / 1_000_000, datetime.UTC).replace(tzinfo=None)

    def has(self, key: bytes, version: str | None) -> bool:
        """Whether an object is among them."""
        if self.share >= 1:
            return True
        drawn = hashlib.sha256(b"%d\0%s\0%s" % (self.at_us, key, (version or "").encode())).digest()
        return int.from_bytes(drawn[:8], "big") < self.share * 2**64


class Heads:
    """Asks objects of one bucket. Only reads."""

    def __init__(self, store: Store, naming: Naming, sink: Sink, asked: Asked) -> None:
        """`sink` gets a problem of each object that did not answer."""
        self._store, self._naming, self._sink, self._whom = store, naming, sink, asked
        self._locks: str | None = None  # whether the bucket can lock objects; None = it was not asked yet

    def asked(self, rows: pa.Table) -> pa.Table:
        """The rows of `Naming.rows`, with what their objects say of themselves."""
        columns = [rows[name].to_pylist() for name in ("key", "version_id", "inode", "size_bytes", "type")]
        self._locks = self._locks or locks_objects(self._store)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(self._ask, *columns))
        for key, one in zip(columns[0], found, strict=True):
            if one.error:
                self._sink.problem(self._naming.path(key), "stat", one.error, None, hides_below=False)
        for name, kind in _COLUMNS.items():
            rows = rows.append_column(name, pa.array([getattr(one, name) for one in found], kind))
        return rows

    def _ask(self, key: bytes, version: str | None, number: int | None, size_bytes: int | None, kind: str) -> _Told:
        if kind != "object" or not self._whom.has(key, version):
            return _Told()
        query: Query = {} if version is None else {"versionId": names.unescape(version)}
        try:
            headers = self._store.head(key, query, {"x-amz-checksum-mode": "ENABLED"})
        except StoreError as error:
            return _Told() if error.status in _GONE else _Told(error=f"it does not tell its checksum and its lock: {error}")
        if headers.get("content-length") != str(size_bytes) or self._naming.number(key, told_by(headers, size_bytes or 0)) != number:
            return _Told()
        mode, until = self._retention(key, query, headers)
        tags = failure = None
        try:
            tags = self._tags(key, query) if self._whom.tags else None
        except (StoreError, _xml.BadXMLError) as error:
            failure = f"it does not tell its tags: {error}"
        return _Told(_digest(headers), mode, until, _is_held(headers), self._whom.at, _restored(headers), tags, failure)

    def _tags(self, key: bytes, query: Query) -> str | None:
        """The tags of an object as JSON, `{}` = it has none; None = the store knows no tags, or does not tell them. Raises StoreError, BadXMLError."""
        try:
            body = self._store.get(key, {**query, "tagging": ""})
        except StoreError as error:
            if error.status in _UNTOLD:
                return None
            raise
        return _tag_set(body)

    def _retention(self, key: bytes, query: Query, headers: Mapping[str, str]) -> tuple[str | None, datetime.datetime | None]:
        """The mode and the end of a lock; `none` where it is known that there is no lock, and None where that is not known."""
        told = headers.get("x-amz-object-lock-mode")
        if told is not None:
            until = _time(headers.get("x-amz-object-lock-retain-until-date", ""))
            return (_MODES[told], until) if told in _MODES and until else (None, None)
        if self._locks == "no":
            return "none", None
        held = headers.get("x-amz-object-lock-legal-hold")
        is_free = self._locks == "yes" and self._has_none(key, query, "retention") and (held is not None or self._has_none(key, query, "legal-hold", _OFF))
        return ("none" if is_free else None), None

    def _has_none(self, key: bytes, query: Query, resource: str, none: re.Pattern[bytes] | None = None) -> bool:
        """Whether the store says that an object has none of something."""
        try:
            body = self._store.get(key, {**query, resource: ""}, tries=1)
        except StoreError as error:
            return error.status == 404 and error.code in _NO_LOCK
        return none is not None and none.search(body) is not None


def _tag_set(body: bytes) -> str | None:
    """JSON of the tags in an answer; None where it is none. Raises BadXMLError."""
    found: dict[str, str] = {}
    name, is_one = "", False

    def start(path: list[str], _: dict[str, str]) -> None:
        nonlocal is_one
        is_one = is_one or path == ["Tagging", "TagSet"]

    def end(path: list[str], text: str) -> None:
        nonlocal name
        if path == ["Tagging", "TagSet", "Tag", "Key"]:
            name = names.escape(text.encode())
        elif path == ["Tagging", "TagSet", "Tag", "Value"]:
            found[name] = names.escape(text.encode())
            if len(found) > _MOST_TAGS:
                raise _xml.BadXMLError(f"more than {_MOST_TAGS} tags")

    _xml.read(io.BytesIO(body), start, end)
    return json.dumps(found, sort_keys=True, ensure_ascii=False) if is_one else None


def _digest(headers: Mapping[str, str]) -> bytes | None:
    """The SHA-256 of the whole object; one that is made of the checksums of parts is none."""
    kind, etag = headers.get("x-amz-checksum-type"), headers.get("etag", "")
    if kind != "FULL_OBJECT" and (kind is not None or "-" in etag):
        return None
    try:
        found = base64.b64decode(headers.get("x-amz-checksum-sha256", ""), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == _DIGEST_BYTES else None


def _time(text: str) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(text)
        return found.astimezone(datetime.UTC).replace(tzinfo=None) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _is_held(headers: Mapping[str, str]) -> bool | None:
    return {"ON": True, "OFF": False}.get(headers.get("x-amz-object-lock-legal-hold", ""))


def _restored(headers: Mapping[str, str]) -> str | None:
    """Of what is in an archive of the store: whether it is on its way back, or back for a time."""
    told = headers.get("x-amz-restore")
    return None if told is None else "restoring" if 'ongoing-request="true"' in told else "restored"
