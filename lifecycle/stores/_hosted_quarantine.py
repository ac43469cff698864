"""Moves into `.lastcopy/quarantine/` of a folder of another host and out of it again: what was moved is looked at, and nothing is overwritten.

A sidecar tells of a move before it is made, see `_sidecars`. Where no number tells one file from another, whoever moved one reads it there.
"""

import base64
from collections.abc import Callable, Iterable, Iterator
from threading import Lock

from catalog.ours import HOME, QUARANTINE, is_key, temporary
from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint, Move, Stray, _sidecars
from lifecycle.stores._host_files import sha256_of
from lifecycle.stores._hosted import Files

_MOST_BYTES = 1 << 20  # of a sidecar
Reads = Callable[[bytes, int], Iterable[bytes]]  # the content of a place, which has that size


class Quarantine:
    """The quarantine of one volume."""

    def __init__(self, files: Files, reads: Reads) -> None:
        self._files, self._reads = files, reads
        self._is_there = False
        self._announced: set[str] = set()
        self._spent: list[str] = []  # keys whose files went back: their sidecars go
        self._settling = Lock()

    def announce(self, moves: Iterable[Move]) -> None:
        """Write sidecars, where they are not there yet. Writes. Raises EndError REFUSED for a move that is to leave something, UnreachableError."""
        new = [move for move in moves if move.key not in self._announced]
        for move in new:
            if move.leave is not None:
                raise EndError("REFUSED", f"{self._files.shown(move.path)}: on this storage nothing can be left in the place of a file")
        if not new:
            return
        with self._files.ending("write down what is moved", HOME):
            self._need_home()
            for move in new:
                place, line = self._place(_sidecars.name(move.key)), _sidecars.text_of(move)
                if not self._stands(place, line):
                    self._files.write_new(place, line)
                self._announced.add(move.key)

    def move_in(self, move: Move) -> Fingerprint:
        """Move a file into quarantine; see `Store.quarantine`. Writes. Raises EndError, UnreachableError."""
        files, own = self._files, self._place(_name(move.key))
        with files.ending("move into quarantine", move.path):
            done = self._moved_already(own, move)
            if done is not None:
                return done
            self.announce([move])
            files.need_folder(move.path)
            files.take(move.path, own, move.expected)
            found = files.seen(own, move.path)
            wrong = "it is gone" if found is None else move.expected.differs(found, moved=True)
            if found is not None and not wrong:
                return found
            self._name_again(own, move.path, "was replaced while it was moved, and its name was taken again", move.key)
            self._spent.append(move.key)
        raise EndError("SOURCE_CHANGED", f"{files.shown(move.path)}: what was moved was not what was expected ({wrong}); it was put back", retry=True)

    def settle(self) -> None:
        """The sidecars of what has left go. Writes. Raises EndError, UnreachableError."""
        with self._settling, self._files.ending("tidy the quarantine", HOME):
            while self._spent:
                key = self._spent[-1]
                self._files.remove(self._place(_sidecars.name(key)))
                self._announced.discard(key)
                self._spent.remove(key)  # another thread may have put one behind it

    def look(self, key: str) -> Fingerprint | None:
        """What a step has in quarantine; None = nothing. Only reads. Raises EndError, UnreachableError."""
        with self._files.ending("look into the quarantine", HOME):
            return self._files.seen(self.place(key), HOME)

    def place(self, key: str) -> bytes:
        """Where the file of a step lies. Raises ValueError for what is no key, UnreachableError."""
        return self._place(_name(key))

    def move_back(self, key: str, path: bytes, expected: Fingerprint) -> None:
        """Move a quarantined file to its old name; see `Store.put_back`. Writes. Raises EndError, UnreachableError.

        What somebody who had it open has written to it since goes back with it.
        """
        files, own = self._files, self.place(key)
        with files.ending("put back", path):
            files.need_folder(path)
            here, kept = files.look(path), files.seen(own, path)
            if kept is None:
                if here is None or expected.differs(here, moved=True):
                    raise EndError("STALE", f"{files.shown(path)}: its file is not in quarantine any more")
            elif here is not None:
                self._drop_second(own, path, here, kept)
            else:
                written = expected._replace(size_bytes=kept.size_bytes, modified_ns=kept.modified_ns)
                if wrong := written.differs(kept, moved=True):
                    raise EndError("STALE", f"{files.shown(path)}: what is in quarantine is not what was moved there ({wrong})")
                self._name_again(own, path, "something else has this name now", key)
                found = files.seen(files.at(path), path)
                if found is None or kept.differs(found, moved=True):
                    raise EndError("CONFLICT", f"{files.shown(path)}: was put back, and replaced by somebody as soon as it had its name")
            self._spent.append(key)

    def remove(self, key: str, expected: Fingerprint) -> None:
        """Remove a quarantined file and its sidecar. Writes. Raises EndError STALE if it is not what was expected, UnreachableError."""
        files, own = self._files, self.place(key)
        with files.ending("remove from quarantine", HOME):
            found = files.seen(own, HOME)
            if found is not None:
                if wrong := expected.differs(found, moved=True):
                    raise EndError("STALE", f"{self._shown(key)}: is not what was moved there ({wrong}); it was not removed")
                files.remove(own)
            files.remove(self._place(_sidecars.name(key)))

    def forget(self, key: str) -> None:
        """Remove the sidecar of a move that was never made. Writes. Raises EndError, UnreachableError."""
        with self._files.ending("tidy the quarantine", HOME):
            if self._files.seen(self.place(key), HOME) is None:
                self._files.remove(self._place(_sidecars.name(key)))
                self._announced.discard(key)

    def files(self) -> Iterator[Stray]:
        """Every file in quarantine; its old path is empty where no sidecar tells it. Only reads. Raises EndError, UnreachableError."""
        files = self._files
        with files.ending("list the quarantine", HOME):
            if files.kind(files.home(QUARANTINE)) != "dir":
                return
            for name, is_folder in sorted(files.listed(files.home(QUARANTINE))):
                key = name.decode("ascii", "replace")
                if is_folder or not is_key(key):
                    continue
                sidecar = _sidecars.parsed(self._read(self._place(_sidecars.name(key))), key)
                found = files.seen(self._place(name), HOME)
                if found is not None:
                    yield Stray(key, "quarantine", base64.b64decode(sidecar["path"]) if sidecar else b"", found)

    def _moved_already(self, own: bytes, move: Move) -> Fingerprint | None:
        """What a killed run has moved already."""
        found, here = self._files.seen(own, move.path), self._files.look(move.path)
        if found is None:
            return None
        if here is not None:
            self._drop_second(own, move.path, here, found)  # a move back was cut off: its old name is the one to keep
            return None
        if wrong := move.expected.differs(found, moved=True):
            raise EndError("UNKNOWN", f"{self._shown(move.key)}: holds something that is not expected there ({wrong}); look at it")
        return found

    def _drop_second(self, own: bytes, path: bytes, here: Fingerprint, kept: Fingerprint) -> None:
        """Remove what lies in quarantine if its old name has it, too: some hosts move by giving a second name first. Writes. Raises EndError CONFLICT."""
        files = self._files
        if kept.differs(here, moved=True) or not (here.inode is not None or self._sha256(own, kept) == self._sha256(files.at(path), here)):
            raise EndError("CONFLICT", f"{files.shown(path)}: something else has this name now; the file stays in quarantine")
        files.remove(own)

    def _name_again(self, own: bytes, path: bytes, taken: str, key: str) -> None:
        """Give what is in quarantine its old name, over nothing. Writes. Raises EndError CONFLICT where that is `taken`: it stays in quarantine."""
        files = self._files
        try:
            files.rename(own, files.at(path))
        except files.refused as error:
            if files.seen(files.at(path), path) is None:
                raise
            raise EndError("CONFLICT", f"{files.shown(path)}: {taken}; the file stays in quarantine, it is {self._shown(key)}") from error

    def _need_home(self) -> None:
        """Make the folder, or see that the one which is there is ours alone. Writes. Raises EndError REFUSED, what a refusal raises, UnreachableError."""
        if self._is_there:
            return
        files, place = self._files, self._files.home(QUARANTINE)
        if files.kind(place) is None:
            try:
                files.make_folder(place)
            except files.refused:
                if files.kind(place) != "dir":  # else another run made it
                    raise
        if files.kind(place) != "dir" or not files.is_here(HOME + b"/" + QUARANTINE) or not files.is_private(place):
            raise EndError("REFUSED", f"{files.shown(HOME + b'/' + QUARANTINE)}: is no folder of ours alone; nothing is moved into it")
        self._is_there = True

    def _stands(self, place: bytes, line: bytes) -> bool:
        """Whether a sidecar says that already. One that does not, of another attempt or not whole, goes. Writes."""
        if self._files.kind(place) is None:
            return False
        if self._read(place) == line:
            return True
        self._files.remove(place)
        return False

    def _read(self, place: bytes) -> bytes:
        """What a sidecar says; nothing where there is none."""
        return self._files.read_small(place, _MOST_BYTES) if self._files.kind(place) == "file" else b""

    def _sha256(self, place: bytes, found: Fingerprint) -> bytes:
        return sha256_of(self._reads(place, found.size_bytes))[0]

    def _place(self, name: bytes) -> bytes:
        return self._files.home(QUARANTINE, name)

    def _shown(self, key: str) -> str:
        return f"{self._files.volume}:{(HOME + b'/' + QUARANTINE).decode()}/{key}"


def _name(key: str) -> bytes:
    temporary(key)  # it is a key
    return key.encode()
