"""A connection by SMB 2 or 3 (MS-SMB2) to a share: what is heard is encrypted, or signed where the server cannot do that, or nothing is said to it."""

import importlib.util
import logging
import re
import struct
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from catalog import names, printable
from catalog.errors import MissingExtraError, UnreachableError
from scanners import Settings, _smb_strict
from scanners._hosts import OtherHost

if TYPE_CHECKING:
    from smbprotocol.connection import Connection
    from smbprotocol.tree import TreeConnect

DIRECTORY, REPARSE, OFFLINE = 0x10, 0x400, 0x1000  # attributes of MS-FSCC 2.6
RECALLED = OFFLINE | 0x40000 | 0x400000  # what is read of such a file comes back from a slower storage
LINKING = 0x20000000  # of a reparse tag: it stands for what lies elsewhere

_URL = re.compile(
    r"smb://(?:(?:(?P<domain>[^/@:;]+);)?(?P<user>[^/@:;]+)@)?(?P<host>\[[0-9a-fA-F:.]+\]|[^/:@\[\]]+)(?::(?P<port>[0-9]{1,5}))?/(?P<share>[^/]+)(?P<path>/.*)?"
)
_PORT = 445
_LOGIN_SECONDS, _SILENT_SECONDS = 30, 60
_LIST_BYTES = 256 << 10  # of a folder at a time: four credits
READ_BYTES = 256 << 10
_CREDITS = 128  # asked for with each request, for those to come
_TOLD_LETTERS = 300
_FIRST_YEARS_100NS = 116_444_736_000_000_000  # from 1601 to 1970
_LISTED = struct.Struct("<II4q2QIII4xQ")  # FileIdFullDirectoryInformation, up to the name
_BASIC = struct.Struct("<4qI")  # FileBasicInformation
_CREATED = struct.Struct("<8x4qQQI4x16s")  # bodies of answers, MS-SMB2 2.2.14, 2.2.20, 2.2.34 and 2.2.38
_PIECE = struct.Struct("<2xBxI8x")
_GIVEN = struct.Struct("<2xHI")
_HEADER_BYTES = 64  # that offsets in an answer count, too
_LISTING, _BASIC_CLASS, _STANDARD_CLASS, _NUMBER_CLASS, _SPACE_CLASS, _TAG_CLASS = 38, 4, 5, 6, 7, 35  # MS-FSCC 2.4 and 2.5
_OF_FILE, _OF_FILE_SYSTEM = 1, 2
_LIST, _READ, _ATTRIBUTES = 0x1, 0x1, 0x80
_FOLDER, _FILE, _NO_LINK, _NO_RECALL = 0x1, 0x40, 0x200000, 0x400000  # create options
_EVERY_SHARE = 0x7  # others may read, write and remove it meanwhile
NO_WRITERS = 0x5
_THERE = 1  # it is opened, and must be there
_HIDING = 0x800  # of a share: SHI1005_FLAGS_ACCESS_BASED_DIRECTORY_ENUM
_LONGEST_NAME_BYTES = 2 * 4096


@dataclass(frozen=True)
class Address:
    """Where a volume is: `path` is in the share, without slashes around it."""

    host: str
    port: int
    user: str | None  # with its domain, as `DOMAIN\\user`
    share: str
    path: str


class Times(NamedTuple):
    """Times of a file in units of 100 ns since 1970; one that the server does not tell lies in 1601."""

    created: int
    accessed: int
    modified: int
    changed: int

    @property
    def is_created_told(self) -> bool:
        """Whether the time of creation is more than the earliest of the others: Samba makes one of them where it knows none, and another when they change."""
        return self.created not in (min(self.accessed, self.modified, self.changed), -_FIRST_YEARS_100NS)


class Entry(NamedTuple):
    """What a listing tells of a name. `name` may hold lone surrogates."""

    name: str
    times: Times
    size_bytes: int
    allocated_bytes: int
    attributes: int
    reparse: int  # the tag of a reparse point, 0 = it is none
    number: int | None  # the file id


class Opened(NamedTuple):
    """A file or folder that is open, and what it was when it was opened."""

    handle: bytes
    times: Times
    size_bytes: int
    attributes: int


