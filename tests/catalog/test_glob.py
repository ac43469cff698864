"""Exclude patterns: the same in Python, and in the RE2 of Arrow and DuckDB."""

import re
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from catalog import glob, names

CASES = [
    ("*.tmp", "a.tmp", True), ("*.tmp", "d/a.tmp", True), ("*.tmp", "a.tmp.txt", False), ("*.tmp", "x.tmp/below", True),
    ("cache/", "cache/", True), ("cache/", "a/cache/", True), ("cache/", "cache/x/y", True), ("cache/", "cache", False), ("cache/", "mycache/", False),
    ("/top", "top", True), ("/top", "d/top", False), ("/top", "top/below", True),
    ("a/b", "a/b", True), ("a/b", "x/a/b", False), ("a/b", "a/b/c", True), ("a/b", "a/bc", False),
    ("a/*/c", "a/b/c", True), ("a/*/c", "a/b/x/c", False), ("a/**/c", "a/c", True), ("a/**/c", "a/b/x/c", True),
    ("**/.cache/**", "x/.cache/y", True), ("**/.cache/**", ".cache/y", True), ("**/.cache/**", "x/.cache/", False),
    ("a/**", "a/b", True), ("a/**", "a/", False), ("a?c", "abc", True), ("a?c", "a/c", False),
    ("key[^s]*", "key/of/the/safe", False), ("[^ab]x", "cx", True), ("[^ab]x", "ax", False),
    ("[ab]x", "ax", True), ("[!ab]x", "ax", False), ("[!ab]x", "cx", True), ("[!-a]x", "-x", False), ("[!-a]x", "bx", True),
    ("key[!s]*", "key/of/the/safe", False), ("key[!s]*", "keyring", True), ("a.b", "axb", False), ("(x|y)+$", "(x|y)+$", True), ("(x|y)+$", "x", False),
    ("[[:alpha:]x]", ":x]", True), ("[[:alpha:]x]", "ax]", True), ("[[:alpha:]x]", "zx]", False), ("[\\d]", "d", True), ("[\\d]", "1", False),
    ("*", "new\\x0aline", True), ("\\xff*", "\\xffname", True), ("é*", "école", True), ("a b", "a b", True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "path", "excluded"), CASES)
def test_a_pattern_excludes_what_gitignore_would(pattern: str, path: str, excluded: bool) -> None:
    expression = glob.regex([pattern])
    assert bool(re.fullmatch(expression, path)) == excluded
    row: Any = duckdb.execute("SELECT regexp_full_match($path, $expression)", {"path": path, "expression": expression}).fetchone()
    assert row[0] == excluded
    assert glob.excluded(expression, pa.array([path])).to_pylist() == [excluded]


_PATTERNS = st.text(st.sampled_from("ab/*?[]!^-\\.:é() {}|&~"), max_size=12) | st.text(max_size=8)
_PATHS = st.binary(max_size=10) | st.text(st.sampled_from("ab/!^-[]\\.:é x"), max_size=10).map(str.encode)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(_PATTERNS, max_size=3), st.lists(_PATHS.map(names.escape), min_size=1, max_size=8))
@example(["[!-a[:b]", "[a-]x"], ["-", "b", "[", "-x"])
def test_any_pattern_excludes_the_same_for_arrow_as_for_python(patterns: list[str], paths: list[str]) -> None:
    for pattern in patterns:
        try:
            glob.check(pattern)
        except ValueError:
            assume(False)
    expression = glob.regex(patterns)
    assert glob.excluded(expression, pa.array(paths)).to_pylist() == [re.fullmatch(expression, path) is not None for path in paths]


def test_a_path_made_to_be_matched_slowly_is_not() -> None:
    path = "a/b/c/" * 2700 + "x"  # Python's `re` takes time that grows by the fourth power of its length
    assert glob.excluded(glob.regex(["**/a/**/b/**/c/**/d"]), pa.array([path, path + "/d"])).to_pylist() == [False, True]


def test_any_of_several_patterns_excludes_and_none_excludes_nothing() -> None:
    assert re.fullmatch(glob.regex(["*.a", "*.b"]), "x.b")
    assert not re.fullmatch(glob.regex(["*.a", "*.b"]), "x.c")
    assert not re.fullmatch(glob.regex([]), "")
    assert not re.fullmatch(glob.regex([]), "x")
    row: Any = duckdb.execute("SELECT regexp_full_match('x', $expression)", {"expression": glob.regex([])}).fetchone()
    assert row[0] is False
