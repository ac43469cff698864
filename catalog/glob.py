"""Exclude patterns as one regular expression that Python, Arrow and DuckDB (RE2) and Spark read alike."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def regex(patterns: list[str]) -> str:
    """An expression that fully matches an escaped path (a directory's with a trailing slash) that any pattern excludes.

    As in gitignore(5): ``*`` and ``?`` stay within a name, ``**`` crosses slashes, a pattern without a slash (but at its
    end) holds at any depth, one that matches a directory excludes all below it. Negation is not known.
    """
    return "(?s:" + "|".join(_one(pattern) for pattern in patterns) + ")" if patterns else "[^\\s\\S]"


def excluded(expression: str, paths: "pa.Array") -> "pa.BooleanArray":
    """Which of some escaped paths an expression of `regex` matches, in time that is linear in their length: names are an enemy's."""
    import pyarrow.compute as pc

    return pc.match_substring_regex(paths, f"^{expression}$")


def check(pattern: str) -> str:
    """The pattern, as it is. Raises ValueError where its brackets cannot be read."""
    for part in _parts(pattern):
        try:
            re.compile(_translate(part))
        except re.error as error:
            raise ValueError(f"{pattern!r}: {part} names no characters: {error.msg}") from error
    return pattern


def _one(pattern: str) -> str:
    anchored = "/" in pattern.rstrip("/")
    body = "".join(map(_translate, _parts(pattern)))
    tail = "/.*" if pattern.endswith("/") else "(?:/.*)?"
    return ("" if anchored else "(?:.*/)?") + body + tail


def _parts(pattern: str) -> list[str]:
    return re.findall(r"\*\*/|/\*\*$|\*\*|\*|\?|\[[^]]+\]|.", pattern.strip("/"), re.DOTALL)


_TOKENS = {"**/": "(?:.*/)?", "/**": "/.+", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _translate(part: str) -> str:
    if len(part) > 2 and part.startswith("["):
        members = part[1:-1].replace("\\", "\\\\").replace("[", r"\[")  # RE2 knows [:digit:]
        return "[" + re.sub("^[!^](-?)", lambda found: "^/" + found[1].replace("-", r"\-"), members) + "]"  # a slash is in no name
    return _TOKENS.get(part) or re.escape(part)