def address(location: str) -> Address:
    """What a URL of SMB says. Raises ValueError."""
    found = _URL.fullmatch(location)
    if found is None:
        raise ValueError("it is smb://DOMAIN;USER@HOST:PORT/SHARE/PATH; domain, user, port and path may be left out")
    try:
        share, path = (unquote_to_bytes(found[name] or "").decode() for name in ("share", "path"))
        user, domain = (unquote_to_bytes(found[name] or "").decode() for name in ("user", "domain"))
    except UnicodeDecodeError as error:
        raise ValueError("names of SMB are Unicode, written as UTF-8") from error
    parts = path.split("/")
    if any(letter in share + path for letter in "\\\0") or ".." in parts or "/" in share:
        raise ValueError("its path leads elsewhere")
    who = f"{domain}\\{user}" if domain else user
    return Address(found["host"].strip("[]"), int(found["port"] or _PORT), who or None, share, "\\".join(part for part in parts if part not in ("", ".")))


class Host(OtherHost[Address]):
    """One connection to a share, made when it is first asked for. Several threads may use it once it is made."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet. Raises UnreachableError for a URL that is none."""
        super().__init__(settings, address)
        self._connection: Connection | None = None
        self._tree: TreeConnect | None = None

    def connect(self) -> None:
        """Sign in, and connect to the share. Raises UnreachableError."""
        from smbprotocol.exceptions import AccessDenied, BadNetworkName, LogonFailure, SMBAuthenticationError
        from smbprotocol.session import Session
        from smbprotocol.tree import TreeConnect

        if self._tree is not None:
            return
        logging.getLogger("smbprotocol").setLevel(logging.CRITICAL)  # what goes wrong is raised
        place, password = self.address, self._password()
        try:
            self._connection = _smb_strict.connection()(uuid.uuid4(), place.host, place.port, require_signing=True)
            self._connection.patience_seconds = _SILENT_SECONDS
            self._connection.connect(timeout=_LOGIN_SECONDS)
            session = Session(self._connection, place.user, password, require_encryption=bool(self._connection.supports_encryption))
            session.connect()
            tree = TreeConnect(session, rf"\\{place.host}\{place.share}")
            tree.connect()
            self._tree = tree
        except (LogonFailure, SMBAuthenticationError) as error:
            said = f"{place.host} does not let {place.user or 'whoever runs this'} in: look at the user of the url, at password_file and password_command"
            raise self.unreachable(said) from error
        except BadNetworkName as error:
            raise self.unreachable(f"{place.host} has no share {printable.clean(place.share)}") from error
        except AccessDenied as error:
            raise self.unreachable(f"{place.host} lets {place.user or 'whoever runs this'} not into {printable.clean(place.share)}") from error
        except Exception as error:  # whatever the library makes of a hostile answer
            raise self.unreachable(f"{place.host} cannot be reached: {told(error) or 'nothing was heard of it'}") from error

    @property
    def guid(self) -> str:
        """Which server it is, by its own word, once there is a connection."""
        assert self._connection is not None  # noqa: S101  # by contract
        return str(self._connection.server_guid)

    @property
    def server(self) -> str:
        """The server, once there is a connection: files are told apart by it, for their numbers are the same in each of its shares that shows them."""
        return f"smb-{self.guid}"

    @property
    def place(self) -> str:
        """Where the root is on the server, once there is a connection."""
        below = f"{self.address.share.lower()}/" + "".join(f"{part}/" for part in self.address.path.split("\\") if part)
        return f"{self.server}:{names.escape(below.encode())}"

    @property
    def hides(self) -> bool:
        """Whether the share says that it does not list what the user may not open, once there is a connection."""
        return bool(getattr(self._connection, "share_flags", 0) & _HIDING)

    @contextmanager
    def folder(self, path: str) -> Iterator[Opened]:
        """Open a folder, relative to the root, no link followed. Raises SMBResponseException, UnreachableError."""
        with self._open(path, _LIST | _ATTRIBUTES, _FOLDER | _NO_LINK) as opened:
            yield opened

    @contextmanager
    def file(self, path: str, *, content: bool, through: bool = False) -> Iterator[Opened]:
        """Open a file, for its content or for what is known of it. No link is followed, unless the content is wanted `through` a reparse point.

        Raises SMBResponseException, UnreachableError.
        """
        options = _FILE | _NO_RECALL | (0 if through else _NO_LINK)
        with self._open(path, (_READ if content else 0) | _ATTRIBUTES, options) as opened:
            yield opened

    def is_at_rest(self, path: str) -> bool:
        """Whether nobody has a file open for writing: it is opened for an instant so that nobody could. Raises SMBResponseException, UnreachableError."""
        from smbprotocol.exceptions import SharingViolation

        try:
            with self._open(path, _READ | _ATTRIBUTES, _FILE | _NO_LINK | _NO_RECALL, NO_WRITERS):
                return True
        except SharingViolation:
            return False

    def reparse_tag(self, opened: Opened) -> int:
        """The tag of an open file that is a reparse point. Raises SMBResponseException, UnreachableError, ValueError."""
        found = self._told(opened, _OF_FILE, _TAG_CLASS)
        if len(found) < 8:
            raise ValueError("the server tells too little")
        return int(struct.unpack_from("<4xI", found)[0])

    @contextmanager
    def _open(self, path: str, access: int, options: int, share: int = _EVERY_SHARE) -> Iterator[Opened]:
        opened = self._begin(path, access, options, share)
        try:
            yield opened
        finally:
            self.let_go(opened)

    def _begin(self, path: str, access: int, options: int, share: int, disposition: int = _THERE) -> Opened:
        """Open, or make, what has a path relative to the root. Raises SMBResponseException, UnreachableError."""
        from smbprotocol.open import SMB2CreateRequest

        message = SMB2CreateRequest()
        message["impersonation_level"], message["desired_access"], message["share_access"] = 2, access, share
        message["create_disposition"], message["create_options"] = disposition, options
        message["buffer_path"] = self.whole(path).encode("utf-16-le", "surrogatepass") or b"\0\0"
        *times, _, size, attributes, handle = _CREATED.unpack_from(self._ask(message, _CREATED.size))
        return Opened(handle, _times(*times), size, attributes)

    def whole(self, path: str) -> str:
        """The path in the share of a path relative to the root."""
        return "\\".join(part for part in (self.address.path, path) if part)

    def let_go(self, opened: Opened) -> None:
        """Close what is open, without waiting for an answer."""
        from smbprotocol.open import SMB2CloseRequest

        closing = SMB2CloseRequest()
        closing["file_id"] = opened.handle
        with suppress(Exception):  # what is wrong with the connection shows at the next request
            self._send(closing)

    def listed(self, opened: Opened, *, again: bool = False, pattern: str = "*", most_bytes: int | None = None) -> list[Entry]:
        """The next names of a folder, `.` and `..` among them; empty = there are no more. Raises SMBResponseException, UnreachableError, ValueError."""
        from smbprotocol.exceptions import NoMoreFiles, NoSuchFile
        from smbprotocol.open import SMB2QueryDirectoryRequest

        message = SMB2QueryDirectoryRequest()
        message["file_information_class"], message["flags"], message["file_id"] = _LISTING, 0x1 if again else 0, opened.handle
        message["buffer"], message["output_buffer_length"] = pattern.encode("utf-16-le", "surrogatepass"), most_bytes or _LIST_BYTES
        try:
            return list(_entries(_buffer(self._ask(message, _GIVEN.size))))
        except (NoMoreFiles, NoSuchFile):
            return []

    def read(self, opened: Opened, at: int, size_bytes: int) -> bytes:
        """A piece of a file from a byte on, at most READ_BYTES. Raises SMBResponseException, UnreachableError."""
        from smbprotocol.exceptions import EndOfFile

        wanted = min(size_bytes, READ_BYTES)
        try:
            return _content(self._ask(_reading(opened, at, wanted), _PIECE.size), wanted)
        except EndOfFile:
            return b""

    def now(self, opened: Opened) -> Opened:
        """What an open file or folder is now. Raises SMBResponseException, UnreachableError, ValueError."""
        basic, standard = self._told(opened, _OF_FILE, _BASIC_CLASS), self._told(opened, _OF_FILE, _STANDARD_CLASS)
        if len(basic) < _BASIC.size or len(standard) < 16:
            raise ValueError("the server tells too little")
        *times, attributes = _BASIC.unpack_from(basic)
        return Opened(opened.handle, _times(*times), int(struct.unpack_from("<q", standard, 8)[0]), int(attributes))

    def number(self, opened: Opened) -> int | None:
        """The file id of an open folder, None where the server has none. Raises SMBResponseException, UnreachableError."""
        found = self._told(opened, _OF_FILE, _NUMBER_CLASS)
        return _number(struct.unpack_from("<Q", found)[0]) if len(found) >= 8 else None

    def space(self, opened: Opened) -> tuple[int, int] | None:
        """Capacity and what is free of it, in bytes. Raises SMBResponseException, UnreachableError."""
        found = self._told(opened, _OF_FILE_SYSTEM, _SPACE_CLASS)
        if len(found) < 32:
            return None
        total, _, free, sectors, sector_bytes = struct.unpack_from("<qqqII", found)
        return total * sectors * sector_bytes, free * sectors * sector_bytes

    def _told(self, opened: Opened, kind: int, number: int, most_bytes: int = 1024) -> bytes:
        from smbprotocol.open import SMB2QueryInfoRequest

        message = SMB2QueryInfoRequest()
        message["info_type"], message["file_info_class"], message["file_id"], message["output_buffer_length"] = kind, number, opened.handle, most_bytes
        return _buffer(self._ask(message, _GIVEN.size))

    def _ask(self, message: Any, least_bytes: int) -> bytes:  # noqa: ANN401  a structure of the protocol
        """Send a request and give the body of the answer. Raises SMBResponseException for what is refused, UnreachableError where nothing is heard."""
        return self._all_asked([message], least_bytes)[0]

    def _all_asked(self, messages: Sequence[Any], least_bytes: int) -> list[bytes]:
        """As `_ask`, of requests that are on their way together."""
        from smbprotocol.exceptions import SMBResponseException

        assert self._connection is not None  # noqa: S101  # by contract
        found = []
        try:
            for sent in [self._send(message) for message in messages]:
                found.append(bytes(self._connection.receive(sent, timeout=_SILENT_SECONDS, resolve_symlinks=False)["data"].get_value()))
        except SMBResponseException as error:
            if error.status in _LOST:
                raise self._lost(error) from error
            raise
        except Exception as error:  # whatever the library makes of a hostile answer
            raise self._lost(error) from error
        if any(len(one) < least_bytes for one in found):
            raise self.unreachable(f"{self.address.host} gives answers that are cut off")
        return found

    def _send(self, message: Any) -> Any:  # noqa: ANN401  structures of the protocol
        assert self._connection is not None and self._tree is not None  # noqa: S101, PT018  # by contract
        return self._connection.send(message, self._tree.session.session_id, self._tree.tree_connect_id, credit_request=_CREDITS)

    def _lost(self, error: Exception) -> UnreachableError:
        return self.unreachable(f"the connection to {self.address.host} was lost: {told(error)}")

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            with suppress(Exception):  # it is let go of, whatever has become of it
                self._connection.disconnect(close=False)
        self._connection = self._tree = None


