"""What the arguments of `borg create`, which an archive keeps, say of it: what it is of, and the patterns that left something out. Nothing of them is run."""

import argparse
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from scanners import _patterns

_MOST = 10_000  # words
# Of borg 1.2 and 1.4: options that are followed by a value, and those that stand alone, whose meaning is of no matter here.
_WITH_VALUE = """
filter stdin-name stdin-user stdin-group stdin-mode paths-delimiter files-cache comment timestamp chunker-params lock-wait umask remote-path remote-ratelimit
upload-ratelimit remote-buffer upload-buffer debug-topic debug-profile rsh exclude-if-present exclude-from
"""
_ALONE = """
json no-cache-sync no-cache-sync-forced no-files-cache exclude-caches keep-exclude-tags keep-tag-files exclude-nodump numeric-owner numeric-ids noatime atime
noctime nobirthtime nobsdflags noflags noacls noxattrs sparse read-special critical error warning info debug log-json bypass-lock show-version show-rc iec
consider-part-files ignore-inode list
"""
_OTHER_PATHS = ("--content-from-command", "--paths-from-stdin", "--paths-from-command")  # what it is of is told elsewhere


@dataclass(frozen=True)
class Arguments:
    """`paths` are absolute, as the archive has what lies below them; none: nothing tells. `excludes` are in borg's notation."""

    paths: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    left_out: tuple[tuple[bool, str], ...] = ()  # what of them is understood, see `_patterns.left_out`


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def understood(words: Sequence[str]) -> Arguments:
    """What the words of a command line say; of one that is not understood, nothing."""
    try:
        found, more = _parser().parse_known_args(list(words[1:]) if len(words) <= _MOST else [])
    except (ValueError, argparse.ArgumentError):
        return Arguments()
    if found.command != "create":
        return Arguments()
    rules = [rule for rule in found.pattern if rule[:1] in ("-", "!", "+")]
    excluded = [("fm", pattern) for pattern in found.exclude]
    excluded += [("sh", rule[1:].strip()) for rule in rules if rule[0] != "+"]
    is_whole = len(rules) == len(found.pattern) and not found.patterns_from  # others may hold more roots, and change the meaning of patterns
    knows_paths = is_whole and not found.elsewhere and not any(word.startswith("-") for word in more)
    takes_back = not is_whole or any(rule[0] == "+" for rule in rules)
    readable = [] if takes_back else [text for style, pattern in excluded if (text := _as_restic(style, pattern))]
    return Arguments(
        paths=tuple(dict.fromkeys(map(_absolute, [*found.paths, *more]))) if knows_paths else (),
        excludes=tuple(pattern for _, pattern in excluded),
        left_out=tuple(_patterns.left_out(readable)),
    )


@functools.cache
def _parser() -> _Parser:
    parser = _Parser(prog="borg", add_help=False)
    parser.add_argument("command")
    parser.add_argument("archive")
    parser.add_argument("paths", nargs="*", default=[])
    parser.add_argument("-e", "--exclude", action="append", default=[])
    for name in ("--pattern", "--patterns-from"):
        parser.add_argument(name, action="append", default=[])
    for letters in (("-c", "--checkpoint-interval"), ("-C", "--compression"), *((f"--{name}",) for name in _WITH_VALUE.split())):
        parser.add_argument(*letters, action="append", dest="other")
    alone = (("-n", "--dry-run"), ("-s", "--stats"), ("-v", "--verbose"), ("-p", "--progress"), ("-x", "--one-file-system"))
    for letters in (*alone, *((f"--{name}",) for name in _ALONE.split())):
        parser.add_argument(*letters, action="store_true", dest="flag")
    for name in _OTHER_PATHS:
        parser.add_argument(name, action="store_true", dest="elsewhere")
    return parser


def _absolute(path: str) -> str:
    """Where a path that was given lies in the archive: as borg makes it relative, with a slash before it."""
    parts = os.path.normpath(path).split("/")
    while parts and parts[0] in ("", ".", ".."):
        parts.pop(0)
    return "/" + "/".join(parts)


def _as_restic(style: str, pattern: str) -> str | None:
    """A pattern in the notation of restic (see `_patterns`), `borg help patterns`; None where that cannot say it."""
    if pattern[2:3] == ":" and pattern[:2] in ("fm", "sh", "re", "pp", "pf"):
        style, pattern = pattern[:2], pattern[3:]
    pattern = pattern.lstrip("/")
    if style == "re" or not pattern or pattern.startswith("!"):
        return None
    if style in ("pp", "pf"):
        return None if "*" in pattern else f"/{pattern}"
    if style == "sh":  # whose `*` is within a name, so that only `**/` reaches all folders
        return pattern.removeprefix("**/") if pattern.startswith("**/") else None if pattern.startswith("*") else f"/{pattern}"
    return pattern if pattern.startswith("*") else f"/{pattern}"
