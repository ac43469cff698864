"""What a walk leaves out of a tree."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from catalog import glob, names

_AT_ONCE = 2**20  # characters of paths: a deep directory with many entries has more than memory


def excluded(expression: str, directories: Sequence[str], found: Sequence[str], is_directory: Sequence[bool]) -> np.ndarray[Any, Any]:
    """Which entries an expression of `catalog.glob` matches, as booleans; directories have their trailing slash, nothing is escaped."""
    matched = [glob.excluded(expression, pa.array(paths, pa.string())) for paths in _escaped(directories, found, is_directory)]
    return np.concatenate([np.zeros(0, bool), *(part.to_numpy(zero_copy_only=False) for part in matched)])


def _escaped(directories: Sequence[str], found: Sequence[str], is_directory: Sequence[bool]) -> Iterator[list[str]]:
    """The escaped paths of entries in their order, a piece at a time."""
    paths: list[str] = []
    size, directory, place = 0, None, ""
    texts = names.escape(os.fsencode("/".join(found))).split("/") if found else []  # a slash is in no name
    for above, text, below in zip(directories, texts, is_directory, strict=True):
        if above is not directory:
            directory, place = above, names.escape(os.fsencode(above))
        paths.append(f"{place}{text}/" if below else f"{place}{text}")
        size += len(paths[-1])
        if size > _AT_ONCE:
            yield paths
            paths, size = [], 0
    yield paths
