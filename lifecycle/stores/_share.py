"""A connection to a share that is written to: it opens so that others are held off, and renames what is open to names that nothing has."""

import struct
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from catalog.errors import UnreachableError
from scanners import Settings, _smb
from scanners._smb import READ_BYTES, Entry, Host, Opened, Times

READ, WRITE, ADD, TELL, TIME, REMOVE = 0x1, 0x2, 0x4, 0x80, 0x100, 0x10000  # rights, MS-SMB2 2.2.13.1; ADD: folders to a folder
NEW = 0x2  # it is made, and must not be there
EVERYBODY, ALONE_TO_WRITE = _smb._EVERY_SHARE, _smb.NO_WRITERS  # others may read it, rename it and take it away meanwhile
_FILE, _FOLDER = _smb._FILE | _smb._NO_LINK | _smb._NO_RECALL, _smb._FOLDER | _smb._NO_LINK
_ALL = struct.Struct("<4qI4xqqIBB2xQ")  # the beginning of FileAllInformation, MS-FSCC 2.4.2
_TIMES = struct.Struct("<4qII")  # FileBasicInformation
_RENAMING = struct.Struct("<B7xQI")  # FileRenameInformation for SMB2, up to the name
_BASIC_CLASS, _RENAME_CLASS, _GONE_CLASS, _ALL_CLASS, _SIZE_CLASS = 4, 10, 13, 18, 20
_MOST_TOLD = 64 << 10  # with the longest name
_FEW_BYTES = 4096  # of a listing: `.` and `..` come first
_UNTOUCHED = 0  # a time that stays what it is
_AT_ONCE = 4  # requests of one thread for content that are on their way together


class Known(NamedTuple):
    """What a server tells of what is open. `number`: the file id, None where it has none."""

    times: Times
    size_bytes: int
    attributes: int
    number: int | None


