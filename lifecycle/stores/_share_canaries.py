"""What a share is able to do, found by doing it under `.lastcopy/canaries-…/`: servers and the file systems below them differ."""

from dataclasses import replace

from lifecycle.stores import Capabilities
from lifecycle.stores._host_canaries import LONGEST, Canaries, canaries
from lifecycle.stores._share import ADD, READ, REMOVE, TIME, WRITE
from lifecycle.stores._share_names import SPOILT, text_of
from lifecycle.stores._share_tree import Tree

_MOST_BYTES_OF_A_UNIT = 3  # in UTF-8
_FIRST, _SECOND = 15_000_000_001_234_567, 15_000_000_007_654_321  # in units of 100 ns


def find_out(tree: Tree) -> Capabilities:
    """What a share can do. Writes. Raises SMBResponseException where not even files can be made, UnreachableError."""
    with canaries(tree) as trying:
        found = trying.tried()
        stable = trying.does(lambda: _keeps_numbers(tree, trying))
        longest = ["€".encode() * LONGEST] if found.name_bytes == LONGEST else []
        return replace(
            found,
            publish=found.publish if trying.does(lambda: _takes_no_other_form(trying)) and trying.does(lambda: _holds_off(tree, trying)) else "none",
            sync_directories=trying.does(lambda: _syncs_folders(tree, trying)),
            time_step_ns=100 if trying.does(lambda: _keeps_times(tree, trying)) else 2_000_000_000,
            name_bytes=LONGEST * _MOST_BYTES_OF_A_UNIT if longest and trying.does(lambda: trying.keeps(longest)) else found.name_bytes,
            stable_inodes=stable,
            spoilt=SPOILT,
            quarantine=stable,
        )


def _takes_no_other_form(trying: Canaries) -> bool:
    """Whether a name in other case, where it is the same name, is not renamed over either."""
    one, two, other = map(trying.place, (b"one", b"two", b"ONE"))
    trying.files.write_new(one, b"first")
    trying.files.write_new(two, b"second")
    return trying.files.seen(other, other) is None or (
        trying.is_refused(lambda: trying.files.rename(two, other)) and trying.files.read_small(one, 9) == b"first"
    )


def _holds_off(tree: Tree, trying: Canaries) -> bool:
    """Whether who opens a file so that others may not write to it holds them off."""
    place = trying.place(b"held")
    tree.write_new(place, b"content")
    with tree.opened(place, READ):
        return trying.is_refused(lambda: tree.share.let_go(tree.share.begin(text_of(place), WRITE)))


def _syncs_folders(tree: Tree, trying: Canaries) -> bool:
    """Whether the names in a folder are made durable when that is asked."""
    sync_folder(tree, trying.at)
    return True


def sync_folder(tree: Tree, place: bytes) -> None:
    """Make the names in a folder durable, by the server's word. Writes. Raises SMBResponseException, UnreachableError, ValueError."""
    opened = tree.share.begin_folder(text_of(place), READ | WRITE | ADD)  # WRITE: of a folder, to add files to it
    try:
        tree.share.flush(opened)
    finally:
        tree.share.let_go(opened)


def _keeps_times(tree: Tree, trying: Canaries) -> bool:
    place = trying.place(b"timed")
    tree.write_new(place, b"content")
    with tree.opened(place, WRITE | TIME) as opened:
        tree.share.set_times(opened, created=_FIRST, accessed=_SECOND, modified=_SECOND)
    with tree.opened(place, READ) as opened:
        return tree.share.known(opened).times.modified == _SECOND


def _keeps_numbers(tree: Tree, trying: Canaries) -> bool:
    """Whether a file has the number that it had, after everything that a copy goes through, and another has another."""
    place, renamed = trying.place(b"numbered"), trying.place(b"renamed")
    tree.write_new(place, b"content")
    before = tree.seen(place, place)
    with tree.opened(place, WRITE | TIME | REMOVE) as opened:
        tree.share.write(opened, 0, memoryview(b"other content"))
        tree.share.set_times(opened, created=_FIRST, accessed=_SECOND, modified=_SECOND)
        tree.share.rename(opened, text_of(renamed))
    tree.write_new(place, b"content")
    after, other = tree.seen(renamed, renamed), tree.seen(place, place)
    if before is None or after is None or other is None or before.inode is None:
        return False
    return before.inode == after.inode != other.inode
