"""Run as a file by borg's own interpreter: reads archives by borg's own code, each piece of their lists of items once, and which segments are there and whole.

In the current folder lies `repository`, `wanted` with a line for the id of each archive, and perhaps `suspects` (see `_suspects`). Items go to the standard
output, each as the fields of `FIELDS`, ended by NUL; `held` gets a JSON object: archive id -> numbers of the groups of items that it has. Ends with `NOT_KNOWN`
where borg's code is not as it is known here. Nothing of ours is imported: this is another Python, perhaps of another version.
"""
# ruff: noqa: ANN401 - borg has no types

import hashlib
import importlib
import json
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

FIELDS = ("group", "state", "kind", "mode", "uid", "gid", "size", "mtime", "content", "path")
NOT_KNOWN = 3
WHOLE, LACKING, BROKEN, UNTOLD, MISNAMED = "w", "l", "b", "u", "m"  # states; of a link whose file is not told, and of a name with a NUL
_VERSIONS = ((1, 2), (1, 4))
_ENTRY = struct.Struct("<IIB32s")  # of a segment: checksum, size, tag, key
_PUT = 0
_KINDS = {stat.S_IFREG: "-", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p", stat.S_IFSOCK: "s", stat.S_IFBLK: "b", stat.S_IFCHR: "c"}
_OUT_BYTES = 1 << 20


class Content(NamedTuple):
    """What is told of what a file is made of."""

    size: int = 0
    state: str = LACKING
    pieces: "tuple[tuple[bytes, int], ...]" = ()  # the id and the size of each
    told: bytes = b""  # what tells them, and the segments in which they lie here; of what is no file nothing does


class _Group:
    """Some items of a list: what follows them in it, and what only an archive as a whole tells of them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.left = b""  # the begin of an item that ends in the next piece
        self.linked: dict[bytes, Content] = {}  # files that have further names
        self.links: list[tuple[dict[bytes, Any], bytes]] = []  # further names: the item, and the path of the file


class Reader:
    """Goes through archives, each piece of their lists of items once, and tells what they hold."""

    def __init__(self, repository: Any, key: Any, out: Any) -> None:
        self._repository, self._key, self._out = repository, key, out
        if not repository.index:
            repository.index = repository.open_index(repository.get_transaction_id())
        self._index = repository.index
        self._states = _segment_states(repository)
        self._suspects = _suspects(self._index)
        self._groups: dict[tuple[bytes, bytes], _Group] = {}
        self._msgpack = importlib.import_module("borg.helpers.msgpack")
        self._count = 0
        self._text = bytearray()

    def archive(self, items: list[bytes]) -> list[int]:
        """Tell what is new of an archive; the numbers of its groups."""
        numbers, left, linked = [], b"", dict[bytes, Content]()
        links: list[tuple[dict[bytes, Any], bytes]] = []
        for piece in items:
            group = self._groups.get((left, piece))
            if group is None:
                group = self._groups[left, piece] = self._read(left, piece)
            numbers.append(group.number)
            left = group.left
            linked.update(group.linked)
            links += group.links
        if left:
            raise ValueError("IntegrityError: a list of items that ends within one")
        if links:
            number = self._next()
            for item, source in links:
                self._tell(number, item, linked.get(source, Content(0, UNTOLD)))
            numbers.append(number)
        return numbers

    def finish(self) -> None:
        """Write what is left."""
        self._out.write(self._text)
        self._out.flush()

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _read(self, left: bytes, piece: bytes) -> _Group:
        """Tell the items that begin in what is left of the piece before, or in this one."""
        group = _Group(self._next())
        data = left + bytes(self._key.decrypt(piece, self._repository.get(piece)))
        unpacker, used = self._msgpack.Unpacker(use_list=False), 0
        unpacker.feed(data)
        for item in unpacker:
            used = unpacker.tell()
            if not isinstance(item, dict) or b"path" not in item:
                raise ValueError("IntegrityError: an item that is none")
            if b"part" not in item:
                self._take(group, item)
        group.left = data[used:]
        return group

    def _take(self, group: _Group, item: dict[bytes, Any]) -> None:
        if not stat.S_ISREG(item[b"mode"]):
            self._tell(group.number, item, Content())
            return
        source = item.get(b"source")
        if source and b"chunks" not in item:
            group.links.append((item, bytes_of(source)))
            return
        content = self._content(item)
        if item.get(b"hardlink_master"):
            group.linked[bytes_of(item[b"path"])] = content
        self._tell(group.number, item, content)

    def _content(self, item: dict[bytes, Any]) -> Content:
        """The size of a file, whether all that it is made of is there, and what that is."""
        size, index, states, told = 0, self._index, self._states, hashlib.sha256()
        state = BROKEN if b"chunks_healthy" in item else WHOLE
        pieces = []
        for chunk in item.get(b"chunks", ()):
            size += chunk[1]
            pieces.append((chunk[0], chunk[1]))
            told.update(chunk[0])
            try:
                told.update(states[index[chunk[0]][0]])
            except KeyError:
                state = state if state == BROKEN else LACKING
            else:
                state = LACKING if state == WHOLE and self._is_suspect(chunk[0]) else state
        known = item.get(b"size")
        state = LACKING if state == WHOLE and known is not None and known != size else state
        return Content(size, state, tuple(pieces), told.digest())

    def _is_suspect(self, piece: bytes) -> bool:
        return bool(self._suspects) and (piece in self._suspects or self._index[piece][0] in self._suspects)

    def _tell(self, number: int, item: dict[bytes, Any], content: Content) -> None:
        """Take what is known of an item of a group."""
        path, mode, at, state = bytes_of(item[b"path"]), item[b"mode"], time_of(item), content.state
        version = number_of(path, at, content.told) if content.told else ""
        if b"\0" in path:
            path, state = path.replace(b"\0", b"\\x00"), MISNAMED
        kind = _KINDS.get(stat.S_IFMT(mode), "?")
        head = f"{number}\0{state}\0{kind}\0{mode & 0o177777}\0{item.get(b'uid')}\0{item.get(b'gid')}\0{content.size}\0{at}\0{version}\0"
        self._text += head.encode() + path + b"\0"
        if len(self._text) >= _OUT_BYTES:
            self._out.write(self._text)
            self._text.clear()


def bytes_of(text: "bytes | str") -> bytes:
    """A name as bytes."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def time_of(item: "dict[bytes, Any]") -> "int | str":
    """When an item was modified, in nanoseconds; '' where borg keeps no such time."""
    at = item.get(b"mtime")
    if isinstance(at, bytes):  # how borg stores what has more than 64 bits
        at = int.from_bytes(at, "little", signed=True)
    return at if isinstance(at, int) and 0 <= at < 2**63 else ""


def number_of(path: bytes, at: "int | str", told: bytes) -> int:
    """A number that tells, as an inode, which content a path had at which time, and in which segments it lies here.

    What was read elsewhere, or before it was stored anew, was not read here.
    """
    return int.from_bytes(hashlib.sha256(b"%b\0%b\0%b" % (path, str(at).encode(), told)).digest()[:8], "big") >> 5  # of 18 digits at most


def _segment_states(repository: Any) -> dict[int, bytes]:
    """The segments that are there at least to the end of the last piece that the index says to be in them, and what tells each until it is another file."""
    last: dict[int, tuple[int, bytes]] = {}
    for key, place in repository.index.iteritems():
        segment, offset = place[0], place[1]
        if offset > last.get(segment, (-1, b""))[0]:
            last[segment] = offset, bytes(key)
    found = ((segment, _reaches(repository.io.segment_filename(segment), offset, key)) for segment, (offset, key) in last.items())
    return {segment: state for segment, state in found if state is not None}


def _suspects(index: Any) -> "set[bytes | int]":
    """The pieces, and the segments all pieces of which, are to be told as lost: lines of the file `suspects`, if there is one.

    A line is a segment, or a piece, perhaps with its segment and its offset there. Raises ValueError where one is not, or is elsewhere.
    """
    found: set[bytes | int] = set()
    segments: set[int] = set()
    with suppress(FileNotFoundError), open("suspects", encoding="ascii") as lines:
        for line in lines:
            mark, *place = line.split()
            if len(mark) < 64:
                segments = segments or {lies[0] for _, lies in index.iteritems()}
                if int(mark) not in segments:
                    raise ValueError(f"segment {mark} has no piece any more")
                found.add(int(mark))
                continue
            piece = bytes.fromhex(mark)
            there = index.get(piece)
            if there is None or (place and tuple(there[:2]) != tuple(map(int, place))):
                raise ValueError(f"piece {mark[:8]} does not lie where it did")
            found.add(piece)
    return found


def _reaches(file: str, offset: int, key: bytes) -> "bytes | None":
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        head = os.pread(descriptor, _ENTRY.size, offset)
        if len(head) < _ENTRY.size:
            return None
        _, size, tag, found = _ENTRY.unpack(head)
        status = os.fstat(descriptor)
        is_whole = stat.S_ISREG(status.st_mode) and tag == _PUT and found == key and offset + size <= status.st_size
    except OSError:
        return None
    else:
        return b"%d %d %d " % (status.st_size, status.st_mtime_ns, status.st_ino) if is_whole else None
    finally:
        os.close(descriptor)


def _archives(manifest: Any, wanted: list[str]) -> Iterator[tuple[str, Any]]:
    """The ids and infos of archives that are wanted and there."""
    there = {info.id.hex(): info for info in manifest.archives.list()}
    return ((one, there[one]) for one in wanted if one in there)


@contextmanager
def opened() -> "Iterator[tuple[Any, Any, Callable[[], Iterator[tuple[str, list[bytes]]]]]]":
    """The repository, its key, and what gives the archives that are wanted and there: the id of each, and the pieces of its list of items."""
    if tuple(importlib.import_module("borg").__version_tuple__[:2]) not in _VERSIONS:
        raise ImportError("a version that is not known")
    importlib.import_module("borg.logger").setup_logging(level="warning", json=True)
    with open("wanted", encoding="ascii") as lines:
        wanted = lines.read().split()
    manifests, archives = importlib.import_module("borg.helpers").Manifest, importlib.import_module("borg.archive")
    with importlib.import_module("borg.repository").Repository("repository", exclusive=False, lock=False) as repository:
        manifest, key = manifests.load(repository, (manifests.Operation.READ,))

        def found() -> Iterator[tuple[str, list[bytes]]]:
            for one, info in _archives(manifest, wanted):
                yield one, list(archives.Archive(repository, key, manifest, info.name).metadata.items)

        yield repository, key, found


def _read() -> None:
    with opened() as (repository, key, archives):
        reader = Reader(repository, key, os.fdopen(os.dup(1), "wb"))
        held = {one: reader.archive(items) for one, items in archives()}
        reader.finish()
    with open("held", "w", encoding="ascii") as file:
        json.dump(held, file)


def _complain(error: BaseException) -> None:
    """Say what is wrong as borg does with `--log-json`."""
    told = error.get_message() if hasattr(error, "get_message") else str(error)
    print(json.dumps({"type": "log_message", "levelname": "ERROR", "msgid": type(error).__name__, "message": told}), file=sys.stderr)


def main(read: "Callable[[], None]" = _read) -> int:
    """Read; gives the exit code."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != here]  # where this file lies are others with the names of modules
    try:
        read()
    except (ImportError, AttributeError, TypeError, NameError) as error:
        _complain(error)
        return NOT_KNOWN
    except Exception as error:
        _complain(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
