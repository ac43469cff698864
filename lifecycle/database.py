"""The journal's file: where it lies, whose it is, and its transactions.

`journal.json` in the catalog names the one journal of the catalog: its id, host, folder and the inode of its database. A journal that is not
exactly that one is refused, for two journals could each let the other's last copy go, and an old one has forgotten what was removed since.
"""

import ctypes
import fcntl
import json
import os
import secrets
import socket
import sqlite3
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from catalog import mirror, names
from catalog import place as places
from catalog.config import Config
from catalog.durable import sync
from catalog.errors import CatalogError, LockedError, NotFoundError, RefusedError
from lifecycle import upgrade
from lifecycle.upgrade import VERSION

WAIT_SECONDS = 60.0
_APPLICATION = 0x4C434A31  # "LCJ1"
_LOCK, _NAMED = "journal.lock", "journal.json"
_IN_USE = 0  # byte of journal.lock: shared by all who have the journal open
# statfs(2): file systems that other hosts write too, or whose locks and syncs are another program's word.
_NETWORKS = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x65735546: "FUSE",
    0x01021997: "9p",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x19830326: "BeeGFS",
    0x7461636F: "OCFS2",
    0x01161970: "GFS2",
    0x5346414F: "AFS",
}


@dataclass(frozen=True)
class Place:
    """What journal.json says."""

    id: str
    host: str
    folder: str
    inode: int


class Database:
    """The open database of a journal. One connection, one thread at a time; any number of processes."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: int) -> None:
        self.folder = folder
        self.connection = connection
        self._lock = lock
        self._turn = threading.RLock()
        self._pid = os.getpid()
        _open.add(self)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that writes: all of the block, durably, or nothing of it."""
        with self._using(), self._transaction("BEGIN IMMEDIATE"):
            _refuse_a_lost_lock(self.folder, self._lock)
            yield self.connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the journal for all that the block asks."""
        with self._using(), self._transaction("BEGIN") if not self.connection.in_transaction else nullcontext():
            yield self.connection

    def close(self) -> None:
        """Let go of the journal."""
        with self._turn:
            _open.discard(self)
            if self._pid == os.getpid():  # a child's close would take the parent's locks with it
                self.connection.close()
            os.close(self._lock)

    @contextmanager
    def _using(self) -> Iterator[None]:
        if self._pid != os.getpid():
            raise CatalogError("a journal is opened by each process for itself, never before a fork")
        with self._turn:
            try:
                yield
            except sqlite3.Error as error:
                raise told(self.folder, error) from error

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.connection.execute(begin)
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # the error that led here is the one to tell
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            raise


_open: "weakref.WeakSet[Database]" = weakref.WeakSet()


def is_open() -> bool:
    """Whether this process has a journal open. A fork of it must not open one: SQLite takes the locks of a process for its own."""
    return bool(_open)


def open_existing(config: Config, root: Path) -> tuple[str, Database]:
    """The id and the database of the catalog's journal. Raises NotFoundError where it has none, RefusedError where it is not this one."""
    place = _told_place(root)
    if place is None:
        raise NotFoundError(f"{_shown(root)}: there is no journal yet; 'lastcopy volume prepare' or 'lastcopy plan approve' makes it")
    _refuse_a_foreign_host(place, root)
    folder = folder_of(config, root)
    if not (folder / "journal.db").exists():
        raise RefusedError(f"{_shown(folder)}: the journal of this catalog is not there; mount its disk, or let 'lastcopy job rebuild' make it anew")
    _refuse_a_network(folder)
    lock = locked(folder, fcntl.F_RDLCK, create=False)
    try:
        _refuse_another_file(place, folder, root)
        return place.id, Database(folder, _connected(folder, place.id, lock), lock)
    except BaseException:
        os.close(lock)
        raise


def make(config: Config, root: Path) -> None:
    """Make the journal of a catalog, unless it has one. Writes."""
    if _told_place(root) is not None:
        return
    folder = folder_of(config, root)
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_a_network(folder)
    lock = locked(folder, fcntl.F_WRLCK)
    try:
        if _told_place(root) is None:
            if was_put_aside(folder):
                told = "the journal was put aside, and none has its place; 'lastcopy job rebuild --take-over' makes it anew, with the holds of the old one"
                raise RefusedError(f"{_shown(folder)}: {told}")
            _create(folder, root)
    finally:
        os.close(lock)


def name_journal(root: Path, folder: Path, journal_id: str) -> None:
    """Have journal.json name the database that lies in a folder, durably. Writes."""
    _write_place(root, Place(journal_id, host(), str(folder), (folder / "journal.db").stat().st_ino))


def was_put_aside(folder: Path) -> bool:
    """Whether a journal was put aside in this folder and none has its place."""
    return not (folder / "journal.db").exists() and any(folder.glob("lost-*"))


