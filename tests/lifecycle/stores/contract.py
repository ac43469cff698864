"""What every store must do: a suite that each kind passes with a small factory of its own.

A kind's test module has a subclass of `Contract` named `Test…` with a fixture `place` that gives a `Place`; where jobs take
files away, too, one of `taking.Taking` as well.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Protocol

import pytest

from lifecycle import stores
from lifecycle.ends import EndError
from lifecycle.stores import BLOCK_BYTES, Capabilities, Fingerprint, Metadata, Staged, Store
from tests.scanners.contract import BAD_NAMES

CONTENT = b"content that matters\n" * 1000
KEY = "jtest-1-1"


class Place(Protocol):
    """One prepared volume, and hands that reach past its store."""

    def connect(self) -> Store:
        """A new store of the volume."""

    def unprepared(self) -> Store:
        """A store of another volume of the kind, never prepared."""

    def put(self, path: bytes, content: bytes) -> None:
        """Make a file, and the directories above it, as a user would; or give one that is there new content."""

    def replace(self, path: bytes, content: bytes) -> None:
        """Put another file in the place of one, as an editor does."""

    def get(self, path: bytes) -> bytes | None:
        """The content of a file as a user sees it; None = nothing."""

    def delete(self, path: bytes) -> None:
        """Take a file away."""

    def names(self) -> list[bytes]:
        """The paths of all files that are seen on the volume, ours included, but those under `.lastcopy/`."""


def look(store: Store, path: bytes) -> Fingerprint:
    found = store.look(path)
    assert found is not None
    return found


def fill(staged: Staged, blocks: Iterable[memoryview | int]) -> None:
    for block in blocks:
        staged.write(block)


def copied(store: Store, source: bytes, target: bytes, key: str = KEY) -> Fingerprint:
    """Carry one copy through all its calls."""
    opened = store.open(source, look(store, source))
    metadata = opened.metadata()
    staged = store.stage(target, key, metadata.parents, link_target=metadata.link_target)
    fill(staged, opened.blocks())
    staged.finish(metadata)
    staged.sync()
    staged.close()
    opened.close()
    published = store.publish(target, key, staged.inode)
    store.settle([target])
    return published


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


class Named:
    """What a suite asks of names."""

    def takes(self, able: Capabilities, name: bytes) -> bool:
        """Whether a kind's volumes take a name."""
        return able.raw_names or name.isascii()


