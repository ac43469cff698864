"""zip: what the one central directory says, where nothing in the file says otherwise."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO, cast

from scanners._archive import MOST_HEADER_BYTES, Content, DamagedError, Member, Refused, digested, most_bytes, pieces_of, type_of, whole

_END, _CENTRAL = b"PK\x05\x06", b"PK\x01\x02"
_END_BYTES, _LONGEST_COMMENT = 22, 65535
_LOCAL_BYTES = 30
_DESCRIPTOR_BYTES = 64  # what may follow a member's data, and some alignment
_ENCRYPTED, _UTF8 = 0x1, 0x800
_UNIX = (3, 19)  # made on Unix, on a Mac
_TIMES, _UNICODE_NAME, _OWNERS, _WINDOWS_TIMES = 0x5455, 0x7075, 0x7875, 0x000A
_1601_S = 11_644_473_600  # from 1601, where Windows begins to count, to 1970
_LONGEST_LINK = 4096
_GAP_BYTES = 16 * 1024 * 1024  # looked through for what is hidden


class Zip:
    """An open zip file. Its central directory is read at once: the memory of the process bounds it."""

    last_wins = False

    def __init__(self, file: BinaryIO, alive: Callable[[], None]) -> None:
        """Raises DamagedError where the file is damaged, or programs would differ in what it holds."""
        self._file, self._alive = file, alive
        _one_end(file)
        try:
            self._zip = zipfile.ZipFile(file, metadata_encoding="latin-1")  # so that bytes of unknown encoding are kept
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:  # ValueError: a name that is not the UTF-8 that it says
            raise DamagedError(f"damaged, or cut off ({error})") from error
        self._members = self._zip.infolist()
        self._in_order = sorted(self._members, key=lambda info: info.header_offset)
        self._nothing_is_hidden()

    def members(self) -> Iterator[Member | Refused]:
        """Every member of the central directory."""
        wrong = self._lying()
        for info in self._members:
            self._alive()
            name = _name(info)
            if info.header_offset in wrong:
                yield Refused(name, wrong[info.header_offset])
            else:
                yield self._member(info, name)

    def contents(self, wanted: Collection[int]) -> Iterator[Content]:
        """Digests of the wanted members, in the order of the file."""
        for info in self._in_order:
            if info.header_offset in wanted:
                yield self._content(info)

    def _content(self, info: zipfile.ZipInfo) -> Content:
        number = info.header_offset
        if info.flag_bits & _ENCRYPTED:
            return Content(number, error="it is encrypted")
        if info.file_size > most_bytes(info.compress_size):
            return Content(number, error=f"it says {info.file_size} bytes and is packed in {info.compress_size}: it is not unpacked")
        try:
            with self._zip.open(info) as content:
                return digested(number, pieces_of(cast(BinaryIO, content), self._alive), info.file_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, struct.error, OSError) as error:
            return Content(number, error=f"damaged ({error})")

    def _member(self, info: zipfile.ZipInfo, name: bytes) -> Member | Refused:
        made_on_unix = info.create_system in _UNIX
        mode = info.external_attr >> 16 if made_on_unix else 0
        kind = "dir" if name.endswith(b"/") else type_of(mode)
        size = whole(info.file_size)
        if size is None:
            return Refused(name, f"a size that cannot be right: {info.file_size}")
        extra = _extra(info.extra)
        modified_ns, exact = _modified(extra)
        uid, gid = _owners(extra)
        return Member(
            number=info.header_offset,
            name=name,
            type=kind,
            size_bytes=size if kind == "file" else 0,
            modified_ns=modified_ns,
            exact_time=exact,
            mode=(mode if stat.S_IFMT(mode) else mode | {"dir": stat.S_IFDIR}.get(kind, stat.S_IFREG)) if mode else None,
            uid=uid,
            gid=gid,
            link_target=self._link(info) if kind == "symlink" else None,
        )

    def _link(self, info: zipfile.ZipInfo) -> bytes | None:
        """Where a symbolic link leads; None where it cannot be read, or is longer than a path."""
        if info.flag_bits & _ENCRYPTED or info.file_size > _LONGEST_LINK:
            return None
        try:
            return self._zip.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, struct.error, OSError):
            return None

    def _lying(self) -> dict[int, str]:
        """By where they begin: members that lie where another one does, beyond the end, or are stored as another size than they say."""
        wrong: dict[int, str] = {}
        starts = [info.header_offset for info in self._in_order]
        for info, following in zip(self._in_order, [*starts[1:], self._zip.start_dir], strict=True):
            self._alive()
            if info.header_offset + _LOCAL_BYTES + info.compress_size > following:
                wrong[info.header_offset] = "it lies where another member, or the directory, does"
            elif info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size and not info.flag_bits & _ENCRYPTED:
                wrong[info.header_offset] = f"it says {info.file_size} bytes, and is stored in {info.compress_size}"
        return wrong

    def _nothing_is_hidden(self) -> None:
        """Raises DamagedError where before the first member, or behind the last, another directory lies: programs differ in which one they read."""
        first = self._in_order[0].header_offset if self._in_order else self._zip.start_dir
        last = _LOCAL_BYTES + self._in_order[-1].header_offset + self._in_order[-1].compress_size if self._in_order else first
        for start, end, sign in ((0, first, _END), (last, self._zip.start_dir, _CENTRAL)):
            if end - start > (0 if sign == _END else _DESCRIPTOR_BYTES) and self._holds(start, end, sign):
                raise DamagedError("it has two central directories: programs differ in which one they read")

    def _holds(self, start: int, end: int, sign: bytes) -> bool:
        self._file.seek(start)
        left, tail = min(end - start, _GAP_BYTES), b""
        while left > 0 and (piece := self._file.read(min(left, MOST_HEADER_BYTES))):
            self._alive()
            if sign in tail + piece:
                return True
            left, tail = left - len(piece), piece[-len(sign) :]
        return end - start > _GAP_BYTES  # so much beside the members is no zip file that is understood


def _one_end(file: BinaryIO) -> None:
    """Raises DamagedError unless the file ends with exactly one end of a central directory."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT))
    tail = file.read()
    found, at = 0, tail.find(_END)
    while at >= 0:
        comment = tail[at + 20 : at + _END_BYTES]
        found += len(comment) == 2 and at + _END_BYTES + int.from_bytes(comment, "little") == len(tail)
        at = tail.find(_END, at + 1)
    file.seek(0)
    if found != 1:
        raise DamagedError(
            "it has two central directories: programs differ in which one they read" if found else "cut off: it has no central directory at its end"
        )