def folder_of(config: Config, root: Path) -> Path:
    """The journal's folder: `[lifecycle].journal`, else `journal/` in the catalog's folder. Raises RefusedError where that holds none."""
    if config.lifecycle.journal is None and places.of(root):
        raise RefusedError("the catalog lies on an object store, its journal on a disk of the one host that runs jobs: set [lifecycle] journal there")
    return (config.folder / config.lifecycle.journal if config.lifecycle.journal else root / "journal").resolve()


def claim(folder: Path, byte: int) -> int | None:
    """A descriptor that holds a byte of journal.lock until it is closed or its process ends; None where another holds it."""
    descriptor = _lock_file(folder, create=False)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK, byte))
        _refuse_a_lost_lock(folder, descriptor)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def told(folder: Path, error: sqlite3.Error) -> Exception:
    """The database's error as ours."""
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LockedError(f"{_shown(folder)}: the journal was busy for {WAIT_SECONDS:.0f} s; try again")
    if code.startswith("SQLITE_FULL"):
        return CatalogError(f"{_shown(folder)}: no space left for the journal; free some, then resume")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return CatalogError(f"{_shown(folder)}: the journal is damaged ({error}); nothing is removed by it; 'lastcopy job rebuild' makes it anew")
    return CatalogError(f"{_shown(folder)}: the journal cannot be used ({error})")


def host() -> str:
    """This machine: its machine-id, else its name."""
    for file in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError):
            found = Path(file).read_text("ascii").strip()
            if len(found) == 32:
                return found
    return f"name-{socket.gethostname()}"


def _create(folder: Path, root: Path) -> None:
    journal_id = write_tables(folder / "journal.db")
    sync(folder)
    sync(folder.parent)
    name_journal(root, folder, journal_id)


