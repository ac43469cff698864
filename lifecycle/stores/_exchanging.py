"""Two names that changed places, and must change back: whatever others do meanwhile, what they saved last has the name, and nothing is lost."""

import errno
from collections.abc import Callable

from lifecycle.stores import Fingerprint, _calls
from lifecycle.stores._tree import Tree

_MOST_EXCHANGES = 8
At = tuple[int, bytes]  # an open directory, and a name in it


def change_back(tree: Tree, ours: At, theirs: At, path: bytes, is_ours: Callable[[], bool]) -> str | None:
    """Give what came out under our own name its old one again. Writes. Raises OSError.

    None = our name holds what `is_ours` knows, or nothing, since somebody took that away with the other name. Else why not: the other name
    was replaced again meanwhile, keeps what came last, and our name holds what that replaced.
    """
    for _ in range(_MOST_EXCHANGES):
        given = tree.fingerprint_in(*ours, path)
        try:
            _calls.exchange(*ours, *theirs)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            _calls.rename_new(*ours, *theirs)
            return None
        if is_ours():
            return None
        _calls.exchange(*ours, *theirs)
        if is_one(given, tree.fingerprint_in(*ours, path)):
            break
    return "its name was replaced again meanwhile"


def is_one(one: Fingerprint | None, two: Fingerprint | None) -> bool:
    """Whether two names lead to one file."""
    return one is not None and two is not None and (one.fs_id, one.inode) == (two.fs_id, two.inode)
