"""What `borg list` says of the items of an archive, as columns: a block of records at a time, without a Python object an item."""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog import names
from catalog.schema import TIME_FLAGS
from scanners._columns import DAY_S, START_1980_S
from scanners._nodes import NO_NAME, VAST, Findings
from scanners._program import RunError

_FIELDS = ("type", "mode", "uid", "gid", "size", "isomtime", "health", "source", "bpath")
FORMAT = "".join(f"{{{name}}}{{NUL}}" for name in _FIELDS)
_WIDTH = len(_FIELDS)
_NAMES = ("bpath", "source")
_BACKSLASH = b"\x01"  # in place of an escaped one: no other control character is told as itself
_LONGEST_ESCAPE = 10
_BYTE = re.compile("[\udc80-\udcff]")
_BLOCK_BYTES = 4 << 20
_LONGEST_BYTES = 64 << 20  # of a record
_TYPES = {"-": "file", "d": "dir", "l": "symlink"}
_KINDS = {"-": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO, "s": stat.S_IFSOCK, "b": stat.S_IFBLK, "c": stat.S_IFCHR}
_SPECIAL = {3: ("sS", stat.S_ISUID), 6: ("sS", stat.S_ISGID), 9: ("tT", stat.S_ISVTX)}
_NUMBER = r"^[0-9]{1,18}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}$"
# What borg stores in the place of times before and after those that it takes: 1970; two days before the 32 bits of a second, or the 64 of a nanosecond, end.
_CLAMPED_S = (0, 2**31 - 1 - 172_800, (2**63 - 1) // 10**9 - 172_800)
_BAD_PATH = r"(?s)^$|^/|\x00|//|(?:^|/)\.{1,2}(?:/|$)|/$"
_BROKEN = "the repository has lost a part of its content: it cannot be restored as it was"
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
            self.exact = self._said.find(b"\0", 0, _LONGEST_BYTES) < 0
        end = len(self._said) if ended or not self.exact else _whole(self._said)
        said = bytes(memoryview(self._said)[:end])
        del self._said[:end]
        self._torn += said.replace(b"\\\\", _BACKSLASH).replace(b"\\x00", b"\0") if self.exact else said
        if len(self._torn) < _BLOCK_BYTES and not ended:
            return
        used, items = _batch(self._torn, self)
        del self._torn[:used]
        if len(self._torn) > _LONGEST_BYTES or (ended and self._torn):
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
    ends = np.flatnonzero(np.frombuffer(said, np.uint8) == 0)
    ends = ends[: len(ends) // _WIDTH * _WIDTH]
    if not len(ends):
        return 0, None
    used = int(ends[-1]) + 1
    text = bytes(memoryview(said)[:used]).replace(b"\0", b"")
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends - np.arange(len(ends))
    fields = pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(text)])
    try:
        given = {name: fields.take(pa.array(np.arange(place, len(ends), _WIDTH))) for place, name in enumerate(_FIELDS)}
        return used, _items({name: values if name in _NAMES else values.cast(pa.string()) for name, values in given.items()}, reader)
    except pa.ArrowInvalid as error:
        raise RunError("borg list: a record that cannot be read") from error


