"""Exclude patterns: the same in Python and in DuckDB's RE2."""

import re
from typing import Any

import duckdb
import pytest

from catalog import glob

CASES = [
    ("*.tmp", "a.tmp", True), ("*.tmp", "d/a.tmp", True), ("*.tmp", "a.tmp.txt", False), ("*.tmp", "x.tmp/below", True),
    ("cache/", "cache/", True), ("cache/", "a/cache/", True), ("cache/", "cache/x/y", True), ("cache/", "cache", False), ("cache/", "mycache/", False),
    ("/top", "top", True), ("/top", "d/top", False), ("/top", "top/below", True),
    ("a/b", "a/b", True), ("a/b", "x/a/b", False), ("a/b", "a/b/c", True), ("a/b", "a/bc", False),
    ("a/*/c", "a/b/c", True), ("a/*/c", "a/b/x/c", False), ("a/**/c", "a/c", True), ("a/**/c", "a/b/x/c", True),
    ("**/.cache/**", "x/.cache/y", True), ("**/.cache/**", ".cache/y", True), ("**/.cache/**", "x/.cache/", False),
    ("a/**", "a/b", True), ("a/**", "a/", False), ("a?c", "abc", True), ("a?c", "a/c", False),
    ("[ab]x", "ax", True), ("[!ab]x", "ax", False), ("[!ab]x", "cx", True), ("[!-a]x", "-x", False), ("[!-a]x", "bx", True),
    ("key[!s]*", "key/of/the/safe", False), ("key[!s]*", "keyring", True), ("a.b", "axb", False), ("(x|y)+$", "(x|y)+$", True), ("(x|y)+$", "x", False),
    ("*", "new\\x0aline", True), ("\\xff*", "\\xffname", True), ("é*", "école", True), ("a b", "a b", True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "path", "excluded"), CASES)
def test_a_pattern_excludes_what_gitignore_would(pattern: str, path: str, excluded: bool) -> None:
    expression = glob.regex([pattern])
    assert bool(re.fullmatch(expression, path)) == excluded
    row: Any = duckdb.execute("SELECT regexp_full_match($path, $expression)", {"path": path, "expression": expression}).fetchone()
    assert row[0] == excluded


def test_any_of_several_patterns_excludes_and_none_excludes_nothing() -> None:
    assert re.fullmatch(glob.regex(["*.a", "*.b"]), "x.b")
    assert not re.fullmatch(glob.regex(["*.a", "*.b"]), "x.c")
    assert not re.fullmatch(glob.regex([]), "")
    assert not re.fullmatch(glob.regex([]), "x")
    row: Any = duckdb.execute("SELECT regexp_full_match('x', $expression)", {"expression": glob.regex([])}).fetchone()
    assert row[0] is False
