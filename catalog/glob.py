"""Exclude patterns as one regular expression that Python, DuckDB (RE2) and Spark read alike."""

import re


def regex(patterns: list[str]) -> str:
    """An expression that fully matches an escaped path (a directory's with a trailing slash) that any pattern excludes.

    As in gitignore(5): ``*`` and ``?`` stay within a name, ``**`` crosses slashes, a pattern without a slash (but at its
    end) holds at any depth, one that matches a directory excludes all below it. Negation is not known.
    """
    return "(?s:" + "|".join(_one(pattern) for pattern in patterns) + ")" if patterns else "[^\\s\\S]"


def _one(pattern: str) -> str:
    anchored = "/" in pattern.rstrip("/")
    body = "".join(_translate(part) for part in re.findall(r"\*\*/|/\*\*$|\*\*|\*|\?|\[[^]]+\]|.", pattern.strip("/"), re.DOTALL))
    tail = "/.*" if pattern.endswith("/") else "(?:/.*)?"
    return ("" if anchored else "(?:.*/)?") + body + tail


_TOKENS = {"**/": "(?:.*/)?", "/**": "/.+", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _translate(part: str) -> str:
    if len(part) > 2 and part.startswith("["):
        members = part[1:-1].replace("\\", "\\\\")
        return "[" + re.sub("^!(-?)", lambda found: "^/" + found[1].replace("-", r"\-"), members) + "]"  # a slash is in no name
    return _TOKENS.get(part) or re.escape(part)
