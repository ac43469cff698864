"""Folders of other hosts as jobs use them, whatever is spoken with the host: our folder there, its marker, and what needs no more than names."""

import json
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

from catalog.ours import HOME, MARKER, QUARANTINE, is_temporary, key_of
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, Fingerprint, Move, Pointer, Source, Stray
from lifecycle.stores._home import Marker, parsed
from lifecycle.stores._host_files import sha256_of
from lifecycle.stores._marked import Marked
from lifecycle.stores._plain import Plain

if TYPE_CHECKING:
    from lifecycle.stores._hosted_quarantine import Quarantine

CANARIES = b"canaries-"
NEW_MARKER = b"volume.json.new"
_CLOCK = b"clock"
_MOST_BYTES = 64 << 10


class Files(Protocol):
    """What a host does with names. A place is what it calls a path. Every call raises `refused` for what it does not do, and UnreachableError."""

    volume: str

    @property
    def refused(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What is raised for what the host refuses."""

    def shown(self, path: bytes) -> str:
        """The volume and the path, escaped."""

    def split(self, path: bytes) -> tuple[bytes, bytes]:
        """Directory and name of a path. Raises EndError REFUSED for one that is none, that leaves the volume, or that is ours."""

    def at(self, *parts: bytes) -> bytes:
        """The place of a path."""

    def home(self, *parts: bytes) -> bytes:
        """A place in our folder."""

    def ending(self, doing: str, path: bytes) -> AbstractContextManager[None]:
        """What the host refuses ends the step."""

    def look(self, path: bytes) -> Fingerprint | None:
        """What is at a path; None = nothing. Raises EndError."""

    def is_here(self, inner: bytes) -> bool:
        """Whether a folder is where its path says, and no link led to it."""

    def kind(self, place: bytes) -> str | None:
        """What is at a place, as `Fingerprint.type` has it; None = nothing."""

    def need_folder(self, path: bytes) -> object:
        """Raises EndError STALE, REFUSED where the folder of a path is not there, or behind a link."""

    def is_private(self, place: bytes) -> bool:
        """Whether a folder of ours can be written to by nobody else, as far as the host tells."""

    def take(self, path: bytes, to: bytes, expected: Fingerprint) -> None:
        """Have what a path leads to at one instant lie at a place of ours. Writes. Raises EndError SOURCE_CHANGED, SOURCE_BUSY."""

    def seen(self, place: bytes, path: bytes) -> Fingerprint | None:
        """What is at a place, told as that of a path."""

    def listed(self, place: bytes) -> list[tuple[bytes, bool]]:
        """The names in a folder, and whether each is a folder."""

    def make_folder(self, place: bytes) -> None:
        """Make a folder where nothing is. Writes."""

    def remove_folder(self, place: bytes) -> None:
        """Remove an empty folder. Writes."""

    def write_new(self, place: bytes, content: bytes) -> None:
        """Write a file where nothing is. Writes."""

    def read_small(self, place: bytes, most_bytes: int) -> bytes:
        """The beginning of a file."""

    def rename(self, place: bytes, to: bytes) -> None:
        """Give something another name, which nothing has. Writes."""

    def remove(self, place: bytes) -> None:
        """Remove a file, if it is there. Writes."""


class Hosted(Plain):
    """What stores of such folders share."""

    _files: Files
    _quarantine: "Quarantine"
    _no_target: str  # why nothing is copied to a host that cannot publish

    def shown(self, path: bytes) -> str:
        """The volume and the path, escaped."""
        return self._files.shown(path)

    def look(self, path: bytes) -> Fingerprint | None:
        """What is at a path now; None = nothing. Only reads. Raises EndError, UnreachableError."""
        return self._files.look(path)

    def open(self, path: bytes, expected: Fingerprint) -> Source:
        """Open a file or symbolic link that is what was expected. Only reads. Raises EndError STALE, REFUSED, UnreachableError."""
        found = self._files.look(path)
        wrong = "it is not there any more" if found is None else expected.differs(found)
        if wrong or found is None:
            raise EndError("STALE", f"{self.shown(path)}: is not what was planned ({wrong})")
        if found.type not in ("file", "symlink"):
            raise EndError("REFUSED", f"{self.shown(path)}: is neither a file nor a symbolic link")
        return self._reading(path, found)

    def digest(self, path: bytes, expected: Fingerprint) -> bytes:
        """SHA-256 of a file that is what was expected before and after. Only reads. Raises EndError, UnreachableError."""
        source = self.open(path, expected)
        try:
            with self._files.ending("read", path):
                found, _ = sha256_of(block for block in source.blocks() if not isinstance(block, int))
        finally:
            source.close()
        return found

    def protect(self, path: bytes, key: str, found: Fingerprint) -> None:
        """Nothing: no file of a tree is locked by jobs."""

    def announce(self, moves: Iterable[Move]) -> None:
        """Write the sidecars of moves into quarantine. Writes. Raises EndError, UnreachableError."""
        moves = list(moves)
        for move in moves:
            self._need_quarantine(move.path)
        self._quarantine.announce(moves)

    def quarantine(self, path: bytes, key: str, expected: Fingerprint, *, leave: Pointer | None = None) -> Fingerprint:
        """Move a file into quarantine, look at what was moved, put it back if it is not what was expected. Writes. Raises EndError, UnreachableError."""
        self._need_quarantine(path)
        return self._quarantine.move_in(Move(path, key, expected, leave))

    def settle_quarantine(self) -> None:
        """The sidecars of what was put back go. Writes. Raises EndError, UnreachableError."""
        self._quarantine.settle()

    def quarantined(self, key: str) -> Fingerprint | None:
        """The file that a step has in quarantine; None = none. Only reads. Raises EndError, UnreachableError."""
        return self._quarantine.look(key)

    def open_quarantined(self, key: str, expected: Fingerprint) -> Source:
        """Open a quarantined file, changed time let go. Only reads. Raises EndError STALE, UnreachableError."""
        found = self._quarantine.look(key)
        wrong = "it is not there any more" if found is None else expected.differs(found, moved=True)
        if wrong or found is None:
            raise EndError("STALE", f"{self._files.volume}:.lastcopy/quarantine/{key}: is not what was moved there ({wrong})")
        return self._kept(self._quarantine.place(key), found)

    def put_back(self, key: str, path: bytes, expected: Fingerprint) -> None:
        """Move a quarantined file to its old name, over nothing. Writes. Raises EndError CONFLICT, STALE, UnreachableError."""
        self._need_quarantine(path)
        self._quarantine.move_back(key, path, expected)

    def remove(self, key: str, expected: Fingerprint) -> None:
        """Remove a quarantined file and its sidecar. The only call that destroys content. Writes. Raises EndError STALE, UnreachableError."""
        self._quarantine.remove(key, expected)

    def strays(self) -> Iterator[Stray]:
        """What is in quarantine, and every temporary name. Only reads. Raises EndError where a folder cannot be listed, UnreachableError."""
        yield from self._quarantine.files()
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            with self._files.ending("list", folder):
                for name, is_folder in self._files.listed(self._files.at(folder)):
                    path = folder + b"/" + name if folder else name
                    if is_temporary(name):
                        if (found := self._files.seen(self._files.at(path), path)) is not None:
                            yield Stray(key_of(name) or "", "temporary", path, found)
                    elif path != HOME and is_folder and self._files.is_here(path):
                        waiting.append(path)

    def clock_ns(self) -> int:
        """The host's own time where it was prepared and can be written, else ours. Writes. Raises UnreachableError."""
        place = self._files.home(_CLOCK)
        if self._marker() is None:
            return time.time_ns()
        with suppress(EndError), self._files.ending("ask for the time", HOME):
            self._files.remove(place)
            self._files.write_new(place, b"")
            if (found := self._files.seen(place, HOME)) is not None:
                return found.modified_ns
        return time.time_ns()

    def _forget(self, key: str) -> None:
        """Remove the sidecar of a move that was never made. Writes. Raises EndError, UnreachableError."""
        if self.capabilities is not None and self.capabilities.quarantine:
            self._quarantine.forget(key)

    def _need_quarantine(self, path: bytes) -> None:
        """Raises EndError REFUSED where files cannot be moved out of their places safely, or nobody knows; UnreachableError."""
        if not Marked._able(self, path).quarantine:
            raise EndError("REFUSED", f"{self.shown(path)}: nothing can be moved out of its place here without a danger for who saves a file meanwhile")

    @abstractmethod
    def _kept(self, place: bytes, found: Fingerprint) -> Source:
        """A file in quarantine, to be read. Raises EndError."""

    @abstractmethod
    def _reading(self, path: bytes, found: Fingerprint) -> Source:
        """A file that was found, to be read. Raises EndError."""

    def _refuse_a_stranger(self, place: bytes) -> None:
        """Raises EndError REFUSED where our folder is not ours alone, as far as the host tells."""

    def _beginning(self, path: bytes, over: Fingerprint | None) -> Capabilities:
        """What the host can do, for a copy to a path. Raises EndError REFUSED where it takes none of that path."""
        able = self._able(path)
        if over is not None:
            raise EndError("REFUSED", f"{self.shown(path)}: on this storage nothing takes the place of what is there")
        self._files.split(path)
        if (longest := max(map(len, path.split(b"/")))) > able.name_bytes:
            raise EndError("REFUSED", f"{self.shown(path)}: a name of {longest} bytes; the host takes {able.name_bytes}")
        return able

    def _able(self, path: bytes) -> Capabilities:
        """What the host can do, for a step that writes. Raises EndError REFUSED where nobody knows, or it lacks too much; UnreachableError."""
        able = super()._able(path)
        if able.publish == "none":
            raise EndError("REFUSED", f"{self.shown(path)}: {self._no_target}: nothing is copied to it")
        return able

    def _preparing(self) -> AbstractContextManager[None]:
        return self._files.ending("prepare", HOME)

    def _marker(self) -> Marker | None:
        """The marker that is there, whoever's; None = none that can be read. Raises UnreachableError."""
        files, place = self._files, self._files.home(MARKER)
        try:
            with files.ending("look for the marker", HOME):
                if files.kind(files.home()) != "dir" or files.kind(place) != "file":
                    return None
                return parsed(files.read_small(place, _MOST_BYTES))
        except EndError:
            return None

    def _make_home(self, *, known: bool) -> None:
        """Make our folder, or see that the one which is there is ours alone. Writes. Raises what a refusal raises, EndError REFUSED."""
        place = self._files.home()
        there = self._files.kind(place)
        if there is None:
            self._files.make_folder(place)
            return
        if there != "dir":
            raise EndError("REFUSED", f"{self.shown(HOME)}: is not a folder of ours; somebody put it there: remove it, then prepare the volume")
        if not known:
            names = [name for name, _ in self._files.listed(place)]
            odd = [name for name in names if name not in (MARKER, NEW_MARKER, _CLOCK, QUARANTINE) and not name.startswith(CANARIES)]
            if odd:
                told = "is nothing that Lastcopy put there, and its folder has no marker; move it elsewhere, the name is Lastcopy's"
                raise EndError("REFUSED", f"{self.shown(HOME + b'/' + odd[0])}: {told}")
        self._refuse_a_stranger(place)

    def _write_marker(self, marker: Marker) -> None:
        """Put the marker in its place. Writes. Raises what a refusal raises, UnreachableError."""
        new, place = self._files.home(NEW_MARKER), self._files.home(MARKER)
        self._files.remove(new)
        self._files.write_new(new, json.dumps(asdict(marker), indent=2).encode() + b"\n")
        self._files.remove(place)  # a run that is killed now leaves a volume that is to be prepared again
        self._files.rename(new, place)
