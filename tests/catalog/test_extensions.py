"""Extensions are found by file name in installed packages, without importing them."""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import extensions
from catalog.errors import ConfigError, NotFoundError


@pytest.fixture(autouse=True)
def _found_anew() -> Iterator[None]:
    """What other tests found is not known here, nor what is found here to others."""
    extensions._found.cache_clear()
    yield
    extensions._found.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages on the path, both named by the group `lastcopy.scanners`."""
    for name in ("ours_x", "theirs_x/inner"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "ours_x" / "sea_floor.py").write_text("class Scanner:\n    depth = 3\n")
    (tmp_path / "ours_x" / "_private.py").write_text("class Scanner: ...\n")
    (tmp_path / "ours_x" / "crawl.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "ours_x" / "deep.sql").write_text("SELECT 1\n")
    entries = [importlib.metadata.EntryPoint(name, name, "lastcopy.scanners") for name in ("ours_x", "theirs_x.inner")]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [e for e in entries if e.group == group])
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_names_are_file_stems_with_dashes_and_nothing_is_imported(package: Path) -> None:
    assert extensions.names("scanners") == ["crawl", "sea-floor"]
    assert extensions.names("scanners", defines="class Scanner") == ["sea-floor"]
    assert extensions.names("scanners", ".sql") == ["deep"]
    assert extensions.names("reports", ".sql") == []
    assert not {"ours_x", "theirs_x"} & set(sys.modules)


def test_loading_imports_only_that_module(package: Path) -> None:
    (package / "ours_x" / "__init__.py").write_text("")
    assert extensions.load("scanners", "sea-floor").Scanner.depth == 3
    assert "ours_x.crawl" not in sys.modules


def test_an_unknown_name_is_not_found_and_the_known_ones_are_told(package: Path) -> None:
    with pytest.raises(NotFoundError, match="no scanner 'ftp'; known are crawl, sea-floor"):
        extensions.load("scanners", "ftp")


def test_two_extensions_of_one_name_are_refused(package: Path) -> None:
    (package / "theirs_x" / "inner" / "sea_floor.py").write_text("")
    with pytest.raises(ConfigError, match="two scanners are named 'sea-floor'"):
        extensions.names("scanners")


def test_a_package_that_is_gone_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = importlib.metadata.EntryPoint("gone", "gone_x", "lastcopy.actions")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [gone])
    with pytest.raises(ConfigError, match="'gone_x'"):
        extensions.names("actions")


def test_our_own_packages_are_named_by_the_installation() -> None:
    assert {e.value for g in extensions.GROUPS for e in importlib.metadata.entry_points(group=f"lastcopy.{g}")} >= {"scanners", "reports", "lifecycle.actions"}
