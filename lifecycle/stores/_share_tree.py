"""The files of one volume on its share, by raw paths below its root. What a name leads to is told by the number that the server gives it."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from catalog import names
from catalog.ours import HOME
from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint
from lifecycle.stores._share import ALONE_TO_WRITE, EVERYBODY, READ, REMOVE, WRITE, Known, Share
from lifecycle.stores._share_names import text_of
from lifecycle.stores._tree import split
from scanners import _smb
from scanners._smb import Entry, Opened

if TYPE_CHECKING:
    from smbprotocol.exceptions import SMBResponseException

ABSENT = (0xC0000034, 0xC000003A, 0xC000000F, 0xC0000056)  # no name, no folder of it, no name of a pattern; it is gone once who has it open closes it
_IN_USE, _NO_FOLDER, _LINK = 0xC0000043, 0xC0000103, 0x8000002D
_FULL = (0xC000007F, 0xC0000044)  # the disk, the quota
_HERE, _ABOVE = ".", ".."
_MOST_FOLDERS, _MOST_LISTINGS = 10_000, 32  # that are remembered


class Tree:
    """The files of a share: what `_hosted.Files` says. Places are paths of the volume."""

    def __init__(self, volume: str, share: Share) -> None:
        self.volume, self._share = volume, share
        self._folders: dict[bytes, int] = {}  # numbers of folders that were where their paths say
        self._listings: OrderedDict[bytes, dict[bytes, int | None]] = OrderedDict()  # of folders: those in them, with the numbers that one of them has alone

    @property
    def share(self) -> Share:
        """The connection. Raises UnreachableError."""
        return self._share.ready()

    @property
    def refused(self) -> tuple[type[Exception], ...]:
        """What is raised for what the share refuses: the server's own word, and ValueError."""
        from smbprotocol.exceptions import SMBResponseException

        return (SMBResponseException, ValueError)

    def shown(self, path: bytes) -> str:
        """The volume and the path, escaped."""
        return f"{self.volume}:{names.escape(path)}"

    def split(self, path: bytes) -> tuple[bytes, bytes]:
        """Directory and name of a path. Raises EndError REFUSED for one that is none, that leaves the volume, that is ours, or that no share has."""
        found = split(path, self.shown)
        try:
            text_of(path)
        except ValueError as error:
            raise EndError("REFUSED", f"{self.shown(path)}: {error}") from error
        return found

    def at(self, *parts: bytes) -> bytes:
        """The place of a path."""
        return b"/".join(part for part in parts if part)

    def home(self, *parts: bytes) -> bytes:
        """A place in our folder."""
        return self.at(HOME, *parts)

    @contextmanager
    def ending(self, doing: str, path: bytes) -> Iterator[None]:
        """What the share refuses ends the step. Raises EndError; UnreachableError goes through, for then nobody knows what was done."""
        from smbprotocol.exceptions import SMBResponseException

        try:
            yield
        except SMBResponseException as error:
            raise self._end(error, f"{self.shown(path)}: {doing}") from error
        except ValueError as error:
            raise EndError("FAILED", f"{self.shown(path)}: {doing}: {error}", retry=True) from error

    @staticmethod
    def _end(error: "SMBResponseException", what: str) -> EndError:
        if error.status in _FULL:
            return EndError("FAILED", f"{what}: no space left; free some, then resume the job", retry=True, stops_volume=True)
        if error.status in (_LINK, _NO_FOLDER):
            return EndError("REFUSED", f"{what}: a link or a file stands where a folder should be")
        if error.status == _IN_USE:
            return EndError("FAILED", f"{what}: somebody has it open", retry=True)
        return EndError("FAILED", f"{what}: {_smb.told(error)}", retry=True)

    @contextmanager
    def opened(self, place: bytes, rights: int, *, share: int = ALONE_TO_WRITE) -> Iterator[Opened]:
        """A file, for a `with`. Raises SMBResponseException, UnreachableError, ValueError."""
        connection = self.share
        opened = connection.begin(text_of(place), rights, share=share)
        try:
            yield opened
        finally:
            connection.let_go(opened)

    def found(self, act: Callable[[], Any]) -> Any:  # noqa: ANN401  what `act` gives
        """What something gives; None where there is nothing. Raises SMBResponseException, UnreachableError, ValueError."""
        from smbprotocol.exceptions import SMBResponseException

        try:
            return act()
        except SMBResponseException as error:
            if error.status not in ABSENT:
                raise
            return None

    def fingerprint(self, known: Known, *, is_link: bool = False) -> Fingerprint:
        """The fingerprint of what is open: as scans have it."""
        kind: Any = "symlink" if is_link else "dir" if known.attributes & _smb.DIRECTORY else "file"
        times = known.times
        return Fingerprint(
            kind,
            known.size_bytes,
            times.modified * 100,
            self.share.server,
            signed(known.number),
            times.created // 10 * 1000 if times.is_created_told else None,
            times.changed * 100 if times.changed > -_smb._FIRST_YEARS_100NS else None,
        )

    def seen(self, place: bytes, path: bytes) -> Fingerprint | None:
        """What is at a place; None = nothing. Raises SMBResponseException, UnreachableError, ValueError."""

        def look() -> Fingerprint:
            opened = self.share.begin_any(text_of(place))
            try:
                known = self.share.known(opened)
                return self.fingerprint(known, is_link=self.is_link(opened, known))
            finally:
                self.share.let_go(opened)

        found: Fingerprint | None = self.found(look)
        return found

    def is_link(self, opened: Opened, known: Known) -> bool:
        """Whether what is open stands for what lies elsewhere. Raises SMBResponseException, UnreachableError, ValueError."""
        return bool(known.attributes & _smb.REPARSE and self.share.reparse_tag(opened) & _smb.LINKING)

    def kind(self, place: bytes) -> str | None:
        """What is at a place, as `Fingerprint.type` has it; None = nothing. Raises SMBResponseException, UnreachableError, ValueError."""
        found = self.seen(place, place)
        return None if found is None else found.type

    def look(self, path: bytes) -> Fingerprint | None:
        """What is at a path; None = nothing, also where a link stands in place of a folder above it. Raises EndError, UnreachableError.

        EndError REFUSED where the share has another name that it takes for this one.
        """
        inner, name = self.split(path)
        with self.ending("look", path):
            if not self.is_here(inner):
                return None
            found = self.seen(path, path)
            if found is not None:
                self._need_name(inner, name)
            return found

    def _need_name(self, inner: bytes, name: bytes) -> None:
        """Raises EndError REFUSED where what answers to a name has another one, in other case or as a short form; SMBResponseException, UnreachableError."""
        wanted = text_of(name)
        opened = self.share.begin_folder(text_of(inner))
        try:
            found = self.found(lambda: self.share.listed(opened, again=True, pattern=wanted)) or []
        finally:
            self.share.let_go(opened)
        told = [one.name for one in found]
        if told and wanted not in told:
            other = names.escape(told[0].encode("utf-8", "surrogatepass"))
            raise EndError("REFUSED", f"{self.shown(self.at(inner, name))}: the share takes this name and {other}, which is there, for one")

    def is_here(self, inner: bytes) -> bool:
        """Whether a folder is where its path says, and no link led to it. Raises EndError REFUSED for other case, SMBResponseException, UnreachableError."""
        if not inner:
            return True
        if inner in self._folders and self._number(inner, None) == self._folders[inner]:
            return True
        parts, above = inner.split(b"/"), self._number(b"", None)
        for depth in range(len(parts)):
            outer, place = b"/".join(parts[:depth]), b"/".join(parts[: depth + 1])
            number = self._number(place, above)
            if number is None:
                return False
            if self._folders.get(place) != number:
                if not number:
                    self._need_name(outer, parts[depth])
                elif number != self._inside(outer, parts[depth], number):
                    return False
                self._know(place, number)
            above = number
        return True

    def _know(self, place: bytes, number: int) -> None:
        """Remember a folder that is where its path says."""
        if len(self._folders) >= _MOST_FOLDERS:
            self._folders.clear()
        self._folders[place] = number

    def _inside(self, outer: bytes, name: bytes, number: int) -> int | None:
        """The number of a folder in another one; None where two names there have it: then one is a link to the other, and nobody can tell which.

        Raises EndError REFUSED where only a name in other case is there, SMBResponseException, UnreachableError, ValueError.
        """
        known = self._listings.get(outer)
        if known is None or known.get(name) != number:
            numbers = {one.name: one.number for one in self._entries(outer) if _smb.is_folder(one)}
            often = Counter(numbers.values())
            known = self._listings[outer] = {name.encode("utf-8", "surrogatepass"): one if often[one] == 1 else None for name, one in numbers.items()}
            while len(self._listings) > _MOST_LISTINGS:
                self._listings.popitem(last=False)
        if name not in known:
            self._need_name(outer, name)
        return known.get(name)

    def _number(self, place: bytes, above: int | None) -> int | None:
        """The number of a folder, 0 = the server has none; None where there is no folder, or it is not in the one that has the number `above`."""
        from smbprotocol.exceptions import SMBResponseException

        try:
            opened = self.share.begin_folder(text_of(place))
        except SMBResponseException as error:
            if error.status in (*ABSENT, _NO_FOLDER, _LINK):
                return None
            raise
        try:
            known = self.share.known(opened)
            if self.is_link(opened, known):
                return None
            if above:
                told = {one.name: one.number for one in self.share.first_listed(opened) if one.name in (_HERE, _ABOVE)}
                if told.get(_ABOVE) not in (None, above):
                    return None
            return known.number or 0
        finally:
            self.share.let_go(opened)

    def need_folder(self, path: bytes) -> None:
        """Raises EndError STALE, REFUSED where the folder of a path is not there, or behind a link; SMBResponseException, UnreachableError."""
        inner, _ = self.split(path)
        if not self.is_here(inner):
            if self.seen(inner, inner) is None:
                raise EndError("STALE", f"{self.shown(path)}: its folder is not there")
            raise EndError("REFUSED", f"{self.shown(path)}: a link leads to its folder")

    def listed(self, place: bytes) -> list[tuple[bytes, bool]]:
        """The names in a folder, and whether each is a folder. Raises SMBResponseException, UnreachableError, ValueError."""
        return [(one.name.encode("utf-8", "surrogatepass"), _smb.is_folder(one)) for one in self._entries(place)]

    def _entries(self, place: bytes) -> list[Entry]:
        """What is in a folder. Raises SMBResponseException, UnreachableError, ValueError."""
        opened, found = self.share.begin_folder(text_of(place)), list[Entry]()
        try:
            while more := self.share.listed(opened):
                found += [one for one in more if one.name not in (_HERE, _ABOVE)]
        finally:
            self.share.let_go(opened)
        return found

    def make_folder(self, place: bytes) -> None:
        """Make a folder where nothing is. Writes. Raises SMBResponseException, UnreachableError, ValueError."""
        opened = self.share.begin_folder(text_of(place), new=True)
        try:
            self._know(place, self.share.known(opened).number or 0)
        finally:
            self.share.let_go(opened)

    def remove_folder(self, place: bytes) -> None:
        """Remove an empty folder. Writes. Raises SMBResponseException, UnreachableError, ValueError."""
        opened = self.share.begin_folder(text_of(place), REMOVE)
        try:
            self.share.remove(opened)
        finally:
            self.share.let_go(opened)

    def write_new(self, place: bytes, content: bytes) -> None:
        """Write a file where nothing is, durable. Writes. Raises SMBResponseException, UnreachableError, ValueError."""
        opened = self.share.begin(text_of(place), WRITE, new=True)
        try:
            self.share.write(opened, 0, memoryview(content))
            self.share.flush(opened)
        finally:
            self.share.let_go(opened)

    def read_small(self, place: bytes, most_bytes: int) -> bytes:
        """The beginning of a file. Raises SMBResponseException, UnreachableError, ValueError."""
        with self.opened(place, READ) as opened:
            return self.share.block(opened, 0, most_bytes)

    def rename(self, place: bytes, to: bytes) -> None:
        """Give a file another name, which nothing has. Writes. Raises SMBResponseException, UnreachableError, ValueError."""
        with self.opened(place, REMOVE) as opened:
            self.share.rename(opened, text_of(to))

    def is_private(self, place: bytes) -> bool:
        """True: a share tells no modes; who may write to the share may write to what is ours, too."""
        return True

    def take(self, path: bytes, to: bytes, expected: Fingerprint) -> None:
        """Have the file at a path lie at a place of ours, where nothing is: what is open is renamed, and nobody writes to it meanwhile. Writes.

        What lies there is looked at while it is open. Raises EndError SOURCE_CHANGED, SOURCE_BUSY, REFUSED, SMBResponseException, UnreachableError.
        """
        from smbprotocol.exceptions import SMBResponseException

        opened, found = None, self.look(path)
        try:
            opened = None if found is None else self.found(lambda: self.share.begin(text_of(path), REMOVE))
            now = None if opened is None else self.fingerprint(self.share.known(opened))
            wrong = "it is gone" if found is None or now is None else expected.differs(found) or expected.differs(now)
            if wrong or opened is None:
                raise EndError("SOURCE_CHANGED", f"{self.shown(path)}: {wrong}; it stays where it is", retry=True)
            self.share.rename(opened, text_of(to))
            there = self.seen(to, path)
            if there is None or expected.differs(there, moved=True):  # say a link of the server's own, which is renamed itself, and leads elsewhere from there
                self.share.rename(opened, text_of(path))
                raise EndError("REFUSED", f"{self.shown(path)}: is not what the share shows there, but leads to it; it was put back")
        except SMBResponseException as error:
            if error.status == _IN_USE:
                raise EndError("SOURCE_BUSY", f"{self.shown(path)}: somebody has it open", retry=True) from error
            raise
        finally:
            if opened is not None:
                self.share.let_go(opened)

    def remove(self, place: bytes) -> None:
        """Remove a file, if it is there. Writes. Raises SMBResponseException, UnreachableError, ValueError."""

        def remove() -> None:
            with self.opened(place, REMOVE, share=EVERYBODY) as opened:
                self.share.remove(opened)

        self.found(remove)


def signed(number: int | None) -> int | None:
    """A file id as the catalog's signed column has it."""
    return number - (1 << 64) if number is not None and number >> 63 else number
