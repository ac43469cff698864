"""Exit codes: the one mapping from errors to what a script sees."""

import enum
from collections.abc import Iterable

from catalog import errors


class Exit(enum.IntEnum):
    """What the program ends with. Codes may be added: treat an unknown one as failure."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    GATE = 3
    PARTLY = 4
    REFUSED = 5
    NOT_FOUND = 6
    LOCKED = 7
    UNREACHABLE = 8
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.DONE: "done",
    Exit.FAILED: "failed",
    Exit.USAGE: "usage or configuration is wrong",
    Exit.GATE: "a gate that you set is not met",
    Exit.PARTLY: "done in part: unreadable entries, or warnings of doctor",
    Exit.REFUSED: "refused: going on could lose data or evidence",
    Exit.NOT_FOUND: "no such volume, report, snapshot or file",
    Exit.LOCKED: "locked by another run",
    Exit.UNREACHABLE: "storage cannot be reached",
    Exit.INTERRUPTED: "interrupted, can be resumed",
}

_CODES: dict[type[errors.LastcopyError], Exit] = {
    errors.ConfigError: Exit.USAGE,
    errors.MissingExtraError: Exit.USAGE,
    errors.GateError: Exit.GATE,
    errors.RefusedError: Exit.REFUSED,
    errors.NotFoundError: Exit.NOT_FOUND,
    errors.LockedError: Exit.LOCKED,
    errors.UnreachableError: Exit.UNREACHABLE,
    errors.CatalogError: Exit.FAILED,
}

_INTERRUPTED_QUERY = "Query interrupted"  # what DuckDB makes of Ctrl-C while it works

# Where one command meets several, the first of these decides: what needs a person most comes first.
HARM = (
    Exit.INTERRUPTED,
    Exit.FAILED,
    Exit.REFUSED,
    Exit.UNREACHABLE,
    Exit.NOT_FOUND,
    Exit.LOCKED,
    Exit.USAGE,
    Exit.GATE,
    Exit.PARTLY,
    Exit.DONE,
)


def code_of(error: BaseException) -> Exit:
    """The exit code of an error; FAILED for one that nobody foresaw."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, RuntimeError) and str(error) == _INTERRUPTED_QUERY):
        return Exit.INTERRUPTED
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), Exit.FAILED)


def worst(codes: Iterable[Exit]) -> Exit:
    """Of several exit codes the one with the greatest harm; DONE of none."""
    return min(codes, key=HARM.index, default=Exit.DONE)


def epilog() -> str:
    """The table of codes as the help prints it."""
    return "Exit codes:\n\n\b\n" + "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())
