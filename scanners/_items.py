"""What `borg list` says of the items of an archive, as columns: a block of records at a time, without a Python object an item."""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scanners import _naming
from scanners._nodes import Findings
from scanners._program import RunError
from scanners._records import BLOCK_BYTES, LONGEST_BYTES, Fields, modified, number, split, table

_FIELDS = ("type", "mode", "uid", "gid", "size", "isomtime", "health", "source", "bpath")
FORMAT = "".join(f"{{{name}}}{{NUL}}" for name in _FIELDS)
_NAMES = ("bpath", "source")
_BACKSLASH = b"\x01"  # in place of an escaped one: no other control character is told as itself
_LONGEST_ESCAPE = 10
_BYTE = re.compile("[\udc80-\udcff]")
_SPECIAL = {3: ("sS", stat.S_ISUID), 6: ("sS", stat.S_ISGID), 9: ("tT", stat.S_ISVTX)}
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}$"
_UNTOLD_LINK = "borg does not tell exactly which file it is a hard link of: it is left out"


@dataclass(frozen=True)
class Items:
    """Some items of an archive: `files` are whole; `links` are further names of files, which have the size of the one that `source` is the path of."""

    files: pa.Table
    links: pa.Table


def read(blocks: Iterator[bytes], started_us: int, findings: Findings) -> Iterator[Items]:
    """The items of one archive in batches, with the columns that `_versions` puts together. Raises RunError where what is said is not a listing."""
    reader = _Reader(started_us, findings)
    for block in blocks:
        yield from reader.take(block)
    yield from reader.take(b"", ended=True)


class _Reader:
    """Takes what is said piece by piece.

    Borg is told to write as Python writes strings (PYTHONIOENCODING), for else it puts `?` in the place of bytes that are no text. Where it cannot be told, as
    it is one file with its own Python, it is not `exact`.
    """

    def __init__(self, started_us: int, findings: Findings) -> None:
        self.started_us, self.findings = started_us, findings
        self.exact: bool | None = None
        self.saw_bytes = False  # a name that is no text
        self._said, self._torn = bytearray(), bytearray()

    def take(self, block: bytes, ended: bool = False) -> Iterator[Items]:
        """The items of whole records, when there are enough."""
        self._said += block
        if self.exact is None and self._said:
            self.exact = self._said.find(b"\0", 0, LONGEST_BYTES) < 0
        end = len(self._said) if ended or not self.exact else _whole(self._said)
        said = bytes(memoryview(self._said)[:end])
        del self._said[:end]
        self._torn += said.replace(b"\\\\", _BACKSLASH).replace(b"\\x00", b"\0") if self.exact else said
        if len(self._torn) < BLOCK_BYTES and not ended:
            return
        used, items = _batch(self._torn, self)
        del self._torn[:used]
        if len(self._torn) > LONGEST_BYTES or (ended and self._torn):
            raise RunError("borg list: its answer ends within a record, or has none")
        if items:
            yield items

    def text(self, raw: bytes) -> bytes:
        """The bytes of what is said."""
        if not self.exact:
            return raw
        try:
            text = raw.replace(_BACKSLASH, b"\\\\").decode("unicode_escape")
            found = text.encode("utf-8", "surrogateescape")
        except UnicodeError as error:
            raise RunError("borg list: a name that cannot be read") from error
        self.saw_bytes = self.saw_bytes or (not text.isprintable() and bool(_BYTE.search(text)))
        return found


def _whole(said: bytearray) -> int:
    """Where what is said can be cut: before an escape that has perhaps not ended."""
    last = said.rfind(b"\\", max(0, len(said) - _LONGEST_ESCAPE))
    if last < 0:
        return len(said)
    before = last
    while before and said[before - 1] == 0x5C:
        before -= 1
    return len(said) if (last - before) % 2 else last


def _batch(said: bytearray, reader: _Reader) -> tuple[int, Items | None]:
    """The whole records at the begin of what was said, and how many bytes they are."""
    used, given = split(said, _FIELDS, _NAMES)
    try:
        return used, _items(given, reader) if given else None
    except pa.ArrowInvalid as error:
        raise RunError("borg list: a record that cannot be read") from error


def _items(given: dict[str, pa.Array], reader: _Reader) -> Items:
    """What records say; what no entry can be is left out."""
    modes = given["mode"].dictionary_encode()
    texts = modes.dictionary.to_pylist()
    if any(len(text) != len("-rwxrwxrwx") for text in texts):
        raise RunError("borg list: a record that cannot be read")
    found = Fields(
        paths=_naming.escaped(given["bpath"], reader.text),
        kinds=given["type"],
        modes=pa.array([_mode(text) for text in texts], pa.int32()).take(modes.indices),
        sizes=number(given["size"]),
        uid=number(given["uid"]),
        gid=number(given["gid"]),
        whole=pa.array(np.zeros(len(modes), bool)),
        broken=pc.equal(given["health"], "broken"),
        content=pa.nulls(len(modes), pa.int64()),
    )
    rows, kept = table(found, _times(given["isomtime"], reader.started_us), reader.findings)
    if not reader.exact:
        lossy = pc.match_substring(found.paths, "?")
        reader.findings.lossy.update(path[: path.index("?")].rpartition("/")[0] for path in found.paths.filter(lossy).to_pylist())
        kept = pc.and_not(kept, lossy)
    linked = pc.and_(pc.and_(pc.starts_with(given["mode"], "h"), pc.equal(found.kinds, "-")), pc.not_equal(given["source"], b""))
    links = rows.set_column(3, "size_bytes", pa.nulls(len(rows), pa.int64())).append_column("source", _sources(given["source"], reader))
    if not pc.any(linked).as_py():
        return Items(rows.filter(kept), links.slice(0, 0))
    return Items(rows.filter(pc.and_not(kept, linked)), links.filter(pc.and_(kept, linked)))


def refuse_untold(paths: list[str], findings: Findings) -> None:
    """Keep hard links of which nothing tells the file."""
    for path in paths:
        findings.refuse_path(path, _UNTOLD_LINK)


def _sources(raw: pa.Array, reader: _Reader) -> pa.Array:
    """The escaped paths of files that links are of; null where it could be another, as borg puts `?` for bytes that are no text."""
    if not reader.saw_bytes and reader.exact:
        return _naming.escaped(raw, reader.text)
    return pc.if_else(pc.match_substring(raw, "?"), None, _naming.escaped(raw, reader.text))


def _mode(text: str) -> int:
    """The permission bits of what `ls` prints."""
    found = 0
    for place, letter in enumerate(text[1:], 1):
        special = _SPECIAL.get(place)
        if special and letter in special[0]:
            found |= special[1] | (letter.islower() << (9 - place))
        elif letter != "-":
            found |= 1 << (9 - place)
    return found


def _times(texts: pa.Array, started_us: int) -> dict[str, pa.Array]:
    """The columns of times that borg prints: to the microsecond, rounded."""
    if not pc.all(pc.match_substring_regex(texts, _TIME), min_count=0).as_py():
        raise RunError("borg list: a time that cannot be read")
    microseconds = texts.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return modified(microseconds, None, np.zeros(len(microseconds), bool), started_us)
