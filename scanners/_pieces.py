"""The content of files of a repository of restic on this host: found by its folders, read from its packs piece by piece, each held against its id."""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from catalog import names
from scanners import _nodes, _trees
from scanners._program import RunError
from scanners._repository import Repository, unquoted
from scanners.reading import SAMPLE_BYTES, SMALL_BYTES, Problem, Reply

_KEPT_TREES = 4096  # so many folders are kept, for those that are asked for next have the same ones above them
_KEPT_CONTENTS = 65_536  # results: many files, or versions of one, have the same content
_GONE = "no recovery point holds this version any more"


@dataclass(frozen=True)
class _File:
    pieces: tuple[bytes, ...]
    modified: str  # as its node tells it


@dataclass(frozen=True)
class _Content:
    digest: bytes
    sample: bytes | None


class Contents:
    """Reads what files of some trees hold. Keeps folders and results from one question to the next."""

    def __init__(self, repository: Repository, roots: Iterable[str]) -> None:
        self._repository, self._roots = repository, frozenset(roots)
        self._trees: dict[str, dict[str, _File | str]] = {}
        self._known: dict[tuple[bytes, ...], _Content | str] = {}

    def read(self, rows: pa.RecordBatch) -> Reply:
        """Digests of files, by `dir`, `name` and the number of their version (`inode`). What cannot be read is a problem of stage `read`."""
        started, count = time.monotonic_ns(), rows.num_rows
        wanted = list(zip(rows["dir"].to_pylist(), rows["name"].to_pylist(), rows["inode"].to_pylist(), strict=True))
        ended, digests, samples = [started] * count, [None] * count, [None] * count
        reply, bytes_read = Reply(started, ended, list[bytes | None](digests), list[bytes | None](samples), 0, []), 0
        try:
            content = self._find(wanted)
        except RunError as error:
            return reply._replace(ended_ns=[time.monotonic_ns()] * count, problems=[(row, "read", str(error), None) for row in range(count)])
        problems: list[Problem] = []
        for row, key in enumerate(wanted):
            pieces = content.get(key)
            if pieces is None:
                problems.append((row, "changed", _GONE, None))
            else:
                found, fresh_bytes = self._content(pieces)
                bytes_read += fresh_bytes
                if isinstance(found, str):
                    problems.append((row, "read", found, None))
                else:
                    reply.digests[row], reply.samples[row] = found.digest, found.sample
            reply.ended_ns[row] = time.monotonic_ns()
        return reply._replace(bytes_read=bytes_read, problems=problems)

    def _find(self, wanted: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str, int], tuple[bytes, ...]]:
        """The pieces of each version that some recovery point still holds. Raises RunError."""
        below: dict[str, set[str]] = {}  # folder -> what is of interest in it
        for directory, name, _ in wanted:
            below.setdefault(directory, set()).add(name)
            inner = directory
            while inner:
                head, slash, folder = inner[:-1].rpartition("/")
                inner = head + slash
                below.setdefault(inner, set()).add(folder)
        candidates: list[tuple[str, str, _File]] = []
        waiting: list[tuple[str, frozenset[str]]] = [("", self._roots)]
        while waiting:
            directory, states = waiting.pop()
            subtrees: dict[str, set[str]] = {}
            for state in states:
                nodes = self._tree(state)
                for name in below[directory] & nodes.keys():
                    node = nodes[name]
                    if isinstance(node, str):
                        subtrees.setdefault(f"{directory}{name}/", set()).add(node)
                    else:
                        candidates.append((directory, name, node))
            waiting += [(folder, frozenset(some)) for folder, some in subtrees.items() if folder in below]
        files = [file for _, _, file in candidates]
        versions = _trees.Versions(
            pa.array([directory for directory, _, _ in candidates], pa.string()),
            pa.array([name for _, name, _ in candidates], pa.string()),
            _nodes.times(pa.array([file.modified for file in files], pa.string())),
            b"".join(piece for file in files for piece in file.pieces),
            np.array([len(file.pieces) for file in files], np.int64),
        )
        blobs = self._repository.blobs
        numbers = _trees.numbers(versions, blobs, blobs.find(versions.pieces)).tolist()
        return {(directory, name, number): file.pieces for (directory, name, file), number in zip(candidates, numbers, strict=True)}

    def _tree(self, tree: str) -> "Mapping[str, _File | str]":
        """The files of a folder with their pieces, and its folders with their trees, by escaped name. Raises RunError."""
        if tree not in self._trees:
            if len(self._trees) >= _KEPT_TREES:
                self._trees.clear()
            nodes: dict[str, _File | str] = {}
            for node in self._repository.tree(tree):
                name = names.escape(unquoted(str(node.get("name", ""))))
                if node.get("type") == "file":
                    nodes[name] = _file(node, tree)
                elif node.get("type") == "dir" and isinstance(node.get("subtree"), str):
                    nodes[name] = node["subtree"]
            self._trees[tree] = nodes
        return self._trees[tree]

    def _content(self, pieces: tuple[bytes, ...]) -> tuple[_Content | str, int]:
        """What some pieces come to, or why they cannot be read; and how many bytes were read for that."""
        if pieces in self._known:
            return self._known[pieces], 0
        if len(self._known) >= _KEPT_CONTENTS:
            self._known.clear()
        whole, head, tail, size = hashlib.sha256(), b"", b"", 0
        found: _Content | str
        try:
            for piece in pieces:
                plain = self._repository.piece(piece)
                whole.update(plain)
                head += plain[: max(0, SAMPLE_BYTES - len(head))]
                tail, size = (tail + plain[-SAMPLE_BYTES:])[-SAMPLE_BYTES:], size + len(plain)
            found = _Content(whole.digest(), hashlib.sha256(head + tail).digest() if size > SMALL_BYTES else None)
        except RunError as error:
            found = str(error)
        self._known[pieces] = found
        return found, size


def _file(node: Mapping[str, Any], tree: str) -> _File:
    try:
        return _File(tuple(_trees.pieces(node)), _trees.text(node, "mtime"))
    except (TypeError, ValueError) as error:
        raise RunError(f"the repository is damaged: tree {tree[:8]} cannot be read") from error
