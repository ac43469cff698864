"""File systems for tests: a directory of the test's own, a small tmpfs, an XFS image."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from catalog import config
from catalog.config import Config
from lifecycle import stores
from lifecycle.stores import Store, posix


class TreePlace:
    """A prepared file tree, and hands that reach past its store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("v", "bare"):
            (folder / name).mkdir()
        self.root = os.fsencode(folder / "v")
        self.config: Config = config.parse({"volumes": {name: self.declared(folder / name) for name in ("v", "bare")}})
        self._opened: list[Store] = []
        self.connect().prepare("marker-1", at_us=1)

    def declared(self, folder: Path) -> dict[str, Any]:
        """The table of a volume."""
        return {"url": str(folder)}

    def connect(self) -> Store:
        return self._connected("v")

    def unprepared(self) -> Store:
        return self._connected("bare")

    def at(self, path: bytes) -> bytes:
        return os.path.join(self.root, path)

    def put(self, path: bytes, content: bytes) -> None:
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "wb") as file:
            file.write(content)

    def replace(self, path: bytes, content: bytes) -> None:
        self.put(path + b".new", content)
        os.rename(self.at(path + b".new"), self.at(path))

    def get(self, path: bytes) -> bytes | None:
        try:
            with open(self.at(path), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def delete(self, path: bytes) -> None:
        os.unlink(self.at(path))

    def names(self) -> list[bytes]:
        found = []
        for folder, directories, files in os.walk(self.root):
            if folder == self.root:
                directories.remove(b".lastcopy")
            found += [os.path.relpath(os.path.join(folder, name), self.root) for name in files]
        return sorted(found)

    def close(self) -> None:
        for store in self._opened:
            store.close()

    def _connected(self, volume: str) -> Store:
        store = stores.connect(self.config, volume)
        self._opened.append(store)
        return store


class PosixPlace(TreePlace):
    """One of this host."""

    def connect(self) -> posix.Store:
        store = super().connect()
        assert isinstance(store, posix.Store)
        return store


@contextmanager
def tmpfs(folder: Path, options: str = "size=16m") -> Iterator[Path]:
    """A small file system in memory. Skips where that needs rights that are not there."""
    with mounted(folder, "-t", "tmpfs", "-o", options, "none") as place:
        yield place


@contextmanager
def xfs(folder: Path) -> Iterator[Path]:
    """A file system that shares blocks. Skips where it cannot be made."""
    if not shutil.which("mkfs.xfs"):
        pytest.skip("mkfs.xfs is not installed")
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(300 << 20)
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    with mounted(folder / "mnt", "-o", "loop", image) as place:
        yield place


@contextmanager
def mounted(point: Path, *arguments: str | Path) -> Iterator[Path]:
    """Something that is mounted while it is used."""
    point.mkdir(exist_ok=True)
    if os.geteuid():
        pytest.skip("only root can mount")
    done = subprocess.run(["mount", *arguments, point], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.decode(errors='replace').strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", point], check=True)