def _name(info: zipfile.ZipInfo) -> bytes:
    """The bytes of a member's name, UTF-8 where the file says in which encoding they are. APPNOTE.TXT 4.4.4, 4.6.9 and Appendix D."""
    if info.flag_bits & _UTF8:
        return info.orig_filename.encode("utf-8", "surrogateescape")
    raw = info.orig_filename.encode("latin-1")
    told = _extra(info.extra).get(_UNICODE_NAME, b"")
    if len(told) > 5 and told[0] == 1 and int.from_bytes(told[1:5], "little") == zlib.crc32(raw):
        return told[5:]
    return raw if info.create_system in _UNIX or raw.isascii() else raw.decode("cp437").encode()


def _extra(data: bytes) -> dict[int, bytes]:
    """The extra fields of a member by their ids, the first of each; what is cut off is left out."""
    found: dict[int, bytes] = {}
    while len(data) >= 4:
        field, length = struct.unpack_from("<HH", data)
        if 4 + length > len(data):
            break
        found.setdefault(field, data[4 : 4 + length])
        data = data[4 + length :]
    return found


def _modified(extra: dict[int, bytes]) -> tuple[int | None, bool]:
    """The modified time in nanoseconds, and whether it is exact. What every zip has is local to a zone that it does not say, and no time for us."""
    windows, unix = extra.get(_WINDOWS_TIMES, b""), extra.get(_TIMES, b"")
    if len(windows) >= 16 and struct.unpack_from("<HH", windows, 4) >= (1, 24):
        return struct.unpack_from("<q", windows, 8)[0] * 100 - _1601_S * 1_000_000_000, True
    if len(unix) >= 5 and unix[0] & 1:
        return int(struct.unpack_from("<i", unix, 1)[0]) * 1_000_000_000, False
    return None, False


def _owners(extra: dict[int, bytes]) -> tuple[int | None, int | None]:
    """User and group, of Info-ZIP's field; None where there is none."""
    data = extra.get(_OWNERS, b"")
    if len(data) < 3 or data[0] != 1 or not 0 < data[1] <= 8 or len(data) < 3 + data[1]:
        return None, None
    at = 2 + data[1]
    if not 0 < data[at] <= 8 or len(data) < at + 1 + data[at]:
        return None, None
    return whole(int.from_bytes(data[2:at], "little")), whole(int.from_bytes(data[at + 1 : at + 1 + data[at]], "little"))
