"""The trees of several recovery points, each folder and state of it read once, as batches of what `_versions` puts together."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from catalog import names
from scanners import _nodes
from scanners._nodes import Findings
from scanners._program import RunError
from scanners._repository import Blobs, Repository, unquoted

_BATCH_ROWS = 16_384  # each a few objects of Python
_LONGEST_BYTES = 16_384  # of a path
LEAST_NODES, _TIMES = 10_000_000, 100  # so many may be listed, or so many of each node that is stored: few trees that hold each other can make very many
_NUMBERS = ("uid", "gid", "size", "mode")
_TEXTS = ("type", "mtime", "ctime")


class Holders:
    """Numbers for sets of recovery points: a set is an integer with the bit of each, by its place in time."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}

    def of(self, holders: int) -> int:
        """The number of a set."""
        return self.numbers.setdefault(holders, len(self.numbers))


class _Batch:
    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in ("dir", "name", "tree", *_NUMBERS, *_TEXTS)}
        self.chunks: list[bytes] = []
        self.counts: list[int] = []

    def add(self, directory: str, name: str, tree: int, node: dict[str, Any]) -> None:
        columns = self.columns
        columns["dir"].append(directory)
        columns["name"].append(name)
        columns["tree"].append(tree)
        for key in _NUMBERS:
            found = node.get(key, 0 if key == "size" else None)
            columns[key].append(found if type(found) is int and 0 <= found < 2**63 else None)
        for key in _TEXTS:
            columns[key].append(text(node, key))
        content = pieces(node)
        self.chunks += content
        self.counts.append(len(content))


def pieces(node: Mapping[str, Any]) -> list[bytes]:
    """The ids of the pieces of a file, in order; of anything else there are none. Raises what a wrong shape raises."""
    return [bytes.fromhex(piece) for piece in node.get("content") or ()] if node.get("type") == "file" else []


def text(node: Mapping[str, Any], key: str) -> str:
    """What a node says as a text that UTF-8 can have."""
    return str(node.get(key, "")).encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Versions:
    """Files with their modified times as nodes tell them, and their pieces, one after the other, so many of each."""

    dirs: Sequence[str]
    names: Sequence[str]
    times: Sequence[str]
    pieces: Sequence[bytes]
    counts: Sequence[int]


def numbers(versions: Versions, blobs: Blobs) -> list[int]:
    """Numbers that tell, as inodes, which content a path had at which time, and in which packs it lies here: what was read elsewhere was not read here."""
    microseconds, below = (times.fill_null(-1).to_pylist() for times in _nodes.times(pa.array(versions.times, pa.string())))
    states, found, start = blobs.states(versions.pieces), list[int](), 0
    for directory, name, at, rest, count in zip(versions.dirs, versions.names, microseconds, below, versions.counts, strict=True):
        told = hashlib.sha256(f"{directory}{name}\0{at}\0{rest}\0".encode())
        told.update(b"".join(versions.pieces[start : start + count]))
        told.update(states[start : start + count].tobytes())
        found.append(int.from_bytes(told.digest()[:8], "big") >> 1)
        start += count
    return found


def read(repository: Repository, roots: Mapping[str, int], holders: Holders, started_us: int, findings: Findings) -> Iterator[pa.Table]:
    """The nodes of some trees, each with the recovery points that hold it, and with its digest where it is one piece. Raises RunError."""
    batch = _Batch()
    waiting: list[tuple[bytes, dict[str, int]]] = [(b"", dict(roots))]
    seen, stored, listed = set[str](), 0, 0
    while waiting:
        folder, states = waiting.pop()
        below: dict[bytes, dict[str, int]] = {}
        directory = names.escape(folder)
        for tree, held_by in states.items():
            number, nodes = holders.of(held_by), repository.tree(tree)
            listed += len(nodes) + 1
            stored += 0 if tree in seen else len(nodes) + 1
            seen.add(tree)
            if listed > max(LEAST_NODES, _TIMES * stored):
                raise RunError(f"{listed} entries of {len(seen)} trees: what repeats itself so often is no backup of files")
            for node in nodes:
                try:
                    name = _name(node, folder, findings)
                    if name is None:
                        continue
                    batch.add(directory, names.escape(name), number, node)
                except (TypeError, ValueError, OverflowError) as error:
                    raise RunError(f"the repository is damaged: tree {tree[:8]} cannot be read") from error
                if node.get("type") == "dir" and isinstance(node.get("subtree"), str):
                    known = below.setdefault(name, {})
                    known[node["subtree"]] = known.get(node["subtree"], 0) | held_by
            if len(batch.counts) >= _BATCH_ROWS:
                yield _table(batch, repository, started_us)
                batch = _Batch()
        waiting += [(folder + name + b"/", known) for name, known in below.items()]
    if batch.counts:
        yield _table(batch, repository, started_us)


def _name(node: dict[str, Any], folder: bytes, findings: Findings) -> bytes | None:
    """The name of a node; None where no file can have it, or its size."""
    name = unquoted(str(node.get("name", "")))
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or len(folder) + len(name) > _LONGEST_BYTES:
        findings.refuse_path(names.escape(folder + name)[:_LONGEST_BYTES], _nodes.NO_NAME)
        return None
    size = node.get("size", 0)
    if not isinstance(size, int) or not 0 <= size < 2**63:
        findings.refuse_path(names.escape(folder + name), _nodes.VAST)
        return None
    return name


def _table(batch: _Batch, repository: Repository, started_us: int) -> pa.Table:
    columns, counts = batch.columns, np.array(batch.counts)
    given: dict[str, pa.Array] = {name: pa.array(columns[name], pa.uint64()) for name in _NUMBERS} | {
        name: pa.array(columns[name], pa.string()) for name in _TEXTS
    }
    pieces = repository.blobs.sizes(batch.chunks)
    starts = np.cumsum(counts) - counts
    had = np.concatenate([[0], np.cumsum(np.where(pieces < 0, 0, pieces))])
    lacking = np.concatenate([[0], np.cumsum(pieces < 0)])
    ends = starts + counts
    attributes = _nodes.attributes(given, started_us)
    sizes = attributes["size_bytes"].to_numpy()
    is_file = np.array([kind == "file" for kind in columns["type"]])
    whole = (lacking[ends] == lacking[starts]) & (had[ends] - had[starts] == sizes)
    digest = [batch.chunks[start] if known else None for start, known in zip(starts.tolist(), (is_file & whole & (counts == 1)).tolist(), strict=True)]
    content = numbers(Versions(columns["dir"], columns["name"], columns["mtime"], batch.chunks, batch.counts), repository.blobs)
    return pa.table(
        {
            "dir": pa.array(columns["dir"], pa.string()),
            "name": pa.array(columns["name"], pa.string()),
            **attributes,
            "digest": pa.array(digest, pa.binary()),
            "whole": pa.array(is_file & whole),
            "content": pa.array(content, pa.int64(), mask=~is_file),
            "tree": pa.array(columns["tree"], pa.int32()),
        }
    )
