"""Somebody else at work on the same tree: links that are planted, names that are swapped, writers that come and stay."""

import errno
import mmap
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle.ends import EndError
from lifecycle.stores import STUB_MAGIC, Pointer, _calls
from scanners.mounts import Mount
from tests.lifecycle.stores.contract import CONTENT, KEY, copied, fill, look, sha256
from tests.lifecycle.stores.places import PosixPlace, mounted

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
STUB = Pointer("stub", STUB_MAGIC + b"1\n")


def before_call(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None]) -> None:
    """Have something happen once, right before a call of the kernel."""
    real, once = getattr(_calls, name), [act]

    def called(*arguments: object) -> object:
        if once:
            once.pop()()
        return real(*arguments)

    monkeypatch.setattr(_calls, name, called)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder outside of the volume, that nothing may touch."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "file").write_bytes(b"not yours")
    return folder


def untouched(victim: Path) -> bool:
    return os.listdir(victim) == ["file"] and (victim / "file").read_bytes() == b"not yours"


# Links


def test_a_link_in_place_of_a_directory_is_never_followed(place: PosixPlace, victim: Path) -> None:
    place.put(b"dir/file", CONTENT)
    store = place.connect()
    planned = look(store, b"dir/file")
    os.rename(place.at(b"dir"), place.at(b"away"))
    os.symlink(victim, place.at(b"dir"))
    assert store.look(b"dir/file") is None
    for call in (
        lambda: store.open(b"dir/file", planned),
        lambda: store.stage(b"dir/new", KEY),
        lambda: store.stage(b"dir/deeper/new", KEY),
        lambda: store.quarantine(b"dir/file", KEY, planned),
        lambda: store.settle([b"dir/file"]),
        lambda: store.discard(b"dir/file", KEY),
    ):
        with pytest.raises(EndError, match="REFUSED"):
            call()
    assert untouched(victim)


def test_a_link_that_took_the_place_of_a_staged_copys_directory_publishes_nothing(place: PosixPlace, victim: Path) -> None:
    store = place.connect()
    staged = store.stage(b"dir/new", KEY)
    staged.sync()
    os.rename(place.at(b"dir"), place.at(b"away"))
    os.symlink(victim, place.at(b"dir"))
    with pytest.raises(EndError, match="REFUSED"):
        store.publish(b"dir/new", KEY, staged.inode)
    staged.close()
    assert untouched(victim)


def test_a_link_at_the_name_of_a_file_is_not_followed(place: PosixPlace, victim: Path) -> None:
    place.put(b"file", b"not yours")
    store = place.connect()
    planned = look(store, b"file")
    os.unlink(place.at(b"file"))
    os.symlink(victim / "file", place.at(b"file"))
    with pytest.raises(EndError, match="STALE"):
        store.open(b"file", planned)
    with pytest.raises(EndError, match="SOURCE_CHANGED"):
        store.quarantine(b"file", KEY, planned)
    assert os.readlink(place.at(b"file")) == os.fsencode(victim / "file")
    with pytest.raises(EndError, match="CONFLICT"):
        store.stage(b"file", KEY)
    assert untouched(victim)


@pytest.mark.parametrize("name", [b".lastcopy", b".lastcopy/quarantine"])
def test_a_link_in_place_of_our_directory_is_refused(place: PosixPlace, victim: Path, name: bytes) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    planned = look(store, b"file")
    os.rename(place.at(name), place.at(b"away"))
    os.symlink(victim, place.at(name))
    calls: list[Callable[[], object]] = [
        lambda: store.quarantine(b"file", KEY, planned),
        lambda: store.quarantined(KEY),
        lambda: store.remove(KEY, planned),
    ]
    for call in calls:
        with pytest.raises(EndError, match="REFUSED"):
            call()
    with pytest.raises(EndError, match="REFUSED"):
        place.connect().prepare("marker-1", at_us=2, take_over=True)
    assert place.get(b"file") == CONTENT
    assert untouched(victim)


