"""Lists of what changed in a file tree, as others write them: paths, and the difference of two snapshots of btrfs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from catalog import names
from catalog.errors import ConfigError

_MOST = 500_000  # paths that are held in memory: who has more scans the volume as a whole
_BLOCK_BYTES = 1 << 20
_SUBVOLUME_INODE = 256  # of the uppermost directory of every subvolume, see btrfs(5)
_LINE = re.compile(rb"([a-z_]+)\s+((?:\\.|[^\\\s])+)(?:\s+(.*))?")
_DEST = re.compile(rb"(?:^|\s)dest=((?:\\.|[^\\\s])*)")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"e": b"\x1b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_OF_ITSELF = frozenset({"chmod", "chown", "utimes", "set_xattr", "remove_xattr", "fileattr"})
_OF_NAMES = frozenset(
    {"mkfile", "mkdir", "mknod", "mkfifo", "mksock", "symlink", "rename", "link", "unlink", "rmdir"}
    | {"write", "encoded_write", "update_extent", "truncate", "clone", "fallocate", "enable_verity"}
)


class Changes(NamedTuple):
    """What a list names: paths below the root of a volume, raw, without slashes at their ends, and whether of a directory nothing below it changed."""

    alone: dict[bytes, bool]
    of_subvolume: bool = False  # it tells of one subvolume, and of none within


def read(file: BinaryIO, form: str, root: Path) -> Changes:
    """A list of the volume at `root`, of form paths or btrfs. Raises ConfigError for what is no such list, or names what lies elsewhere, or too much."""
    found: dict[bytes, bool] = {}
    for path, alone in _paths(file, root) if form == "paths" else _btrfs(file, _below_subvolume(root)):
        found[path] = found.get(path, True) and alone
        if len(found) > _MOST:
            raise ConfigError(f"the list of changes names more than {_MOST:,} paths: scan the volume as a whole")
    return Changes(found, form == "btrfs")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """What a list has between NULs, or where its first megabyte has none, between newlines. Raises ConfigError."""
    rest = file.read(_BLOCK_BYTES)
    end = b"\0" if b"\0" in rest else b"\n"
    while block := file.read(_BLOCK_BYTES):
        *whole, rest = (rest + block).split(end)
        yield from whole
        if len(rest) > _BLOCK_BYTES:
            raise ConfigError("the list of changes has a path of more than a megabyte: it is no such list")
    yield from rest.split(end)


def _paths(file: BinaryIO, root: Path) -> Iterator[tuple[bytes, bool]]:
    """Paths, relative to the root, or absolute."""
    places = {bytes(root), bytes(root.resolve())}
    for number, path in enumerate(_pieces(file), 1):
        if not path:
            continue
        inside = next((found for place in places if path.startswith(b"/") and (found := _within(path, place)) is not None), None)
        if path.startswith(b"/") and inside is None:
            raise ConfigError(
                f"path {number} of the list of changes, {names.escape(path[:200])}, lies outside of the volume at {root}: leave such paths out of it"
            )
        yield _plain(path if inside is None else inside, number), False


def _btrfs(file: BinaryIO, below: bytes) -> Iterator[tuple[bytes, bool]]:
    """What `btrfs receive --dump` prints of `btrfs send --no-data -p OLDER NEWER`; `below` is where the volume lies in the subvolume."""
    snapshot = None
    for number, line in enumerate(_pieces(file), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        what = found[1].decode() if found else ""
        if found is None or (snapshot is None) != (what == "snapshot") or what not in _OF_ITSELF | _OF_NAMES | {"snapshot"}:
            told = "it is of a whole subvolume: give btrfs send the older snapshot (-p)" if what == "subvol" else "not what 'btrfs receive --dump' prints"
            raise ConfigError(f"line {number} of the list of changes: {told}")
        if snapshot is None:
            snapshot = _unescaped(found[2])
            continue
        for path in _places(what, found, snapshot, number):
            if (inside := _within(path, below)) is not None:
                yield _plain(inside, number), what in _OF_ITSELF
            elif below.startswith(path + b"/") and what not in _OF_ITSELF:
                raise ConfigError(f"line {number} of the list of changes: the folder of the volume itself was made, moved or removed: scan it as a whole")
    if snapshot is None:
        raise ConfigError("the list of changes names no snapshot: it is not what 'btrfs receive --dump' prints")


def _places(what: str, found: re.Match[bytes], snapshot: bytes, number: int) -> list[bytes]:
    """The paths of a line, below its subvolume."""
    paths = [_within(_unescaped(found[2]), snapshot)]
    if what in ("rename", "link"):
        dest = _DEST.search(found[3] or b"")
        if dest is None:
            raise ConfigError(f"line {number} of the list of changes: it does not say where to")
        paths.append(_within(_unescaped(dest[1]), snapshot) if what == "rename" else _unescaped(dest[1]))
    inside = [path for path in paths if path is not None]
    if len(inside) < len(paths):
        raise ConfigError(f"line {number} of the list of changes: a path outside of its snapshot")
    return inside


def _below_subvolume(root: Path) -> bytes:
    """Where a folder lies in its subvolume; empty where it is the uppermost."""
    here = root.resolve()
    for place in (here, *here.parents):
        if place.stat().st_ino == _SUBVOLUME_INODE:
            return bytes(here.relative_to(place)) if place != here else b""
    raise ConfigError(f"{root}: lies on no btrfs")


def _within(path: bytes, place: bytes) -> bytes | None:
    """What follows a place in a path; None where it lies elsewhere."""
    if not place:
        return path
    path, place = path.rstrip(b"/"), place.rstrip(b"/")
    return b"" if path == place else path[len(place) + 1 :] if path.startswith(place + b"/") else None


def _plain(path: bytes, number: int) -> bytes:
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise ConfigError(f"path {number} of the list of changes has '..' in it")
    return b"/".join(parts)


def _unescaped(text: bytes) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        return bytes([int(found[1], 8) & 0xFF]) if len(found[1]) == 3 else _LETTERS.get(found[1], found[1])

    return _ESCAPE.sub(one, text)
