"""Backup repositories as borg makes them."""

import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.scanners import archives
from tests.scanners.contract import Item

PASSPHRASE = "correct horse battery staple"


def need() -> None:
    """Skip where borg is not installed, unless the tests must not be skipped."""
    if not shutil.which("borg"):
        assert not os.environ.get("REQUIRE_SERVERS"), "borg is not installed"
        pytest.skip("borg is not installed")


def borg(repository: Path, *words: str, folder: Path | None = None, code: int = 0, **env: str) -> str:
    """Run borg on a repository, of which `::NAME` is an archive; gives what it says."""
    own = {
        "BORG_REPO": str(repository),
        "BORG_PASSPHRASE": PASSPHRASE,
        "BORG_BASE_DIR": str(repository.parent / "base"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        "TZ": "UTC",
    }
    ran = subprocess.run(["borg", *words], cwd=folder, env={**os.environ, **own, **env}, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert ran.returncode == code, ran.stderr.decode(errors="replace")
    return ran.stdout.decode(errors="surrogateescape")


@functools.cache
def _empty() -> "tempfile.TemporaryDirectory[str]":
    """An empty repository, made once."""
    folder = tempfile.TemporaryDirectory()
    borg(Path(folder.name) / "repository", "init", "--encryption", "repokey")
    return folder


def new(folder: Path) -> Path:
    """An empty repository `folder`/repository, and its passphrase in `folder`/password."""
    need()
    shutil.copytree(Path(_empty().name) / "repository", folder / "repository")
    (folder / "password").write_text(PASSPHRASE + "\n")
    return folder / "repository"


def backup(repository: Path, tree: Path, name: str, *options: str, of: Iterable[str] = (".",), code: int = 0, **env: str) -> str:
    """Back up what a folder holds, or paths below it; gives the id of the archive."""
    borg(repository, "create", *options, f"::{name}", *of, folder=tree, code=code, **env)
    return str(next(one["id"] for one in points(repository) if one["barchive"] == name))


def points(repository: Path) -> list[dict[str, Any]]:
    """The archives, oldest first."""
    return json.loads(borg(repository, "list", "--json", "--consider-checkpoints"))["archives"]  # type: ignore[no-any-return]  # JSON


def filled(folder: Path, items: Iterable[Item]) -> Path:
    """A new repository with one archive of some items."""
    repository = new(folder)
    archives.grow(folder / "tree", items)
    backup(repository, folder / "tree", "first")
    return repository


def declared_of(repository: Path, **more: object) -> dict[str, Any]:
    """The volume that a repository is."""
    return {"url": f"borg:{repository}", "role": "backup", "password_file": str(repository.parent / "password"), **more}


def content(repository: Path) -> dict[str, tuple[int, bytes]]:
    """All files of a repository, with their times and bytes."""
    return {str(file.relative_to(repository)): (file.stat().st_mtime_ns, file.read_bytes()) for file in sorted(repository.rglob("*")) if file.is_file()}


def python() -> str:
    """The interpreter that runs borg."""
    program = shutil.which("borg")
    assert program
    first = Path(program).read_bytes().split(b"\n", 1)[0]
    return first.decode().removeprefix("#!").strip()