_LOST = {0xC0000203, 0xC00000C9, 0xC000020C, 0xC000035C, 0xC00000C0}  # the session, the share or the connection is there no more


def is_folder(one: Entry) -> bool:
    """Whether a listing tells a folder, and no link to one."""
    return bool(one.attributes & DIRECTORY) and not one.reparse & LINKING


def need() -> None:
    """Raises MissingExtraError where what speaks SMB is not installed."""
    if importlib.util.find_spec("smbprotocol") is None:
        raise MissingExtraError("volumes of kind smb need smbprotocol; install it: pip install 'lastcopy[smb]'")


def told(error: BaseException) -> str:
    """What an error says, which may be what a hostile server says."""
    if (status := getattr(error, "status", None)) is not None:
        known = getattr(error, "_BASE_MESSAGE", "").removesuffix(".")
        text = f"the server answers with status {status:#010x}" if known in ("", "Unknown error") else known
    else:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable.clean(text[:_TOLD_LETTERS].rstrip("."))


def _entries(buffer: bytes) -> Iterator[Entry]:
    """The entries of a piece of a listing. Raises ValueError where they lie outside of it."""
    if len(buffer) > _LIST_BYTES:
        raise ValueError("the server tells more than was asked for")
    at = 0
    while len(buffer) - at >= _LISTED.size:
        after, _, created, accessed, modified, changed, size, allocated, attributes, length, reparse, number = _LISTED.unpack_from(buffer, at)
        begin = at + _LISTED.size
        if length > min(len(buffer) - begin, _LONGEST_NAME_BYTES):
            raise ValueError("the server tells a name that is cut off, or longer than any")
        name = buffer[begin : begin + length].decode("utf-16-le", "surrogatepass")
        is_reparse = attributes & REPARSE
        yield Entry(name, _times(created, accessed, modified, changed), size, allocated, attributes, reparse if is_reparse else 0, _number(number))
        if not after:
            return
        if after < _LISTED.size + length:
            raise ValueError("the server tells a list that leads nowhere")
        at += after


def _times(*values: int) -> Times:
    return Times(*(max(value, 0) - _FIRST_YEARS_100NS for value in values))


def _reading(opened: Opened, at: int, size_bytes: int) -> Any:  # noqa: ANN401  a structure of the protocol
    from smbprotocol.open import SMB2ReadRequest

    message = SMB2ReadRequest()
    message["file_id"], message["offset"], message["length"] = opened.handle, at, size_bytes
    return message


def _content(found: bytes, most_bytes: int) -> bytes:
    offset, length = _PIECE.unpack_from(found)
    return found[offset - _HEADER_BYTES :][: min(length, most_bytes)]


def _buffer(found: bytes) -> bytes:
    offset, length = _GIVEN.unpack_from(found)
    return found[max(0, offset - _HEADER_BYTES) :][:length]


def _number(found: int) -> int | None:
    return found if found not in (0, 2**64 - 1) else None