class Share(Host):
    """One connection, made when it is first needed. Threads may share it; once it is lost it stays so."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet. Raises MissingExtraError, UnreachableError for a URL that is none."""
        _smb.need()
        super().__init__(settings)
        self._lock = threading.RLock()
        self._gone: UnreachableError | None = None
        self._is_ready = False

    def ready(self) -> "Share":
        """Itself, connected, with a root that is there. Raises UnreachableError, and from then on."""
        from smbprotocol.exceptions import SMBResponseException

        with self._lock:
            if self._gone is not None:
                raise self._gone
            if not self._is_ready:
                self._is_ready = True  # for what is asked on the way
                try:
                    self.connect()
                    with self.folder(""):
                        pass
                except SMBResponseException as error:
                    self._gone = self.unreachable(f"{self._settings.location}: {_smb.told(error)}")
                    raise self._gone from error
                except UnreachableError as error:
                    self._gone = error
                    raise
        return self

    def begin(self, path: str, rights: int, *, share: int = ALONE_TO_WRITE, new: bool = False, through: bool = False) -> Opened:
        """Open a file, no link followed, or make a `new` one. Until `let_go` others may do what `share` says. Raises SMBResponseException, UnreachableError.

        `through`: the content is wanted that a reparse point stands for, which is no link.
        """
        options = _FILE & ~_smb._NO_LINK if through else _FILE
        return self._begin(path, rights | TELL, options, share, NEW if new else _smb._THERE)

    def begin_any(self, path: str) -> Opened:
        """Open what has a path, no link followed, for what is known of it. Raises SMBResponseException, UnreachableError."""
        return self._begin(path, TELL, _smb._NO_LINK | _smb._NO_RECALL, _smb._EVERY_SHARE)

    def begin_folder(self, path: str, rights: int = READ, *, new: bool = False) -> Opened:
        """Open a folder, no link followed, or make a `new` one. Raises SMBResponseException, UnreachableError."""
        return self._begin(path, rights | TELL, _FOLDER, _smb._EVERY_SHARE, NEW if new else _smb._THERE)

    def end(self, opened: Opened) -> None:
        """Close what is open, and hear that it is. Raises SMBResponseException, UnreachableError."""
        from smbprotocol.open import SMB2CloseRequest

        message = SMB2CloseRequest()
        message["file_id"] = opened.handle
        self._ask(message, 2)

    def let_go(self, opened: Opened) -> None:
        """As `end`, where nothing hangs on it: what is wrong with the connection shows at the next request."""
        with suppress(Exception):
            self.end(opened)

    def known(self, opened: Opened) -> Known:
        """What is open, as it is now. Raises SMBResponseException, UnreachableError, ValueError."""
        found = self._told(opened, _smb._OF_FILE, _ALL_CLASS, _MOST_TOLD)
        if len(found) < _ALL.size:
            raise ValueError("the server tells too little")
        *times, attributes, _, size, _, _, _, number = _ALL.unpack_from(found)
        return Known(_smb._times(*times), size, attributes, _smb._number(number))

    def first_listed(self, opened: Opened) -> list[Entry]:
        """The first names of an open folder, among them `.` and `..` where the server has them. Raises SMBResponseException, UnreachableError, ValueError."""
        return self.listed(opened, again=True, most_bytes=_FEW_BYTES)

    def write(self, opened: Opened, at: int, block: memoryview) -> None:
        """Write all of a block. Raises SMBResponseException, UnreachableError, ValueError where the server took less."""
        from smbprotocol.open import SMB2WriteRequest

        pieces = [block[first : first + READ_BYTES] for first in range(0, len(block), READ_BYTES)]
        messages, done = [], at
        for piece in pieces:
            message = SMB2WriteRequest()
            message["file_id"], message["offset"], message["buffer"] = opened.handle, done, bytes(piece)
            messages.append(message)
            done += len(piece)
        for piece, answer in zip(pieces, self._in_turns(messages, 16), strict=True):
            if struct.unpack_from("<4xI", answer)[0] != len(piece):
                raise ValueError("the server took less than it was given")

    def block(self, opened: Opened, at: int, size_bytes: int) -> bytes:
        """A part of a file, less of it only where the file ends. Raises SMBResponseException, UnreachableError."""
        from smbprotocol.exceptions import EndOfFile

        wanted = [(first, min(READ_BYTES, at + size_bytes - first)) for first in range(at, at + size_bytes, READ_BYTES)]
        try:
            answers = self._in_turns([_smb._reading(opened, first, length) for first, length in wanted], _smb._PIECE.size)
        except EndOfFile:
            return self.read(opened, at, size_bytes)
        found = b""
        for (_, length), answer in zip(wanted, answers, strict=True):
            piece = _smb._content(answer, length)
            found += piece
            if len(piece) < length:
                break
        return found

    def flush(self, opened: Opened) -> None:
        """Make what is open for writing durable, by the server's word. Writes. Raises SMBResponseException, UnreachableError."""
        from smbprotocol.open import SMB2FlushRequest

        message = SMB2FlushRequest()
        message["file_id"] = opened.handle
        self._ask(message, 4)

    def resize(self, opened: Opened, size_bytes: int) -> None:
        """Give a file its length. Writes. Raises SMBResponseException, UnreachableError."""
        self._tell(opened, _SIZE_CLASS, struct.pack("<q", size_bytes))

    def set_times(self, opened: Opened, *, created: int | None, accessed: int, modified: int) -> None:
        """Give a file its times, in units of 100 ns since 1970; one before 1601 is left as it is. Writes. Raises SMBResponseException, UnreachableError."""
        given = [_UNTOUCHED if time is None else max(time + _smb._FIRST_YEARS_100NS, _UNTOUCHED) for time in (created, accessed, modified)]
        self._tell(opened, _BASIC_CLASS, _TIMES.pack(*given, _UNTOUCHED, 0, 0))

    def rename(self, opened: Opened, path: str) -> None:
        """Give what is open another name, relative to the root, which nothing may have. Writes. Raises SMBResponseException, UnreachableError."""
        to = self.whole(path).encode("utf-16-le")
        self._tell(opened, _RENAME_CLASS, _RENAMING.pack(0, 0, len(to)) + to)  # ReplaceIfExists = 0

    def remove(self, opened: Opened) -> None:
        """Have what is open be gone once it is closed by everybody. Writes. Raises SMBResponseException, UnreachableError."""
        self._tell(opened, _GONE_CLASS, b"\x01")

    def _tell(self, opened: Opened, number: int, content: bytes) -> None:
        from smbprotocol.open import SMB2SetInfoRequest

        message = SMB2SetInfoRequest()
        message["info_type"], message["file_info_class"], message["file_id"], message["buffer"] = _smb._OF_FILE, number, opened.handle, content
        self._ask(message, 2)

    def _in_turns(self, messages: list[Any], least_bytes: int) -> Iterable[bytes]:
        return [answer for first in range(0, len(messages), _AT_ONCE) for answer in self._all_asked(messages[first : first + _AT_ONCE], least_bytes)]

    def _all_asked(self, messages: Any, least_bytes: int) -> list[bytes]:  # noqa: ANN401  structures of the protocol
        self.ready()
        try:
            return super()._all_asked(messages, least_bytes)
        except UnreachableError as error:
            self._gone = error
            raise
