"""The names of a directory, each once: while a directory changes, some file systems give a name twice, which would be two entries."""

from itertools import compress, islice
from operator import eq

import numpy as np


def has_repeated(sorted_names: list[str]) -> bool:
    """Whether a name stands beside itself."""
    return any(map(eq, sorted_names, islice(sorted_names, 1, None)))


class Given:
    """What a directory that is listed piece by piece has given so far, in eight bytes a name."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.repeated = False  # whether a name was given twice: the directory changed meanwhile
        self._runs: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []  # sorted, each longer than the next

    def new(self, piece: list[str]) -> list[str]:
        """The names of a piece that were not given before, sorted. They are told apart by Python's hash, whose key nobody knows."""
        found = sorted(set(piece))
        hashes = np.fromiter(map(hash, found), np.int64, len(found))
        order = np.argsort(hashes)
        merged = hashes[order]
        fresh = np.ones(len(found), bool)
        for run in self._runs:
            fresh[order] &= run[np.minimum(np.searchsorted(run, merged), len(run) - 1)] != merged
        self.repeated |= len(found) < len(piece) or not fresh.all()
        while self._runs and len(self._runs[-1]) <= len(merged):
            merged = np.sort(np.concatenate([self._runs.pop(), merged]), kind="stable")
        self._runs.append(merged)
        return list(compress(found, fresh.tolist()))
