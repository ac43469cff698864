"""File systems in files on /dev/shm: mounted by a loop device, put back as they were, cut off as by a power cut."""

import fcntl
import itertools
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH: what no fsync has made durable is gone (linux/fs.h, ext4.h, xfs_fs.h).
_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = struct.pack("I", 2)
_MAKE = {"ext4": ("mkfs.ext4", "-qF", "-m", "0", "-N", "2048"), "xfs": ("mkfs.xfs", "-qf")}
_SIZE = {"ext4": "40M", "xfs": "320M"}
_PATIENCE_SECONDS = 20.0


class Disk:
    """A file system of its own, mounted at `mount`; `keep` remembers it as it is, `restore` brings that back under a new image."""

    def __init__(self, folder: Path, name: str, kind: str = "ext4") -> None:
        self.name, self.mount, self._folder = name, folder / name, folder
        self.mount.mkdir(parents=True)
        self._images = (folder / f"{name}.{number}.img" for number in itertools.count())
        self._kept = folder / f"{name}.kept.img"
        self._image: Path | None = None
        image = next(self._images)
        _run("truncate", "-s", _SIZE[kind], image)
        _run(*_MAKE[kind], image)
        self._attach(image)

    def keep(self) -> None:
        """Remember the file system as it is now. Everything of it must be closed."""
        image = self._image
        assert image
        self.unmount()
        _copy(image, self._kept)
        self._attach(image)

    def restore(self) -> None:
        """Mount a fresh copy of what was kept: same UUID, inodes and times."""
        old = self._image
        self.unmount()
        image = next(self._images)
        _copy(self._kept, image)
        self._attach(image)
        if old:
            old.unlink()

    def fill(self, room_bytes: int) -> Path:
        """Write a file beside everything that leaves about so much room; removing it makes room again."""
        ballast = self.mount / "ballast"
        found = os.statvfs(self.mount)
        with open(ballast, "wb") as file:
            for own_bytes in range(0, found.f_bfree * found.f_frsize, 1 << 16):  # its own metadata takes some too
                with suppress(OSError):
                    os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - room_bytes - own_bytes)
                    break
        os.sync()
        return ballast

    def commit(self) -> None:
        """Have the disk write everything, as it does by itself sooner or later."""
        descriptor = os.open(self.mount, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            _syncfs(descriptor)
        finally:
            os.close(descriptor)

    def cut(self) -> None:
        """Cut the power: nothing that is not durable by now ever will be. The disk answers EIO until `remount`."""
        descriptor = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(descriptor)

    def remount(self) -> None:
        """Switch it on again."""
        image = self._image
        assert image
        self.unmount()
        self._attach(image)

    def unmount(self) -> None:
        """Take it down; it may be busy for a moment after a kill."""
        if self._image is None:
            return
        until = time.monotonic() + _PATIENCE_SECONDS
        while (ended := subprocess.run(["umount", self.mount], capture_output=True, text=True, check=False)).returncode:
            if time.monotonic() > until:
                raise AssertionError(f"{self.mount} stays busy: {ended.stderr}")
            time.sleep(0.02)
        self._image = None

    def _attach(self, image: Path) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while (ended := subprocess.run(["mount", "-o", "loop", image, self.mount], capture_output=True, text=True, check=False)).returncode:
            if time.monotonic() > until:
                raise AssertionError(f"{image} cannot be mounted: {ended.stderr}")
            time.sleep(0.02)
        self._image = image


class Rack:
    """Several disks that are kept, restored and taken down together. `through`: where a disk is to be reached by another mount."""

    def __init__(self, folder: Path, names: Iterable[str], kind: str = "ext4") -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.disks = {name: Disk(folder, name, kind) for name in names}
        self.through: dict[str, Path] = {}
        self.truth: dict[bytes, bytes] | None = None  # of the estate that was kept

    def __getitem__(self, name: str) -> Path:
        return self.through.get(name) or self.disks[name].mount

    def keep(self) -> None:
        """Remember all disks as they are."""
        for disk in self.disks.values():
            disk.keep()

    def restore(self) -> None:
        """Bring back what was kept, on all disks."""
        for disk in self.disks.values():
            disk.restore()

    def cut(self, committed: Iterable[str] = ()) -> None:
        """Cut the power of all disks at once, after those that are named have committed by themselves; then switch them on again."""
        for name in committed:
            self.disks[name].commit()
        for disk in self.disks.values():
            disk.cut()
        for disk in self.disks.values():
            disk.remount()

    def close(self) -> None:
        """Take everything down and remove the images."""
        for disk in self.disks.values():
            disk.unmount()
        shutil.rmtree(self.folder)


def _copy(source: Path, target: Path) -> None:
    _run("cp", "--sparse=always", source, target)


def _syncfs(descriptor: int) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
        raise OSError(ctypes.get_errno(), "syncfs")


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
