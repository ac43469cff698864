"""Storages that fail, are full, or cannot do a thing; runs that are killed between two calls."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle.ends import EndError
from lifecycle.stores import STUB_MAGIC, Capabilities, Metadata, Pointer, _calls
from tests.lifecycle.stores.contract import CONTENT, KEY, copied, fill, look, sha256
from tests.lifecycle.stores.places import PosixPlace, tmpfs

PLAIN = Metadata(0o600, os.geteuid(), os.getegid(), 5, 5)


def no_flags(*_: object) -> None:
    """A renameat2 that knows no flags, as of FUSE, NFS and ZFS."""
    raise OSError(errno.EINVAL, "Invalid argument")


def clobber(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    """A renameat2 that takes the flag and overwrites all the same."""
    os.rename(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)


def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int, when: Callable[[int], bool] = lambda _: True) -> None:
    """Have a call of the os module fail for the descriptors that `when` picks."""
    real = getattr(os, name)

    def called(first: int, *rest: object, **more: object) -> object:
        if when(first):
            raise OSError(number, os.strerror(number))
        return real(first, *rest, **more)

    monkeypatch.setattr(os, name, called)


def mount_inodes_left(mount: Path) -> int:
    return os.statvfs(mount).f_favail


def able(place: PosixPlace) -> Capabilities:
    return place.connect().prepare("marker-1", at_us=2)


# Full and failing


def test_a_full_volume_stops_and_what_was_begun_can_be_discarded(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "mnt", "size=2m") as mount:
        place = PosixPlace(mount)
        store = place.connect()
        staged = store.stage(b"file", KEY)
        with pytest.raises(EndError, match="no space left") as full:
            fill(staged, [memoryview(os.urandom(1 << 20))] * 4)
        assert full.value.retry
        assert full.value.stops_volume
        staged.close()
        assert place.get(b"file") is None
        store.discard(b"file", KEY)
        assert place.names() == []
        free = store.free_bytes()
        assert free is not None
        assert free > 1 << 20
        place.close()


def test_what_has_another_inode_than_ours_is_not_discarded(tmp_path: Path) -> None:
    place = PosixPlace(tmp_path)
    store = place.connect()
    staged = store.stage(b"file", KEY)
    staged.close()
    [temporary] = place.names()
    place.replace(temporary, b"somebody's")
    with pytest.raises(EndError, match="not ours") as refused:
        store.discard(b"file", KEY, staged.inode)
    assert refused.value.state == "CONFLICT"
    assert place.get(temporary) == b"somebody's"
    place.close()


def test_a_volume_without_inodes_left_stops(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "mnt", "size=2m,nr_inodes=12") as mount:
        place = PosixPlace(mount)
        store = place.connect()
        staged = [store.stage(b"file", f"j-{number}-1") for number in range(mount_inodes_left(mount))]
        with pytest.raises(EndError, match="no space left") as full:
            store.stage(b"file", KEY)
        for one in staged:
            one.close()
        assert full.value.stops_volume
        place.close()


def test_a_file_that_could_not_be_made_durable_is_set_aside(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.connect()
    staged = store.stage(b"dir/file", KEY)
    fill(staged, [memoryview(CONTENT)])
    failing(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(EndError, match="FAILED") as failed:
        staged.sync()
    monkeypatch.undo()
    assert failed.value.retry
    staged.close()
    assert place.names() == [b"dir/.lastcopy~" + KEY.encode() + b"~.bad"]
    with pytest.raises(EndError, match="FAILED"):
        store.publish(b"dir/file", KEY, staged.inode)
    again = store.stage(b"dir/file", "jtest-1-2")
    assert again.inode != staged.inode
    again.close()


def test_a_directory_that_could_not_be_made_durable_is_an_error(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(b"dir/file", CONTENT)
    store = place.connect()
    for number in (errno.EIO, errno.EINVAL):
        failing(monkeypatch, "fsync", number)
        with pytest.raises(EndError, match="FAILED"):
            store.settle([b"dir/file"])
        monkeypatch.undo()


def test_a_file_that_reads_short_is_an_error(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    monkeypatch.setattr(os, "preadv", lambda descriptor, buffers, offset: 0)
    with pytest.raises(EndError, match="less than its size"):
        store.digest(b"file", look(store, b"file"))


def test_short_writes_are_written_on(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.connect()
    staged = store.stage(b"file", KEY)
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, block, offset: real(descriptor, block[:777], offset))
    fill(staged, [memoryview(CONTENT), memoryview(CONTENT)])
    staged.finish(PLAIN)
    assert staged.digest() == (sha256(CONTENT * 2), 2 * len(CONTENT))
    staged.close()


# Volumes that cannot do a thing


def test_where_rename_knows_no_flags_links_publish(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_calls, "rename_new", no_flags)
    monkeypatch.setattr(_calls, "exchange", no_flags)
    found = able(place)
    assert (found.publish, found.exchange) == ("link", False)
    place.put(b"file", CONTENT)
    store = place.connect()
    copied(store, b"file", b"made/copy")
    moved = store.quarantine(b"file", KEY, look(store, b"file"))
    assert place.names() == [b"made/copy"]
    store.put_back(KEY, b"file", moved)
    assert place.get(b"file") == place.get(b"made/copy") == CONTENT
    staged = store.stage(b"new", KEY)
    place.put(b"new", b"somebody's")
    with pytest.raises(EndError, match="CONFLICT"):
        store.publish(b"new", KEY, staged.inode)
    staged.close()
    assert place.get(b"new") == b"somebody's"


def test_a_rename_that_takes_the_flag_and_overwrites_is_found_out(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_calls, "rename_new", clobber)
    assert able(place).publish == "link"
    failing(monkeypatch, "link", errno.EPERM, lambda _: True)
    assert able(place).publish == "none"
    with pytest.raises(EndError, match="REFUSED.*overwriting"):  # noqa: RUF043  two words of one sentence
        place.connect().stage(b"file", KEY)


@pytest.mark.parametrize(
    ("call", "number", "ability"), [("symlink", errno.EPERM, "symlinks"), ("link", errno.EPERM, "hard_links"), ("setxattr", errno.EOPNOTSUPP, "xattrs")]
)
def test_what_fails_is_no_ability(place: PosixPlace, monkeypatch: pytest.MonkeyPatch, call: str, number: int, ability: str) -> None:
    assert getattr(able(place), ability)
    failing(monkeypatch, call, number)
    assert not getattr(able(place), ability)


def test_without_links_a_sidecar_is_a_file(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "symlink", errno.EPERM)
    place.put(b"dir/file", CONTENT)
    store = place.connect()
    moved = store.quarantine(b"dir/file", KEY, look(store, b"dir/file"))
    assert [stray.path for stray in store.strays()] == [b"dir/file"]
    store.remove(KEY, moved)
    assert os.listdir(place.at(b".lastcopy/quarantine")) == []


def test_a_pointer_is_refused_where_names_cannot_change_places(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_calls, "exchange", no_flags)
    assert not able(place).exchange
    place.put(b"file", CONTENT)
    store = place.connect()
    with pytest.raises(EndError, match="REFUSED"):
        store.quarantine(b"file", KEY, look(store, b"file"), leave=Pointer("stub", STUB_MAGIC))
    assert place.get(b"file") == CONTENT
    assert os.listdir(place.at(b".lastcopy/quarantine")) == []


# Killed between two calls


def test_a_publication_by_link_that_was_killed_half_way_is_completed(place: PosixPlace) -> None:
    store = place.connect()
    staged = store.stage(b"file", KEY)
    staged.sync()
    staged.close()
    os.link(place.at(b".lastcopy~" + KEY.encode() + b"~.part"), place.at(b"file"))
    assert store.publish(b"file", KEY, staged.inode).link_count == 2
    assert place.names() == [b"file"]


def test_a_move_by_link_that_was_killed_half_way_is_completed(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    planned = look(store, b"file")
    os.link(place.at(b"file"), place.at(b".lastcopy/quarantine/" + KEY.encode()))
    moved = store.quarantine(b"file", KEY, planned)
    assert place.names() == []
    assert store.quarantined(KEY) == moved
    assert moved.link_count == 1


STEPS = """
import os, sys
from catalog import config
from lifecycle import stores
from lifecycle.stores import STUB_MAGIC, Fingerprint, Pointer
root, then = sys.argv[1], sys.argv[2]
store = stores.connect(config.parse({"volumes": {"v": {"url": root}}}), "v")
found = store.look(b"d/file")
pointer = Pointer("stub", STUB_MAGIC + b"1\\n") if then.startswith("stub") else None
if then.endswith("move"):
    moved = store.quarantine(b"d/file", "jtest-1-1", found, leave=pointer)
