"""What a mount's options say of access times."""

from pathlib import Path

import pytest

import scanners.mounts
from lastcopy import mounts

MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 8:2 / /srv rw,noatime - xfs /dev/sdb1 rw
24 22 0:40 / /srv/remote rw,relatime - nfs4 server:/export rw,addr=10.0.0.1
25 22 8:3 / /srv/with\\040space rw - ext4 /dev/sdc1 rw
26 22 8:4 / /backup ro,relatime - ext4 /dev/sdd1 ro
27 22 8:5 / /srv rw,strictatime - ext4 /dev/sde1 rw
"""


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/usr/lib", "relatime"),
        ("/srv", "strictatime"),  # mounted over the noatime one
        ("/srv/x", "strictatime"),
        ("/srv/remote/x", "remote"),
        ("/srv/with space/x", "strictatime"),
        ("/srv2", "relatime"),
        ("/backup/x", "read-only"),
    ],
)
def test_the_mount_of_a_path_says_how_it_keeps_access_times(path: str, mode: str) -> None:
    found = mounts.of(Path(path), mounts.table(MOUNTINFO))
    assert found is not None
    assert mounts.access_times(found)[0] == mode


def test_noatime_means_that_reading_leaves_no_trace() -> None:
    (found,) = [mount for mount in mounts.table(MOUNTINFO) if mount.source == "/dev/sdb1"]
    assert mounts.access_times(found) == ("noatime", "reading leaves no trace")


def test_this_machine_has_a_mount_for_every_path(tmp_path: Path) -> None:
    assert mounts.of(tmp_path, mounts.table()) is not None


def test_a_system_without_mountinfo_has_no_mount(tmp_path: Path) -> None:
    assert mounts.of(tmp_path, mounts.table("")) is None


@pytest.mark.parametrize("separator", ["\r", "\x0b", "\x1c", "\x85", "\u2028"])
def test_a_mount_point_that_holds_a_separator_of_lines_is_one_mount(separator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mountinfo"
    file.write_bytes(f"{MOUNTINFO}30 22 0:50 / /home/mallory/a{separator}b rw - fuse.x y{separator}z rw\n".encode())
    monkeypatch.setattr(scanners.mounts, "_TABLE", file)
    assert [(mount.point, mount.source) for mount in mounts.table()][-1] == (f"/home/mallory/a{separator}b", f"y{separator}z")
