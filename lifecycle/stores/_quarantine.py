"""Moves into `.lastcopy/quarantine/` and out of it again: what was moved is looked at, and nothing is overwritten.

A sidecar tells of a move before it is made, see `_sidecars`.
"""

import base64
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, NoReturn

from catalog.ours import is_key, temporary
from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint, Move, Pointer, _calls, _pointers, _sidecars, _standins
from lifecycle.stores._exchanging import change_back, is_one
from lifecycle.stores._home import Home
from lifecycle.stores._tree import Tree


class Quarantine:
    """The quarantine of one volume."""

    def __init__(self, tree: Tree, home: Home) -> None:
        self._tree = tree
        self._home = home
        self._announced: set[str] = set()
        self._pointing: set[str] = set()  # keys under which the pointer lies that the move is to leave
        self._spent: list[str] = []  # keys whose sidecars go once what became of their files is durable

    def announce(self, moves: Iterable[Move]) -> None:
        """Write sidecars, durable together, then the pointers that moves are to leave, likewise. Writes. Raises EndError."""
        new = [move for move in moves if move.key not in self._announced]
        if not new:
            return
        directory = self._home.quarantine()
        with self._ending("write sidecars"):
            _sidecars.write(directory, new)
            self._tree.sync(directory, may_not=True)
            self._announced.update(move.key for move in new)
            self._make_pointers(directory, [(move, move.leave) for move in new if move.leave is not None and move.leave.how != "equal"])

    def move_in(self, move: Move) -> Fingerprint:
        """Move a file into quarantine; see `Store.quarantine`. Writes. Raises EndError."""
        home, key = self._home.quarantine(), _name(move.key)
        with self._tree.directory(move.path, "move into quarantine") as (directory, name):
            done = None if move.key in self._pointing else self._moved_already(home, directory, name, move)
            if done is not None:
                return done
            self.announce([move])
            if move.leave is None:
                _take(directory, name, home, key)
            else:
                self._leave_pointer(home, directory, name, move, move.leave)
            found = self._tree.fingerprint_in(home, key, move.path)
            wrong = "it is gone" if found is None else move.expected.differs(found, moved=True)
            if found is not None and not wrong:
                return found
            self._move_back(home, directory, name, move)
        raise EndError("SOURCE_CHANGED", f"{self._tree.shown(move.path)}: what was moved was not what was expected ({wrong}); it was put back", retry=True)

    def settle(self) -> None:
        """Make moves durable on this side; then the sidecars of what has left go. Writes. Raises EndError."""
        directory = self._home.quarantine()
        with self._ending("make the quarantine durable"):
            self._tree.sync(directory, may_not=True)
            while self._spent:
                self._drop_sidecar(directory, self._spent.pop())

    def look(self, key: str) -> Fingerprint | None:
        """What a step has in quarantine; None = nothing, or only the pointer that it was about to leave."""
        directory = self._home.quarantine()
        with self._ending("look"):
            found = self._tree.fingerprint_in(directory, _name(key), b"")
            if found is None or self._is_pointer(directory, _name(key), _sidecars.read(directory, key)):
                return None
            return found

    def move_back(self, key: str, path: bytes, expected: Fingerprint) -> None:
        """Move a quarantined file to its old name; see `Store.put_back`. Writes. Raises EndError."""
        home = self._home.quarantine()
        with self._tree.directory(path, "put back") as (directory, name):
            here = self._tree.fingerprint_in(directory, name, path)
            sidecar = _sidecars.read(home, key)
            kept = self.look(key)
            if kept is not None and here is not None and (here.fs_id, here.inode) == (kept.fs_id, kept.inode):
                os.unlink(_name(key), dir_fd=home)  # linked, and not yet unlinked
            elif kept is None:
                if here is None or _is_another(expected, here, numbers_are_given_anew=expected.created_ns is None):
                    raise EndError("STALE", f"{self._tree.shown(path)}: its file is not in quarantine any more")
                try:
                    self._drop_pointer(home, key, path, sidecar)  # a killed run had put it back
                except EndError as end:
                    self._take_again(home, directory, name, path, key, here, end)
            elif wrong := _is_another(expected, kept):
                if here is not None and not expected.differs(here, moved=True):
                    self._take_again(home, directory, name, path, key, here)
                raise EndError("STALE", f"{self._tree.shown(path)}: what is in quarantine is not what was moved there ({wrong})")
            elif here is None:
                move_new(home, _name(key), directory, name)
            else:
                self._take_pointer(home, directory, name, path, key, sidecar)
            self._spent.append(key)

    def remove(self, key: str, expected: Fingerprint) -> None:
        """Unlink a quarantined file and its sidecar. Writes. Raises EndError STALE if it is not what was expected."""
        directory = self._home.quarantine()
        with self._ending("remove from quarantine"):
            found = self._tree.fingerprint_in(directory, _name(key), b"")
            if found is not None:
                wrong = expected.differs(found, moved=True)
                if wrong:
                    raise EndError("STALE", f"{self._shown(key)}: is not what was moved there ({wrong}); it was not removed")
                os.unlink(_name(key), dir_fd=directory)
            self._drop_sidecar(directory, key)

    def forget(self, key: str) -> None:
        """Remove the sidecar, and the pointer, of a move that was never made. Writes. Raises EndError."""
        directory = self._home.quarantine()
        with self._ending("forget"):
            sidecar = _sidecars.read(directory, key)
            self._drop_pointer(directory, key, b"", sidecar)
            if self._tree.fingerprint_in(directory, _name(key), b"") is None:
                self._drop_sidecar(directory, key)

    def files(self) -> Iterator[tuple[str, bytes, Fingerprint]]:
        """Every file in quarantine: its key, its old path (empty where no sidecar tells it), what it is. Raises EndError."""
        directory = self._home.quarantine()
        with self._ending("list"):
            for name in sorted(map(os.fsencode, os.listdir(directory))):
                key = name.decode("ascii", "replace")
                if name.endswith(b".json") or not is_key(key):
                    continue
                sidecar = _sidecars.read(directory, key)
                found = self._tree.fingerprint_in(directory, name, b"")
                if found is not None and not self._is_pointer(directory, name, sidecar):
                    yield key, base64.b64decode(sidecar["path"]) if sidecar else b"", found

    def _moved_already(self, home: int, directory: int, name: bytes, move: Move) -> Fingerprint | None:
        """What a killed run has moved already; a pointer that it did not come to leave is cleared away."""
        found = self._tree.fingerprint_in(home, _name(move.key), move.path)
        if found is None:
            return None
        if not move.expected.differs(found, moved=True):
            here = self._tree.fingerprint_in(directory, name, move.path)
            if here is None or self._is_pointer(directory, name, _sidecars.read(home, move.key)):
                return found
            if (here.fs_id, here.inode) == (found.fs_id, found.inode):  # a move back by a link was cut off: its old name is the one to keep
                os.unlink(_name(move.key), dir_fd=home)
                return None
            raise EndError("CONFLICT", f"{self._tree.shown(move.path)}: is in quarantine, and its name was taken by something else")
        sidecar = _sidecars.read(home, move.key)
        if not self._is_pointer(home, _name(move.key), sidecar):
            raise EndError("UNKNOWN", f"{self._shown(move.key)}: holds something that is not expected there; look at it")
        self._drop_pointer(home, move.key, move.path, sidecar)
        return None

    def _make_pointers(self, home: int, moves: Iterable[tuple[Move, Pointer]]) -> None:
        """Make pointers, whole and durable together, under their keys. One that cannot be made is made, or tells why not, when its file is moved."""
        made: list[tuple[Move, int | None]] = []
        try:
            for move, pointer in moves:
                with suppress(EndError), self._tree.directory(move.path, "make what is left there") as (directory, name):
                    made.append((move, _pointers.write(home, _new(move.key), pointer, move.key, os.stat(name, dir_fd=directory, follow_symlinks=False))))
            whole = [move.key for move, stub in made if stub is None or _pointers.is_durable(stub)]
        finally:
            for _, stub in made:
                if stub is not None:
                    os.close(stub)
        named = []
        for key in whole:
            try:
                _calls.rename_new(home, _new(key), home, _name(key))
                named.append(key)
            except OSError:  # something lies under the key: the file itself, if a killed run has moved it
                os.unlink(_new(key), dir_fd=home)
        self._tree.sync(home, may_not=True)
        self._pointing.update(named)

    def _leave_pointer(self, home: int, directory: int, name: bytes, move: Move, pointer: Pointer) -> None:
        """Let a pointer that lies in quarantine, whole and durable, change places with the file: its name is never missing."""
        key = _name(move.key)
        if move.key not in self._pointing:
            self._make_pointer(home, directory, name, move, pointer)
        self._pointing.discard(move.key)
        try:
            _calls.exchange(home, key, directory, name)
        except OSError:
            self._drop_pointer(home, move.key, move.path, _sidecars.read(home, move.key))  # if it is there: an error may come after the act
            raise

    def _make_pointer(self, home: int, directory: int, name: bytes, move: Move, pointer: Pointer) -> None:
        new = _new(move.key)
        if pointer.how == "equal":
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=home)  # of a killed run
            _calls.rename_new(directory, temporary(move.key), home, new)
        else:
            stub = _pointers.write(home, new, pointer, move.key, os.stat(name, dir_fd=directory, follow_symlinks=False))
            if stub is not None:
                try:
                    os.fsync(stub)
                finally:
                    os.close(stub)
        _calls.rename_new(home, new, home, _name(move.key))
        self._tree.sync(home, may_not=True)

    def _move_back(self, home: int, directory: int, name: bytes, move: Move) -> None:
        """Undo a move of what was not expected. Raises EndError where its name was taken meanwhile: nothing is lost, it stays in quarantine."""
        key = _name(move.key)
        try:
            if move.leave is None:
                move_new(home, key, directory, name)
            else:
                self._exchange_back(home, directory, name, move)
        except OSError as error:
            told = f"{self._tree.shown(move.path)}: was replaced while it was moved, and cannot be put back ({error.strerror}); it is {self._shown(move.key)}"
            raise EndError("CONFLICT", told) from error
        self._spent.append(move.key)

    def _exchange_back(self, home: int, directory: int, name: bytes, move: Move) -> None:
        """Let what was moved change places with our pointer, which goes. Where somebody replaced that meanwhile, what came last gets the name."""
        key, sidecar = _name(move.key), _sidecars.read(home, move.key)
        wrong = change_back(self._tree, (home, key), (directory, name), move.path, lambda: self._is_pointer(home, key, sidecar))
        if wrong:
            raise EndError(
                "CONFLICT", f"{self._tree.shown(move.path)}: was replaced while it was moved, and {wrong}; what that replaced is {self._shown(move.key)}"
            )
        self._drop_pointer(home, move.key, move.path, sidecar)  # if it is there: somebody may have taken it away

    def _take_pointer(self, home: int, directory: int, name: bytes, path: bytes, key: str, sidecar: dict[str, Any] | None) -> None:
        """Let the file change places with our pointer, and remove that. Raises EndError CONFLICT for anything that is not our pointer."""
        if not self._is_pointer(directory, name, sidecar):
            raise EndError("CONFLICT", f"{self._tree.shown(path)}: something else has this name now; the file stays in quarantine")
        taken = self._tree.fingerprint_in(home, _name(key), path)
        with self._standing(directory, name, path, sidecar) as wanted:
            _calls.exchange(home, _name(key), directory, name)
            if not self._is_pointer(home, _name(key), sidecar):
                self._take_again(home, directory, name, path, key, taken)
            if wanted():
                busy = EndError("SOURCE_BUSY", f"{self._tree.shown(path)}: somebody wants to write to it", retry=True)
                self._take_again(home, directory, name, path, key, taken, busy)
            os.unlink(_name(key), dir_fd=home)

    @contextmanager
    def _standing(self, directory: int, name: bytes, path: bytes, sidecar: dict[str, Any] | None) -> Iterator[Callable[[], bool]]:
        """Whether somebody wants to write to what stands at a name, asked inside; an equal file is read first. Raises OSError, EndError."""
        if not sidecar or sidecar["leave"]["how"] != "equal":
            yield lambda: False
            return
        standing = _standins.opened(self._tree, directory, name, path, base64.b64decode(sidecar["leave"]["text"]))
        try:
            yield lambda: _standins.is_wanted(standing)
        finally:
            standing.close()

    def _take_again(self, home: int, directory: int, name: bytes, path: bytes, key: str, taken: Fingerprint | None, end: EndError | None = None) -> NoReturn:
        """Let a file that has its name change places again with what somebody had just saved there. Raises OSError, EndError CONFLICT, or that end."""
        at = (home, _name(key))
        wrong = change_back(self._tree, at, (directory, name), path, lambda: is_one(taken, self._tree.fingerprint_in(*at, path)))
        self._tree.sync(home, may_not=True)
        if wrong:
            raise EndError("CONFLICT", f"{self._tree.shown(path)}: was replaced just now, and {wrong}; what that replaced is {self._shown(key)}")
        raise end or EndError("CONFLICT", f"{self._tree.shown(path)}: was replaced just now; the file stays in quarantine")

    def _is_pointer(self, directory: int, name: bytes, sidecar: dict[str, Any] | None) -> bool:
        """Whether a name holds exactly the pointer that a sidecar tells of."""
        if not sidecar or not sidecar.get("leave"):
            return False
        text = base64.b64decode(sidecar["leave"]["text"])
        try:
            if sidecar["leave"]["how"] == "equal":
                return _standins.is_it(text, self._tree.fingerprint_in(directory, name, b""))
            if sidecar["leave"]["how"] == "symlink":
                return os.readlink(name, dir_fd=directory) == text
            return _read(directory, name, len(text) + 1) == text
        except OSError:
            return False  # nothing there, or nothing of that type

    def _drop_pointer(self, home: int, key: str, path: bytes, sidecar: dict[str, Any] | None) -> None:
        """Remove a pointer that is in quarantine. Raises OSError, EndError where it is an equal file that somebody writes to: that stays."""
        if not self._is_pointer(home, _name(key), sidecar):
            return
        try:
            with self._standing(home, _name(key), path, sidecar):
                os.unlink(_name(key), dir_fd=home)
        except EndError as end:
            told = f"{self._tree.shown(path)}: somebody writes to what stood in its place for a moment; look at it, it is {self._shown(key)}"
            raise EndError(end.state, told, retry=end.retry) from end

    def _drop_sidecar(self, directory: int, key: str) -> None:
        for name in (_new(key), _sidecars.name(key)):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)

    def _ending(self, doing: str) -> AbstractContextManager[None]:
        return self._tree.ending(doing, b".lastcopy/quarantine")

    def _shown(self, key: str) -> str:
        return f"{self._tree.volume}:.lastcopy/quarantine/{key}"


