"""The index of a tape of LTFS (ISO/IEC 20919), as saved on disk: what a mount of the tape would show."""

import re
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from scanners import _xml
from scanners._told import Claim, RefusedPathError, Source
from scanners._when import nanoseconds

_INDEX, _INCREMENTAL = "ltfsindex", "ltfsincrementalindex"
_HASH = "ltfs.hash.sha256sum"
_OPEN = "the tape was written to while it was open, and its index does not say how much of it is there"


@dataclass
class Head:
    """What an index says of itself."""

    uuid: str = ""
    generation: str = ""
    updated_us: int | None = None


@dataclass
class _Node:
    """A folder or file, while it is read."""

    is_folder: bool
    name: bytes | None = None
    texts: dict[str, str] = field(default_factory=dict)
    digest: bytes | None = None


def head(file: BinaryIO) -> Head:
    """What an index says of itself, before it says what is on the tape. Raises BadXMLError."""
    found = Head()

    def start(path: list[str], _: dict[str, str]) -> None:
        if path[0] == _INCREMENTAL:
            raise _xml.BadXMLError("an incremental index of LTFS, which tells only of what changed; save a full one")
        if path[0] != _INDEX:
            raise _xml.BadXMLError("no index of LTFS")
        if path[1:] == ["directory"]:
            raise _xml.StopReadingError

    def end(path: list[str], text: str) -> None:
        if path[1:] == ["volumeuuid"]:
            found.uuid = text.strip().lower()
        elif path[1:] == ["generationnumber"]:
            found.generation = text.strip()
        elif path[1:] == ["updatetime"] and (time := nanoseconds(text.strip())) is not None:
            found.updated_us = time // 1000

    _xml.read(file, start, end)
    if not re.fullmatch(r"[0-9a-f-]{36}", found.uuid) or found.updated_us is None:
        raise _xml.BadXMLError("an index of LTFS that does not say of which tape and of which time it is")
    return found


def read(file: BinaryIO, source: Source, told_us: int, level: int) -> None:
    """Take all files of an index. Raises BadXMLError."""
    _xml.read(file, *_Index(source, told_us, level).handlers)


class _Index:
    """An index, while it is read."""

    def __init__(self, source: Source, told_us: int, level: int) -> None:
        self._source, self._told_us, self._level = source, told_us, level
        self._nodes: list[_Node] = []
        self._encoded, self._key, self._count = False, "", 0
        self.handlers = self._start, self._end

    def _start(self, path: list[str], attributes: dict[str, str]) -> None:
        if path[-1] in ("directory", "file"):
            self._nodes.append(_Node(path[-1] == "directory"))
        elif path[-1] == "name":
            self._encoded = attributes.get("percentencoded") == "true"

    def _end(self, path: list[str], text: str) -> None:
        if not self._nodes:
            return
        node, inner = self._nodes[-1], path[-2] if len(path) > 1 else ""
        if path[-1] in ("directory", "file"):
            if not node.is_folder:
                self._take(node)
            self._nodes.pop()
        elif inner in ("directory", "file"):
            if path[-1] == "name":
                node.name = unquote_to_bytes(text) if self._encoded else text.encode()
            elif path[-1] in ("length", "modifytime", "openforwrite", "symlink"):
                node.texts[path[-1]] = text.strip()
        elif inner == "xattr" and path[-1] == "key":
            self._key = text.strip()
        elif inner == "xattr" and self._key == _HASH and re.fullmatch(r"[0-9A-Fa-f]{64}", text.strip()):
            node.digest = bytes.fromhex(text.strip())

    def _take(self, node: _Node) -> None:
        self._count += 1
        parts = [one.name for one in self._nodes[1:]]  # the first is the tape
        size, modified = node.texts.get("length", ""), nanoseconds(node.texts.get("modifytime", ""))
        is_open = node.texts.get("openforwrite", "false") != "false"
        try:
            if any(part is None or b"/" in part for part in parts):
                raise RefusedPathError("a name with a slash, or none, or one of a folder that comes after what it holds")  # noqa: TRY301 - told as others
            self._source.add(
                b"/".join(part for part in parts if part is not None),
                told_us=self._told_us,
                level=self._level,
                kind="symlink" if "symlink" in node.texts else "file",
                size_bytes=int(size) if re.fullmatch(r"\d{1,19}", size) else None,
                modified_us=None if modified is None else modified // 1000,
                modified_ns=0 if modified is None else modified % 1000,
                digest=node.digest,
                claim=Claim.FAILED if is_open else Claim.TOLD,
                why=_OPEN if is_open else None,
            )
        except RefusedPathError as error:
            self._source.refuse(f"file {self._count}", str(error))
