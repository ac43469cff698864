"""The file trees that are scanned: made once below the scratch folder and kept for the next run."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

from benchmarks.measure import say

_SOURCES = ("/usr", "/opt", "/etc", "/var/lib", "/home", "/root", "/srv")
_FILES_A_FOLDER = 250
_WIDE_FILES = 200_000  # one folder of each generated half: memory must not follow the widest folder
_WORDS = ("report", "data", "image", "notes", "final", "table", "run", "sample")


class NoRoomError(Exception):
    """The scratch folder cannot hold the tree."""


def machine(scratch: Path, wanted: int) -> Path:
    """A tree of at least that many entries: this machine's own, copied over and over as names, kinds, sizes, times, owners and modes.

    Files are sparse: they have their size and no content, so a million take seconds to make and no room. Each has an inode of its own.
    """

    def fill(folder: Path) -> None:
        made = 0
        for copy in count():
            for source in filter(os.path.isdir, _SOURCES):
                into = folder / f"{copy}{source}"
                into.mkdir(parents=True)
                made += _skeleton(source, into, wanted - made, os.path.realpath(scratch))
                if made >= wanted:
                    return

    return _once(scratch / f"machine-{wanted}", fill, wanted)


def generated(scratch: Path, entries: int) -> tuple[Path, Path]:
    """A tree of empty files, and the half of it: folders of 250, and one very wide folder in each half."""

    def fill(folder: Path) -> None:
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(_empty_files, [folder / "a", folder / "b"], [entries // 2] * 2))

    whole = _once(scratch / f"generated-{entries}", fill, entries)
    return whole / "a", whole


def small(scratch: Path, files: int) -> Path:
    """A tree of small files in folders of a hundred, no two of which have the same content."""

    def fill(folder: Path) -> None:
        for number in range(files):
            into = folder / f"project {number // 5_000:03d}" / f"part {number // 100 % 50:02d}"
            if number % 100 == 0:
                into.mkdir(parents=True)
            (into / f"{_WORDS[number % len(_WORDS)]}-{number:07d}.dat").write_bytes(f"{number}\n".encode() * (1 + number % 9))

    return _once(scratch / f"small-{files}", fill, files)


def python_installation(scratch: Path, wanted: int) -> tuple[Path, str]:
    """A Python installation of at least that many files, and what it is."""
    for real in (Path.home() / ".pyenv", Path("/opt/conda"), Path("/opt/miniconda3"), Path(os.path.realpath("/usr/lib/python3"))):
        if real.is_dir() and _has_files(real, wanted):
            return real, str(real)

    def fill(folder: Path) -> None:
        import pyarrow

        library, base, files = Path(pyarrow.__file__).parents[1], Path(os.__file__).parent, 0
        for copy in count():
            for source in (library, base):
                into = folder / f"{copy}-{source.name}"
                shutil.copytree(source, into, symlinks=True)
                files += sum(len(names) for _, _, names in os.walk(into))
            if files >= wanted:
                return

    return _once(scratch / f"python-{wanted}", fill, wanted), "copies of this Python and its packages"


def _once(folder: Path, fill: Callable[[Path], None], entries: int) -> Path:
    """The folder, filled if it is not there whole: it gets its name when it is done."""
    if folder.is_dir():
        return folder
    room = os.statvfs(folder.parent)
    if room.f_favail < entries * 1.2:
        raise NoRoomError(f"{folder.parent}: {room.f_favail:,} inodes are free, {entries:,} entries need more; give another --scratch")
    say(f"  making {folder}, once")
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    fill(unfinished)
    unfinished.rename(folder)
    return folder


def _has_files(folder: Path, wanted: int) -> bool:
    files = 0
    for _, _, names in os.walk(folder):
        files += len(names)
        if files >= wanted:
            return True
    return False


def _skeleton(source: str, into: Path, wanted: int, without: str) -> int:
    """Copy at most that many entries below a folder as names and attributes; gives how many."""
    made, device, linked = 0, os.stat(source).st_dev, dict[int, Path]()
    folders: list[tuple[Path, os.stat_result]] = []
    for entry, target in _below(source, into, device, without):
        found = entry.stat(follow_symlinks=False)
        with suppress(OSError):  # a live system changes below us: what vanished is left out
            if entry.is_symlink():
                target.symlink_to(os.readlink(entry.path))
            elif entry.is_dir(follow_symlinks=False):
                target.mkdir()
                folders.append((target, found))
            elif found.st_ino in linked:
                target.hardlink_to(linked[found.st_ino])
            elif stat.S_ISREG(found.st_mode):
                _sparse(target, found)
                if found.st_nlink > 1:
                    linked[found.st_ino] = target
            made += 1
        if made >= wanted:
            break
    for folder, found in reversed(folders):  # their times would change with what is made in them
        os.chmod(folder, stat.S_IMODE(found.st_mode))
        os.utime(folder, ns=(found.st_atime_ns, found.st_mtime_ns))
    return made


def _below(source: str, into: Path, device: int, without: str) -> Iterator[tuple[os.DirEntry[str], Path]]:
    """Every entry below a folder on its file system, parents first, with the place of its copy."""
    waiting = [(source, into)]
    while waiting:
        folder, target = waiting.pop()
        with suppress(OSError), os.scandir(folder) as listed:
            for entry in listed:
                if entry.path == without:
                    continue
                yield entry, target / entry.name
                if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_dev == device:
                    waiting.append((entry.path, target / entry.name))


def _sparse(target: Path, like: os.stat_result) -> None:
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, stat.S_IMODE(like.st_mode) | stat.S_IWUSR)
    try:
        os.truncate(file, like.st_size)
        if not os.geteuid():
            os.chown(file, like.st_uid, like.st_gid)
        os.utime(file, ns=(like.st_atime_ns, like.st_mtime_ns))
    finally:
        os.close(file)


def _empty_files(folder: Path, entries: int) -> None:
    """Exactly that many entries: folders of files, two levels deep, and one wide folder."""
    folder.mkdir()
    left = entries
    wide = min(_WIDE_FILES, entries // 10)
    left -= 1 + _fill(folder / "wide", wide)
    for top in count():
        (folder / f"project-{top:04}").mkdir()
        left -= 1
        for part in range(40):
            if left <= 1:
                return
            left -= 1 + _fill(folder / f"project-{top:04}" / f"{_WORDS[part % 8]}-{part:02}", min(_FILES_A_FOLDER, left - 1))


def _fill(folder: Path, files: int) -> int:
    folder.mkdir()
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number in range(files):
            os.mknod(f"{_WORDS[number % 8]}-{number:06}.dat", 0o100640, dir_fd=at)
    finally:
        os.close(at)
    return files
