"""What every store must do that jobs take files away from: `Contract` for quarantines, pointers and further names."""

import pytest

from lifecycle.ends import EndError
from lifecycle.stores import STUB_MAGIC, Move, Pointer
from tests.lifecycle.stores.contract import CONTENT, KEY, Named, Place, copied, look
from tests.scanners.contract import BAD_NAMES


class Taking(Named):
    """The suite."""

    def test_every_bad_name_makes_the_whole_round(self, place: Place) -> None:
        store = place.connect()
        able = store.capabilities
        assert able is not None
        taken = [name for name in BAD_NAMES if self.takes(able, name)]
        for number, name in enumerate(taken):
            place.put(b"in/" + name, b"%d" % number)
            copied(store, b"in/" + name, b"out/" + name, f"jn-{number}-1")
            found = store.quarantine(b"in/" + name, f"jn-{number}-1", look(store, b"in/" + name))
            assert store.quarantined(f"jn-{number}-1") == found
        assert place.names() == sorted(b"out/" + name for name in taken)
        assert sorted(stray.path for stray in store.strays()) == sorted(b"in/" + name for name in taken)
        for number, name in enumerate(taken):
            kept = store.quarantined(f"jn-{number}-1")
            assert kept is not None
            store.put_back(f"jn-{number}-1", b"in/" + name, kept)
            assert place.get(b"in/" + name) == place.get(b"out/" + name) == b"%d" % number

    def test_a_file_goes_to_quarantine_and_comes_back_as_it_was(self, place: Place) -> None:
        place.put(b"dir/file", CONTENT)
        store = place.connect()
        before = look(store, b"dir/file")
        moved = store.quarantine(b"dir/file", KEY, before)
        store.settle([b"dir/file"])
        store.settle_quarantine()
        assert place.names() == []
        assert before.differs(moved, moved=True) is None
        assert [(stray.key, stray.place, stray.path) for stray in place.connect().strays()] == [(KEY, "quarantine", b"dir/file")]
        opened = store.open_quarantined(KEY, moved)
        assert b"".join(bytes(block) for block in opened.blocks()) == CONTENT
        opened.close()
        store.put_back(KEY, b"dir/file", moved)
        store.settle_quarantine()
        assert place.get(b"dir/file") == CONTENT
        assert before.differs(look(store, b"dir/file"), moved=True) is None
        assert list(store.strays()) == []
        assert store.quarantined(KEY) is None

    def test_what_killed_runs_have_moved_already_is_found(self, place: Place) -> None:
        place.put(b"file", CONTENT)
        store = place.connect()
        moved = store.quarantine(b"file", KEY, look(store, b"file"))
        assert place.connect().quarantine(b"file", KEY, moved) == moved
        store.put_back(KEY, b"file", moved)
        again = place.connect()
        again.put_back(KEY, b"file", moved)
        again.settle_quarantine()
        assert place.get(b"file") == CONTENT

    def test_a_file_that_is_not_what_was_expected_stays_where_it_is(self, place: Place) -> None:
        place.put(b"file", CONTENT)
        store = place.connect()
        planned = look(store, b"file")
        place.replace(b"file", b"newer")
        with pytest.raises(EndError, match="SOURCE_CHANGED"):
            store.quarantine(b"file", KEY, planned)
        assert place.get(b"file") == b"newer"
        assert list(store.strays()) == []

    def test_moves_are_announced_and_one_that_is_never_made_is_forgotten(self, place: Place) -> None:
        place.put(b"file", CONTENT)
        store = place.connect()
        store.announce([Move(b"file", KEY, look(store, b"file"))])
        assert store.quarantined(KEY) is None
        assert list(store.strays()) == []
        store.discard(b"file", KEY)
        assert place.get(b"file") == CONTENT

    def test_nothing_is_put_back_over_something_else(self, place: Place) -> None:
        place.put(b"file", CONTENT)
        store = place.connect()
        moved = store.quarantine(b"file", KEY, look(store, b"file"))
        place.put(b"file", b"made since")
        with pytest.raises(EndError, match="CONFLICT"):
            store.put_back(KEY, b"file", moved)
        assert place.get(b"file") == b"made since"
        assert store.quarantined(KEY) == moved

    @pytest.mark.parametrize("pointer", [Pointer("stub", STUB_MAGIC + b"1\nit is in the vault\n"), Pointer("symlink", b"../vault/\xff file")])
    def test_a_pointer_is_left_and_only_it_is_replaced(self, place: Place, pointer: Pointer) -> None:
        store = place.connect()
        able = store.capabilities
        assert able is not None
        if not able.exchange or (pointer.how == "symlink" and not able.symlinks):
            pytest.skip("this storage cannot leave such a pointer")
        place.put(b"file", CONTENT)
        before = look(store, b"file")
        moved = store.quarantine(b"file", KEY, before, leave=pointer)
        assert look(store, b"file").type == ("symlink" if pointer.how == "symlink" else "file")
        if pointer.how == "stub":
            assert place.get(b"file") == pointer.text
        assert place.connect().quarantine(b"file", KEY, before, leave=pointer) == moved
        place.replace(b"file", pointer.text + b"and a user's note")
        with pytest.raises(EndError, match="CONFLICT"):
            store.put_back(KEY, b"file", moved)
        assert place.get(b"file") == pointer.text + b"and a user's note"
        place.delete(b"file")
        store.put_back(KEY, b"file", moved)
        store.settle_quarantine()
        assert place.get(b"file") == CONTENT
        again = store.quarantine(b"file", "jtest-2-1", look(store, b"file"), leave=pointer)
        store.put_back("jtest-2-1", b"file", again)
        store.settle_quarantine()
        assert place.get(b"file") == CONTENT
        assert list(store.strays()) == []
        assert place.names() == [b"file"]

    def test_only_what_is_expected_is_removed_from_quarantine(self, place: Place) -> None:
        place.put(b"file", CONTENT)
        place.put(b"other", CONTENT + b"!")
        store = place.connect()
        moved = store.quarantine(b"file", KEY, look(store, b"file"))
        with pytest.raises(EndError, match="STALE"):
            store.remove(KEY, look(store, b"other"))
        assert store.quarantined(KEY) == moved
        store.remove(KEY, moved)
        store.remove(KEY, moved)
        assert store.quarantined(KEY) is None
        assert list(store.strays()) == []

    def test_everything_of_ours_is_listed(self, place: Place) -> None:
        place.put(b"a/file", CONTENT)
        store = place.connect()
        store.stage(b"a/b/c/new", "jtest-7-1").close()
        store.quarantine(b"a/file", "jtest-8-2", look(store, b"a/file"))
        found = {(stray.key, stray.place, stray.path) for stray in place.connect().strays()}
        assert found == {("jtest-7-1", "temporary", b"a/b/c/.lastcopy~jtest-7-1~.part"), ("jtest-8-2", "quarantine", b"a/file")}

    def test_a_file_has_one_more_name_as_its_source_had(self, place: Place) -> None:
        store = place.connect()
        able = store.capabilities
        assert able is not None
        if not able.hard_links:
            pytest.skip("this storage has no hard links")
        place.put(b"first", CONTENT)
        found = look(store, b"first")
        store.link(b"second", KEY, b"first", found)
        assert store.publish(b"second", KEY, found.inode).link_count == 2
        place.put(b"third", b"another")
        with pytest.raises(EndError, match="STALE"):
            store.link(b"fourth", KEY, b"third", found)
        assert place.names() == [b"first", b"second", b"third"]
