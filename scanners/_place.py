"""What lies under a file system: its identity, the disks that hold it, and whether its access times can be trusted."""

import hashlib
import os
import re
import socket
import stat
from pathlib import Path

import xxhash

from catalog import domains, names
from scanners import _kernel, mounts
from scanners.mounts import Mount

_IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
_TOP_SUBVOLUME = 5  # BTRFS_FS_TREE_OBJECTID


def mount(descriptor: int) -> Mount:
    """The mount that an open file or directory lies on, by /proc/self/fdinfo; one with empty texts where /proc is not there."""
    try:
        found = re.search(r"^mnt_id:\s*(\d+)", Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii"), re.MULTILINE)
    except OSError:
        found = None
    number = int(found[1]) if found else None
    return next((on for on in mounts.table() if on.number == number), Mount(0, "", "", "", "", "", frozenset()))


def clock(on: Mount) -> str:
    """Which time tells the last use: `accessed` only where the kernel here records every day's reads."""
    if on.is_remote or not on.filesystem or on.options & {"noatime", "ro"}:
        return "modified"
    return "accessed"


def fs_id(descriptor: int, subvolume: int = 0) -> str | None:
    """The identity of the file system under a descriptor, that stays over mounts and hosts where there is a UUID.

    Sources in this order: FS_IOC_GETFSUUID, /dev/disk/by-uuid, `fsid-` and statfs(2)'s f_fsid in hex, `mount-` and a
    hash of type and source of the mount. A subvolume (btrfs) is a part of it, because its snapshots share inode numbers.
    None where nothing tells.
    """
    found = _kernel.file_system_uuid(descriptor) or _by_uuid(os.fstat(descriptor).st_dev) or _by_statfs(descriptor) or _by_mount(descriptor)
    return f"{found}-subvol-{subvolume}" if found and subvolume not in (0, _TOP_SUBVOLUME) else found


def of_repository(kind: str, location: str) -> str:
    """The identity of a repository at this place of this file system: its replica elsewhere, which has the same id, has files of its own."""
    descriptor = os.open(location, os.O_RDONLY | os.O_DIRECTORY)
    try:
        told = f"{fs_id(descriptor)}\0{location}"
    finally:
        os.close(descriptor)
    return f"{kind}-{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def fs_id_below(parent: int, name: str, pair: tuple[int, int], *, own: bool) -> str | None:
    """The file system of an entry of an open directory, `pair` its device and subvolume: its `own`, or a layer of the union mount that the directory shows.

    None where the entry cannot be opened.
    """
    if not own:
        return f"{fs_id(parent)}-layer-{pair[0] & 0xFFFFFFFF}:{pair[0] >> 32}"
    for flags in (os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK, os.O_PATH):
        try:
            descriptor = _kernel.open_beneath(parent, os.fsencode(name), flags)
        except OSError:
            continue  # not ours to open; its path alone may do
        try:
            return fs_id(descriptor, pair[1])
        finally:
            os.close(descriptor)
    return None


def device(descriptor: int) -> str | None:
    """The disks under a descriptor, by their world-wide id or serial, else name and host; sorted, joined by ','. Memory is one device of its host.

    Where nothing tells the disks, `fs:` and the identity of the file system: equal ones are on the same disks, different ones perhaps.
    """
    number = os.fstat(descriptor).st_dev
    folder = _block(os.major(number), os.minor(number))
    if folder is None:
        on = mount(descriptor)
        if on.filesystem in _IN_MEMORY:
            return f"memory@{_host()}"
        try:
            status = os.stat(on.source) if on.source.startswith("/") else None
        except OSError:
            status = None
        if status and stat.S_ISBLK(status.st_mode):
            folder = _block(os.major(status.st_rdev), os.minor(status.st_rdev))
    if folder is None:
        known = fs_id(descriptor)
        return known and f"{domains.FILE_SYSTEM}{known}"
    return ",".join(sorted(_btrfs_disks(descriptor) | _disks(folder)))


def devices(root: int, *, cross_mounts: bool) -> str | None:
    """The device of the tree under an open directory, see `device`; with `cross_mounts` also those of what is mounted below it.

    None where one of these is unknown. A mount that another one hides, or that may not be opened, is no part of the tree.
    """
    found = [device(root)]
    above = os.readlink(f"/proc/self/fd/{root}").rstrip("/") + "/" if cross_mounts else ""
    for on in mounts.table() if cross_mounts else ():
        if on.point.startswith(above) and on.point != above:
            found += _devices_at(root, os.fsencode(on.point[len(above) :]))
    return ",".join(sorted({disk for one in found if one for disk in one.split(",")})) if all(found) else None


def _devices_at(root: int, path: bytes) -> list[str | None]:
    for flags in (os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK, os.O_PATH):
        try:
            descriptor = _kernel.open_beneath(root, path, flags)
        except OSError:
            continue  # a file that is mounted over another, or not ours to open; its path alone may do
        try:
            return [device(descriptor)]
        finally:
            os.close(descriptor)
    return []


def _by_uuid(number: int) -> str | None:
    try:
        links = list(os.scandir("/dev/disk/by-uuid"))
    except OSError:
        return None  # containers and small systems have no such folder
    for link in links:
        try:
            if link.stat().st_rdev == number:
                return link.name
        except OSError:
            continue  # a stick that was just pulled
    return None


def _by_statfs(descriptor: int) -> str | None:
    try:
        found = os.statvfs(descriptor).f_fsid
    except OSError:
        return None  # the caller has another source
    return f"fsid-{found & 0xFFFFFFFFFFFFFFFF:016x}" if found else None


def _by_mount(descriptor: int) -> str | None:
    on = mount(descriptor)
    return f"mount-{xxhash.xxh3_64_hexdigest(f'{on.filesystem} {on.source}'.encode('utf-8', 'surrogateescape'))}" if on.source else None


def _block(major: int, minor: int) -> Path | None:
    folder = Path(f"/sys/dev/block/{major}:{minor}")
    return folder.resolve() if folder.exists() else None


def _disks(folder: Path) -> set[str]:
    """The names of the disks under a block device: a partition's disk, the members of a RAID or a volume group, what the image of a loop device lies on."""
    whole = folder.parent if (folder / "partition").exists() else folder
    members = sorted((whole / "slaves").iterdir()) if (whole / "slaves").is_dir() else []
    if members:
        return set().union(*(_disks(member.resolve()) for member in members))
    if (whole / "loop").is_dir():
        return _under_image(whole)
    for key in ("wwid", "device/wwid", "device/serial", "serial"):
        if text := _text(whole / key):
            return {text.replace(",", "_")}
    return {f"{whole.name}@{_host()}"}


def _under_image(loop: Path) -> set[str]:
    """The disks under the file that a loop device shows; where it cannot be reached, the device's own name, as that of a file system alone."""
    try:
        image = (loop / "loop/backing_file").read_bytes().removesuffix(b"\n")
        folder = os.open(os.path.dirname(image), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        folder = None
    if folder is not None:
        try:
            found = device(folder) if os.stat(image).st_dev == os.fstat(folder).st_dev else None
        except OSError:
            found = None  # its name was taken away, or is that of another host's
        finally:
            os.close(folder)
        if found:
            return set(found.split(","))
    return {f"{domains.FILE_SYSTEM}{loop.name}@{_host()}"}


def _btrfs_disks(descriptor: int) -> set[str]:
    uuid = _kernel.file_system_uuid(descriptor)
    folder = Path(f"/sys/fs/btrfs/{uuid}/devices")
    return set().union(*(_disks(member.resolve()) for member in folder.iterdir())) if uuid and folder.is_dir() else set()


def _host() -> str:
    return (_text(Path("/etc/machine-id")) or socket.gethostname())[:12]


def _text(file: Path) -> str:
    try:
        return names.escape(b" ".join(file.read_bytes().split()))
    except OSError:
        return ""  # not every disk has every file