def _items(given: dict[str, pa.Array], reader: _Reader) -> Items:
    """What records say; what no entry can be is left out."""
    findings = reader.findings
    modes = given["mode"].dictionary_encode()
    texts = modes.dictionary.to_pylist()
    known = pc.is_in(given["type"], value_set=pa.array(["-", "d", "l", "p", "s", "b", "c", "?"]))
    if not pc.all(known, min_count=0).as_py() or any(len(text) != 10 for text in texts):
        raise RunError("borg list: a record that cannot be read")
    paths = _escaped(given["bpath"], reader)
    is_file = pc.equal(given["type"], "-")
    size = _number(given["size"])
    root = pc.equal(paths, ".")
    bad = pc.and_(pc.match_substring_regex(paths, _BAD_PATH), pc.invert(root))
    vast = pc.and_(is_file, size.is_null())
    for wrong, why in ((bad, NO_NAME), (pc.and_not(vast, bad), VAST)):
        for path in paths.filter(wrong).to_pylist() if pc.any(wrong).as_py() else ():
            findings.refuse_path(path, why)
    broken = pc.equal(given["health"], "broken")
    for path in paths.filter(broken).to_pylist() if pc.any(broken).as_py() else ():
        findings.damage(path, _BROKEN)
    modified, flags = _times(given["isomtime"], reader.started_us)
    rows = len(paths)
    parts = pc.extract_regex(paths, r"^(?s)(?P<dir>(?:.*/)?)(?P<name>[^/]*)$")
    codes = pa.array([_mode(text) for text in texts], pa.int32()).take(modes.indices)
    kinds = given["type"].dictionary_encode()
    types = kinds.dictionary.to_pylist()
    table = pa.table(
        {
            "dir": pc.struct_field(parts, "dir"),
            "name": pc.struct_field(parts, "name"),
            "type": pa.array([_TYPES.get(kind, "special") for kind in types], pa.string()).take(kinds.indices),
            "size_bytes": pc.if_else(is_file, size, 0),
            "mode": pc.bit_wise_or(codes, pa.array([_KINDS.get(kind, 0) for kind in types], pa.int32()).take(kinds.indices)),
            "uid": _number(given["uid"]),
            "gid": _number(given["gid"]),
            "modified_us": modified,
            "modified_ns": pa.nulls(rows, pa.int32()),
            "changed_us": pa.nulls(rows, pa.int64()),
            "changed_ns": pa.nulls(rows, pa.int32()),
            "time_flags": flags,
            "digest": pa.nulls(rows, pa.binary()),
            "whole": pa.array(np.zeros(rows, bool)),
            "inode": pa.nulls(rows, pa.int64()),
        }
    )
    linked = pc.and_(pc.and_(pc.starts_with(given["mode"], "h"), is_file), pc.not_equal(given["source"], b""))
    kept = pc.invert(pc.or_(pc.or_(bad, vast), root))
    if not reader.exact:
        lossy = pc.match_substring(paths, "?")
        findings.lossy.update(path[: path.index("?")].rpartition("/")[0] for path in paths.filter(lossy).to_pylist())
        kept = pc.and_not(kept, lossy)
    links = table.set_column(3, "size_bytes", pa.nulls(rows, pa.int64())).append_column("source", _sources(given["source"], reader))
    if not pc.any(linked).as_py():
        return Items(table.filter(kept), links.slice(0, 0))
    return Items(table.filter(pc.and_not(kept, linked)), links.filter(pc.and_(kept, linked)))


def refuse_untold(paths: list[str], findings: Findings) -> None:
    """Keep hard links of which nothing tells the file."""
    for path in paths:
        findings.refuse_path(path, _UNTOLD_LINK)


def _sources(raw: pa.Array, reader: _Reader) -> pa.Array:
    """The escaped paths of files that links are of; null where it could be another, as borg puts `?` for bytes that are no text."""
    if not reader.saw_bytes and reader.exact:
        return _escaped(raw, reader)
    return pc.if_else(pc.match_substring(raw, "?"), None, _escaped(raw, reader))


def _escaped(raw: pa.Array, reader: _Reader) -> pa.Array:
    """The escaped form of paths; most need none."""
    strange = pc.match_substring_regex(raw, r"[^\x20-\x5b\x5d-\x7e]")
    if not pc.any(strange).as_py():
        return raw.cast(pa.string())
    plain = pc.replace_with_mask(raw, strange, pa.array([names.escape(reader.text(path)).encode() for path in raw.filter(strange).to_pylist()], pa.binary()))
    return plain.cast(pa.string())


def _number(texts: pa.Array) -> pa.Array:
    """Numbers; null where a text is none, or is beyond what is stored."""
    good = pc.match_substring_regex(texts, _NUMBER)
    return (texts if pc.all(good, min_count=0).as_py() else pc.if_else(good, texts, None)).cast(pa.int64())


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


def _times(texts: pa.Array, started_us: int) -> tuple[pa.Array, pa.Array]:
    """Microseconds since 1970, null where borg had to store another time than the file had, and their bits of `time_flags`."""
    if not pc.all(pc.match_substring_regex(texts, _TIME), min_count=0).as_py():
        raise RunError("borg list: a time that cannot be read")
    found = texts.cast(pa.timestamp("us")).cast(pa.int64())
    microseconds = found.to_numpy(zero_copy_only=False)
    seconds = microseconds // 1_000_000
    clamped = np.isin(seconds, _CLAMPED_S) & (microseconds % 1_000_000 == 0)
    suspect = (seconds > started_us // 1_000_000 + DAY_S) | (seconds < DAY_S) | ((seconds == START_1980_S) & (microseconds % 1_000_000 == 0))
    flags: np.ndarray[Any, Any] = np.where(clamped, TIME_FLAGS["modified_range"], suspect * TIME_FLAGS["modified_suspect"] | TIME_FLAGS["modified_rounded"])
    return pa.array(microseconds, mask=clamped), pa.array(flags.astype(np.int32))
