"""What a program's check of its repository said, understood: pure functions of its output, which may be anybody's.

Sources: `restic check` 0.14 (text) and, with `--json`, 0.17 and later (a line of `message_type` `summary`); `borg check --info` 1.2 and 1.4, also with
`--log-json`. What does not say by itself that it looked at all of the repository, and to the end, is refused: silence proves nothing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from catalog import names, printable
from catalog.errors import RefusedError
from scanners import _messages, suspects
from scanners.suspects import Suspects

MOST_BYTES = 64 << 20  # of an output
_MOST_PARTS = 1_000_000
_TOLD_LETTERS = 1000
_ALL_PPM = 1_000_000
_SUBSET = re.compile(r"([0-9]{1,7})/([0-9]{1,7})|([0-9]{1,3}(?:\.[0-9]{1,6})?)%")
_GROUP = re.compile(r"^read group #([0-9]{1,7}) of [0-9]+ data packs \(out of total [0-9]+ packs in ([0-9]{1,7}) groups\)$", re.MULTILINE)
_PERCENT = re.compile(r"^read ([0-9]{1,3}(?:\.[0-9]{1,6})?)% of data packs$", re.MULTILINE)
_VERIFIED = re.compile(r"^Finished cryptographic data integrity verification, verified [0-9]+ chunks with 0 integrity errors\.$", re.MULTILINE)
_BORG_BEGIN = "Starting repository check"
_NOT_DONE = re.compile(
    r"unable to create lock|already locked|wrong password|no key found|Is there a repository|unable to open|unable to load config|no space", re.I
)


@dataclass(frozen=True)
class Said:
    """One check. `level` is what it proves where it is `ok`: 1 structure and sizes, 2 stored bytes, all or a part of them."""

    ok: bool
    level: int
    part: int | None = None
    parts: int | None = None
    share_ppm: int = 0  # of the content that was read, in millionths
    errors: int = 0
    told: str | None = None  # of errors, escaped
    started_at: datetime | None = None  # naive UTC
    suspects: Suspects | None = None  # where errors were found, if that is told of all of them


def subset(text: str) -> tuple[int | None, int | None, int]:
    """Part, parts and share of what `--read-data-subset` is given. Raises ValueError."""
    found = _SUBSET.fullmatch(text.strip())
    if found and found[3] and 0 < float(found[3]) <= 100:
        return None, None, round(float(found[3]) * 10_000)
    if found and found[1] and 1 <= int(found[1]) <= int(found[2]) <= _MOST_PARTS:
        return int(found[1]), int(found[2]), _ALL_PPM // int(found[2])
    raise ValueError(f"{text!r} is no part as 3/50, and no share as 5%")


def restic_check(output: str, code: int, read: str | None) -> Said:
    """What `restic check` said. `read`: what the caller says was read, 'all' or a subset; None = the output tells. Raises RefusedError, ValueError."""
    messages = list(_messages.read(output))
    summary = next((one for one in reversed(messages) if one.get("message_type") == "summary"), None)
    complaints = [str(one.get("message", "")) for one in messages if one.get("message_type") in ("error", "exit_error")]
    complaints += [line for line in output.splitlines() if _is_complaint(line)]
    if summary is not None:
        errors = summary.get("num_errors")
        if type(errors) is not int or not 0 <= errors < 1 << 31:
            raise RefusedError("restic check: a summary without its number of errors")
        done = code in (0, 1)
    else:
        errors, done = len(complaints), ("no errors were found" if code == 0 else "repository contains errors") in output
    if _NOT_DONE.search("\n".join(complaints)) or not done or (code == 0) != (errors == 0):
        raise RefusedError(_undone("restic check", code))
    named = None if code == 0 else suspects.of_restic(output, None if summary is None else errors)
    said = Said(code == 0, 1, errors=max(errors, 0 if code == 0 else 1), told=_told(complaints), suspects=named)
    return _read(said, _restic_read(output, "all" if summary is not None else None), read)


def borg_check(output: str, code: int, read: str | None) -> Said:
    """What `borg check --info` said, with or without `--log-json`. `read` as for restic, only 'all'. Raises RefusedError, ValueError."""
    if read not in (None, "all"):
        raise ValueError("borg reads no part of its content: --verify-data reads all")
    output = output.replace("\r\n", "\n")  # as a terminal has it
    is_text = _BORG_BEGIN in output.split("\n")  # then whatever looks as a message is of somebody's names
    messages = [] if is_text else [one for one in _messages.read(output) if one.get("type") == "log_message"]
    text = "\n".join(str(one.get("message", "")) for one in messages) if messages else output
    wrong = [str(one.get("message", "")) for one in messages if one.get("levelname") in ("ERROR", "CRITICAL", "WARNING")]
    wrong = wrong if messages else [line for line in output.splitlines() if "rror" in line and "no problems" not in line and " 0 integrity errors" not in line]
    of_segments, _, of_archives = text.partition("Starting archive consistency check...\n")  # names of archives and files come after it
    whole = "Finished full repository check, no problems found." in of_segments and "Archive consistency check complete, no problems found." in of_archives
    verified = of_archives.startswith("Starting cryptographic data integrity verification...\n") and _VERIFIED.search(of_archives)
    started = _first_time(messages)
    if code == 0 and whole and not wrong:
        return replace(_read(Said(True, 1), "all" if verified else None, read), started_at=started)
    if code in (1, 2) and ("errors found" in output or "complete, problems found." in output or "ntegrity" in " ".join(wrong)):
        return Said(False, 2, errors=max(1, len(wrong)), told=_told(wrong), started_at=started, suspects=suspects.of_borg(output))
    raise RefusedError(_undone("borg check", code) + "; give it --info, so that it tells what it looked at, and no --max-duration, --archives-only or the like")


METHODS: Mapping[str, Callable[[str, int, str | None], Said]] = {"restic-check": restic_check, "borg-check": borg_check}


def _undone(what: str, code: int) -> str:
    return f"{what}: by this output and exit code {code} it was not a check of all of the repository that came to its end: nothing is recorded"


def _restic_read(output: str, unknown: str | None) -> str | None:
    """What the text says was read: 'all', a subset, '' = nothing; or, of an output that does not tell, `unknown` as None."""
    if found := _GROUP.search(output):
        return f"{found[1]}/{found[2]}"
    if found := _PERCENT.search(output):
        return f"{found[1]}%"
    if unknown is not None:
        return None
    return "all" if re.search(r"^read all data$", output, re.MULTILINE) else ""


def _read(said: Said, told: str | None, given: str | None) -> Said:
    """With what was read, by the output, else by who gave it. Raises RefusedError where both say another thing."""
    if told is not None and given is not None and told != given and (told in ("", "all") or given == "all" or subset(told) != subset(given)):
        raise RefusedError(f"the output says that {'nothing' if told == '' else told} was read of the content, and not {given}: nothing is recorded")
    what = told if told is not None else given
    if not what:
        return said
    part, parts, share = (None, None, _ALL_PPM) if what == "all" else subset(what)
    by_chance = what != "all" and parts is None and share < _ALL_PPM
    return replace(said, level=1 if by_chance and said.ok else 2, part=part, parts=parts, share_ppm=share)


def _is_complaint(line: str) -> bool:
    """Whether a line of restic's text tells of an error; not what it only repeats."""
    if not line.strip() or suspects.is_harmless(line.strip()):
        return False
    begins = ("{", "Load(<", "[", "using ", "create ", "load ", "check ", "read ", "no errors", "repository ")
    return not line.startswith(begins) or line.startswith("check successful on second attempt")


def _first_time(messages: list[dict[str, Any]]) -> datetime | None:
    at = next((one["time"] for one in messages if isinstance(one.get("time"), int | float)), None)
    try:
        return None if at is None else datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return None


def _told(complaints: list[str]) -> str | None:
    text = "; ".join(complaints[:20])[:_TOLD_LETTERS]
    return printable.clean(names.escape(text.encode("utf-8", "surrogatepass"))) if text else None
