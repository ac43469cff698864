"""What lies under a file system: disks, memory, the file behind a loop device, or nothing that could be told."""

import contextlib
import os
from pathlib import Path

import pytest

from catalog.config import parse
from lifecycle.stores import connect
from scanners import _place, mounts, posix, settings
from scanners.mounts import Mount


def device(folder: str | Path) -> str | None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return _place.device(descriptor)
    finally:
        os.close(descriptor)


def shown_by(folder: Path, image: Path) -> Path:
    """A loop device as the kernel shows it, whose file is at some path."""
    (folder / "loop7" / "loop").mkdir(parents=True)
    (folder / "loop7" / "loop" / "backing_file").write_bytes(os.fsencode(image) + b"\n")
    return folder / "loop7"


def test_the_image_of_a_loop_device_lies_on_the_disks_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "image").touch()
    assert _place._disks(shown_by(tmp_path, tmp_path / "image")) == set((device(tmp_path) or "").split(","))


def test_a_loop_device_whose_file_cannot_be_reached_tells_no_disk(tmp_path: Path) -> None:
    (found,) = _place._disks(shown_by(tmp_path, tmp_path / "gone"))
    assert found.startswith("fs:loop7@")


def test_memory_is_one_device_whatever_is_mounted_of_it() -> None:
    held = [on.point for on in mounts.table() if on.filesystem == "tmpfs" and os.access(on.point, os.R_OK)]
    assert held, "every Linux has /dev/shm"
    assert {device(point) for point in held} == {f"memory@{_place._host()}"}


def test_where_nothing_tells_the_disks_it_is_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_place, "_block", lambda *_: None)
    monkeypatch.setattr(_place, "mount", lambda _: Mount(0, "/mnt", "/", "0:52", "nfs4", "nas:/export", frozenset()))
    found = device(tmp_path)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    assert found == f"fs:{_place.fs_id(descriptor)}"
    os.close(descriptor)


def test_a_tree_with_what_is_mounted_below_it_is_on_the_devices_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on = {tmp_path: "sda", tmp_path / "in" / "disk": "sdb,sdc", tmp_path / "file": "sda", tmp_path.parent: "sdx", tmp_path / "dark": None}
    for folder in ("in/disk", "dark"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "file").touch()
    known = {os.stat(path).st_ino: disk for path, disk in on.items()}
    monkeypatch.setattr(_place, "device", lambda descriptor: known[os.fstat(descriptor).st_ino])

    def found(*points: str, cross_mounts: bool = True) -> str | None:
        mounted = [Mount(1, str(tmp_path / point), "/", "8:1", "ext4", "", frozenset()) for point in points]
        monkeypatch.setattr(mounts, "table", lambda: mounted)
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            return _place.devices(descriptor, cross_mounts=cross_mounts)
        finally:
            os.close(descriptor)

    assert found("", "..", "in/disk", "file", "hidden/by/another") == "sda,sdb,sdc"
    assert found("in/disk", cross_mounts=False) == "sda"
    assert found("in/disk", "dark") is None


def test_a_volume_says_the_devices_of_what_it_is_told_to_cross(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_place, "devices", lambda _, cross_mounts: "all" if cross_mounts else "own")
    for cross_mounts, said in ((True, "all"), (False, "own")):
        declared = parse({"volumes": {"v": {"url": str(tmp_path), "cross_mounts": cross_mounts}}})
        with contextlib.closing(posix.Scanner(settings(declared, "v"))) as scanner:
            assert scanner.probe().device == said
        assert connect(declared, "v").device() == said
