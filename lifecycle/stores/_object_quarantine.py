"""What jobs take out of a bucket that keeps versions: a delete marker hides exactly the version that was verified, and nothing is moved. See ADR 0033.

Under `.lastcopy/quarantine/<key>/` two objects tell of each: a note, put before the marker, whose name says which version of which path it is, so that
scans leave that out (`catalog.ours.hidden`); and one whose name ends with the marker, put once it was seen what that hides.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from urllib.parse import quote, unquote

from catalog import hashes, names
from catalog.ours import HOME, QUARANTINE, hidden, is_key, temporary
from catalog.store import StoreError
from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint, Stray
from lifecycle.stores._bucket import Version
from lifecycle.stores._objects import Objects, Reading

FOLDER = b"%s/%s/" % (HOME, QUARANTINE)
_MARKER = b"marker/"
_NO_VERSION = (None, "", "null")  # "null" is what a bucket without versions has
_ON = "ON"


@dataclass(frozen=True)
class Note:
    """What is known of a version that a step hides, or was about to."""

    path: bytes
    version: str
    before: frozenset[str]  # the versions and markers that the name had before
    marker: str | None  # None = nobody has looked yet what was hidden


class Hidden:
    """The quarantine of one bucket."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._spent: list[str] = []  # keys of what was put back: their notes go
        self._settling = Lock()

    def hide(self, path: bytes, key: str, expected: Fingerprint) -> Fingerprint:
        """Hide the version that a path shows, see what was hidden, and show it again if it is not what was expected. Writes.

        Raises EndError, UnreachableError.
        """
        temporary(key)  # it must be a key
        shown, note = self._objects.shown(path), self._note(key)
        marker = None if note is None or note.path != path else self._last_marker(note, self._versions(path))
        if note is None or marker is None:  # else a run that was killed came so far
            told = self._objects.find(path)
            wrong = "it is gone" if told is None else expected.differs(self._objects.fingerprint(path, told))
            if told is None or wrong:
                raise EndError("SOURCE_CHANGED", f"{shown}: {wrong}; it stays where it is", retry=True)
            note = self._noted(path, key, told.get("x-amz-version-id"))
            marker = self._marked(note, key, told.get("etag", ""))
        after = self._versions(path)
        found = self._fingerprint(path, self._below(note, marker, after)) if _is_new_marker(note, marker, after) and note.version in after else None
        if found is None or expected.differs(found):
            self._unmark(note, marker)
            self._drop(key)
            raise EndError("SOURCE_CHANGED", f"{shown}: was replaced while it was hidden; what came shows again", retry=True)
        with self._objects.ending("write down what was hidden", path):
            self._objects.bucket.put(self._place(key, _MARKER + quote(marker, safe="").encode()), b"")
        return found

    def look(self, key: str) -> Fingerprint | None:
        """What the marker of a step hides; None = nothing. Only reads. Raises EndError, UnreachableError."""
        note = self._note(key)
        if note is None:
            return None
        found = self._versions(note.path)
        marker = self._marker(note, found)
        if marker is None or note.version not in found or found[note.version].is_latest:
            return None
        return self._fingerprint(note.path, self._below(note, marker, found))

    def show(self, key: str, path: bytes, expected: Fingerprint) -> None:
        """Take the marker of a step away, if the name shows its version then. Writes. Raises EndError CONFLICT, STALE, UnreachableError."""
        shown, note = self._objects.shown(path), self._note(key)
        if note is None or note.path != path:
            told = self._objects.find(path)
            if told is None or expected.differs(self._objects.fingerprint(path, told)):
                raise EndError("STALE", f"{shown}: its version is not in quarantine any more")
            self._spent.append(key)  # a killed run has put it back
            return
        found = self._versions(path)
        if note.version not in found:
            raise EndError("STALE", f"{shown}: its version {names.escape(note.version.encode())} is not there any more")
        marker = self._marker(note, found)
        if marker is not None and found[marker].is_latest:
            self._unmark(note, marker)
            told = self._objects.find(path)
            if told is None or expected.differs(self._objects.fingerprint(path, told)):
                raise EndError("CONFLICT", f"{shown}: was put back, and replaced by somebody as soon as it was shown")
        elif not found[note.version].is_latest:
            theirs = "; ".join(names.escape(one.encode()) for one, told_of in found.items() if told_of.is_latest)
            told_so = f"something else was stored or deleted under this name since (version {theirs})"
            raise EndError("CONFLICT", f"{shown}: {told_so}; the file stays in quarantine, as version {names.escape(note.version.encode())}")
        self._spent.append(key)

    def settle(self) -> None:
        """The notes of what was put back go. Writes. Raises EndError, UnreachableError."""
        with self._settling:
            while self._spent:
                key = self._spent[-1]
                self._drop(key)
                self._spent.remove(key)  # another thread may have put one behind it

    def remove(self, key: str, expected: Fingerprint) -> None:
        """Remove a hidden version by its id, its marker if that hides nothing else, and the notes. Writes.

        Raises EndError STALE where it is not what was expected, REFUSED where a lock or a legal hold keeps it, UnreachableError.
        """
        note = self._note(key)
        if note is None:
            self._drop(key)
            return
        path, shown = note.path, self._objects.shown(note.path)
        found = self._versions(path)
        marker = self._marker(note, found)
        if note.version in found:
            told = self._objects.find(path, note.version)
            wrong = "it shows again" if marker is None or found[note.version].is_latest else None
            wrong = wrong or ("it cannot be looked at" if told is None else expected.differs(self._objects.fingerprint(path, told)))
            if wrong or told is None:
                raise EndError("STALE", f"{shown}: is not what was hidden there ({wrong}); it was not removed")
            self._refuse_locked(shown, told)
            self._remove(path, note.version)
            found = self._versions(path)
            if note.version in found:
                raise EndError("FAILED", f"{shown}: the store says that the version is removed, and has it still", retry=True)
        if marker is not None and set(found) == {marker}:
            self._unmark(note, marker)
        self._drop(key)

    def forget(self, key: str) -> None:
        """Drop the notes of what was never hidden. Writes. Raises EndError, UnreachableError."""
        if self.look(key) is None:
            self._drop(key)

    def open(self, key: str, expected: Fingerprint) -> Reading:
        """A hidden version, to be read. Only reads. Raises EndError STALE, UnreachableError."""
        note = self._note(key)
        told = None if note is None else self._objects.find(note.path, note.version)
        if note is None or told is None:
            raise EndError("STALE", f"{self._objects.volume}: {FOLDER.decode()}{key}: its version is not there any more")
        found = self._objects.fingerprint(note.path, told)
        if wrong := expected.differs(found):
            raise EndError("STALE", f"{self._objects.shown(note.path)}: is not what was hidden there ({wrong})")
        return Reading(self._objects, note.path, found, told, note.version)

    def strays(self) -> Iterator[Stray]:
        """Every hidden version that a note tells of. Only reads. Raises EndError, UnreachableError."""
        bucket = self._objects.bucket
        start = bucket.prefix + FOLDER
        with self._objects.ending("list the quarantine", FOLDER):
            keys = sorted({key[len(start) :].partition(b"/")[0].decode("ascii", "replace") for key in bucket.below(start)})
        for key in keys:
            note = self._note(key) if is_key(key) else None
            found = None if note is None else self.look(key)
            if note is not None and found is not None:
                yield Stray(key, "quarantine", note.path, found)

    def _noted(self, path: bytes, key: str, version: str | None) -> Note:
        """The note of a version that is about to be hidden. Writes. Raises EndError REFUSED where hiding it could lose something."""
        shown = self._objects.shown(path)
        before = self._versions(path)
        if version is None or version in _NO_VERSION or set(before) & set(_NO_VERSION):
            told = "a version of this name is from before its bucket kept versions, and could be lost if that ended now; copy it onto itself, then scan again"
            raise EndError("REFUSED", f"{shown}: {told}")
        if version not in before or not before[version].is_latest:
            raise EndError("SOURCE_CHANGED", f"{shown}: was replaced just now; it stays where it is", retry=True)
        note = Note(path, version, frozenset(before), None)
        text = json.dumps({"path": base64.b64encode(path).decode(), "version": version, "before": sorted(before)}).encode()
        self._drop(key)
        with self._objects.ending("write down what is hidden", path):
            if self._objects.bucket.versioning() != "enabled":
                raise EndError("REFUSED", f"{shown}: its bucket keeps no versions any more", retry=True, stops_volume=True)
            self._objects.bucket.put(self._place(key, hidden(hashes.of_path(path), version)), text)
        return note

    def _marked(self, note: Note, key: str, etag: str) -> str:
        """Put a delete marker over what a name shows; gives its id. Where no answer comes the versions tell. Writes. Raises EndError, UnreachableError."""
        shown = self._objects.shown(note.path)
        with self._objects.ending("hide", note.path):
            try:
                marker, is_marker = self._objects.bucket.hide(self._objects.key(note.path), etag)
            except StoreError as error:
                came = self._marker(note, self._versions(note.path)) if error.passing or error.status == 412 else None
                if came is not None:  # also where it is refused: who passes requests on may have sent it twice
                    return came
                if error.status == 412:
                    self._drop(key)
                    raise EndError("SOURCE_CHANGED", f"{shown}: was replaced or deleted just now; what came stays", retry=True) from error
                raise  # where no answer came nobody knows whether one will: the next run looks
        if marker is not None and is_marker and marker not in _NO_VERSION:
            return marker
        found = self._versions(note.path)
        if came := self._marker(note, found):  # some stores put no marker over another
            return came
        if note.version in found and not found[note.version].is_latest and marker in _NO_VERSION and "null" not in found:
            self._drop(key)
            raise EndError("SOURCE_CHANGED", f"{shown}: was deleted just now", retry=True)
        told = "its bucket keeps no versions any more, and a delete marker that has no id may lie over it: look at the versions of this name"
        raise EndError("REFUSED", f"{shown}: {told}", retry=True, stops_volume=True)

    def _marker(self, note: Note, found: Mapping[str, Version]) -> str | None:
        """The marker of a step, if it is there: the one that was written down, else the one marker that came since the note, if nothing else did.

        Whoever may store objects may write notes: they are believed of a delete marker that came after them, and of nothing else.
        """
        if note.marker is not None and _is_new_marker(note, note.marker, found):
            return note.marker
        came = [version for version in found if version not in note.before]
        return came[0] if len(came) == 1 and _is_new_marker(note, came[0], found) else None

    def _last_marker(self, note: Note, found: Mapping[str, Version]) -> str | None:
        """The marker of a step, or the one that hides what came since its note: a store that lets no marker depend on what shows put it over that."""
        came = [version for version in found if found[version].is_latest and _is_new_marker(note, version, found)]
        return self._marker(note, found) or (came[0] if came else None)

    def _below(self, note: Note, marker: str, found: Mapping[str, Version]) -> str:
        """The version that a marker hides: as long as nobody has looked, one that came before it and after the note."""
        if note.marker is None:
            put = found[marker]
            came = [version for version, one in found.items() if not one.is_marker and version not in note.before]
            hidden_by_it = [version for version in came if put.is_latest or found[version].stored_at <= put.stored_at]
            if hidden_by_it:
                return hidden_by_it[0]
        return note.version

    def _unmark(self, note: Note, marker: str) -> None:
        """Take away a delete marker that came since a note; nothing else. Writes. Raises EndError, UnreachableError."""
        if _is_new_marker(note, marker, self._versions(note.path)):
            self._remove(note.path, marker)

    def _refuse_locked(self, shown: str, told: Mapping[str, str]) -> None:
        until = told.get("x-amz-object-lock-retain-until-date", "")
        if told.get("x-amz-object-lock-legal-hold", "").upper() == _ON:
            raise EndError("REFUSED", f"{shown}: a legal hold keeps its version; nothing was removed", retry=True)
        if until and self._objects.is_still(until):
            raise EndError("REFUSED", f"{shown}: a lock keeps its version until {names.escape(until.encode())}; nothing was removed", retry=True)

    def _fingerprint(self, path: bytes, version: str) -> Fingerprint | None:
        told = self._objects.find(path, version)
        return None if told is None else self._objects.fingerprint(path, told)

    def _versions(self, path: bytes) -> dict[str, Version]:
        with self._objects.ending("look at its versions", path):
            return self._objects.bucket.versions(self._objects.key(path))

    def _remove(self, path: bytes, version: str) -> None:
        if version in _NO_VERSION:  # what has that id can be replaced by somebody at any time
            raise EndError("REFUSED", f"{self._objects.shown(path)}: what is to be removed has no id of its own; look at the versions of this name")
        with self._objects.ending("remove a version", path):
            self._objects.bucket.delete(self._objects.key(path), version)

    def _note(self, key: str) -> Note | None:
        """What is written down of a step; None = nothing that is whole. Raises EndError, UnreachableError."""
        bucket, start = self._objects.bucket, self._place(key, b"")
        with self._objects.ending("look into the quarantine", FOLDER):
            told = list(bucket.below(start))
            markers = [unquote(one[len(start + _MARKER) :].decode("ascii", "replace")) for one in told if one.startswith(start + _MARKER)]
            notes = [one for one in told if not one.startswith(start + _MARKER)]
            if len(notes) != 1:
                return None
            try:
                found = json.loads(bucket.get(notes[0], {}))
                return Note(base64.b64decode(found["path"], validate=True), found["version"], frozenset(found["before"]), markers[0] if markers else None)
            except (ValueError, TypeError, KeyError):
                return None

    def _drop(self, key: str) -> None:
        """Remove all that is written down of a step, every version of it. Writes. Raises EndError, UnreachableError."""
        bucket = self._objects.bucket
        with self._objects.ending("tidy the quarantine", FOLDER):
            for one in sorted(bucket.below(self._place(key, b"")), reverse=True):  # the note last
                for version in bucket.versions(one):
                    bucket.delete(one, version)

    def _place(self, key: str, name: bytes) -> bytes:
        temporary(key)  # it is a key
        return b"%s%s%s/%s" % (self._objects.bucket.prefix, FOLDER, key.encode(), name)


def _is_new_marker(note: Note, version: str, found: Mapping[str, Version]) -> bool:
    """Whether a version is a delete marker that was not there when a note was written."""
    return version in found and found[version].is_marker and version not in note.before and version not in _NO_VERSION
