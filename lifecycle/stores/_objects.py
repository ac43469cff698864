"""Where an object is in its bucket and what is there: keys, fingerprints, contents, and what it means for a step that a request failed."""

import datetime
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from catalog import names
from catalog.errors import UnreachableError
from catalog.ours import HOME, is_temporary
from catalog.pages import PageError
from catalog.store import Query, StoreError
from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint, Metadata, _object_metadata
from lifecycle.stores._bucket import Bucket
from scanners._gets import OtherError, Reader, Wanted, told_by
from scanners._lister import Lister

_MOST_KEY_BYTES = 1024
_MOST_LINK_BYTES = 4095  # symlink(2): PATH_MAX with its NUL
_FULL = ("InsufficientStorage", "XMinioStorageFull", "QuotaExceeded")
_ARCHIVED = "is in an archive of the store, or is there again: resume the job, which asks it back where restore_for is declared"


class Objects:
    """The objects of one volume. Threads may share it."""

    def __init__(self, volume: str, bucket: Bucket) -> None:
        self.volume, self.bucket = volume, bucket
        self._reader = Reader(bucket, bucket.naming, Lister(bucket, versions=False), versions=False)

    def shown(self, path: bytes) -> str:
        """The volume and the path, escaped."""
        return f"{self.volume}:{names.escape(path)}"

    def key(self, path: bytes) -> bytes:
        """The key of a path. Raises EndError REFUSED for what is none, or is ours."""
        first, last = path.split(b"/", 1)[0], path.rpartition(b"/")[2]
        if not path or b"\0" in path or first == HOME or is_temporary(last):
            raise EndError("REFUSED", f"{self.shown(path)}: is no path of a file of this volume")
        key = self.bucket.prefix + path
        if len(key) > _MOST_KEY_BYTES:
            raise EndError("REFUSED", f"{self.shown(path)}: a key has {_MOST_KEY_BYTES} bytes at most")
        return key

    @contextmanager
    def ending(self, what: str, path: bytes) -> Iterator[None]:
        """Turn what goes wrong with the store into the end of a step; without an answer the volume is away. Raises EndError, UnreachableError."""
        try:
            yield
        except StoreError as error:
            if error.code == "InvalidObjectState":
                raise EndError("FAILED", f"{self.shown(path)}: {_ARCHIVED}", retry=True) from error
            if error.status == 507 or error.code in _FULL:
                told = "the store is full, or what may be kept there is; mend that, then resume the job"
                raise EndError("FAILED", f"{self.shown(path)}: {what}: {told} ({error})", retry=True, stops_volume=True) from error
            if error.passing or error.code == "NoSuchBucket":
                raise UnreachableError(f"{self.shown(path)}: {what}: {error}") from error
            raise EndError("FAILED", f"{self.shown(path)}: {what}: {error}", retry=True) from error
        except PageError as error:
            raise EndError("FAILED", f"{self.shown(path)}: {what}: {error}", retry=True) from error

    def find(self, path: bytes, version: str | None = None) -> Mapping[str, str] | None:
        """What the object at a path tells of itself; None = there is none. Raises EndError, UnreachableError."""
        with self.ending("look", path):
            return self.bucket.find(self.key(path), version)

    def fingerprint(self, path: bytes, found: Mapping[str, str]) -> Fingerprint:
        """What is told of an object as a fingerprint: that which a scan has of it, a link that a job copied being a file to both."""
        size_bytes = int(found.get("content-length", "-1"))
        told = told_by(found, size_bytes)
        return Fingerprint("file", size_bytes, told.modified_s * 10**9, self.bucket.naming.fs_id, self.bucket.naming.number(self.key(path), told))

    def is_still(self, until: str) -> bool:
        """Whether a time is to come, by the store's own clock; one that cannot be read is. Raises EndError, UnreachableError."""
        try:
            told = datetime.datetime.fromisoformat(until)
        except ValueError:
            return True
        with self.ending("ask for its time", HOME):
            return told.tzinfo is None or told.timestamp() * 1e9 >= self.bucket.clock_ns()

    def blocks(self, path: bytes, expected: Fingerprint, version: str | None = None) -> Iterator[bytes]:
        """The content of an object that is what was expected, each request of it being held against that. Raises EndError SOURCE_CHANGED, UnreachableError."""
        if expected.inode is None:
            raise EndError("REFUSED", f"{self.shown(path)}: the store gives no ETag, so nothing tells one content from another")
        query: Query = {} if version is None else {"versionId": version}
        with self.ending("read", path):
            try:
                yield from self._reader.blocks(Wanted(self.key(path), expected.inode, expected.size_bytes), query)
            except OtherError as error:
                raise EndError("SOURCE_CHANGED", f"{self.shown(path)}: changed while it was read, or is gone", retry=True) from error

    def sha256(self, path: bytes, expected: Fingerprint, version: str | None = None) -> tuple[bytes, int]:
        """SHA-256 and length of an object, as the store gives it. Raises EndError, UnreachableError."""
        digest, size_bytes = hashlib.sha256(), 0
        for block in self.blocks(path, expected, version):
            digest.update(block)
            size_bytes += len(block)
        return digest.digest(), size_bytes


class Reading:
    """An object that is read: what `Source` says. Nothing holds others off, so it is asked for anew and read again before it counts."""

    leased = False

    def __init__(self, objects: Objects, path: bytes, fingerprint: Fingerprint, told: Mapping[str, str], version: str | None = None) -> None:
        """`version`: that version of it; None = what its name shows."""
        self.fingerprint = fingerprint
        self._objects, self._path, self._told, self._version = objects, path, told, version

    def metadata(self) -> Metadata:
        """What the object tells of the file that it is a copy of. Raises EndError, UnreachableError."""
        return _object_metadata.read(self._told, self.fingerprint.modified_ns, self._link() if _object_metadata.is_link(self._told) else None)

    def _link(self) -> bytes:
        """The text of a symbolic link. Raises EndError FAILED for what can be none: whoever writes to the bucket writes that."""
        text = b"".join(bytes(block) for block in self.blocks()) if 0 < self.fingerprint.size_bytes <= _MOST_LINK_BYTES else b""
        if not text or b"\0" in text:
            raise EndError("FAILED", f"{self._objects.shown(self._path)}: says that it is a symbolic link, and its content can be none")
        return text

    def blocks(self) -> Iterator[memoryview | int]:
        """The content in order. Raises EndError, UnreachableError."""
        for block in self._objects.blocks(self._path, self.fingerprint, self._version):
            yield memoryview(block)

    def is_wanted(self) -> bool:
        """Never: an object is replaced as a whole, and nobody asks before."""
        return False

    def check(self) -> None:
        """Raises EndError SOURCE_CHANGED if another object is there now, UnreachableError."""
        found = self._objects.find(self._path, self._version)
        wrong = "it is gone" if found is None else self.fingerprint.differs(self._objects.fingerprint(self._path, found))
        if wrong:
            raise EndError("SOURCE_CHANGED", f"{self._objects.shown(self._path)}: changed while it was worked on ({wrong})", retry=True)

    def close(self) -> None:
        """Nothing is held."""