else:
    store.put_back("jtest-1-1", b"d/file", store.quarantined("jtest-1-1"))
store.settle([b"d/file"])
store.settle_quarantine()
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["plain move", "plain back", "stub move", "stub back"])
def test_a_move_that_is_killed_before_any_call_that_changes_something_goes_on(place: PosixPlace, what: str) -> None:
    """Every renameat2, unlinkat, symlinkat, openat that creates, fsync in turn; fired points equal the points that exist."""
    point = fired = 0
    pointer, way = what.startswith("stub"), what.split()[1]
    while True:
        point += 1
        for path in (b"d", b".lastcopy/quarantine"):
            for name in os.listdir(place.at(path)) if os.path.isdir(place.at(path)) else ():
                os.unlink(os.path.join(place.at(path), name))
        place.put(b"d/file", CONTENT)
        before = look(place.connect(), b"d/file")
        if way == "back":
            assert run(place, f"{'stub' if pointer else 'plain'} move") == 0
        killed = run(place, what, kill_at=point)
        content = [file for file in (b"d/file", b".lastcopy/quarantine/" + KEY.encode()) if place.get(file) == CONTENT]
        assert content, f"lost at point {point}"
        store = place.connect()
        if way == "move":
            store.quarantine(b"d/file", KEY, before, leave=Pointer("stub", STUB_MAGIC + b"1\n") if pointer else None)
            assert (place.get(b"d/file") == STUB_MAGIC + b"1\n") == pointer
            assert store.quarantined(KEY) is not None
        else:
            store.put_back(KEY, b"d/file", before)
            store.settle_quarantine()
            assert place.get(b"d/file") == CONTENT
            assert os.listdir(place.at(b".lastcopy/quarantine")) == []
        fired += killed != 0
        if killed == 0:
            break
    assert fired == point - 1 > 3


def run(place: PosixPlace, what: str, kill_at: int | None = None) -> int:
    """Run the steps in a process of their own; with `kill_at` it ends before that call."""
    program = STEPS if kill_at is None else KILLED.format(kill_at=kill_at) + STEPS
    return subprocess.run([sys.executable, "-c", program, os.fsdecode(place.root), what], check=False, capture_output=True).returncode


KILLED = """
import os
from lifecycle.stores import _calls
left = [{kill_at}]
def dying(real, when=lambda *a: True):
    def called(*arguments, **more):
        if when(*arguments):
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
        return real(*arguments, **more)
    return called
for name in ("unlink", "symlink", "rename", "link", "fsync", "pwrite", "utime", "fchmod", "setxattr", "mkdir"):
    setattr(os, name, dying(getattr(os, name)))
os.open = dying(os.open, lambda path, flags, *rest: flags & os.O_CREAT)
for name in ("rename_new", "exchange"):
    setattr(_calls, name, dying(getattr(_calls, name)))
"""
