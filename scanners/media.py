"""Media types by libmagic, from the head of a file; those of unchanged files are taken from the previous scan."""

import functools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from catalog import snapshot
from catalog.errors import MissingExtraError

if TYPE_CHECKING:
    from catalog.snapshot import ScanRow
    from scanners.sink import Target

_HEAD_BYTES = 8192
_EMPTY = "inode/x-empty"  # what libmagic says of an empty file
_TIMES = {"modified": "<i8", "changed": "<i8", "modified_ns": "<i2", "changed_ns": "<i2"}
_KNOWN = np.dtype([("inode", "<i8"), ("size", "<i8"), *_TIMES.items(), ("fs_id", "<i4"), ("type", "<i4")])


@functools.cache
def libmagic() -> Any:  # noqa: ANN401 - the library has no types
    """libmagic's reader of heads. Raises MissingExtraError that says how to install it."""
    try:
        import magic
    except ImportError as error:
        raise MissingExtraError(f"media_types = true needs libmagic ({error}); install it by 'apt-get install libmagic1'") from error
    return magic.Magic(mime=True)


def remember(target: "Target", previous: "ScanRow | None") -> str | None:
    """Write the media types of the previous scan for `types`, sorted by inode, as a file that workers map into memory; gives its path."""
    from scanners import guard

    files = snapshot.entry_files(target.root, previous.scan_id, target.volume) if previous else []
    if not files:
        return None
    path = target.journal / "media"
    found: dict[str, dict[str, int]] = {"fs_ids": {}, "types": {}}
    query = """
        SELECT inode, size_bytes, epoch_us(modified_at), epoch_us(changed_at), modified_ns, changed_ns, fs_id, media_type
        FROM read_parquet($files, hive_partitioning = false)
        WHERE media_type IS NOT NULL AND inode IS NOT NULL AND modified_at IS NOT NULL AND changed_at IS NOT NULL AND fs_id IS NOT NULL
        ORDER BY inode
    """
    with guard.connect(target) as connection, path.open("wb") as out:
        batches: pa.RecordBatchReader = connection.sql(query, params={"files": files}).to_arrow_reader(65_536)
        for batch in batches:
            rows = np.zeros(batch.num_rows, _KNOWN)
            for name, column in zip(_KNOWN.names or (), batch.columns, strict=True):
                rows[name] = _numbers(column, found["fs_ids" if name == "fs_id" else "types"])
            out.write(rows.tobytes())
    path.with_suffix(".json").write_text(json.dumps({key: list(values) for key, values in found.items()}))
    return str(path) if path.stat().st_size else None


def types(columns: Mapping[str, pa.Array], open_file: Callable[[str, str], int], known: str | None) -> pa.Array:
    """The media type of each row; null for what is no file or cannot be read. `known` is what `remember` gave."""
    size = columns["size_bytes"].to_numpy()
    is_file = np.asarray(columns["type"].cast(pa.string()).to_pylist()) == "file"
    found: list[str | None] = [None] * len(size)
    for row in np.flatnonzero(is_file & (size == 0)).tolist():
        found[row] = _EMPTY
    left = np.flatnonzero(is_file & (size > 0))
    for row, media_type in _unchanged(columns, left, known).items():
        found[row] = media_type
    read = [row for row in left.tolist() if found[row] is None]
    paths = zip(columns["dir"].take(pa.array(read, pa.int64())).to_pylist(), columns["name"].take(pa.array(read, pa.int64())).to_pylist(), strict=True)
    for row, (directory, name) in zip(read, paths, strict=True):
        found[row] = _of_head(directory, name, open_file)
    return pa.array(found, pa.string()).dictionary_encode()


def _unchanged(columns: Mapping[str, pa.Array], rows: np.ndarray[Any, Any], known: str | None) -> dict[int, str]:
    """The known types of rows whose identity and fingerprint are as they were."""
    if known is None or not len(rows):
        return {}
    before, fs_ids, names = _known(known)
    wanted = columns["fs_id"].take(pa.array(rows)).to_pylist()
    now = {
        "size": columns["size_bytes"],
        "modified": columns["modified_at"].cast(pa.int64()),
        "changed": columns["changed_at"].cast(pa.int64()),
        "modified_ns": columns["modified_ns"],
        "changed_ns": columns["changed_ns"],
    }
    inode = columns["inode"].to_numpy()[rows]
    at = np.minimum(np.searchsorted(before["inode"], inode), len(before) - 1)
    same = before["inode"][at] == inode
    for name, column in now.items():
        same &= before[name][at] == column.fill_null(-1).to_numpy()[rows]
    same &= before["fs_id"][at] == np.array([fs_ids.get(fs_id, -1) for fs_id in wanted])
    return {int(rows[i]): names[int(before["type"][at[i]])] for i in np.flatnonzero(same)}


@functools.lru_cache(1)
def _known(path: str) -> tuple[np.ndarray[Any, Any], dict[str, int], list[str]]:
    described = json.loads(Path(path).with_suffix(".json").read_text())
    return np.memmap(path, _KNOWN, "r"), {fs_id: number for number, fs_id in enumerate(described["fs_ids"])}, described["types"]


def _of_head(directory: str, name: str, open_file: Callable[[str, str], int]) -> str | None:
    try:
        descriptor = open_file(directory, name)
    except OSError:
        return None  # not readable by us, or gone: its type is unknown, its row stays
    try:
        head = os.pread(descriptor, _HEAD_BYTES, 0)
    except OSError:
        return None  # a disk error shows when the content is read for its digest
    finally:
        os.close(descriptor)
    import magic

    try:
        return str(libmagic().from_buffer(head))
    except magic.MagicException:
        return None


def _numbers(column: pa.Array, known: dict[str, int]) -> Any:  # noqa: ANN401 - numpy or a list, for one assignment
    """A column as numbers; texts get one each, in the order in which they were first seen."""
    if pa.types.is_integer(column.type):
        return column.to_numpy(zero_copy_only=False)
    return [known.setdefault(text, len(known)) for text in column.to_pylist()]
