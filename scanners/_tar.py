"""tar, plain or packed by gzip, bzip2, xz or Zstandard, read forwards once; what tarfile passes over in silence is damage here."""

import os
import re
import stat
import tarfile
from collections.abc import Callable, Collection, Iterator
from decimal import ROUND_FLOOR, Decimal
from typing import Any, BinaryIO, cast

from scanners._archive import (
    MOST_HEADER_BYTES,
    MOST_PADDING_BYTES,
    Bounded,
    Content,
    DamagedError,
    Member,
    Refused,
    digested,
    most_bytes,
    pieces_of,
    type_of,
    whole,
)

_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_GNU = b"ustar  \0"
_DUMPDIR, _LABEL = b"D", b"V"  # of GNU tar: a folder of an incremental dump, and the name of the medium
_KINDS = {tarfile.SYMTYPE: stat.S_IFLNK, tarfile.DIRTYPE: stat.S_IFDIR, _DUMPDIR: stat.S_IFDIR, tarfile.CHRTYPE: stat.S_IFCHR}
_KINDS |= {tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.LNKTYPE: stat.S_IFREG, **dict.fromkeys(tarfile.REGULAR_TYPES, stat.S_IFREG)}
_NUMBER = re.compile(r"-?\d{1,17}(\.\d{1,9})?")


class Tar:
    """An open tar archive."""

    last_wins = True

    def __init__(self, file: BinaryIO, head: bytes, alive: Callable[[], None]) -> None:
        """`head` is how the file begins. Raises DamagedError for what is no archive that is known, ImportError where its packer is not installed."""
        self._alive = alive
        self._is_whole = False  # whether the data of all members that have a header is there
        size = os.fstat(file.fileno()).st_size
        packed = _unpacked(file, head)
        self._file = file if packed is None else cast(BinaryIO, Bounded(packed, most_bytes(size), alive))
        self._most = most_bytes(size)
        self._tar = _open(self._file)

    def members(self) -> Iterator[Member | Refused]:
        """Every member whose data is there."""
        waiting: Member | Refused | None = None  # until what follows it shows that it is whole
        try:
            for info in self._headers():
                if waiting:
                    yield waiting
                waiting = _member(info)
        except DamagedError:
            if waiting and self._is_whole:
                yield waiting
            raise
        if waiting:
            yield waiting
        self._end()

    def contents(self, wanted: Collection[int]) -> Iterator[Content]:
        """Digests of the wanted members, in the order of the archive."""
        left, unpacked = set(wanted), 0
        for info in self._headers():
            if info.offset not in left or not info.isreg():
                continue
            left.discard(info.offset)
            unpacked += info.size
            if unpacked > self._most:
                raise DamagedError(f"its members say that they are more than {self._most} bytes: it is not read on")
            found = self._tar.extractfile(info)
            if found is not None:
                yield digested(info.offset, pieces_of(cast(BinaryIO, found), self._alive), info.size)
        self._end()

    def _headers(self) -> Iterator[tarfile.TarInfo]:
        """Every header. Raises DamagedError where tarfile would only stop."""
        try:
            while (info := self._tar.next()) is not None:
                self._tar.members.clear()  # type: ignore[attr-defined]  # or it keeps them all
                self._alive()
                yield info
        except (tarfile.ReadError, EOFError) as error:
            raise DamagedError(f"cut off, or damaged ({error})") from error
        self._is_whole = True
        ended = self._tar.ended
        if isinstance(ended, _AT_ITS_END):
            return
        if isinstance(ended, _AT_THE_END_OF_THE_FILE):
            raise DamagedError("it ends without its end mark: it may be cut off")
        raise DamagedError(f"damaged at byte {self._tar.offset} ({ended})")

    def _end(self) -> None:
        """Read what follows the end mark: it must be empty, and a packed stream shows its check sum there. Raises DamagedError."""
        count = 0
        while piece := self._file.read(MOST_HEADER_BYTES):
            self._alive()
            count += len(piece)
            if piece.strip(b"\0"):
                raise DamagedError("something follows its end mark, perhaps another archive: programs differ in what they extract")
            if count > MOST_PADDING_BYTES:
                raise DamagedError(f"more than {MOST_PADDING_BYTES} empty bytes follow its end mark: they are not read")


