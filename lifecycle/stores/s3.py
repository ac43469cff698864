"""Buckets as jobs use them: objects have their names at once, over nothing; they are known by the operation in their metadata, and read back first."""

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from functools import cached_property
from threading import Lock

import scanners
from catalog import names
from catalog.config import Config
from catalog.ours import HOME, MARKER, temporary
from catalog.store import StoreError
from catalog.volumes import Volume
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, Fingerprint, Metadata, Move, Pointer, Source, Stray, _cold, _object_names, _uploads
from lifecycle.stores._bucket import Bucket, md5
from lifecycle.stores._home import Marker, parsed
from lifecycle.stores._object_canaries import Canaries, is_until
from lifecycle.stores._object_metadata import OP
from lifecycle.stores._object_quarantine import Hidden
from lifecycle.stores._objects import Objects, Reading
from lifecycle.stores._plain import Plain
from lifecycle.stores._uploads import PART_BYTES, Means, Upload

_MARKER = HOME + b"/" + MARKER
_LASTING = ("x-amz-version-id", "etag", "content-length")  # what a lock leaves as it was


class Store(Plain):
    """One bucket, or what is below a prefix of it. Its calls may come from several threads."""

    def __init__(self, config: Config, volume: str) -> None:
        """Asks nobody yet."""
        super().__init__(config, volume)
        self._declared: Volume = config.volumes[volume]
        self._is_changed = False
        self._lock = Lock()
        self._copies: Means | None = None  # what they share

    def shown(self, path: bytes) -> str:
        """The volume and the path, escaped."""
        return self._objects.shown(path)

    def look(self, path: bytes) -> Fingerprint | None:
        """The object at a path now; None = nothing. Only reads. Raises EndError, UnreachableError."""
        found = self._objects.find(path)
        return None if found is None else self._objects.fingerprint(path, found)

    def open(self, path: bytes, expected: Fingerprint) -> Reading:
        """Open an object that is what was expected. Only reads. Raises EndError STALE, ColdError, UnreachableError."""
        told = self._objects.find(path)
        found = None if told is None else self._objects.fingerprint(path, told)
        wrong = "it is not there any more" if found is None else expected.differs(found)
        if wrong or found is None or told is None:
            raise EndError("STALE", f"{self._objects.shown(path)}: is not what was planned ({wrong})")
        _cold.check(self._objects, path, found, told, _cold.asking(self._declared))
        return Reading(self._objects, path, found, told)

    def digest(self, path: bytes, expected: Fingerprint) -> bytes:
        """SHA-256 of an object that is what was expected before and after. Only reads. Raises EndError, UnreachableError."""
        source = self.open(path, expected)
        found, _ = self._objects.sha256(path, source.fingerprint)
        source.check()
        return found

    def stage(
        self,
        path: bytes,
        key: str,
        parents: tuple[Metadata, ...] = (),
        *,
        link_target: bytes | None = None,
        over: Fingerprint | None = None,
        source: Source | None = None,
    ) -> Upload:
        """Begin a copy. Nothing is written before there is more than one part of it. Raises EndError CONFLICT, REFUSED, UnreachableError.

        What an earlier try of the step stored is a CONFLICT, too: whoever asks reads it. Where that hides another's object it goes.
        Of what is sent whole, over nothing by the store's own word, `Staged.sync` tells the CONFLICT.
        """
        means = self._means(path)
        if over is not None:
            raise EndError("REFUSED", f"{self._objects.shown(path)}: in a bucket nothing takes the place of what is there")
        self._refuse_spoilt(path)
        temporary(key)  # it must be a key
        size_bytes = None if source is None else source.fingerprint.size_bytes
        if not _is_refused_late(means.able, size_bytes) and (found := self._objects.find(path)) is not None:
            if "versions" in (means.able.publish, means.able.parts) and _is_of_step(found, key):
                _object_names.refuse_hiding(self._objects, means.able, path, found, source)
            raise EndError("CONFLICT", f"{self._objects.shown(path)}: something is there already")
        upload = Upload(means, path, key, None if source is None else source.metadata(), size_bytes)
        if link_target is not None and source is None:
            upload.write(memoryview(link_target))
        return upload

    def staged(self, path: bytes, key: str, inode: int | None) -> Upload | None:
        """The object that an earlier run stored for this operation, whole and perhaps not yet read back. Only reads. Raises EndError, UnreachableError."""
        found = self._objects.find(path)
        if found is None or found.get(OP) != key:
            return None
        return Upload.of_stored(self._means(path), path, key)

    def publish(
        self,
        path: bytes,
        key: str,
        inode: int | None,
        *,
        over: Fingerprint | None = None,
        read_back: Fingerprint | None = None,
    ) -> Fingerprint:
        """See that the object which was stored has its name, and is what was read back. Only reads. Raises EndError CONFLICT, FAILED, UnreachableError."""
        found = self._objects.find(path)
        if found is None:
            raise EndError("FAILED", f"{self._objects.shown(path)}: the object that was stored is gone", retry=True)
        if found.get(OP) != key:
            raise EndError("CONFLICT", f"{self._objects.shown(path)}: something else is there")
        there = self._objects.fingerprint(path, found)
        if read_back is not None and (wrong := read_back.differs(there)):
            raise EndError("CONFLICT", f"{self._objects.shown(path)}: was replaced after it was read back ({wrong})")
        return there

    def protect(self, path: bytes, key: str, found: Fingerprint) -> Fingerprint | None:
        """Lock an object of ours as the declaration asks, and see that it is; of another's only see. Writes. Raises EndError, UnreachableError.

        Some stores say that it was modified then: what it is now is given.
        """
        wanted = self._declared.immutability
        if wanted not in ("governance", "compliance"):
            return None
        told = self._objects.find(path)
        if told is None or found.differs(self._objects.fingerprint(path, told)):
            raise EndError("CONFLICT", f"{self._objects.shown(path)}: was replaced before it was locked")
        with self._objects.ending("lock", path):
            until = self._until()
            least = until or datetime.datetime.fromtimestamp(self._bucket.clock_ns() // 10**9 + 1, datetime.UTC)  # without a time one that is not over
            if _is_locked(told, wanted, least):
                return None
            if not _is_of_step(told, key):
                raise EndError(
                    "REFUSED", f"{self._objects.shown(path)}: an equal object of another is there, which is not locked as is declared; it was not touched"
                )
            if until is not None:
                self._bucket.lock(self._objects.key(path), told.get("x-amz-version-id"), wanted.upper(), until)
                before, told = told, self._objects.find(path)
                if told is None or any(told.get(name) != before.get(name) for name in _LASTING):
                    raise EndError("CONFLICT", f"{self._objects.shown(path)}: was replaced as it was locked")
        if not _is_locked(told, wanted, least):
            raise EndError(
                "FAILED", f"{self._objects.shown(path)}: is stored, and does not say that it is locked as is declared; look at the bucket", retry=True
            )
        return self._objects.fingerprint(path, told)

    def quarantine(self, path: bytes, key: str, expected: Fingerprint, *, leave: Pointer | None = None) -> Fingerprint:
        """Hide the version that a path shows under a delete marker, see what was hidden, show it again if it is not what was expected. Writes.

        Raises EndError, UnreachableError.
        """
        if leave is not None:
            raise EndError("REFUSED", f"{self.shown(path)}: in a bucket nothing is left in the place of an object")
        self._need_quarantine(path)
        return self._hidden.hide(path, key, expected)

    def announce(self, moves: Iterable[Move]) -> None:
        """Nothing yet: what is written down of a version is put just before its marker."""

    def settle_quarantine(self) -> None:
        """What is written down of versions that show again goes. Writes. Raises EndError, UnreachableError."""
        self._hidden.settle()

    def quarantined(self, key: str) -> Fingerprint | None:
        """The version that a step hides; None = none. Only reads. Raises EndError, UnreachableError."""
        return self._hidden.look(key)

    def open_quarantined(self, key: str, expected: Fingerprint) -> Reading:
        """Open a hidden version. Only reads. Raises EndError STALE, UnreachableError."""
        return self._hidden.open(key, expected)

    def put_back(self, key: str, path: bytes, expected: Fingerprint) -> None:
        """Take away the delete marker of a step, if its version shows then. Writes. Raises EndError CONFLICT, STALE, UnreachableError."""
        self._need_quarantine(path)
        self._hidden.show(key, path, expected)

    def remove(self, key: str, expected: Fingerprint) -> None:
        """Remove a hidden version by its id. Writes. Raises EndError STALE, REFUSED where it is locked, UnreachableError."""
        self._hidden.remove(key, expected)

    def discard(self, path: bytes, key: str, inode: int | None = None) -> None:
        """Let go of the parts that this operation sent, and of what was written down of a version that was never hidden. An object stays. Writes.

        Raises EndError, UnreachableError.
        """
        with self._objects.ending("discard", path):
            self._bucket.find(self._objects.key(path))  # where nobody can look, nothing is let go
            _uploads.abort(self._objects, path, key)
        if self.capabilities is not None and self.capabilities.quarantine:
            self._hidden.forget(key)

    def settle(self, paths: Iterable[bytes]) -> None:
        """Nothing: what a store has said yes to is durable."""

    def strays(self) -> Iterator[Stray]:
        """What is hidden, and the uploads that jobs noted and have not let go. Only reads. Raises EndError, UnreachableError."""
        yield from self._hidden.strays()
        with self._objects.ending("look for uploads", _MARKER):
            start = self._bucket.prefix + _uploads.UPLOADS
            for key in self._bucket.below(start):
                operation = key[len(start) :].decode("ascii", "replace")
                yield Stray(operation, "temporary", _uploads.UPLOADS + operation.encode(), Fingerprint("special", 0, 0))

    def free_bytes(self) -> int | None:
        """None: a store does not tell."""
        return None

    def clock_ns(self) -> int:
        """The store's own time. Raises EndError, UnreachableError."""
        with self._objects.ending("ask for its time", _MARKER):
            return self._bucket.clock_ns()

    def close(self) -> None:
        """Close the connections."""
        if "_bucket" in self.__dict__:
            self._bucket.close()

    @cached_property
    def _bucket(self) -> Bucket:
        return Bucket(scanners.settings(self._config, self._volume))

    @cached_property
    def _objects(self) -> Objects:
        return Objects(self._volume, self._bucket)

    @cached_property
    def _hidden(self) -> Hidden:
        return Hidden(self._objects)

    def _need_quarantine(self, path: bytes) -> None:
        """Raises EndError REFUSED where nothing can be hidden so that it can be shown again, or nobody knows; UnreachableError."""
        self._refuse_changed(path)
        if not self._able(path).quarantine:
            raise EndError(
                "REFUSED", f"{self.shown(path)}: its bucket does not keep versions, or none of them can be removed alone: nothing is taken out of it"
            )

    @property
    def _fs_id(self) -> str:
        return self._bucket.naming.fs_id

    def _marker(self) -> Marker | None:
        """The marker that is there, whoever's. Raises UnreachableError."""
        with self._reaching():
            try:
                return parsed(self._bucket.get(self._bucket.prefix + _MARKER, {}))
            except StoreError as error:
                if error.status == 404 and error.code != "NoSuchBucket":
                    return None
                raise

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Raises UnreachableError for what a store refuses."""
        try:
            yield
        except StoreError as error:
            raise self._bucket.unreachable(error) from error

    def _write_marker(self, marker: Marker) -> None:
        self._bucket.put(self._bucket.prefix + _MARKER, json.dumps(asdict(marker)).encode())

    def _preparing(self) -> AbstractContextManager[None]:
        return self._objects.ending("prepare", _MARKER)

    def _make_home(self, *, known: bool) -> None:
        """Nothing: a key needs no folder."""

    def _find_out(self) -> Capabilities:
        wanted = self._declared.storage_class
        found = Canaries(self._bucket, wanted if wanted in _cold.CLASSES else None).find_out()
        self._refuse_unlockable(found)
        _cold.refuse_unread(self._declared, self._volume, found)
        return found

    def _place_of(self, volume: str) -> object:
        bucket = Bucket(scanners.settings(self._config, volume))
        return bucket.identity, bucket.prefix

    def _standing(self, able: Capabilities) -> Capabilities | None:
        assert self._hidden  # noqa: S101  # made here, before threads ask for it
        with self._reaching():
            self._is_changed = self._bucket.versioning() != able.versioning
        return None if self._is_changed else able  # whether a name that is taken stays another's may be otherwise, too

    def _means(self, path: bytes) -> Means:
        """What the copies share. Raises EndError REFUSED where nobody knows what the bucket can do, or it lacks too much."""
        self._refuse_changed(path)
        able = self._able(path)
        _cold.refuse_unread(self._declared, self._volume, able)
        if able.publish == "none":
            told = "this store does not keep an object from overwriting another, and the bucket keeps no versions of which one can be removed alone"
            told += " (a default retention keeps all); mend that, and prepare the volume again"
            raise EndError("REFUSED", f"{self._objects.shown(path)}: {told}")
        return self._shared()

    def _refuse_changed(self, path: bytes) -> None:
        """Raises EndError REFUSED where the bucket keeps versions otherwise than when it was prepared; UnreachableError."""
        if self.capabilities is None and self._is_changed:
            told = f"{_object_names.CHANGED}; 'lastcopy volume prepare {self._volume}' finds out what that means"
            raise EndError("REFUSED", f"{self._objects.shown(path)}: {told}", retry=True, stops_volume=True)

    def _shared(self) -> Means:
        """Raises EndError REFUSED where the store does not refuse any more what it refused when it was prepared; UnreachableError."""
        assert self._capabilities is not None  # noqa: S101  # the caller has looked
        with self._lock:
            if self._copies is None:
                if self._capabilities.publish == "create":
                    self._refuse_heedless()
                headers = {} if self._declared.storage_class is None else {"x-amz-storage-class": self._declared.storage_class}
                self._copies = Means(self._objects, self._capabilities, headers)
            return self._copies

    def _refuse_heedless(self) -> None:
        """Put the marker over itself: what refuses that refuses to put a copy over another's object. Raises EndError REFUSED, UnreachableError."""
        with self._objects.ending("look whether a name that is taken is refused", _MARKER):
            key = self._bucket.prefix + _MARKER
            body = self._bucket.get(key, {})
            try:
                self._bucket.put(key, body, {"Content-MD5": md5(body), "If-None-Match": "*"})
            except StoreError as error:
                if error.status in (409, 412):  # 409: while another engine asks the same
                    return
                raise
        told = f"this store does not keep an object from overwriting another any more; 'lastcopy volume prepare {self._volume}' finds out what that means"
        raise EndError("REFUSED", f"{self._volume}: {told}", retry=True, stops_volume=True)

    def _until(self) -> datetime.datetime | None:
        """When the locks of new copies end, as is declared: by time, by date, the later of both; None = as the bucket has it."""
        found = []
        if self._declared.lock_for is not None:
            found.append(self._bucket.clock_ns() // 10**9 + int(self._declared.lock_for))
        if (day := self._declared.immutable_until) is not None:
            found.append(int(datetime.datetime.combine(day, datetime.time.max, datetime.UTC).timestamp()))
        return datetime.datetime.fromtimestamp(max(found), datetime.UTC) if found else None

    def _refuse_unlockable(self, found: Capabilities) -> None:
        """Raises EndError REFUSED where locks are declared that the bucket does not keep."""
        if self._declared.immutability in ("governance", "compliance") and not found.locks:
            told = f"immutability = {self._declared.immutability!r} is declared, and the bucket keeps no locks of objects; make one with Object Lock"
            raise EndError("REFUSED", f"volume {self._volume}: {told}")

    def _refuse_spoilt(self, path: bytes) -> None:
        """Raises EndError REFUSED for a name that the store would not give back."""
        for odd in (self._capabilities.spoilt or "").split() if self._capabilities else ():
            if names.unescape(odd) in path:
                raise EndError("REFUSED", f"{self._objects.shown(path)}: this store does not keep names with {odd} as they are")


def _is_of_step(told: Mapping[str, str], key: str) -> bool:
    """Whether an object tells that a step stored it, in whatever try."""
    return told.get(OP, "").rpartition("-")[0] == key.rpartition("-")[0]


def _is_refused_late(able: Capabilities, size_bytes: int | None) -> bool:
    """Whether the name need not be looked at first: the store refuses one that is taken, be it of parts or not, and little is sent in vain."""
    return able.publish == able.parts == "create" and (size_bytes or 0) <= PART_BYTES


def _is_locked(told: Mapping[str, str], mode: str, until: datetime.datetime) -> bool:
    """Whether an object tells a lock of at least that mode, until that time or longer."""
    modes = ("COMPLIANCE",) if mode == "compliance" else ("GOVERNANCE", "COMPLIANCE")
    return told.get("x-amz-object-lock-mode") in modes and is_until(told.get("x-amz-object-lock-retain-until-date", ""), until)
