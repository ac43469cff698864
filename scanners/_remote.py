"""What walks over trees of other hosts share."""

import errno
import hashlib
import os
import time
from dataclasses import dataclass

from catalog import names, ours
from scanners import Sink, _columns
from scanners.reading import SAMPLE_BYTES, SMALL_BYTES, Reply

AGAIN = 3  # times that a folder is listed again which changed meanwhile
MOST_ENTRIES = 10_000_000  # of a folder: a host can tell names without end
LONGEST_NAME, LONGEST_PATH = 4096, 16 * 1024
PIECE = 8192  # names of a folder that are kept together
UNNAMED = "the host tells a name that no file can have: it is left out"
UNTOLD = "the host does not tell what it is, or not its size"
TWICE = "the host tells this name more than once: the first of them is kept"
ENDLESS = f"it has more than {MOST_ENTRIES} entries: the others are left out"
LINKED = "it is no folder any more, or is reached by a link"
CHANGED = "it changed each time while it was read"
UNLIKE = "it is not what it was at the scan"
IRREGULAR = "it is no regular file any more"
_SETTLED_S = 3  # times may be to the second, or told late: what was changed just now may be changed again under the same time
_WAITING, _WAITING_LETTERS = 20_000, 16 << 20  # folders kept in memory, and of their paths; the others wait in the journal


class OtherError(Exception):
    """Why a folder was not listed, or a file not read."""

    def __init__(self, stage: str, text: str, number: int | None = None) -> None:
        """`stage` and `number` are those of `schema.PROBLEMS`."""
        super().__init__(text)
        self.stage, self.number = stage, number


@dataclass
class Walk:
    """One shard on its way. Folders are as the system gives names, with a trailing slash; the root is ''."""

    sink: Sink
    batch: _columns.Batch
    waiting: list[str]
    _letters: int = 0  # of those that were added

    def problem(self, directory: str, stage: str, text: str, *, hides_below: bool, number: int | None = None) -> None:
        """Take a problem of a folder, or of what would be one."""
        self.sink.problem(names.escape(os.fsencode(directory)).removesuffix("/"), stage, text, number, hides_below)

    def has_room(self, directory: str) -> bool:
        """Whether a path may be as long as that of a folder is; else a problem is taken."""
        if len(os.fsencode(directory)) <= LONGEST_PATH:
            return True
        self.problem(directory, "list", os.strerror(errno.ENAMETOOLONG), hides_below=True, number=errno.ENAMETOOLONG)
        return False

    def take(self, count: int) -> list[str]:
        """The next folders to be visited, at most so many."""
        found = [self.waiting.pop() for _ in range(min(count, len(self.waiting)))]
        self._letters -= sum(map(len, found))
        return found

    def add(self, directories: list[str]) -> None:
        """Have folders visited, the first of them first. Where very many wait, or long ones, those that would come last are left to others."""
        self.waiting += reversed(directories)
        self._letters += sum(map(len, directories))
        while len(self.waiting) > _WAITING or (self._letters > _WAITING_LETTERS and self.waiting):
            half = (len(self.waiting) + 1) // 2
            self._leave(self.waiting[:half])
            self._letters -= sum(map(len, self.waiting[:half]))
            del self.waiting[:half]

    def leave(self) -> None:
        """Leave all that waits."""
        self._leave(self.waiting)

    def _leave(self, directories: list[str]) -> None:
        self.sink.leave(names.escape(os.fsencode(directory)) for directory in reversed(directories))


class Content:
    """The digest of a file and its sample, made as its pieces come."""

    def __init__(self) -> None:
        """Of nothing yet."""
        self._whole, self._head, self._tail, self.size_bytes = hashlib.sha256(), b"", b"", 0

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        self._whole.update(piece)
        self._head += piece[: max(0, SAMPLE_BYTES - len(self._head))]
        self._tail = (self._tail + piece[-SAMPLE_BYTES:])[-SAMPLE_BYTES:]
        self.size_bytes += len(piece)

    def digests(self, size_bytes: int) -> tuple[bytes, bytes | None]:
        """The digest, and the sample of a large file. Raises OtherError where it has another size than was seen."""
        if self.size_bytes != size_bytes:
            raise OtherError("changed", f"it gave {self.size_bytes} bytes, not {size_bytes}")
        return self._whole.digest(), hashlib.sha256(self._head + self._tail).digest() if size_bytes > SMALL_BYTES else None


def is_ours(directory: str, name: bytes) -> bool:
    """Whether jobs put a file or a link of that name there: a temporary one, what they know the volume by, what they took away. `directory` is as in `Walk`."""
    if os.fsencode(directory) == b"%s/%s/" % (ours.HOME, ours.QUARANTINE):
        return ours.is_in_quarantine(name)
    return ours.is_temporary(name) or (name in ours.FILES_AT_HOME and os.fsencode(directory) == ours.HOME + b"/")


def settle(modified_us: int | None) -> None:
    """Raises OtherError where a file was modified just now."""
    if modified_us is not None and time.time() - modified_us / 1_000_000 < _SETTLED_S:
        raise OtherError("changed", "it was changed just now, and may be changed again under the same time: a later scan reads it")


def unread(count: int, why: str) -> Reply:
    """The answer for files none of which could be read."""
    now = time.monotonic_ns()
    return Reply(now, [now] * count, [None] * count, [None] * count, 0, [(row, "open", why, None) for row in range(count)])