_HEADER_ERROR = tarfile.HeaderError
_AT_ITS_END: Any = tarfile.EOFHeaderError  # type: ignore[attr-defined]  # typeshed leaves out what tarfile is ended by
_AT_THE_END_OF_THE_FILE: Any = tarfile.EmptyHeaderError  # type: ignore[attr-defined]  # likewise


class _Info(tarfile.TarInfo):
    """A header that is not believed in all it says."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> "_Info":  # noqa: ANN401 - as tarfile has it
        """The header in a block. Raises DamagedError for one whose description is too large to be one."""
        found = super().frombuf(buf, encoding, errors)
        if found.size < 0 or (found.type in _HEADERS and found.size > MOST_HEADER_BYTES):
            raise DamagedError(f"what describes a member is {found.size} bytes long, no more than {MOST_HEADER_BYTES} are read")
        if bytes(buf[257:265]) == _GNU:  # where others have the beginning of a long name, it has times
            name: str = tarfile.nts(buf[:100], encoding, errors)  # type: ignore[attr-defined]  # of tarfile, but not in typeshed
            found.name = name.rstrip("/") if found.isdir() else name
        return found

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> "_Info":  # noqa: ANN401 - as tarfile has it
        """The next header; what ended the archive is kept with it."""
        try:
            return super().fromtarfile(tarfile)
        except _HEADER_ERROR as error:
            tarfile.ended = error
            raise


class _File(tarfile.TarFile):
    tarinfo = _Info
    ended: Exception | None = None


def _open(file: BinaryIO) -> _File:
    """The archive in a file. Raises DamagedError."""
    try:
        return _File(fileobj=file, mode="r", encoding="utf-8", errors="surrogateescape", errorlevel=2)
    except (tarfile.TarError, EOFError) as error:
        raise DamagedError(f"not an archive of a format that is known ({error})") from error


def _unpacked(file: BinaryIO, head: bytes) -> Any:  # noqa: ANN401 - a file of whichever packer
    """The stream that is packed in a file, None if it is not packed. Raises ImportError."""
    if head.startswith(b"\x1f\x8b"):
        import gzip

        return gzip.GzipFile(fileobj=file)
    if head.startswith(b"BZh"):
        import bz2

        return bz2.BZ2File(file)
    if head.startswith(b"\xfd7zXZ\0"):
        import lzma

        return lzma.LZMAFile(file)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstandard(file)
    return None


def _zstandard(file: BinaryIO) -> Any:  # noqa: ANN401 - of Python 3.14, or what brings it to older ones
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # of Python 3.14
    except ImportError:
        from backports import zstd
    return zstd.ZstdFile(file, options={zstd.DecompressionParameter.window_log_max: 30})


def _member(info: tarfile.TarInfo) -> Member | Refused | None:
    """What a header says; None for one that is no member."""
    name = info.name.encode("utf-8", "surrogateescape")
    if info.type == _LABEL:
        return None
    kind = _KINDS.get(info.type)
    if kind is None:
        return Refused(name, f"a member of type {info.type!r}, which is not known")
    size = whole(info.size)
    if size is None:
        return Refused(name, f"a size that cannot be right: {info.size}")
    modified_ns, exact = _modified(info)
    return Member(
        number=info.offset,
        name=name,
        type=type_of(kind),
        size_bytes=size if kind == stat.S_IFREG else 0,
        modified_ns=modified_ns,
        exact_time=exact,
        mode=kind | (info.mode & 0o7777),
        uid=whole(info.uid),
        gid=whole(info.gid),
        owner=info.uname or None,
        group=info.gname or None,
        link_target=info.linkname.encode("utf-8", "surrogateescape") if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else None,
        hard_link=info.type == tarfile.LNKTYPE,
    )


def _modified(info: tarfile.TarInfo) -> tuple[int | None, bool]:
    """The modified time in nanoseconds, and whether it has a fraction: pax keeps it as text, all other formats keep seconds."""
    text = info.pax_headers.get("mtime", "")
    if _NUMBER.fullmatch(text):
        return int((Decimal(text) * 1_000_000_000).to_integral_value(ROUND_FLOOR)), "." in text
    return (int(info.mtime) * 1_000_000_000, False) if not text else (None, False)
