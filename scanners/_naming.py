"""What follows from names and paths in their escaped form, whole columns at a time."""

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
