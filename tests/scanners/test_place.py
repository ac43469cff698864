"""What lies under a file system: disks, memory, the file behind a loop device, or nothing that could be told."""

import os
from pathlib import Path

import pytest

from scanners import _place, mounts
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
