"""Canaries of a bucket: small objects under `.lastcopy/canaries/` that find out what its store keeps and enforces, whatever it says of itself.

Conditional writes, checksums, versions and Object Lock are as Amazon's API reference has them (PutObject, CompleteMultipartUpload, PutObjectRetention);
stores that take a header and do nothing are found out by what they do.
"""

import datetime
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal

from catalog import names
from catalog.ours import HOME
from catalog.store import Query, StoreError
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities
from lifecycle.stores._bucket import Bucket, checksum, md5
from scanners import _bucket

_FOLDER = HOME + b"/canaries/"
_LOCK_SECONDS = 10
_CREATE = {"If-None-Match": "*"}
_META = {"x-amz-meta-lastcopy-op": "canary-0-1"}
# What some stores change in names, or take and never tell again. Each stands for its like.
_ODD = (b"\\", b"\n", b"\t", b"\x01", b"\x7f", b"\xff", b"+", b"%", b"&", b"<", b'"', b"'", b"~", b"\xc3\xa9")
_LONG = 255


class Canaries:
    """The tries of one preparation. All that they store is removed again, as far as the bucket lets it be."""

    def __init__(self, bucket: Bucket, storage_class: str | None = None) -> None:
        """`storage_class` is of an archive; what is stored in it may cost until its least term is over."""
        self._bucket = bucket
        self._class = storage_class
        self._folder = bucket.prefix + _FOLDER + secrets.token_hex(8).encode() + b"/"
        self._stored: list[tuple[bytes, str | None]] = []

    def find_out(self) -> Capabilities:
        """Try everything. Writes. Raises EndError REFUSED where the bucket does not keep what it is given, StoreError, PageError."""
        try:
            return self._found()
        finally:
            for key, version in self._stored:
                self._remove(key, version)

    def _remove(self, key: bytes, version: str | None) -> None:
        """Remove a canary; one that is locked stays, and does not show any more."""
        try:
            self._bucket.delete(key, version)
        except StoreError:
            with suppress(StoreError):
                self._bucket.delete(key)

    def _found(self) -> Capabilities:
        self._refuse_forgetful()
        versioning = self._bucket.versioning()
        versions = self._keeps_versions()
        removes = versions and self._removes_versions()
        apart = versioning == "enabled" and removes  # what was put over another's can be taken away again, and nothing else
        creates, completes = self._creates_only(b"create"), self._completes_only()
        spoilt = self._spoilt()
        longest = self._longest()
        return Capabilities(
            publish="create" if creates else "versions" if apart else "none",
            parts=None if completes is None else "create" if completes else "versions" if apart else "none",
            checksums=self._checksum(),
            versions=versions,
            removes_versions=removes,
            versioning=versioning,
            locks=versions and _bucket.locks_objects(self._bucket) == "yes" and self._locks(),
            reads_class=self._class if self._class and self._gives_at_once(self._class) else None,
            spoilt=" ".join(names.escape(one) for one in spoilt),
            exchange=False,
            leases=False,
            reflink=False,
            dedupe=False,
            hard_links=False,
            symlinks=True,
            xattrs=True,
            acls=True,
            sync_directories=False,
            folds_case=self._folds(b"Case", b"case"),
            folds_unicode=self._folds("\u00e9".encode(), "e\u0301".encode()),
            raw_names=b"\xff" not in spoilt,
            time_step_ns=1,
            name_bytes=longest,
            stable_inodes=False,
            quarantine=apart and self._hides(),
        )

    def _put(self, name: bytes, body: bytes, headers: Mapping[str, str] | None = None, query: Query | None = None) -> str | None:
        """Store a canary; gives its version."""
        key = self._folder + name
        version = self._bucket.put(key, body, headers, query).get("x-amz-version-id")
        self._stored.append((key, version))
        return version

    def _get(self, name: bytes, version: str | None = None) -> bytes:
        return self._bucket.get(self._folder + name, {} if version is None else {"versionId": version})

    def _refuse_forgetful(self) -> None:
        """What is stored is there, as it was given, with its metadata, and gone once it is removed. Raises EndError REFUSED."""
        token = secrets.token_hex(16).encode()
        self._put(b"first", token, _META)
        found = self._bucket.find(self._folder + b"first") or {}
        listed = list(self._bucket.below(self._folder))
        if self._get(b"first") != token or found.get("content-length") != str(len(token)) or listed != [self._folder + b"first"]:
            raise EndError("REFUSED", "the bucket does not give back what is stored there: look at the endpoint")
        if any(found.get(name) != value for name, value in _META.items()) or not found.get("etag"):
            raise EndError("REFUSED", "the store does not keep the metadata of objects, or tells no ETag: nothing would tell our objects from others")

    def _keeps_versions(self) -> bool:
        one, two = self._put(b"versions", b"one"), self._put(b"versions", b"two")
        if one is None or two is None or one == two:
            return False
        kept = self._bucket.versions(self._folder + b"versions")
        return set(kept) == {one, two} and kept[two].is_latest and self._get(b"versions", one) == b"one" and self._get(b"versions", two) == b"two"

    def _creates_only(self, name: bytes) -> bool:
        """Whether a second object of a name is refused, and the first stays."""
        self._put(name, b"first", _CREATE)
        return _refused(lambda: self._put(name, b"second", _CREATE), 409, 412) and self._get(name) == b"first"

    def _completes_only(self) -> bool | None:
        """The same of an object of parts; None = it takes none."""
        try:
            self._in_parts(b"parts", b"first")
            if self._get(b"parts") != b"first":
                return None
        except StoreError as error:
            if error.passing and error.status != 501:
                raise
            return None
        return _refused(lambda: self._in_parts(b"parts", b"second"), 409, 412) and self._get(b"parts") == b"first"

    def _in_parts(self, name: bytes, body: bytes) -> None:
        key = self._folder + name
        upload = self._bucket.begin_upload(key, _META)
        try:
            etag = self._bucket.put_part(key, upload, 1, body, {})
            version = self._bucket.complete_upload(key, upload, [(etag, None)], _CREATE).get("x-amz-version-id")
        except StoreError:
            with suppress(StoreError):
                self._bucket.abort_upload(key, upload)
            raise
        self._stored.append((key, version))

    def _checksum(self) -> Literal["sha256", "md5", "none"]:
        """The checksum that content is held against."""
        wrong = b"other content"
        self._put(b"checked", b"content", {"x-amz-checksum-sha256": checksum(b"content")})
        if _refused(lambda: self._put(b"sha256", b"content", {"x-amz-checksum-sha256": checksum(wrong)}), *range(400, 500)):
            return "sha256"
        if _refused(lambda: self._put(b"md5", b"content", {"Content-MD5": md5(wrong)}), *range(400, 500)):
            return "md5"
        return "none"

    def _removes_versions(self) -> bool:
        one, two = self._put(b"removed", b"one"), self._put(b"removed", b"two")
        if one is None or two is None:
            return False
        try:
            self._bucket.delete(self._folder + b"removed", two)
        except StoreError as error:
            if error.passing:
                raise
            return False
        return set(self._bucket.versions(self._folder + b"removed")) == {one} and self._get(b"removed") == b"one"

    def _hides(self) -> bool:
        """Whether a delete marker hides an object, says which it is, and shows it again once it is removed."""
        self._put(b"hidden", b"one")
        version, key = self._put(b"hidden", b"two"), self._folder + b"hidden"
        try:
            marker, is_marker = self._bucket.hide(key, (self._bucket.find(key) or {}).get("etag", ""))
        except StoreError as error:
            if error.passing and error.status != 501:
                raise
            return False
        if not (is_marker and marker and version):
            return False
        self._stored.append((key, marker))
        found = self._bucket.versions(key)
        if self._bucket.find(key) is not None or version not in found or marker not in found or not found[marker].is_latest:
            return False
        self._bucket.delete(key, marker)
        return self._get(b"hidden") == b"two"

    def _locks(self) -> bool:
        """Whether a lock is told as it was given, and keeps a version from being removed."""
        version = self._put(b"locked", b"content")
        now = datetime.datetime.fromtimestamp(self._bucket.clock_ns() // 10**9, datetime.UTC)
        until = now + datetime.timedelta(seconds=_LOCK_SECONDS)
        key = self._folder + b"locked"
        try:
            self._bucket.lock(key, version, "GOVERNANCE", until)
        except StoreError as error:
            if error.passing and error.status != 501:
                raise
            return False
        told = (self._bucket.find(key, version) or {}).get("x-amz-object-lock-retain-until-date", "")
        is_told = is_until(told, until)
        return _refused(lambda: self._bucket.delete(key, version), *range(400, 500)) and is_told

    def _gives_at_once(self, storage_class: str) -> bool:
        """Whether an object that is stored in a class is read back now."""
        try:
            self._put(b"class", b"content", {"x-amz-storage-class": storage_class})
            return self._get(b"class") == b"content"
        except StoreError as error:
            if error.passing and error.status != 501:
                raise
            return False

    def _spoilt(self) -> list[bytes]:
        """The odd bytes with which a name does not come back from a listing, or with which it is another name."""
        for at, odd in enumerate(_ODD):
            with suppress(StoreError):
                self._put(b"names/%d-" % at + odd + b"-", b"%d" % at)
        found = set(self._bucket.below(self._folder + b"names/"))
        return [odd for at, odd in enumerate(_ODD) if self._folder + b"names/%d-" % at + odd + b"-" not in found]

    def _longest(self) -> int:
        try:
            self._put(b"n" * _LONG, b"content")
        except StoreError as error:
            if error.passing and error.status:
                raise
            return _LONG // 2
        return _LONG

    def _folds(self, one: bytes, two: bytes) -> bool:
        self._put(one, b"content")
        return self._bucket.find(self._folder + two) is not None


def is_until(told: str, wanted: datetime.datetime) -> bool:
    """Whether a lock is told to last until a time, or longer."""
    try:
        found = datetime.datetime.fromisoformat(told)
    except ValueError:
        return False
    return found.tzinfo is not None and found >= wanted.replace(microsecond=0)


def _refused(act: Callable[[], object], *status: int) -> bool:
    """Whether something was refused with one of these. Raises StoreError where no answer tells."""
    try:
        act()
    except StoreError as error:
        if error.status not in status:
            raise
        return True
    return False
