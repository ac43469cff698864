"""What restic's exclude patterns are understood to leave out, against what it leaves out."""

from pathlib import Path

import pytest

from scanners._patterns import left_out
from tests.scanners import archives, repositories
from tests.scanners.contract import Item, paths, scan

UNDERSTOOD = ["*.tmp", "node_modules", "cache*", "*~", "*draft*", "b/c", "**/deep", "/{tree}/x/only", "/{tree}/y/part*", "z/"]
LEFT_ASIDE = ["a?c", "[ab]c", "x/*/y", "*a*b*c*", "back\\slash", "*", "**", "/", "", "new\nline", "q" * 301]
NAMES = [
    "a.tmp",
    "node_modules/m",
    "cached",
    "k~",
    "my draft 2",
    "a/b/c/d",
    "e/deep/f",
    "x/only/1",
    "x/other",
    "y/partial",
    "z/1",
    "plain",
    "a.tmpl",
    "xcache",
    "b/d",
    "only",
]


def excluded(path: str, patterns: list[str]) -> bool:
    """Whether patterns leave a path out, as the derivation looks at it."""
    whole = f"/{path}/"
    return any(whole.startswith(text) if at_begin else text in whole for at_begin, text in left_out(patterns))


def test_what_patterns_are_understood_to_leave_out_is_what_restic_leaves_out(tmp_path: Path) -> None:
    repository, tree = repositories.new(tmp_path), tmp_path / "tree"
    archives.grow(tree, [Item(name.encode()) for name in NAMES])
    patterns = [pattern.replace("/{tree}", str(tree)) for pattern in UNDERSTOOD]
    assert len(left_out(patterns)) == len(patterns)
    options = [word for pattern in patterns for word in ("--exclude", pattern)]
    repositories.restic(repository, "backup", "--quiet", *options, str(tree))
    found = {path.decode() for path in paths(tmp_path / "catalog", scan(tmp_path / "catalog", repositories.declared_of(repository)))}
    whole = [f"{tree}/{name}".removeprefix("/") for name in NAMES]
    assert {path for path in whole if excluded(path, patterns)} == {path for path in whole if path not in found}
    assert f"{tree}/plain".removeprefix("/") in found


@pytest.mark.parametrize("pattern", LEFT_ASIDE)
def test_a_pattern_that_one_text_cannot_say_is_left_aside(pattern: str) -> None:
    assert left_out([pattern]) == []


def test_patterns_that_take_others_back_are_all_left_aside() -> None:
    assert left_out(["*.tmp", "!keep.tmp"]) == []


def test_very_many_patterns_are_not_all_kept() -> None:
    assert len(left_out([f"*.{number}" for number in range(100_000)])) == 200
