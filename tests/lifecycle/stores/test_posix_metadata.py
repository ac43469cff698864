"""What a file tree keeps of a file beside its content, and how what it cannot keep is told."""

import os
import struct

import pytest

from lifecycle.ends import EndError
from lifecycle.stores import Metadata
from tests.lifecycle.stores.contract import CONTENT, KEY, copied, fill, look, sha256
from tests.lifecycle.stores.places import PosixPlace

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
FAR_NS = 17_179_869_184_000_000_001  # the year 2514, beyond what an ext4 inode holds


def acl(*entries: tuple[int, int, int]) -> bytes:
    """An access list as the kernel keeps it: tag, permissions, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 2**32 - 1
LIST = acl((1, 6, NOBODY), (2, 4, 65534), (4, 4, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY))


def losses(place: PosixPlace, wanted: Metadata, path: bytes = b"copy") -> list[str]:
    """What a copy loses of its metadata; the copy is published."""
    staged = place.connect().stage(path, KEY, link_target=wanted.link_target)
    lost = staged.finish(wanted)
    staged.sync()
    staged.close()
    place.connect().publish(path, KEY, staged.inode)
    return lost


def metadata(place: PosixPlace, path: bytes) -> Metadata:
    store = place.connect()
    opened = store.open(path, look(store, path))
    found = opened.metadata()
    opened.close()
    return found


@AS_ROOT
def test_owner_mode_attributes_access_list_and_times_are_kept(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    os.setxattr(place.at(b"file"), "user.colour", b"\x00\xff")
    os.setxattr(place.at(b"file"), "system.posix_acl_access", LIST)
    os.chown(place.at(b"file"), 12345, 54321)
    os.utime(place.at(b"file"), ns=(1_400_000_000_123_456_789, -1_000_000_001))
    wanted = metadata(place, b"file")
    copied(place.connect(), b"file", b"copy")
    kept, status = metadata(place, b"copy"), os.stat(place.at(b"copy"))
    assert kept == wanted
    assert (status.st_uid, status.st_gid) == (12345, 54321)
    assert (status.st_mtime_ns, status.st_atime_ns) == (-1_000_000_001, 1_400_000_000_123_456_789)
    assert os.getxattr(place.at(b"copy"), "system.posix_acl_access") == LIST


def test_bits_that_give_rights_are_dropped_and_told(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    os.chmod(place.at(b"file"), 0o6755)
    lost = losses(place, metadata(place, b"file"))
    assert os.stat(place.at(b"copy")).st_mode & 0o7777 == 0o755
    assert lost == ["mode 6755: set-user-ID, set-group-ID and sticky bits are never given to a copy"]


def test_a_copy_has_no_access_list_that_its_source_has_not(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    place.put(b"in/x", b"")
    os.chmod(place.at(b"file"), 0o640)
    os.setxattr(place.at(b"in"), "system.posix_acl_default", LIST)
    copied(place.connect(), b"file", b"in/copy")
    assert "system.posix_acl_access" not in os.listxattr(place.at(b"in/copy"))
    assert os.stat(place.at(b"in/copy")).st_mode & 0o777 == 0o640


@AS_ROOT
def test_attributes_of_other_name_spaces_are_told(place: PosixPlace) -> None:
    place.put(b"file", CONTENT)
    os.setxattr(place.at(b"file"), "trusted.secret", b"1")
    os.setxattr(place.at(b"file"), "user.lastcopy.stub", b"jother-1-1")
    assert losses(place, metadata(place, b"file")) == ["extended attribute trusted.secret is never given to a copy"]
    assert os.listxattr(place.at(b"copy")) == []


def test_a_time_that_the_file_system_clamps_is_told(place: PosixPlace) -> None:
    lost = losses(place, Metadata(0o600, os.geteuid(), os.getegid(), FAR_NS, 1_600_000_000_000_000_000))
    kept = os.stat(place.at(b"copy")).st_mtime_ns
    assert lost == ([] if kept == FAR_NS else [f"modified time 17179869184.000000001 s (is {kept // 10**9}.{kept % 10**9:09d} s)"])


def test_an_attribute_too_large_for_the_volume_is_told(place: PosixPlace) -> None:
    wanted = Metadata(0o600, os.geteuid(), os.getegid(), 0, 0, xattrs={"user.large": b"x" * 60_000, "user.small": b"y"})
    lost = losses(place, wanted)
    kept = os.listxattr(place.at(b"copy"))
    assert "user.small" in kept
    assert lost == [] if "user.large" in kept else ["extended attribute user.large"]


def test_owners_that_only_root_gives_are_told_to_others(place: PosixPlace) -> None:
    wanted = Metadata(0o644, 12345, 54321, 0, 0)
    lost = losses(place, wanted)
    status = os.stat(place.at(b"copy"))
    given = (status.st_uid, status.st_gid) == (12345, 54321)
    assert lost == ([] if given else [f"owner 12345:54321 (is {status.st_uid}:{status.st_gid})"])


def test_a_symbolic_link_is_copied_as_it_is(place: PosixPlace) -> None:
    text = b"../else where/\xff\n"
    os.symlink(text, place.at(b"link"))
    os.utime(place.at(b"link"), ns=(1_400_000_000_000_000_001, 1_500_000_000_000_000_002), follow_symlinks=False)
    store = place.connect()
    opened = store.open(b"link", look(store, b"link"))
    assert opened.metadata().link_target == text
    staged = store.stage(b"copy", KEY, link_target=text)
    fill(staged, opened.blocks())
    assert staged.finish(opened.metadata()) == []
    staged.sync()
    assert staged.digest() == (sha256(text), len(text))
    store.publish(b"copy", KEY, staged.inode)
    assert os.readlink(place.at(b"copy")) == text
    assert os.lstat(place.at(b"copy")).st_mtime_ns == 1_500_000_000_000_000_002
    moved = store.quarantine(b"link", "jtest-2-1", look(store, b"link"))
    store.put_back("jtest-2-1", b"link", moved)
    assert os.readlink(place.at(b"link")) == text
    opened.close()


def test_holes_stay_holes(place: PosixPlace) -> None:
    with open(place.at(b"file"), "wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
        file.truncate(128 << 20)
    copied(place.connect(), b"file", b"copy")
    status = os.stat(place.at(b"copy"))
    assert status.st_size == 128 << 20
    assert status.st_blocks * 512 < 2 << 20
    with open(place.at(b"copy"), "rb") as file:
        file.seek(64 << 20)
        assert file.read(3) == b"end"


def test_zeros_that_were_written_are_no_hole_in_the_digest(place: PosixPlace) -> None:
    place.put(b"file", bytes(200_000))
    place.put(b"sparse", b"")
    os.truncate(place.at(b"sparse"), 200_000)
    store = place.connect()
    assert store.digest(b"file", look(store, b"file")) == store.digest(b"sparse", look(store, b"sparse")) == sha256(bytes(200_000))


@AS_ROOT
def test_missing_directories_are_made_like_those_of_the_source(place: PosixPlace) -> None:
    place.put(b"a/b/c/file", CONTENT)
    os.chmod(place.at(b"a"), 0o2750)
    os.chown(place.at(b"a/b"), 1111, 2222)
    os.setxattr(place.at(b"a/b/c"), "system.posix_acl_default", LIST)
    os.setxattr(place.at(b"a/b/c"), "user.note", b"kept")
    os.chmod(place.root, 0o711)
    copied(place.connect(), b"a/b/c/file", b"to/x/a/b/c/file")
    at = {name: os.stat(place.at(b"to/x/" + name)) for name in (b"", b"a", b"a/b", b"a/b/c")}
    assert at[b""].st_mode & 0o7777 == 0o711
    assert at[b"a"].st_mode & 0o7777 == 0o750
    assert (at[b"a/b"].st_uid, at[b"a/b"].st_gid) == (1111, 2222)
    assert os.getxattr(place.at(b"to/x/a/b/c"), "system.posix_acl_default") == LIST
    assert os.getxattr(place.at(b"to/x/a/b/c"), "user.note") == b"kept"


def test_what_a_directory_loses_is_told_with_the_file(place: PosixPlace) -> None:
    store = place.connect()
    staged = store.stage(b"sticky/file", KEY, (Metadata(0o1777, os.geteuid(), os.getegid(), 0, 0),))
    lost = staged.finish(Metadata(0o600, os.geteuid(), os.getegid(), 0, 0))
    staged.close()
    assert lost == ["directory v:sticky: mode 1777: set-user-ID, set-group-ID and sticky bits are never given to a copy"]


def test_a_directory_that_a_killed_run_was_about_to_make_is_discarded(place: PosixPlace) -> None:
    os.makedirs(place.at(b"a/.lastcopy~" + KEY.encode() + b"~.part"))
    place.connect().discard(b"a/b/c/file", KEY)
    assert os.listdir(place.at(b"a")) == []


def test_another_name_of_a_file_leaves_its_metadata_alone(place: PosixPlace) -> None:
    place.put(b"kept", CONTENT)
    os.chmod(place.at(b"kept"), 0o600)
    store = place.connect()
    staged = store.clone(b"double", KEY, b"kept", look(store, b"kept"), "hard_link")
    before = os.stat(place.at(b"kept"))
    lost = staged.finish(Metadata(0o640, before.st_uid, before.st_gid, before.st_mtime_ns, before.st_atime_ns, xattrs={"user.mine": b"1"}))
    assert lost == ["mode 0640 (is 0600)", "extended attribute user.mine"]
    assert os.stat(place.at(b"kept")).st_mode == before.st_mode
    assert staged.digest()[0] == sha256(CONTENT)
    staged.close()


def test_shared_blocks_are_a_copy_of_their_own(xfs_place: PosixPlace) -> None:
    place = xfs_place
    place.put(b"kept", CONTENT * 100)
    store = place.connect()
    staged = store.clone(b"double", KEY, b"kept", look(store, b"kept"), "reflink")
    assert staged.finish(Metadata(0o640, os.geteuid(), os.getegid(), 5, 5)) == []
    staged.sync()
    assert staged.digest()[0] == sha256(CONTENT * 100)
    store.publish(b"double", KEY, staged.inode)
    place.put(b"kept", b"other")
    assert place.get(b"double") == CONTENT * 100


def test_equal_files_share_and_others_do_not(xfs_place: PosixPlace) -> None:
    place = xfs_place
    content = os.urandom(1 << 20)
    for name, written in ((b"kept", content), (b"equal", content), (b"one byte", content[:-1] + b"!"), (b"longer", content + b"!"), (b"empty", b"")):
        place.put(name, written)
    store = place.connect()
    before = {name: look(store, name) for name in place.names()}
    answers = {name: store.share(b"kept", before[b"kept"], name, before[name]) for name in before if name != b"kept"}
    assert answers == {b"equal": "shared", b"one byte": "differs", b"longer": "differs", b"empty": "differs"}
    assert {name: look(store, name) for name in before} == before
    assert place.get(b"equal") == content
    assert place.get(b"one byte") == content[:-1] + b"!"
    place.replace(b"equal", content)
    with pytest.raises(EndError, match="STALE"):
        store.share(b"kept", before[b"kept"], b"equal", before[b"equal"])


def test_a_file_system_that_shares_nothing_says_so(place: PosixPlace) -> None:
    store = place.connect()
    able = store.capabilities
    assert able is not None
    for name in (b"kept", b"equal"):
        place.put(name, CONTENT)
    answer = store.share(b"kept", look(store, b"kept"), b"equal", look(store, b"equal"))
    assert answer == ("shared" if able.dedupe else "unsupported")


def test_names_of_directories_may_be_long_and_many(place: PosixPlace) -> None:
    deep = b"/".join([b"d" * 250] * 20 + [b"file"])
    assert len(deep) > 4096
    place.put(b"file", CONTENT)
    store = place.connect()
    published = copied(store, b"file", deep)
    assert store.digest(deep, published) == sha256(CONTENT)
    opened = store.open(deep, published)
    assert len(opened.metadata().parents) == 20
    opened.close()
    moved = store.quarantine(deep, KEY, published)
    assert [stray.path for stray in store.strays()] == [deep]
    store.put_back(KEY, deep, moved)
    store.settle([deep])
    store.settle_quarantine()
    assert published.differs(look(store, deep), moved=True) is None
