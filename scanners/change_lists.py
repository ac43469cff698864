"""Lists of what changed in a file tree, as others write them: paths, and the difference of two snapshots of btrfs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from catalog import names
from catalog.errors import ConfigError

FORMS = ("paths", "btrfs")
_MOST_BYTES = 1 << 30  # of a list: what names more is no list of changes
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


class Change(NamedTuple):
    """A path below the root of a volume, raw, without slashes at its ends; `alone`: where it is a directory, nothing below it changed."""

    path: bytes
    alone: bool


def read(file: BinaryIO, form: str, root: Path) -> Iterator[Change]:
    """What a list of one of FORMS names of the volume at `root`. Raises ConfigError for what is no such list, or names what lies elsewhere."""
    content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"the list of changes has more than {_MOST_BYTES:,} bytes: scan the volume as a whole")
    yield from _paths(content, root) if form == "paths" else _btrfs(content, _below_subvolume(root))


def _paths(content: bytes, root: Path) -> Iterator[Change]:
    """Paths, each ended by a NUL, or where there is none by a newline; relative to the root, or absolute."""
    places = {bytes(root), bytes(root.resolve())}
    for number, path in enumerate(content.split(b"\0" if b"\0" in content else b"\n"), 1):
        if not path:
            continue
        inside = next((_within(path, place) for place in places if path.startswith(b"/") and _within(path, place) is not None), None)
        if path.startswith(b"/") and inside is None:
            raise ConfigError(
                f"path {number} of the list of changes, {names.escape(path[:200])}, lies outside of the volume at {root}: leave such paths out of it"
            )
        yield Change(_plain(path if inside is None else inside, number), alone=False)


def _btrfs(content: bytes, below: bytes) -> Iterator[Change]:
    """What `btrfs receive --dump` prints of `btrfs send --no-data -p OLDER NEWER`; `below` is where the volume lies in the subvolume."""
    snapshot = None
    for number, line in enumerate(content.split(b"\n"), 1):
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
        paths = [_within(_unescaped(found[2]), snapshot)]
        dest = _DEST.search(found[3] or b"") if what in ("rename", "link") else None
        if what in ("rename", "link") and dest is None:
            raise ConfigError(f"line {number} of the list of changes: it does not say where to")
        if dest is not None:
            paths.append(_within(_unescaped(dest[1]), snapshot) if what == "rename" else _unescaped(dest[1]))
        for path in paths:
            if path is None:
                raise ConfigError(f"line {number} of the list of changes: a path outside of its snapshot")
            if (inside := _within(path, below)) is not None:
                yield Change(_plain(inside, number), alone=what in _OF_ITSELF)
            elif below.startswith(path + b"/") and what not in _OF_ITSELF:
                raise ConfigError(f"line {number} of the list of changes: the folder of the volume itself was made, moved or removed: scan it as a whole")
    if snapshot is None:
        raise ConfigError("the list of changes names no snapshot: it is not what 'btrfs receive --dump' prints")


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
