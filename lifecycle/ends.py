"""How a step can end without being done: each end names its reason, and leaves both sides as they are."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

EndState = Literal["CONFLICT", "STALE", "SOURCE_CHANGED", "SOURCE_BUSY", "FAILED", "REFUSED", "UNKNOWN"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass
class EndError(Exception):
    """A step stops here. Raised by stores and guards, caught where a batch is carried out, written to the journal.

    `state`: CONFLICT something else is at the target · STALE the source is not what was planned · SOURCE_CHANGED it changed while we
    worked · SOURCE_BUSY somebody has it open for writing · FAILED an error of the storage · REFUSED a guard said no · UNKNOWN a reply was lost.
    """

    state: EndState
    reason: str  # one sentence, names in escaped form
    retry: bool = False  # whether a later run may well succeed
    stops_volume: bool = False  # nothing more is tried on that volume in this run

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}"


@dataclass
class ColdError(EndError):
    """What is to be read lies in an archive of its storage. `ask` asks for it back, which costs; it writes, and raises EndError. None: it is on its way."""

    ask: Callable[[], None] | None = field(kw_only=True)

    __str__ = EndError.__str__


def failed(error: OSError, what: str) -> EndError:
    """The end that an operating-system error means for a step. `what` says what was tried and on which escaped name."""
    if error.errno in _FULL:
        return EndError("FAILED", f"{what}: no space left; free some, then resume the job", retry=True, stops_volume=True)
    if error.errno in _DENIED:
        return EndError("FAILED", f"{what}: permission denied ({error.strerror}); rights are never changed to get through", retry=True)
    return EndError("FAILED", f"{what}: {error.strerror}", retry=True)
