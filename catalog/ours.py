"""The names that jobs give to what they put on a volume: scans leave it out, and jobs take nothing of it."""

import functools
import re
from urllib.parse import quote, unquote

HOME = b".lastcopy"
QUARANTINE = b"quarantine"
MARKER = b"volume.json"
TEMPORARY = b".lastcopy~"
FILES_AT_HOME = frozenset({MARKER, b"volume.json.new", b"clock"})
_KEY = re.compile(r"[A-Za-z0-9-]{1,48}")  # so that a temporary name stays within 64 bytes
_IN_QUARANTINE = re.compile(rb"[A-Za-z0-9-]{1,48}(?:\.json|\.new)?")
_HASH = re.compile(rb"[0-9a-f]{16}")
_REMEMBERED = 1024  # names that a chunk of steps asks about again and again


@functools.lru_cache(_REMEMBERED)
def temporary(key: str, ending: str = "part") -> bytes:
    """The temporary name of a step, at most 64 bytes. Raises ValueError for what is no key."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a step")
    return b"%s%s~.%s" % (TEMPORARY, key.encode(), ending.encode())


def key_of(name: bytes) -> str | None:
    """The key in a temporary name; None where it is none."""
    if not (name.startswith(TEMPORARY) and name.endswith((b"~.part", b"~.bad"))):
        return None
    key = name[len(TEMPORARY) : name.rindex(b"~")].decode("ascii", "replace")
    try:
        return key if name in (temporary(key), temporary(key, "bad")) else None
    except ValueError:
        return None


def is_temporary(name: bytes) -> bool:
    """Whether a name is one of our temporary ones."""
    return key_of(name) is not None


def is_key(text: str) -> bool:
    """Whether a text is a key of a step."""
    return _KEY.fullmatch(text) is not None


def is_in_quarantine(name: bytes) -> bool:
    """Whether a name in a quarantine is one that jobs give: a key, its sidecar, or a pointer in the making."""
    return _IN_QUARANTINE.fullmatch(name) is not None


def hidden(path_hash: int, version: str) -> bytes:
    """The end of the name of what tells that jobs took a version of an object away; its beginning is a step's."""
    return b"%016x/%s" % (path_hash % (1 << 64), quote(version, safe="").encode())


def hidden_in(name: bytes) -> str | None:
    """The version that the name of such an object ends with; None where it is no such name."""
    _, _, rest = name.partition(b"/")
    path_hash, _, version = rest.partition(b"/")
    if not _HASH.fullmatch(path_hash) or not version:
        return None
    return unquote(version.decode("ascii", "replace"))
