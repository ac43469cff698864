"""Stubs: the small text that stays at the name of an archived file, and what of it an entry keeps."""

import json
import re
from dataclasses import dataclass

from catalog import names

MAGIC = b"#!lastcopy-stub "
ATTRIBUTE = "user.lastcopy.stub"
MODE = 0o100444  # a regular file that nobody may write
MOST_BYTES = 64 << 10
STORAGE_CLASS = "stub"
_VOLUME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Stub:
    """Where a content is, and what it is."""

    volume: str
    path: str  # escaped
    sha256: bytes
    size_bytes: int

    @property
    def link_target(self) -> str:
        """Where the content is, as the entry of a stub keeps it."""
        return f"{self.volume}:{self.path}"

    @property
    def tags(self) -> str:
        """What the content is, as the entry of a stub keeps it: a JSON object of `sha256` and `size_bytes`, in this order."""
        return json.dumps({"sha256": self.sha256.hex(), "size_bytes": self.size_bytes})


def write(stub: Stub) -> bytes:
    """The text of a stub."""
    said = {"volume": stub.volume, "path": stub.path, "sha256": stub.sha256.hex(), "size_bytes": stub.size_bytes}
    return MAGIC + json.dumps(said, sort_keys=True).encode() + b"\n"


def read(text: bytes) -> Stub | None:
    """What a text says, None unless `write` gives exactly this text. It may be an enemy's."""
    if not text.startswith(MAGIC) or len(text) > MOST_BYTES:
        return None
    try:
        said = json.loads(text[len(MAGIC) :])
        found = Stub(str(said["volume"]), str(said["path"]), bytes.fromhex(said["sha256"]), said["size_bytes"])
        plain = write(found) == text and names.escape(names.unescape(found.path)) == found.path
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    right = (
        plain
        and found.path
        and _VOLUME.fullmatch(found.volume)
        and len(found.sha256) == 32
        and type(found.size_bytes) is int
        and 0 < found.size_bytes < 1 << 63
    )
    return found if right else None


LEAST_BYTES = len(write(Stub("a", "a", bytes(32), 1)))
