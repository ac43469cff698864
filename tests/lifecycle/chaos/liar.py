"""A FUSE file system that passes everything through to a directory, and lies as its mode says. `python -m tests.lifecycle.chaos.liar BACKING MOUNT MODE-LINK`.

The mode is the target of a symbolic link that is looked up at every call, so that it can change while the file system is mounted:
`honest`, `flip-write` (one bit of what is written), `flip-read` (one bit of what is read), `no-fsync` (says yes, does nothing), `short-write`
(takes half), `no-flags` (EINVAL for any flag of renameat2). The kernel caches what is written, as it does for a disk: only who drops the cache
sees a lie.
"""

import ctypes
import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODES = ("honest", "flip-write", "flip-read", "no-fsync", "short-write", "no-flags")
INSTALL = "apt-get install -y fuse3"
_PATIENCE_SECONDS = 20.0
_AT_FDCWD = -100
_AUTO_INVAL_DATA = 1 << 12  # FUSE_CAP_AUTO_INVAL_DATA of fuse_common.h: drops the cache whenever a time changes
_SHORTEST = 20  # bytes of a block that is tampered with: markers and names are left alone


class Liar:
    """The file system mounted, in a process of its own."""

    def __init__(self, backing: Path, mount: Path, mode: Path) -> None:
        self.mount, self._mode = mount, mode
        mount.mkdir(exist_ok=True)
        self.be("honest")
        command = [sys.executable, "-m", "tests.lifecycle.chaos.liar", str(backing), str(mount), str(mode)]
        self._process = subprocess.Popen(command, cwd=Path(__file__).parents[3], env={**os.environ, "FUSE_LIBRARY_NAME": "fuse3"})
        until = time.monotonic() + _PATIENCE_SECONDS
        while not os.path.ismount(mount):
            assert self._process.poll() is None, "the FUSE file system does not start"
            assert time.monotonic() < until, "the FUSE file system is not mounted in time"
            time.sleep(0.01)

    def be(self, mode: str) -> None:
        """Lie in this way from now on."""
        staged = self._mode.with_suffix(".new")
        staged.unlink(missing_ok=True)
        staged.symlink_to(mode)
        staged.rename(self._mode)

    def close(self) -> None:
        """Take it down."""
        subprocess.run(["umount", "-l", self.mount], check=True)
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:  # somebody still holds a file of it open
            self._process.kill()
            self._process.wait()


@contextmanager
def lying(backing: Path, mount: Path, mode: Path) -> Iterator[Liar]:
    """The file system for the length of a block."""
    liar = Liar(backing, mount, mode)
    try:
        yield liar
    finally:
        liar.close()


def _main(backing: str, mount: str, mode: str) -> None:
    import mfusepy

    libc = ctypes.CDLL(None, use_errno=True)

    class Passing(mfusepy.Operations):  # type: ignore[misc]  # the binding has no types
        use_ns = True

        def init_with_config(self, connection: Any, config: Any) -> None:  # noqa: ANN401  the binding has no types
            connection.want &= ~_AUTO_INVAL_DATA

        def _at(self, path: str) -> bytes:
            return os.fsencode(backing) + os.fsencode(path)

        def _is(self, lie: str) -> bool:
            return os.readlink(mode) == lie

        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
            found = os.fstat(fh) if fh is not None else os.lstat(self._at(path))
            times = {"st_atime": found.st_atime_ns, "st_mtime": found.st_mtime_ns, "st_ctime": found.st_ctime_ns}
            names = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks", "st_rdev")
            return times | {name: getattr(found, name) for name in names}

        def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
            with os.scandir(self._at(path)) as entries:
                listed = [(os.fsdecode(entry.name), {"st_mode": entry.stat(follow_symlinks=False).st_mode, "st_ino": entry.inode()}, 0) for entry in entries]
            own = {"st_mode": stat.S_IFDIR, "st_ino": os.stat(self._at(path)).st_ino}
            return [(".", own, 0), ("..", own, 0), *listed]

        def statfs(self, path: str) -> dict[str, int]:
            found = os.statvfs(self._at(path))
            return {name: getattr(found, name) for name in ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_frsize")}

        def readlink(self, path: str) -> str:
            return os.fsdecode(os.readlink(self._at(path)))

        def open(self, path: str, flags: int) -> int:
            return os.open(self._at(path), flags & ~os.O_NOFOLLOW)

        def create(self, path: str, mode: int, fi: object = None) -> int:
            return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def release(self, path: str, fh: int) -> int:
            os.close(fh)
            return 0

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            read = os.pread(fh, size, offset)
            return _flipped(read) if self._is("flip-read") else read

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            if self._is("flip-write"):
                return os.pwrite(fh, _flipped(data), offset)
            if self._is("short-write") and len(data) > 1:
                return os.pwrite(fh, data[: len(data) // 2], offset)
            return os.pwrite(fh, data, offset)

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            os.truncate(fh if fh is not None else self._at(path), length)
            return 0

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            if not self._is("no-fsync"):
                os.fsync(fh)
            return 0

        def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
            if not self._is("no-fsync"):
                descriptor = os.open(self._at(path), os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)
            return 0

        def flush(self, path: str, fh: int) -> int:
            return 0

        def rename(self, old: str, new: str, flags: int = 0) -> int:
            if flags and self._is("no-flags"):
                raise mfusepy.FuseOSError(errno.EINVAL)
            if libc.renameat2(_AT_FDCWD, self._at(old), _AT_FDCWD, self._at(new), flags):
                raise mfusepy.FuseOSError(ctypes.get_errno())
            return 0

        def mkdir(self, path: str, mode: int) -> int:
            os.mkdir(self._at(path), mode)
            return 0

        def rmdir(self, path: str) -> int:
            os.rmdir(self._at(path))
            return 0

        def unlink(self, path: str) -> int:
            os.unlink(self._at(path))
            return 0

        def link(self, target: str, source: str) -> int:
            os.link(self._at(source), self._at(target), follow_symlinks=False)
            return 0

        def symlink(self, target: str, source: str) -> int:
            os.symlink(os.fsencode(source), self._at(target))
            return 0

        def chmod(self, path: str, mode: int) -> int:
            os.chmod(self._at(path), mode)
            return 0

        def chown(self, path: str, uid: int, gid: int) -> int:
            os.chown(self._at(path), uid, gid, follow_symlinks=False)
            return 0

        def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
            os.utime(self._at(path), ns=times or (time.time_ns(),) * 2, follow_symlinks=False)
            return 0

        def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
            return os.getxattr(self._at(path), name, follow_symlinks=False)

        def listxattr(self, path: str) -> list[str]:
            return os.listxattr(self._at(path), follow_symlinks=False)

        def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
            os.setxattr(self._at(path), name, value, options, follow_symlinks=False)
            return 0

        def removexattr(self, path: str, name: str) -> int:
            os.removexattr(self._at(path), name, follow_symlinks=False)
            return 0

    class Flagged(mfusepy.FUSE):  # type: ignore[misc]  # likewise
        """Passes the flags of a rename on, which the binding drops."""

        def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
            done: int = self.operations.rename(os.fsdecode(old), os.fsdecode(new), flags)
            return done

    Flagged(Passing(), mount, foreground=True, nothreads=True, use_ino=True, kernel_cache=True, attr_timeout=0, entry_timeout=0, negative_timeout=0)


def _flipped(data: bytes) -> bytes:
    if len(data) < _SHORTEST:
        return data
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


if __name__ == "__main__":
    _main(*sys.argv[1:])