class Contract(Named):
    """The suite."""

    def test_a_prepared_volume_knows_itself_again(self, place: Place) -> None:
        store = place.connect()
        identity, able = store.identify(), store.capabilities
        assert identity.marker is not None
        assert identity.writable
        assert able is not None
        assert able.publish != "none"
        assert place.connect().identify() == identity

    def test_nothing_is_written_to_a_volume_that_was_not_prepared(self, place: Place) -> None:
        store = place.unprepared()
        assert store.identify().marker is None
        assert store.capabilities is None
        with pytest.raises(EndError, match="not prepared"):
            store.stage(b"file", KEY)

    def test_what_is_not_there_is_seen_as_nothing(self, place: Place) -> None:
        assert place.connect().look(b"no/such/file") is None

    def test_a_file_is_copied_with_its_content_and_modified_time(self, place: Place) -> None:
        place.put(b"from/file", CONTENT)
        store = place.connect()
        published = copied(store, b"from/file", b"to/deep/file")
        assert place.get(b"to/deep/file") == CONTENT
        assert published == look(store, b"to/deep/file")
        able = store.capabilities
        assert able is not None
        step = able.time_step_ns
        assert published.modified_ns == look(store, b"from/file").modified_ns // step * step
        assert place.names() == [b"from/file", b"to/deep/file"]

    @pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1])
    def test_a_digest_is_that_of_the_content(self, place: Place, size: int) -> None:
        content = (CONTENT * (size // len(CONTENT) + 1))[:size]
        place.put(b"file", content)
        store = place.connect()
        assert store.digest(b"file", look(store, b"file")) == sha256(content)

    def test_runs_of_zeros_are_content(self, place: Place) -> None:
        content = b"a" + bytes(300_000) + b"b" * 70_000 + bytes(3 * BLOCK_BYTES)
        place.put(b"file", content)
        store = place.connect()
        copied(store, b"file", b"copy")
        assert place.get(b"copy") == content
        assert store.digest(b"copy", look(store, b"copy")) == sha256(content)

    def test_a_copy_has_no_final_name_before_it_is_published(self, place: Place) -> None:
        store = place.connect()
        staged = store.stage(b"dir/file", KEY)
        staged.write(memoryview(CONTENT))
        assert place.get(b"dir/file") is None
        [temporary] = place.names()
        assert temporary.startswith(b"dir/.lastcopy~")
        assert len(temporary) <= len(b"dir/") + 64
        staged.close()
        store.discard(b"dir/file", KEY)
        assert place.names() == []

    def test_what_was_written_is_read_back(self, place: Place) -> None:
        store = place.connect()
        staged = store.stage(b"file", KEY)
        fill(staged, [memoryview(CONTENT), 100_000, memoryview(b"end")])
        staged.finish(Metadata(0o600, 0, 0, 1_600_000_000_000_000_000, 1_600_000_000_000_000_000))
        staged.sync()
        assert staged.digest() == (sha256(CONTENT + bytes(100_000) + b"end"), len(CONTENT) + 100_003)
        staged.close()

    def test_a_staged_copy_is_found_again_by_another_run(self, place: Place) -> None:
        staged = place.connect().stage(b"file", KEY)
        staged.write(memoryview(CONTENT))
        staged.finish(Metadata(0o600, 0, 0, 0, 0))
        staged.sync()
        staged.close()
        other = place.connect()
        found = other.staged(b"file", KEY, staged.inode)
        assert found is not None
        assert found.digest() == (sha256(CONTENT), len(CONTENT))
        found.close()
        assert other.staged(b"file", "jtest-1-2", None) is None
        if staged.inode is not None:
            assert other.staged(b"file", KEY, staged.inode + 1) is None

    def test_publishing_over_something_is_a_conflict_and_hurts_neither(self, place: Place) -> None:
        store = place.connect()
        staged = store.stage(b"file", KEY)
        staged.write(memoryview(CONTENT))
        staged.sync()
        staged.close()
        place.put(b"file", b"somebody else's")
        with pytest.raises(EndError, match="CONFLICT"):
            store.publish(b"file", KEY, staged.inode)
        assert place.get(b"file") == b"somebody else's"
        again = store.staged(b"file", KEY, staged.inode)
        assert again is not None
        assert again.digest() == (sha256(CONTENT), len(CONTENT))
        again.close()
        store.discard(b"file", KEY)
        assert place.names() == [b"file"]

    def test_staging_where_something_is_there_is_a_conflict(self, place: Place) -> None:
        place.put(b"file", CONTENT)
        with pytest.raises(EndError, match="CONFLICT"):
            place.connect().stage(b"file", KEY)
        assert place.names() == [b"file"]

    def test_what_a_killed_run_has_published_is_found_to_be_published(self, place: Place) -> None:
        place.put(b"source", CONTENT)
        store = place.connect()
        first = copied(store, b"source", b"file")
        if first.inode is None:
            pytest.skip("a published file is told by its inode, and this storage has none that last")
        assert place.connect().publish(b"file", KEY, first.inode) == look(store, b"file")

    def test_only_the_step_that_was_named_is_discarded(self, place: Place) -> None:
        store = place.connect()
        for key in (KEY, "jtest-1-2", "jtest-11-1"):
            store.stage(b"file", key).close()
        place.put(b"other", CONTENT)
        store.discard(b"file", KEY)
        store.discard(b"file", KEY)
        assert place.names() == [b".lastcopy~jtest-1-2~.part", b".lastcopy~jtest-11-1~.part", b"other"]

    def test_a_tainted_copy_is_never_published(self, place: Place) -> None:
        store = place.connect()
        staged = store.stage(b"file", KEY)
        staged.taint()
        staged.close()
        with pytest.raises(EndError, match="FAILED"):
            store.publish(b"file", KEY, staged.inode)
        assert store.staged(b"file", KEY, staged.inode) is None
        assert place.get(b"file") is None

    @pytest.mark.parametrize(
        "path", [b"", b"/", b"/etc/passwd", b"a//b", b"a/", b"../x", b"a/../../x", b"./a", b"a/.", b"nul\0", b".lastcopy/x", b"a/.lastcopy~jx-1-1~.part"]
    )
    def test_a_path_that_is_none_is_refused(self, place: Place, path: bytes) -> None:
        store = place.connect()
        fingerprint = Fingerprint("file", 1, 1)
        calls: list[Any] = [
            lambda: store.look(path),
            lambda: store.open(path, fingerprint),
            lambda: store.stage(path, KEY),
            lambda: store.publish(path, KEY, 1),
            lambda: store.quarantine(path, KEY, fingerprint),
            lambda: store.put_back(KEY, path, fingerprint),
            lambda: store.discard(path, KEY),
        ]
        for call in calls:
            with pytest.raises(EndError, match="REFUSED"):
                call()

    @pytest.mark.parametrize("key", ["", "a/b", "../x", "k~", "a.json", "x" * 49, "é"])
    def test_a_key_that_is_none_is_refused(self, place: Place, key: str) -> None:
        with pytest.raises((ValueError, EndError)):
            place.connect().stage(b"file", key)
        assert place.names() == []

    def test_a_source_that_is_not_what_was_planned_is_stale(self, place: Place) -> None:
        place.put(b"file", CONTENT)
        store = place.connect()
        planned = look(store, b"file")
        place.replace(b"file", CONTENT)
        for act in (lambda: store.open(b"file", planned), lambda: store.digest(b"file", planned)):
            with pytest.raises(EndError, match="STALE"):
                act()
        place.delete(b"file")
        with pytest.raises(EndError, match="STALE"):
            store.open(b"file", planned)

    def test_a_name_too_long_for_the_volume_is_refused(self, place: Place) -> None:
        able = place.connect().capabilities
        assert able is not None
        longest, longer = b"n" * able.name_bytes, b"n" * (able.name_bytes + 1)
        place.put(b"source", CONTENT)
        copied(place.connect(), b"source", longest)
        assert place.get(longest) == CONTENT
        store = place.connect()
        staged = store.stage(b"x", KEY)
        staged.close()
        store.discard(b"x", KEY)
        with pytest.raises(EndError, match="REFUSED"):
            store.stage(longer, KEY)

    def test_space_and_time_are_told(self, place: Place) -> None:
        store = place.connect()
        free = store.free_bytes()
        assert free is None or free > 0
        assert store.clock_ns() > 1_700_000_000_000_000_000

    def test_a_volume_without_a_store_is_told_as_a_configuration_error(self) -> None:
        from catalog import config
        from catalog.errors import ConfigError

        declared = config.parse({"volumes": {"v": {"url": "nosuchkind://x"}}})
        with pytest.raises(ConfigError, match="no job can work"):
            stores.connect(declared, "v")

    def test_names_of_any_bytes_are_copied(self, place: Place) -> None:
        store = place.connect()
        able = store.capabilities
        assert able is not None
        taken = [name for name in BAD_NAMES if self.takes(able, name)]
        for number, name in enumerate(taken):
            place.put(b"in/" + name, b"%d" % number)
            copied(store, b"in/" + name, b"out/" + name, f"jn-{number}-1")
            assert place.get(b"out/" + name) == b"%d" % number
        assert place.names() == sorted([*(b"in/" + name for name in taken), *(b"out/" + name for name in taken)])

    def test_temporary_names_are_listed(self, place: Place) -> None:
        place.connect().stage(b"a/b/c/new", "jtest-7-1").close()
        found = {(stray.key, stray.place, stray.path) for stray in place.connect().strays()}
        assert found == {("jtest-7-1", "temporary", b"a/b/c/.lastcopy~jtest-7-1~.part")}
