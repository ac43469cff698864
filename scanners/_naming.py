"""What follows from names and paths in their escaped form, whole columns at a time."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest

from catalog import names
from catalog.hashes import MASK


def path_hashes(dirs: pa.Array, last: pa.Array) -> pa.Array:
    """What `hashes.of_path` says of the raw bytes of each path."""
    paths = pc.binary_join_element_wise(dirs, last, "")
    raw = paths.cast(pa.binary()).to_pylist()
    for row in np.flatnonzero(pc.match_substring(paths, "\\").to_numpy(zero_copy_only=False)).tolist():
        raw[row] = names.unescape(raw[row].decode())
    return pa.array(np.fromiter(map(xxh3_64_intdigest, raw), np.uint64, len(raw)).view(np.int64) & MASK)


def extensions(last: pa.Array) -> pa.Array:
    """What `names.extension` says of each name, asked once for each ending."""
    parts = pc.split_pattern(last, ".", max_splits=1, reverse=True)
    starts = parts.offsets.to_numpy()
    stem, ending = (parts.values.take(pa.array(places)) for places in (starts[:-1], starts[1:] - 1))
    has_one = pc.and_(pa.array(np.diff(starts) == 2), pc.not_equal(stem, ""))
    endings = pc.if_else(has_one, ending, pa.scalar(None, pa.string())).dictionary_encode()
    known = [names.extension(f"_.{one}") for one in endings.dictionary.to_pylist()]
    return pa.array(known, pa.string()).take(endings.indices)


def escaped(raw: pa.Array, text: Callable[[bytes], bytes] = bytes) -> pa.Array:
    """The escaped form of raw bytes; most need none, and those that do are first made into what `text` says."""
    strange = pc.match_substring_regex(raw, r"[^\x20-\x5b\x5d-\x7e]")
    if not pc.any(strange).as_py():
        return raw.cast(pa.string())
    plain = pc.replace_with_mask(raw, strange, pa.array([names.escape(text(path)).encode() for path in raw.filter(strange).to_pylist()], pa.binary()))
    return plain.cast(pa.string())


def split(paths: pa.Array) -> tuple[pa.Array, pa.Array]:
    """What paths have up to their last slash, and what follows it."""
    bounds = np.frombuffer(paths.buffers()[1], np.int32)[paths.offset : paths.offset + len(paths) + 1]
    data = paths.buffers()[2] or pa.py_buffer(b"")
    slashes = np.flatnonzero(np.frombuffer(data, np.uint8)[: bounds[-1]] == ord("/")) + 1
    last = np.append(0, slashes)[np.searchsorted(slashes, bounds[1:], "right")]
    pieces = np.append(np.stack([bounds[:-1], np.maximum(last, bounds[:-1])], axis=1).ravel(), bounds[-1]).astype(np.int32)
    both = pa.Array.from_buffers(pa.string(), 2 * len(paths), [None, pa.py_buffer(pieces), data])
    return both.take(pa.array(np.arange(0, 2 * len(paths), 2))), both.take(pa.array(np.arange(1, 2 * len(paths), 2)))
