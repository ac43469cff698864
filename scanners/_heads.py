"""What no listing tells of objects: their checksum, lock, legal hold and restore state, by one HEAD an object, several at a time."""

import base64
import binascii
import datetime
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from catalog import names
from scanners._gets import told_by
from scanners._objects import Naming
from scanners._store import Query, Store, StoreError

_AT_ONCE = 16
_DIGEST_BYTES = 32
_GONE = (404, 405)  # meanwhile


@dataclass(frozen=True)
class _Asked:
    """What an object says of itself; None where it does not, or is not, or no longer, the one that was listed."""

    digest: bytes | None = None
    retain_until: datetime.datetime | None = None
    legal_hold: bool | None = None
    restore_state: str | None = None
    error: str | None = None


class Heads:
    """Asks objects of one bucket. Only reads."""

    def __init__(self, store: Store, naming: Naming, problem: Callable[[bytes, str], None]) -> None:
        """`problem` takes the key of an object that did not answer, and why."""
        self._store, self._naming, self._problem = store, naming, problem

    def asked(self, rows: pa.Table) -> pa.Table:
        """The rows of `Naming.rows`, with what their objects say of themselves."""
        columns = [rows[name].to_pylist() for name in ("key", "version_id", "inode", "size_bytes", "type")]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(self._ask, *columns))
        for key, one in zip(columns[0], found, strict=True):
            if one.error:
                self._problem(key, one.error)
        for name, kind in (("digest", pa.binary()), ("retain_until", pa.timestamp("us")), ("legal_hold", pa.bool_()), ("restore_state", pa.string())):
            rows = rows.append_column(name, pa.array([getattr(one, name) for one in found], kind))
        return rows

    def _ask(self, key: bytes, version: str | None, number: int | None, size_bytes: int | None, kind: str) -> _Asked:
        if kind != "object":
            return _Asked()
        query: Query = {} if version is None else {"versionId": names.unescape(version)}
        try:
            headers = self._store.head(key, query, {"x-amz-checksum-mode": "ENABLED"})
        except StoreError as error:
            return _Asked() if error.status in _GONE else _Asked(error=f"it does not tell its checksum and its lock: {error}")
        if headers.get("content-length") != str(size_bytes) or self._naming.number(key, told_by(headers, size_bytes or 0)) != number:
            return _Asked()
        return _Asked(_digest(headers), _until(headers), _is_held(headers), _restored(headers))


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


def _until(headers: Mapping[str, str]) -> datetime.datetime | None:
    """The time until which an object is locked, where it says its mode, too."""
    if headers.get("x-amz-object-lock-mode") not in ("COMPLIANCE", "GOVERNANCE"):
        return None
    try:
        found = datetime.datetime.fromisoformat(headers["x-amz-object-lock-retain-until-date"])
        return found.astimezone(datetime.UTC).replace(tzinfo=None) if found.tzinfo else None
    except (KeyError, ValueError, OverflowError):
        return None


def _is_held(headers: Mapping[str, str]) -> bool | None:
    return {"ON": True, "OFF": False}.get(headers.get("x-amz-object-lock-legal-hold", ""))


def _restored(headers: Mapping[str, str]) -> str | None:
    """Of what is in an archive of the store: whether it is on its way back, or back for a time."""
    told = headers.get("x-amz-restore")
    return None if told is None else "restoring" if 'ongoing-request="true"' in told else "restored"
