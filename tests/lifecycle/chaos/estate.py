"""The files that are moved about: few, small and awkward."""

import os
import random
import shutil
from pathlib import Path

OLD_NS = 1_500_000_000_123_456_789  # long ago, with nanoseconds: dormant, and past every quiet time
_RANDOM = random.Random(20261123)

# Path → content; a symbolic link's is its target behind an arrow.
Truth = dict[bytes, bytes]
ARROW = b"-> "
OWN = b".lastcopy"

_HOLE = b"head" + bytes(300_000) + b"tail"
_LARGE = _RANDOM.randbytes(1_300_000)  # more than one block

SMALL: Truth = {
    b"plain.bin": b"alpha" * 3000,
    b"odd \xff\n name": _RANDOM.randbytes(70_000),
    b"-rf": b"an option by its looks",
    b"deep/er/one": _RANDOM.randbytes(5_000),
    b"deep/hole": _HOLE,
    b"large.bin": _LARGE,
    b"empty": b"",
}
# Whole pages: the kernel keeps what was written of them, where it forgets the end of a page that was written in part.
PAGES: Truth = {b"page/%d" % number: _RANDOM.randbytes(8192 * (number + 1)) for number in range(4)}
LINKED = {b"deep/two": b"deep/er/one"}  # one more name of the same inode
POINTERS = {b"pointer": b"plain.bin"}  # a symbolic link


def grow(root: Path, files: Truth | None = None, *, links: bool = True) -> Truth:
    """Make the files below a root, durable; gives what is true of them, links included."""
    truth = dict(SMALL if files is None else files)
    base = os.fsencode(root)
    for path, content in truth.items():
        _write(base, path, content)
    if links and files is None:
        for path, first in LINKED.items():
            os.link(os.path.join(base, first), os.path.join(base, path))
            truth[path] = truth[first]
        for path, target in POINTERS.items():
            os.symlink(target, os.path.join(base, path))
            truth[path] = ARROW + target
    for path in truth:
        os.utime(os.path.join(base, path), ns=(OLD_NS, OLD_NS), follow_symlinks=False)
    os.sync()
    return truth


def many(number: int, size_bytes: int = 2000, seed: int = 1) -> Truth:
    """A number of small files in a few directories, all different."""
    source = random.Random(seed)
    return {b"d%d/f%05d" % (place % 7, place): source.randbytes(source.randint(1, size_bytes)) for place in range(number)}


def seen(root: Path, *, own: bool = True) -> Truth:
    """What lies below a root now; `own`: with what lies in a folder `.lastcopy`. Unreadable files are left out: nobody has them."""
    found: Truth = {}
    base = os.fsencode(root)
    for folder, folders, names in os.walk(base):
        if not own and folder == base:
            folders[:] = [name for name in folders if name != OWN]
        for name in [*names, *(name for name in folders if os.path.islink(os.path.join(folder, name)))]:
            place = os.path.join(folder, name)
            path = os.path.relpath(place, base)
            try:
                found[path] = ARROW + os.readlink(place) if os.path.islink(place) else Path(os.fsdecode(place)).read_bytes()
            except OSError:
                continue
    return found


def empty(root: Path) -> None:
    """Remove everything below a root."""
    for entry in os.scandir(root):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _write(base: bytes, path: bytes, content: bytes) -> None:
    place = os.path.join(base, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "wb") as file:
        if content is _HOLE:
            file.write(content[:4])
            file.seek(len(content) - 4)
            file.write(content[-4:])
        else:
            file.write(content)
    os.chmod(place, 0o640)
