"""Records of items of borg's archives, their fields ended by NUL, as columns: a block at a time, without a Python object an item."""

import stat
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.schema import TIME_FLAGS
from scanners._columns import DAY_S, START_1980_S
from scanners._nodes import NO_NAME, VAST, Findings
from scanners._program import RunError

BLOCK_BYTES = 4 << 20
LONGEST_BYTES = 64 << 20  # of a record
_TYPES = {"-": "file", "d": "dir", "l": "symlink"}
_KINDS = {"-": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO, "s": stat.S_IFSOCK, "b": stat.S_IFBLK, "c": stat.S_IFCHR, "?": 0}
_NUMBER = r"^[0-9]{1,18}$"
# What borg stores in the place of times before and after those that it takes: 1970; two days before the 32 bits of a second, or the 64 of a nanosecond, end.
_CLAMPED_S = (0, 2**31 - 1 - 172_800, (2**63 - 1) // 10**9 - 172_800)
_BAD_PATH = r"(?s)^$|^/|\x00|//|(?:^|/)\.{1,2}(?:/|$)|/$"
_BROKEN = "the repository has lost a part of its content: it cannot be restored as it was"


@dataclass(frozen=True)
class Fields:
    """What records tell of items, a column each."""

    paths: pa.Array  # escaped
    kinds: pa.Array  # the letter that `ls` prints
    modes: pa.Array  # permission bits
    sizes: pa.Array  # of files; null = beyond what is stored
    uid: pa.Array
    gid: pa.Array
    whole: pa.Array  # all that a file is made of is known to be stored
    broken: pa.Array  # a part of a file is known to be lost
    content: pa.Array  # of a file a number, another one where its pieces are others; null = not told


def table(found: Fields, times: dict[str, pa.Array], findings: Findings) -> tuple[pa.Table, pa.Array]:
    """The columns that `_versions` puts together, and which rows can be entries; what is wrong with others goes to `findings`. Raises RunError."""
    kinds = found.kinds.dictionary_encode()
    letters = kinds.dictionary.to_pylist()
    if not set(letters) <= set(_KINDS):
        raise RunError("borg: a record that cannot be read")
    is_file, root = pc.equal(found.kinds, "-"), pc.equal(found.paths, ".")
    bad = pc.and_not(pc.match_substring_regex(found.paths, _BAD_PATH), root)
    vast = pc.and_(is_file, found.sizes.is_null())
    for wrong, why in ((bad, NO_NAME), (pc.and_not(vast, bad), VAST)):
        for path in _of(found.paths, wrong):
            findings.refuse_path(path, why)
    for path in _of(found.paths, found.broken):
        findings.damage(path, _BROKEN)
    rows = len(found.paths)
    parts = pc.extract_regex(found.paths, r"^(?s)(?P<dir>(?:.*/)?)(?P<name>[^/]*)$")
    columns = {
        "dir": pc.struct_field(parts, "dir"),
        "name": pc.struct_field(parts, "name"),
        "type": pa.array([_TYPES.get(letter, "special") for letter in letters], pa.string()).take(kinds.indices),
        "size_bytes": pc.if_else(is_file, found.sizes, 0),
        "mode": pc.bit_wise_or(found.modes, pa.array([_KINDS[letter] for letter in letters], pa.int32()).take(kinds.indices)),
        "uid": found.uid,
        "gid": found.gid,
        **times,
        "changed_us": pa.nulls(rows, pa.int64()),
        "changed_ns": pa.nulls(rows, pa.int32()),
        "digest": pa.nulls(rows, pa.binary()),
        "whole": pc.and_(found.whole, is_file),
        "content": pc.if_else(is_file, found.content, pa.scalar(None, pa.int64())),
    }
    return pa.table(columns), pc.invert(pc.or_(pc.or_(bad, vast), root))


def _of(paths: pa.Array, wrong: pa.Array) -> list[str]:
    return paths.filter(wrong).to_pylist() if pc.any(wrong).as_py() else []


def modified(
    microseconds: "np.ndarray[Any, Any]", nanoseconds: "np.ndarray[Any, Any] | None", unknown: "np.ndarray[Any, Any]", started_us: int
) -> dict[str, pa.Array]:
    """The columns of a modified time, null where borg had to store another than the file had; `nanoseconds` below them are None where they were rounded."""
    seconds = microseconds // 1_000_000
    exact = (microseconds % 1_000_000 == 0) & (True if nanoseconds is None else nanoseconds == 0)
    unknown = unknown | (np.isin(seconds, _CLAMPED_S) & exact)
    suspect = (seconds > started_us // 1_000_000 + DAY_S) | (seconds < DAY_S) | ((seconds == START_1980_S) & exact)
    rounded = 0 if nanoseconds is not None else TIME_FLAGS["modified_rounded"]
    flags = np.where(unknown, TIME_FLAGS["modified_range"], suspect * TIME_FLAGS["modified_suspect"] | rounded).astype(np.int32)
    below = pa.nulls(len(flags), pa.int32()) if nanoseconds is None else pa.array(nanoseconds.astype(np.int32), mask=unknown)
    return {"modified_us": pa.array(microseconds, mask=unknown), "modified_ns": below, "time_flags": pa.array(flags)}


def split(said: bytearray, fields: Sequence[str], raw: Container[str]) -> tuple[int, dict[str, pa.Array]]:
    """How many bytes the whole records at the begin of what was said are, and their fields as columns: texts, or bytes if they are `raw`. Raises RunError."""
    width, ends = len(fields), np.flatnonzero(np.frombuffer(said, np.uint8) == 0)
    ends = ends[: len(ends) // width * width]
    if not len(ends):
        return 0, {}
    used = int(ends[-1]) + 1
    text = bytes(memoryview(said)[:used]).replace(b"\0", b"")
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends - np.arange(len(ends))
    values = pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(text)])
    given = {name: values.take(pa.array(np.arange(place, len(ends), width))) for place, name in enumerate(fields)}
    try:
        return used, {name: column if name in raw else column.cast(pa.string()) for name, column in given.items()}
    except pa.ArrowInvalid as error:
        raise RunError("borg: a record that cannot be read") from error


def number(texts: pa.Array) -> pa.Array:
    """Numbers; null where a text is none, or is beyond what is stored."""
    good = pc.match_substring_regex(texts, _NUMBER)
    return (texts if pc.all(good, min_count=0).as_py() else pc.if_else(good, texts, None)).cast(pa.int64())