def move_new(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    """Move to a name that is not there; by a link and an unlink where the kernel cannot do it in one. Writes. Raises OSError, FileExistsError."""
    try:
        _calls.rename_new(old_directory, old, new_directory, new)
    except OSError as error:
        if error.errno not in _calls.NO_FLAGS:
            raise
        os.link(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory, follow_symlinks=False)
        os.unlink(old, dir_fd=old_directory)


def _take(directory: int, name: bytes, home: int, key: bytes) -> None:
    """Move a file into quarantine at once, where nothing has the key. Never by a link and an unlink: somebody may replace the name in between. Writes."""
    try:
        _calls.rename_new(directory, name, home, key)
    except OSError as error:
        if error.errno not in _calls.NO_FLAGS:
            raise
        os.rename(name, key, src_dir_fd=directory, dst_dir_fd=home)


def _is_another(expected: Fingerprint, found: Fingerprint, *, numbers_are_given_anew: bool = False) -> str | None:
    """How a file shows to be another one; None for the very file, also where somebody who had it open has written to it since.

    `numbers_are_given_anew`: its inode alone does not tell, since the number of a file that went may be another's now.
    """
    written = expected if expected.inode is None or numbers_are_given_anew else expected._replace(size_bytes=found.size_bytes, modified_ns=found.modified_ns)
    return written.differs(found, moved=True)


def _read(directory: int, name: bytes, most: int) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def _name(key: str) -> bytes:
    temporary(key)  # it is a key
    return key.encode()


def _new(key: str) -> bytes:
    """Where a pointer is made, so that there is none under the key before it is whole."""
    return b"%s.new" % _name(key)
