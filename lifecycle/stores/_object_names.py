"""How an object gets its name over nobody's: what is looked at before and after the request, and which version alone may be taken away again.

Ours is known by the operation in its metadata. Other programs give that on, too, with content of their own: what is taken away is a version that an answer of
the store to our own request named, or one whose content is what was sent.
"""

import hashlib
import time
from collections.abc import Callable, Mapping

from catalog import names
from catalog.store import StoreError
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, Source
from lifecycle.stores._bucket import Version
from lifecycle.stores._object_metadata import OP
from lifecycle.stores._objects import Objects

_TRIES = 4
_WAIT_SECONDS = 0.2
_NO_VERSION = (None, "null")  # "null": whoever stores next takes its place
CHANGED = "the bucket keeps versions otherwise than when the volume was prepared"


class Name:
    """The name of one object that a step stores."""

    def __init__(self, objects: Objects, able: Capabilities, path: bytes, key: str) -> None:
        self._objects, self._able, self._path, self._key = objects, able, path, key
        self.version: str | None = None  # that of our object, where one is told
        self.answered = False  # whether the store said yes to our request: the version is ours, whatever it has become

    def take(self, send: Callable[[], Mapping[str, str]], *, create: bool, sent: Callable[[], bytes]) -> None:
        """Send what gives the object its name; `sent` is its SHA-256. Where no answer says yes, look: ours is good, another's is a conflict. Writes.

        `create`: the store keeps it from taking another's place; else versions are looked at. Raises EndError CONFLICT, UNKNOWN where nobody can look, FAILED.
        """
        before = None if create else self._before()
        wait = _WAIT_SECONDS
        for left in range(_TRIES - 1, -1, -1):
            try:
                self.version = send().get("x-amz-version-id")
                self.answered = True
            except StoreError as error:
                if not (error.passing or error.status in (404, 409, 412)):
                    with self._objects.ending("store", self._path):
                        raise
                if not self._is_ours():
                    if not left or error.code == "NoSuchUpload":
                        with self._objects.ending("store", self._path):
                            raise
                    time.sleep(wait)
                    wait *= 2
                    continue
            self._refuse_changed()
            if before is not None:
                self._refuse_others(before, sent)
            return

    def take_away(self) -> None:
        """Remove our object, which has not the content that was sent. Writes. Raises EndError CONFLICT where it may be another's, FAILED."""
        shown = self._objects.shown(self._path)
        if not self.answered:
            told = "the object there names this step, and has other content than was sent: somebody may have written it; it was not touched, look at it"
            raise EndError("CONFLICT", f"{shown}: {told}")
        if self.version in _NO_VERSION or not self._able.removes_versions:
            told = "the store does not give back what was sent, and no version of this bucket can be removed alone: it was not touched, look at it"
            raise EndError("FAILED", f"{shown}: {told}", retry=True)
        self._remove()

    def _remove(self) -> None:
        assert self.version is not None  # noqa: S101  # the callers have looked
        with self._objects.ending("remove what we stored", self._path):
            self._objects.bucket.delete(self._objects.key(self._path), self.version)

    def _is_ours(self) -> bool:
        """Whether our object is at its name; False = nothing is. Raises EndError CONFLICT, UNKNOWN."""
        try:
            found = self._objects.bucket.find(self._objects.key(self._path))
        except StoreError as error:
            told = f"whether it was stored is not known, for no answer came ({error}); resume the job, which looks"
            raise EndError("UNKNOWN", f"{self._objects.shown(self._path)}: {told}", retry=True) from error
        if found is None:
            return False
        if found.get(OP) != self._key:
            raise EndError("CONFLICT", f"{self._objects.shown(self._path)}: something else took this name just now")
        self.version = found.get("x-amz-version-id")
        return True

    def _before(self) -> dict[str, Version]:
        """The versions before ours, none of which the name shows, in a bucket that keeps them now. Raises EndError CONFLICT, REFUSED."""
        found = self._versions()
        if any(one.is_latest and not one.is_marker for one in found.values()):
            raise EndError("CONFLICT", f"{self._objects.shown(self._path)}: something else took this name just now")
        with self._objects.ending("look whether versions are kept", self._path):
            if self._objects.bucket.versioning() != "enabled":
                raise self._changed()
        return found

    def _versions(self) -> dict[str, Version]:
        with self._objects.ending("look at its versions", self._path):
            return self._objects.bucket.versions(self._objects.key(self._path))

    def _refuse_changed(self) -> None:
        """Raises EndError REFUSED, for all that would follow, where the answer has a version and none was to be expected, or the reverse. Writes."""
        is_version = self.version not in _NO_VERSION
        if is_version == bool(self._able.versions):
            return
        if is_version and self.answered:  # no one knows whether something lies below it
            self._remove_for_good()
        raise self._changed()

    def _changed(self) -> EndError:
        told = f"{CHANGED}: prepare it again, then resume the job"
        return EndError("REFUSED", f"{self._objects.shown(self._path)}: {told}", retry=True, stops_volume=True)

    def _refuse_others(self, before: Mapping[str, Version], sent: Callable[[], bytes]) -> None:
        """None came while ours was stored, else ours goes. Writes. Raises EndError CONFLICT, and FAILED where ours stays over theirs."""
        after = self._versions()
        others = dict.fromkeys([version for version in after if version not in before and not after[version].is_marker])
        others |= dict.fromkeys(shown_before(after, self.version))
        if any(version != self.version and not self._is_the_same(version) for version in others):
            self.give_way(sent)

    def _is_the_same(self, version: str) -> bool:
        """Whether a version is gone, or ours that was sent twice."""
        found, mine = self._objects.find(self._path, version), self._objects.find(self._path, self.version)
        alike = (OP, "etag", "content-length")
        return found is None or (mine is not None and found.get(OP) == self._key and all(found.get(name) == mine.get(name) for name in alike))

    def give_way(self, sent: Callable[[], bytes]) -> None:
        """Remove our object, over which or below which another's is. Writes. Raises EndError CONFLICT; FAILED, for good, where ours has to stay."""
        if not (self.answered or self._has(sent())):
            raise self._stays("its content is not what was sent")
        self._remove_for_good()
        raise EndError("CONFLICT", f"{self._objects.shown(self._path)}: something else took this name just now, and has it")

    def _remove_for_good(self) -> None:
        """Remove our object, which may hide another's. Writes. Raises EndError FAILED, which no retry follows: it would take ours for the copy."""
        try:
            self._remove()
        except EndError as end:
            raise self._stays(end.reason) from end

    def _stays(self, why: str) -> EndError:
        told = f"another's object may have been there as ours was stored, and ours hides it; version {names.escape((self.version or '').encode())}, ours, stays"
        return EndError(
            "FAILED", f"{self._objects.shown(self._path)}: {told} ({why}): look at the versions of this name, and remove the one that is not wanted"
        )

    def _has(self, sha256: bytes) -> bool:
        """Whether the version that was found is one, and has that content."""
        found = None if self.version in _NO_VERSION else self._objects.find(self._path, self.version)
        return found is not None and self._objects.sha256(self._path, self._objects.fingerprint(self._path, found), self.version)[0] == sha256


def refuse_hiding(objects: Objects, able: Capabilities, path: bytes, found: Mapping[str, str], source: Source | None) -> None:
    """See that what an earlier, unfinished try of a step stored hides nobody's; else it goes. Writes. Raises EndError CONFLICT, FAILED."""
    earlier = Name(objects, able, path, found.get(OP, ""))
    earlier.version = found.get("x-amz-version-id")
    with objects.ending("look at its versions", path):
        others = shown_before(objects.bucket.versions(objects.key(path)), earlier.version)
    if others:
        earlier.give_way(lambda: b"" if source is None else _sha256(source))


def shown_before(versions: Mapping[str, Version], ours: str | None) -> list[str]:
    """The versions that the name would show without ours, as their times tell: those that no later delete marker covers."""
    marked_at = max((one.stored_at for one in versions.values() if one.is_marker), default=b"")
    return [version for version, one in versions.items() if version != ours and not one.is_marker and one.stored_at >= marked_at]


def _sha256(source: Source) -> bytes:
    digest = hashlib.sha256()
    for block in source.blocks():
        digest.update(bytes(block) if isinstance(block, int) else block)
    return digest.digest()