def write_tables(file: Path) -> str:
    """Make a database that is not there, or was not made whole, a journal; gives its id. Writes. Raises CatalogError, RefusedError for another's."""
    folder = file.parent
    with suppress(FileExistsError):  # left by a creation that was cut off
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666))
    connection = sqlite3.connect(file, timeout=WAIT_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            tables = (Path(__file__).parent / "journal.sql").read_text("utf-8")
            values = f"INSERT INTO meta VALUES ('id', '{secrets.token_hex(16)}'), ('latest_us', '0');"
            connection.executescript(f"BEGIN IMMEDIATE;\n{tables}\n{values}\nPRAGMA application_id={_APPLICATION};\nPRAGMA user_version={VERSION};\nCOMMIT;")
        _refuse_another_version(folder, connection)
        upgrade.bring_up(folder, connection, lambda _how: None)
        (found,) = connection.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()
    except sqlite3.Error as error:
        raise told(folder, error) from error
    finally:
        connection.close()
    return str(found)


def _connected(folder: Path, wanted: str, lock: int) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "journal.db", timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        for pragma in ("synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON", "cache_size=-65536", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        _refuse_another_journal(folder, connection, wanted)
        upgrade.bring_up(folder, connection, lambda how: fcntl.fcntl(lock, fcntl.F_OFD_SETLK, _flock(how, _IN_USE)))
    except BaseException as error:
        connection.close()
        raise (told(folder, error) if isinstance(error, sqlite3.Error) else error) from None
    return connection


def _refuse_another_journal(folder: Path, connection: sqlite3.Connection, wanted: str) -> None:
    _refuse_another_version(folder, connection)
    found = connection.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()
    if found != (wanted,):
        raise RefusedError(f"{_shown(folder)}: this is the journal of another catalog; set [lifecycle] journal back to the folder that was given first")
    if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
        raise CatalogError(f"{_shown(folder)}: this file system cannot hold the journal (no write-ahead log); set [lifecycle] journal to another disk")


def _refuse_another_version(folder: Path, connection: sqlite3.Connection) -> None:
    (application,), (version,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version"))
    if application != _APPLICATION:
        raise RefusedError(f"{_shown(folder)}: journal.db is not a journal of Lastcopy")
    if version > VERSION:
        raise RefusedError(f"{_shown(folder)}: the journal was written by a newer Lastcopy (version {version}, this one knows {VERSION}); use that one")


def _told_place(root: Path) -> Place | None:
    file = root / _NAMED
    try:
        return Place(**json.loads(mirror.bucket(root).read(_NAMED) if places.of(root) else file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise CatalogError(f"{_shown(file)}: cannot be read ({error}); it names the one journal of this catalog") from error


def _write_place(root: Path, place: Place) -> None:
    text = json.dumps(asdict(place), indent=2) + "\n"
    if places.of(root):
        _write_to_store(root, text.encode())
        return
    root.mkdir(parents=True, exist_ok=True)
    new = root / f".{_NAMED}~{secrets.token_hex(8)}"
    with new.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(root / _NAMED)
    sync(root)


def _write_to_store(root: Path, content: bytes) -> None:
    """Name the journal to all hosts. Raises RefusedError where another host named its own in this moment."""
    mirror.refuse_unsafe(root)
    if _told_place(root) is not None:
        mirror.bucket(root).replace(_NAMED, content)
    elif not mirror.bucket(root).create(_NAMED, content):
        raise RefusedError(f"{_shown(root)}: another host made the journal of this catalog at the same time; run jobs there")


def refuse_a_foreign_host(root: Path) -> None:
    """Raises RefusedError where the catalog's journal is on another host."""
    place = _told_place(root)
    if place is not None:
        _refuse_a_foreign_host(place, root)


def _refuse_a_foreign_host(place: Place, root: Path) -> None:
    if place.host != host():
        raise RefusedError(
            f"{_shown(root)}: the journal of this catalog is on another host ({place.host}), in {place.folder}; run jobs there, or move it (docs/operating.md)"
        )


def _refuse_another_file(place: Place, folder: Path, root: Path) -> None:
    inode, home = (folder / "journal.db").stat().st_ino, Path(place.folder)
    if place.folder != str(folder) and (home / "journal.db").exists() and (home / "journal.db").stat().st_ino == place.inode != inode:
        told = "run jobs there; to try something on volumes of its own, 'lastcopy job rebuild --take-over' makes it a journal"
        raise RefusedError(f"{_shown(root)}: is a copy of a catalog whose journal lives in {_shown(home)}; {told}")
    if inode != place.inode:
        text = "is not the file that was made: a copy, or restored from a backup, and may not know what was removed since"
        raise RefusedError(f"{_shown(folder)}: journal.db {text}; 'lastcopy job rebuild' makes it anew from what lies on the volumes")
    if place.folder == str(folder):
        return
    if Path(place.folder).exists():
        raise RefusedError(f"{_shown(root)}: its journal is in {_shown(Path(place.folder))}, not in {_shown(folder)}; a catalog has one journal")
    _write_place(root, Place(place.id, place.host, str(folder), inode))  # it was moved as a whole


def _refuse_a_network(folder: Path) -> None:
    kind = file_system(folder)
    if kind in _NETWORKS:
        raise RefusedError(f"{_shown(folder)}: is on {_NETWORKS[kind]}; the journal must be on a disk of this host: set [lifecycle] journal")


def file_system(folder: Path) -> int:
    """The kind of a folder's file system, a magic number of statfs(2)."""
    buffer = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(folder), buffer):
        number = ctypes.get_errno()
        raise CatalogError(f"{_shown(folder)}: {os.strerror(number)}")
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF


def locked(folder: Path, how: int, *, wait: bool = True, create: bool = True) -> int:
    """A descriptor that holds the journal, shared or alone, until it is closed. Raises LockedError where another has it, RefusedError without journal.lock."""
    descriptor = _lock_file(folder, create=create)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, _flock(how, _IN_USE))
        _refuse_a_lost_lock(folder, descriptor)
    except RefusedError:
        os.close(descriptor)
        raise
    except BlockingIOError as error:
        os.close(descriptor)
        raise LockedError(f"{_shown(folder)}: the journal is in use; end all jobs first") from error
    return descriptor


def _refuse_a_lost_lock(folder: Path, lock: int) -> None:
    """Raises RefusedError where an open journal.lock is not the file of that name: others may hold that one by now, and take what we have."""
    try:
        named = os.path.samestat(os.fstat(lock), os.lstat(folder / _LOCK))
    except FileNotFoundError:
        named = False
    if not named:
        raise _lock_is_gone(folder)


def _lock_is_gone(folder: Path) -> RefusedError:
    text = "is gone, or is not the file that running jobs hold: somebody removed it; end all jobs of this catalog first, then make it with"
    return RefusedError(f"{_shown(folder / _LOCK)}: {text} 'touch {_shown(folder / _LOCK)}'")


def _lock_file(folder: Path, *, create: bool) -> int:
    try:
        return os.open(folder / _LOCK, os.O_RDWR | (os.O_CREAT if create else 0) | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except FileNotFoundError as error:
        raise _lock_is_gone(folder) from error
    except OSError as error:
        raise CatalogError(f"{_shown(folder)}: the journal cannot be locked by user {os.geteuid()} ({error.strerror})") from error


def _flock(how: int, byte: int) -> bytes:
    return struct.pack("hhqqi4x", how, os.SEEK_SET, byte, 1, 0)


def _shown(path: Path) -> str:
    return names.escape(os.fsencode(path))
