"""What the run of a backup said of itself, understood: which recovery point it made, and which files it could not read. Pure functions of its output.

Sources: `restic backup --json` 0.14 and later, with what it wrote on standard error; `borg create --json --log-json` 1.2 and 1.4, likewise. Nothing of it
proves a copy: it tells only what is missing, which neither repository keeps.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from catalog import names, printable
from catalog.errors import RefusedError
from scanners import _messages

MOST_FILES = 10_000  # that could not be read, of a run
_LONGEST_LETTERS = 16_384  # of a path
_TOLD_LETTERS = 300
_PARTIAL = {"restic-backup": {3}, "borg-create": {1, *range(100, 128)}}  # exit codes: it made a recovery point, and had errors
_BORG_ID = re.compile(r'"archive":\s*\{.{0,1048576}?^ {8}"id":\s*"([0-9a-f]{64})"', re.DOTALL | re.MULTILINE)
_BORG_UNREAD = re.compile(r"(/?.{1,16384}): [a-z_]{1,30}: \[Errno [0-9]{1,4}\] (.{0,300})", re.DOTALL)
_BORG_CHANGED = re.compile(r"(/?.{1,16384}): (file changed while we backed it up)", re.DOTALL)


@dataclass(frozen=True)
class Ran:
    """One run. `point` is the id of what it made, perhaps its begin; None = nothing. `unread`: paths, escaped and without a slash before them, and why."""

    ok: bool
    point: str | None
    errors: int
    unread: tuple[tuple[str, str], ...]


def understood(method: str, output: str, code: int, point: str | None) -> Ran:
    """What a run said. `point`: the recovery point that it made, for an output that does not tell. Raises RefusedError."""
    found, unread = _READERS[method](output)
    known = found or point
    if found and point and not (found.startswith(point) or point.startswith(found)):
        raise RefusedError(f"the output is of recovery point {found}, and not of {point}: nothing is recorded")
    if code == 0 and unread:
        raise RefusedError("it tells of files that could not be read, and ended with 0: that is not one run's output and exit code: nothing is recorded")
    made = code == 0 or code in _PARTIAL[method]
    if made and known is None:
        raise RefusedError("nothing tells which recovery point it made: have the backup write --json, or give --recovery-point")
    return Ran(code == 0, known if made else None, 0 if code == 0 else max(1, len(unread)), tuple(list(unread.items())[:MOST_FILES]))


def _restic(output: str) -> tuple[str | None, dict[str, str]]:
    point, unread = None, dict[str, str]()
    for one in _messages.read(output):
        if one.get("message_type") == "summary" and re.fullmatch(r"[0-9a-f]{8,64}", str(one.get("snapshot_id"))):
            point = str(one["snapshot_id"])
        if one.get("message_type") == "error" and isinstance(one.get("item"), str):
            error = one.get("error")
            told = error.get("message") if isinstance(error, dict) else None
            unread.setdefault(_path(one["item"]), _clean(str(told or "it could not be read")))
    return point, unread


def _borg(output: str) -> tuple[str | None, dict[str, str]]:
    found, unread = _BORG_ID.search(output), dict[str, str]()
    for one in _messages.read(output):
        if one.get("type") == "log_message" and one.get("levelname") in ("WARNING", "ERROR"):
            text = str(one.get("message", ""))[: 2 * _LONGEST_LETTERS]
            wrong = _BORG_UNREAD.fullmatch(text) or _BORG_CHANGED.fullmatch(text)
            if wrong:
                unread.setdefault(_path(wrong[1]), _clean(wrong[2]))
    return (found[1] if found else None), unread


_READERS: Mapping[str, Callable[[str], tuple[str | None, dict[str, str]]]] = {"restic-backup": _restic, "borg-create": _borg}
METHODS = tuple(_READERS)


def _path(text: str) -> str:
    return names.escape(text.encode("utf-8", "surrogateescape" if _is_raw(text) else "surrogatepass").lstrip(b"/"))[:_LONGEST_LETTERS]


def _is_raw(text: str) -> bool:
    """Whether what is no UTF-8 in it are bytes (PEP 383)."""
    return all("\udc80" <= letter <= "\udcff" for letter in text if "\ud800" <= letter <= "\udfff")


def _clean(text: str) -> str:
    return printable.clean(names.escape(text[:_TOLD_LETTERS].encode("utf-8", "surrogatepass")))
