"""Exclude patterns of restic as texts that are looked for in paths: no pattern that somebody stored can take long, or break anything, for none is run."""

from collections.abc import Sequence

_MOST, _LONGEST = 200, 300
_NOT_READ = frozenset("?[]\\")


def left_out(patterns: Sequence[str]) -> list[tuple[bool, str]]:
    """Texts of which a path of the backup (`/srv/a/b/`: with a slash at both ends) has one where a pattern leaves it out: at its begin, or anywhere.

    Patterns are those of restic's documentation (`--exclude`). Those with more than a `*` at their begin and their end are left aside, and all of them
    where one takes others back.
    """
    if any(pattern.startswith("!") for pattern in patterns):
        return []
    found = [text for pattern in patterns if len(pattern) <= _LONGEST and (text := _text(pattern))]
    return list(dict.fromkeys(found))[:_MOST]


def _text(pattern: str) -> tuple[bool, str] | None:
    """The text of one pattern; None where one text cannot say it."""
    pattern = pattern.removeprefix("**/")
    at_begin = pattern.startswith("/")
    ends_open = pattern.endswith("*")
    core = pattern.removesuffix("*") if ends_open else pattern.rstrip("/")
    begins_open = core.startswith("*")
    core = core.removeprefix("*")
    if "*" in core or not core.strip("/") or not _NOT_READ.isdisjoint(core) or not core.isprintable():
        return None
    return at_begin, ("" if at_begin or begins_open else "/") + core + ("" if ends_open else "/")