@AS_ROOT
@pytest.mark.parametrize("name", [b".lastcopy", b".lastcopy/quarantine"])
@pytest.mark.parametrize("change", [(1234, 0o700), (1234, 0o777), (0, 0o777)])
def test_a_file_system_that_need_not_keep_owners_is_asked_whether_it_does(
    place: PosixPlace, name: bytes, change: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put(b"file", CONTENT)
    os.chown(place.at(name), change[0], change[0])
    os.chmod(place.at(name), change[1])
    monkeypatch.setattr("scanners._place.mount", lambda _: Mount(0, "", "", "", "fuse.mergerfs", "", frozenset()))
    store = place.connect()
    with pytest.raises(EndError, match="it must be ours alone"):
        store.quarantine(b"file", KEY, look(store, b"file"))
    assert place.get(b"file") == CONTENT
    assert not [one for one in os.listdir(place.at(name)) if one.startswith(b"owner-")]


@AS_ROOT
def test_a_full_storage_that_need_not_keep_owners_is_said_to_be_full(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(b"file", CONTENT)
    os.chown(place.at(b".lastcopy"), 1234, 1234)
    monkeypatch.setattr("scanners._place.mount", lambda _: Mount(0, "", "", "", "cifs", "", frozenset()))
    really_open = os.open

    def is_full(name: bytes | str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if os.fsencode(name).startswith(b"owner-"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return really_open(name, flags, mode, dir_fd=dir_fd)

    store, source = place.connect(), look(place.connect(), b"file")
    monkeypatch.setattr("lifecycle.stores._home.os.open", is_full)
    held = []
    for _ in range(2):
        with pytest.raises(EndError, match="no space left") as ended:
            store.quarantine(b"file", KEY, source)
        held.append(len(os.listdir("/proc/self/fd")))
    assert (ended.value.state, ended.value.stops_volume) == ("FAILED", True)
    assert held[0] == held[1]
    assert place.get(b"file") == CONTENT


@AS_ROOT
def test_where_all_files_have_one_owner_our_directory_has_it_too(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(b"file", CONTENT)
    monkeypatch.setattr("scanners._place.mount", lambda _: Mount(0, "", "", "", "cifs", "", frozenset()))
    as_it_is = os.fstat

    def of_the_mount(descriptor: int) -> os.stat_result:
        found = as_it_is(descriptor)
        return (
            os.stat_result((found.st_mode | 0o777, *found[1:4], 1234, 1234, *found[6:]))
            if b".lastcopy" in os.readlink(b"/proc/self/fd/%d" % descriptor)
            else found
        )

    monkeypatch.setattr(os, "fstat", of_the_mount)
    store = place.connect()
    store.quarantine(b"file", KEY, look(store, b"file"))
    assert os.path.exists(place.at(b".lastcopy/quarantine/" + KEY.encode()))


def test_what_is_no_file_is_no_clock(place: PosixPlace) -> None:
    os.mkfifo(place.at(b".lastcopy/clock"))
    status = os.stat(place.at(b".lastcopy/clock"))
    assert place.connect().clock_ns() > 0  # that of the host, and nobody is waited for who would read the pipe
    reading = os.open(place.at(b".lastcopy/clock"), os.O_RDONLY | os.O_NONBLOCK)
    assert place.connect().clock_ns() > 0
    os.close(reading)
    assert os.stat(place.at(b".lastcopy/clock")).st_mtime_ns == status.st_mtime_ns


@AS_ROOT
@pytest.mark.parametrize("name", [b".lastcopy", b".lastcopy/quarantine"])
def test_our_directory_in_anothers_hands_is_refused(place: PosixPlace, name: bytes) -> None:
    place.put(b"file", CONTENT)
    os.chown(place.at(name), 1234, 1234)
    store = place.connect()
    with pytest.raises(EndError, match="REFUSED"):
        store.quarantine(b"file", KEY, look(store, b"file"))
    os.chown(place.at(name), 0, 0)
    os.chmod(place.at(name), 0o777)
    store = place.connect()
    with pytest.raises(EndError, match="REFUSED"):
        store.quarantine(b"file", KEY, look(store, b"file"))
    assert place.get(b"file") == CONTENT


FOREIGN = [b"my only invoice", b'{"mine": 1}', b"[" * 60_000, os.urandom(3034), b"\0" * 10 + b"x"]


@pytest.mark.parametrize("text", FOREIGN)
@pytest.mark.parametrize("name", ["volume.json", "volume.json.new", "clock", "mine.txt", "folder/mine.txt"])
def test_what_somebody_else_keeps_under_our_name_is_neither_replaced_nor_adopted(place: PosixPlace, name: str, text: bytes) -> None:
    file = place.folder / "bare" / ".lastcopy" / name
    file.parent.mkdir(parents=True)
    (place.folder / "bare" / ".lastcopy").chmod(0o700)
    file.write_bytes(text)
    before = file.stat().st_ctime_ns
    for take_over in (False, True):
        with pytest.raises(EndError, match="REFUSED"):
            place.unprepared().prepare("marker-1", at_us=2, take_over=take_over)
    assert (file.read_bytes(), file.stat().st_ctime_ns) == (text, before)
    assert not list(file.parent.glob("quarantine"))


def test_nor_is_it_where_the_folder_is_ours(place: PosixPlace) -> None:
    new, clock = (Path(os.fsdecode(place.at(b".lastcopy/" + name))) for name in (b"volume.json.new", b"clock"))
    for file in (new, clock):
        file.write_bytes(b"mine")
    before = clock.stat().st_mtime_ns
    with pytest.raises(EndError, match="REFUSED"):
        place.connect().prepare("marker-1", at_us=2)
    assert place.connect().clock_ns() > before, "the time of this machine"
    assert (new.read_bytes(), clock.read_bytes(), clock.stat().st_mtime_ns) == (b"mine", b"mine", before)


def test_no_time_is_written_into_a_folder_of_somebody_else(place: PosixPlace) -> None:
    home = place.folder / "bare" / ".lastcopy"
    home.mkdir(mode=0o700)
    place.unprepared().clock_ns()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("left", [b"", b"\0" * 200])
def test_what_a_preparation_that_was_cut_off_left_is_gone_on_with(place: PosixPlace, left: bytes) -> None:
    home = place.folder / "bare" / ".lastcopy"
    (home / "quarantine").mkdir(parents=True)
    home.chmod(0o700)
    (home / "volume.json.new").write_bytes(left)
    place.unprepared().prepare("marker-2", at_us=2)
    assert place.unprepared().identify().marker == "marker-2"


@pytest.mark.parametrize("text", [b"[" * 60_000, b'{"volume": ' * 5_000, b"null", b"[]", b'"x"', b"", b"\xff"])
def test_what_is_no_text_of_a_marker_is_no_marker(place: PosixPlace, text: bytes) -> None:
    Path(os.fsdecode(place.at(b".lastcopy/volume.json"))).write_bytes(text)
    assert place.connect().identify().marker is None


def test_a_link_in_place_of_the_marker_is_no_marker(place: PosixPlace, tmp_path: Path) -> None:
    os.rename(place.at(b".lastcopy/volume.json"), tmp_path / "volume.json")
    os.symlink(tmp_path / "volume.json", place.at(b".lastcopy/volume.json"))
    assert place.connect().identify().marker is None


@pytest.mark.parametrize("kind", ["fifo", "dir"])
def test_what_is_no_file_is_never_opened(place: PosixPlace, kind: str) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    planned = look(store, b"file")
    os.unlink(place.at(b"file"))
    if kind == "fifo":
        os.mkfifo(place.at(b"file"))
    else:
        os.mkdir(place.at(b"file"))
    with pytest.raises(EndError, match="REFUSED"):
        store.open(b"file", planned)
    with pytest.raises(EndError, match="SOURCE_CHANGED"):
        store.quarantine(b"file", KEY, planned)
    assert os.path.lexists(place.at(b"file"))


@pytest.mark.parametrize("cross", [False, True])
def test_a_mount_below_the_root_is_refused(place: PosixPlace, tmp_path: Path, cross: bool) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(CONTENT)
    (tmp_path / "v" / "mnt").mkdir()
    with mounted(tmp_path / "v" / "mnt", "--bind", tmp_path / "other"):
        store = place.connect()
        place.put(b"file", CONTENT)
        planned = look(store, b"file")
        if cross:
            declared = place.config.volumes["v"].model_copy(update={"cross_mounts": True})
            place.config = place.config.model_copy(update={"volumes": {**place.config.volumes, "v": declared}})
            store = place.connect()
            planned = look(store, b"mnt/file")
            assert store.digest(b"mnt/file", planned) == sha256(CONTENT)
        else:
            with pytest.raises(EndError, match="another file system is mounted there"):
                store.look(b"mnt/file")
        with pytest.raises(EndError, match="REFUSED"):
            store.quarantine(b"mnt/file", KEY, planned)
        assert place.get(b"mnt/file") == CONTENT
        store.close()


# Names that are taken or swapped while we work


def test_a_file_that_takes_the_name_at_the_last_moment_keeps_it(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.connect()
    staged = store.stage(b"file", KEY)
    fill(staged, [memoryview(CONTENT)])
    staged.sync()
    before_call(monkeypatch, "rename_new", lambda: place.put(b"file", b"somebody's"))
    with pytest.raises(EndError, match="CONFLICT"):
        store.publish(b"file", KEY, staged.inode)
    assert place.get(b"file") == b"somebody's"
    assert staged.digest() == (sha256(CONTENT), len(CONTENT))
    staged.close()


@pytest.mark.parametrize("leave", [None, STUB])
def test_a_file_that_was_replaced_at_the_last_moment_is_put_back(place: PosixPlace, monkeypatch: pytest.MonkeyPatch, leave: Pointer | None) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    planned = look(store, b"file")
    before_call(monkeypatch, "exchange" if leave else "rename_new", lambda: place.replace(b"file", b"saved just now"))
    with pytest.raises(EndError, match="SOURCE_CHANGED"):
        store.quarantine(b"file", KEY, planned, leave=leave)
    assert place.get(b"file") == b"saved just now"
    assert list(store.strays()) == []
    store.settle_quarantine()
    assert os.listdir(place.at(b".lastcopy/quarantine")) == []


def test_two_files_that_came_at_the_last_moment_are_both_kept(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    planned = look(store, b"file")
    real = _calls.rename_new
    todo = [lambda: place.replace(b"file", b"first"), lambda: place.put(b"file", b"second")]

    def racing(*arguments: object) -> None:
        if todo:
            todo.pop(0)()
        real(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(_calls, "rename_new", racing)
    with pytest.raises(EndError, match="CONFLICT"):
        store.quarantine(b"file", KEY, planned)
    assert place.get(b"file") == b"second"
    assert place.get(b".lastcopy/quarantine/" + KEY.encode()) == b"first"
    assert [stray.path for stray in store.strays()] == [b"file"]


def test_a_pointer_that_was_replaced_at_the_last_moment_stays(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    moved = store.quarantine(b"file", KEY, look(store, b"file"), leave=STUB)
    before_call(monkeypatch, "exchange", lambda: place.replace(b"file", b"written over the stub"))
    with pytest.raises(EndError, match="CONFLICT"):
        store.put_back(KEY, b"file", moved)
    assert place.get(b"file") == b"written over the stub"
    kept = store.quarantined(KEY)
    assert kept is not None
    assert moved.differs(kept, moved=True) is None


def test_a_stub_says_what_it_is(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    os.utime(place.at(b"file"), ns=(1, 1_500_000_000_000_000_001))
    store = place.connect()
    store.quarantine(b"file", KEY, look(store, b"file"), leave=STUB)
    status = os.stat(place.at(b"file"))
    assert os.getxattr(place.at(b"file"), "user.lastcopy.stub") == KEY.encode()
    assert status.st_mode & 0o777 == 0o444
    assert status.st_mtime_ns == 1_500_000_000_000_000_001


def test_a_pointer_that_a_killed_run_never_left_is_no_file_in_quarantine(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    planned = look(store, b"file")

    class KilledError(BaseException):
        """The process ends here."""

    def killed() -> None:
        raise KilledError

    before_call(monkeypatch, "exchange", killed)
    with pytest.raises(KilledError):
        store.quarantine(b"file", KEY, planned, leave=STUB)
    again = place.connect()
    assert sorted(os.listdir(place.at(b".lastcopy/quarantine"))) == [KEY.encode(), KEY.encode() + b".json"]
    assert again.quarantined(KEY) is None
    assert list(again.strays()) == []
    assert again.quarantine(b"file", KEY, planned, leave=STUB) == again.quarantined(KEY)
    assert place.get(b"file") == STUB.text


# Writers


def test_a_file_that_is_open_for_writing_is_busy(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    with open(place.at(b"file"), "ab"), pytest.raises(EndError, match="SOURCE_BUSY"):
        store.open(b"file", look(store, b"file"))
    store.open(b"file", look(store, b"file")).close()


def test_a_file_that_is_mapped_for_writing_is_busy(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    with open(place.at(b"file"), "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    with mapped, pytest.raises(EndError, match="SOURCE_BUSY"):
        store.open(b"file", look(store, b"file"))


def test_a_writer_that_comes_is_told_of_and_let_in(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    store = place.connect()
    opened = store.open(b"file", look(store, b"file"))
    assert opened.leased
    opened.check()
    writer = subprocess.Popen([sys.executable, "-c", "import sys; open(sys.argv[1], 'ab').write(b'more')", place.at(b"file")])

    def until_it_comes() -> None:
        while writer.poll() is None:
            opened.check()

    with pytest.raises(EndError, match="SOURCE_BUSY"):
        until_it_comes()
    assert place.get(b"file") == CONTENT
    opened.close()
    assert writer.wait(timeout=30) == 0
    assert place.get(b"file") == CONTENT + b"more"


def test_a_lease_that_is_broken_sends_no_signal_that_ends_a_process(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    program = """
import os, sys
from lifecycle.stores import _calls
reader = os.open(sys.argv[1], os.O_RDONLY)
_calls.lease(reader)
try:
    os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
except BlockingIOError:
    os._exit(0 if not _calls.has_lease(reader) else 3)
"""
    done = subprocess.run([sys.executable, "-c", program, place.at(b"file")], check=False)
    assert done.returncode == 0
    assert signal.getsignal(signal.SIGIO) == signal.SIG_DFL


@pytest.mark.parametrize("change", ["append", "overwrite", "replace", "truncate", "chmod"])
def test_a_change_while_it_is_read_ends_the_step(place: PosixPlace, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    content = os.urandom(3 << 20)
    place.put(b"file", content)
    store = place.connect()

    def no_lease(_: int) -> None:
        raise OSError(22, "no leases here")

    monkeypatch.setattr(_calls, "lease", no_lease)
    opened = store.open(b"file", look(store, b"file"))
    assert not opened.leased
    blocks = opened.blocks()
    next(blocks)
    if change == "append":
        with open(place.at(b"file"), "ab") as end:
            end.write(b"more")
    elif change == "overwrite":
        with open(place.at(b"file"), "r+b") as start:
            start.write(b"same length")
    elif change == "truncate":
        os.truncate(place.at(b"file"), 1 << 20)
    elif change == "chmod":
        os.chmod(place.at(b"file"), 0o600)
    else:
        place.replace(b"file", content)
    with pytest.raises(EndError, match="SOURCE_CHANGED"):
        list(blocks)
    opened.close()


def test_many_threads_may_use_one_store(place: PosixPlace) -> None:
    for number in range(40):
        place.put(b"%d" % number, b"%d" % number * 1000)
    store = place.connect()
    wrong: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, 40, 4):
                copied(store, b"%d" % number, b"copies/%d/x" % number, f"jt-{number}-1")
                store.quarantine(b"%d" % number, f"jt-{number}-1", look(store, b"%d" % number))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(list(store.strays())) == 40
    assert all(place.get(b"copies/%d/x" % number) == b"%d" % number * 1000 for number in range(40))
