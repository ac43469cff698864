"""What stays at the name of a file that was replaced by an equal one: a clone, or one more name of the file that is kept.

It is known again by its inode, and never goes before it was read: what somebody has written to it since is an update.
"""

import json
from typing import Any, Literal

from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint, Pointer, _calls, _reading
from lifecycle.stores._tree import Tree

_HOW: Literal["equal"] = "equal"


def pointer(found: Fingerprint, sha256: bytes) -> Pointer:
    """What a sidecar says of an equal file. Of a further name of a file size and time are let go: others may write to it by its first name."""
    shared = found.link_count > 1
    told = {
        "fs_id": found.fs_id,
        "inode": found.inode,
        "created_ns": found.created_ns,
        "size_bytes": None if shared else found.size_bytes,
        "modified_ns": None if shared else found.modified_ns,
        "sha256": sha256.hex(),
    }
    return Pointer(_HOW, json.dumps(told).encode())


def is_it(text: bytes, found: Fingerprint | None) -> bool:
    """Whether a file is the very one that a sidecar tells of."""
    told: dict[str, Any] = json.loads(text)
    fields = ("fs_id", "inode", "created_ns", "size_bytes", "modified_ns")
    return found is not None and found.inode is not None and all(told[name] in (None, getattr(found, name)) for name in fields)


def opened(tree: Tree, directory: int, name: bytes, path: bytes, text: bytes) -> _reading.Reading:
    """A stand-in, open under a lease, whose content is what it was when it was left. Raises OSError, EndError CONFLICT, SOURCE_BUSY."""
    found = tree.fingerprint_in(directory, name, path)
    if found is None or found.type != "file":
        raise EndError("CONFLICT", f"{tree.shown(path)}: was taken away just now; the file stays in quarantine")
    standing = _reading.open_expected(tree, (directory, name), path, found, lease=True)
    try:
        unchanged = standing.stored_sha256().hex() == json.loads(text)["sha256"]
    except BaseException:
        standing.close()
        raise
    if not unchanged:
        standing.close()
        told = "somebody wrote to it after it was replaced by an equal file; it stays as it is, and what it was before stays in quarantine"
        raise EndError("CONFLICT", f"{tree.shown(path)}: {told}")
    return standing


def is_wanted(standing: _reading.Reading) -> bool:
    """Whether somebody waits to write to a stand-in, as far as a lease tells."""
    return standing.leased and not _calls.has_lease(standing.descriptor)
