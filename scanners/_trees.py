"""The trees of several recovery points, each folder and state of it read once, as batches of what `_versions` puts together: many folders at a time."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog import names
from scanners import _nodes
from scanners._nodes import Findings
from scanners._program import RunError
from scanners._repository import Array, Blobs, Repository, parsed, unhexed, unquoted

_BATCH_BYTES = 4 << 20  # of trees: their columns take about as much again
_PATHS_BYTES = 16 << 20  # of the folders of their nodes, each told anew: they end a batch only where folders lie very deep
_LONGEST_BYTES = 16_384  # of a path
LEAST_NODES, _TIMES = 10_000_000, 100  # so many may be listed, or so many of each node that is stored: few trees that hold each other can make very many
LEAST_BYTES = 2 << 30  # so many may the folders of listed nodes have, or so many times those of the trees that are stored
_NODE = pa.struct(
    [
        ("name", pa.string()), ("type", pa.string()), ("uid", pa.uint64()), ("gid", pa.uint64()), ("size", pa.uint64()), ("mode", pa.uint64()),
        ("mtime", pa.string()), ("ctime", pa.string()), ("subtree", pa.string()), ("content", pa.list_(pa.string())),
    ]
)  # fmt: skip
_TREE = pa.schema([("nodes", pa.list_(_NODE))])
_PLAIN = r"[^\x20-\x5b\x5d-\x7e]"  # what a name has in it that is told otherwise than it is


class Holders:
    """Numbers for sets of recovery points: a set is an integer with the bit of each, by its place in time."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}

    def of(self, holders: int) -> int:
        """The number of a set."""
        return self.numbers.setdefault(holders, len(self.numbers))


def pieces(node: Mapping[str, Any]) -> list[bytes]:
    """The ids of the pieces of a file, in order; of anything else there are none. Raises what a wrong shape raises."""
    return [bytes.fromhex(piece) for piece in node.get("content") or ()] if node.get("type") == "file" else []


def text(node: Mapping[str, Any], key: str) -> str:
    """What a node says as a text that UTF-8 can have."""
    return str(node.get(key, "")).encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Versions:
    """Files with their modified times as `_nodes.times` gives them, and the ids of their pieces, one after the other, so many of each."""

    dirs: pa.Array
    names: pa.Array
    times: tuple[pa.Array, pa.Array]
    pieces: bytes
    counts: Array


def numbers(versions: Versions, blobs: Blobs, found: Array) -> Array:
    """Numbers that tell, as inodes, which content a path had at which time, and in which packs it lies here: what was read elsewhere was not read here.

    `found`: the number of each piece, as `blobs` has it.
    """
    us, ns = (value.fill_null(-1).cast(pa.string()) for value in versions.times)
    dirs, names_of, us, ns, end = (text.cast(pa.large_binary()) for text in (versions.dirs, versions.names, us, ns, pa.scalar("\0")))
    contents = _spans(versions.pieces, 32 * versions.counts), _spans(blobs.states(found).tobytes(), 8 * versions.counts)
    told = pc.binary_join_element_wise(dirs, names_of, end, us, end, ns, end, *contents, pa.scalar(b"", pa.large_binary()))
    digests = b"".join([hashlib.sha256(one).digest() for one in told.to_pylist()])
    return (np.frombuffer(digests, ">u8")[::4] >> np.uint64(1)).astype(np.int64)


_Below = dict[bytes, dict[bytes, dict[str, int]]]  # by folder and name, the states of a folder in it, each with its recovery points


@dataclass
class _Batch:
    """Trees that are waiting to be put into columns."""

    folders: list[bytes] = field(default_factory=list)
    trees: list[str] = field(default_factory=list)
    holders: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    paths_bytes: int = 0

    def add(self, folder: bytes, tree: str, holders: int, found: bytes) -> None:
        """Take one in. Raises RunError where it is no JSON in UTF-8."""
        self.folders.append(folder)
        self.trees.append(tree)
        self.holders.append(holders)
        self.texts.append(_line(found, tree))
        self.size_bytes += len(found)
        self.paths_bytes += len(folder) * found.count(b"{")

    @property
    def is_full(self) -> bool:
        """Whether it is time to make columns of it."""
        return self.size_bytes >= _BATCH_BYTES or self.paths_bytes >= _PATHS_BYTES

    def nodes(self) -> tuple[pa.StructArray, Array]:
        """All nodes, and how many each tree has. Raises RunError."""
        try:
            return _nodes_of(self.texts)
        except (pa.ArrowException, ValueError):
            for tree, one in zip(self.trees, self.texts, strict=True):
                try:
                    _nodes_of([one])
                except (pa.ArrowException, ValueError) as error:
                    raise _damaged(tree) from error
            raise


class _Bound:
    """How many nodes may be listed of those that are stored, and how long their paths may be."""

    def __init__(self) -> None:
        self._seen, self._stored, self._listed = set[str](), 0, 0
        self._stored_bytes, self._listed_bytes = 0, 0

    def count(self, batch: _Batch, counts: Array) -> None:
        """Count trees with their nodes. Raises RunError."""
        for folder, tree, text, nodes in zip(batch.folders, batch.trees, batch.texts, counts.tolist(), strict=True):
            self._listed += nodes + 1
            self._listed_bytes += len(folder) * nodes
            if tree not in self._seen:
                self._stored += nodes + 1
                self._stored_bytes += len(text)
                self._seen.add(tree)
        if self._listed > max(LEAST_NODES, _TIMES * self._stored) or self._listed_bytes > max(LEAST_BYTES, _TIMES * self._stored_bytes):
            told = f"{self._listed} entries, with {self._listed_bytes} bytes of folders, of {len(self._seen)} trees"
            raise RunError(f"{told}: what repeats itself so often is no backup of files")


def read(repository: Repository, roots: Mapping[str, int], holders: Holders, started_us: int, findings: Findings) -> Iterator[pa.Table]:
    """The nodes of some trees, each with the recovery points that hold it, and with its digest where it is one piece. Raises RunError."""
    # The newest first, and the folder above as one for all that are in it: what waits stays small, however wide and deep a tree is.
    waiting: list[tuple[bytes, bytes, dict[str, int]]] = [(b"", b"", dict(roots))]
    batch, bound, below = _Batch(), _Bound(), _Below()
    while waiting:
        above, name, states = waiting.pop()
        folder = above + name
        for tree, held_by in states.items():
            batch.add(folder, tree, held_by, repository.tree_text(tree))
            if batch.is_full:
                yield _table(batch, repository, holders, started_us, findings, below, bound)
                batch = _Batch()
        if batch.texts and (below or not waiting):  # of what was read in part, all: the next that is read lies in it
            yield _table(batch, repository, holders, started_us, findings, below, bound)
            batch = _Batch()
        if not batch.texts:  # all states of the folders that are above these were seen
            waiting += [(folder, name, states) for folder, inside in below.items() for name, states in inside.items()]
            below = _Below()


def _table(batch: _Batch, repository: Repository, holders: Holders, started_us: int, findings: Findings, below: _Below, bound: _Bound) -> pa.Table:
    """The rows of trees; what folders are in them is added to `below`. Raises RunError."""
    nodes, counts = batch.nodes()
    bound.count(batch, counts)
    given = {one.name: column for one, column in zip(_NODE, nodes.flatten(), strict=True)}
    of_tree = np.repeat(np.arange(len(counts)), counts)
    told, is_kept = _names(batch, given, of_tree, findings)
    if not is_kept.all():
        kept = pa.array(is_kept)
        given, told, of_tree = {name: column.filter(kept) for name, column in given.items()}, told.filter(kept), of_tree[is_kept]
    for name in ("type", "mtime", "ctime"):
        given[name] = given[name].fill_null("")
    _descend(batch, given, told, of_tree, below)
    dirs = pa.array(map(names.escape, batch.folders), pa.string()).take(pa.array(of_tree))
    number = np.array([holders.of(held_by) for held_by in batch.holders], np.int32)[of_tree]
    attributes = _nodes.attributes(given, started_us)
    modified = attributes["modified_us"], attributes["modified_ns"]
    contents = _contents(repository.blobs, Versions(dirs, told, modified, *_pieces(batch, given, of_tree)), given, attributes["size_bytes"])
    return pa.table({"dir": dirs, "name": told, **attributes, **contents, "tree": pa.array(number)})


def _names(batch: _Batch, given: Mapping[str, pa.Array], of_tree: Array, findings: Findings) -> tuple[pa.Array, Array]:
    """The escaped names, and which nodes can be kept: no file can have the names of others, or their sizes. Raises RunError."""
    found = given["name"].fill_null("")
    above = np.array([len(folder) for folder in batch.folders])[of_tree]
    is_bad = _flags(pc.or_(pc.is_in(found, pa.array(["", ".", ".."])), pc.match_substring(found, "/")))
    is_bad |= above + pc.binary_length(found).to_numpy(zero_copy_only=False) > _LONGEST_BYTES
    is_strange = _flags(pc.match_substring_regex(found, _PLAIN))
    told = found
    if is_strange.any():
        raws = [_unquoted(batch, int(of_tree[row]), found[row].as_py()) for row in np.flatnonzero(is_strange).tolist()]
        told = pc.replace_with_mask(found, pa.array(is_strange), pa.array(map(names.escape, raws), pa.string()))
        lengths = np.array([len(raw) for raw in raws])
        is_bad[is_strange] = [raw in (b"", b".", b"..") or b"/" in raw or b"\0" in raw for raw in raws] | (above[is_strange] + lengths > _LONGEST_BYTES)
    is_vast = _flags(pc.fill_null(pc.greater(given["size"], pa.scalar(2**63 - 1, pa.uint64())), False))
    for row in np.flatnonzero(is_bad | is_vast).tolist():
        path = names.escape(batch.folders[of_tree[row]]) + told[row].as_py()
        findings.refuse_path(path[:_LONGEST_BYTES] if is_bad[row] else path, _nodes.NO_NAME if is_bad[row] else _nodes.VAST)
    return told, ~(is_bad | is_vast)


def _descend(batch: _Batch, given: Mapping[str, pa.Array], told: pa.Array, of_tree: Array, below: _Below) -> None:
    """Add the trees of folders to those that are to be read."""
    rows = np.flatnonzero(_flags(pc.and_(pc.equal(given["type"], "dir"), given["subtree"].is_valid())))
    of_rows = (told.take(pa.array(rows)).to_pylist(), given["subtree"].take(pa.array(rows)).to_pylist())
    for name, tree, place in zip(*of_rows, of_tree[rows].tolist(), strict=True):
        known = below.setdefault(batch.folders[place], {}).setdefault(names.unescape(name) + b"/", {})
        known[tree] = known.get(tree, 0) | batch.holders[place]


def _pieces(batch: _Batch, given: Mapping[str, pa.Array], of_tree: Array) -> tuple[bytes, Array]:
    """The ids of the pieces of all files, one after the other, and how many each row has. Raises RunError."""
    content = pc.if_else(pc.equal(given["type"], "file"), given["content"], pa.scalar(None, given["content"].type))
    try:
        return unhexed(content.flatten()), content.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    except ValueError as error:
        for place, row in zip(of_tree.tolist(), content, strict=True):
            if any(len(piece or "") != 64 or not piece.isalnum() for piece in row.as_py() or ()):
                raise _damaged(batch.trees[place]) from error
        raise _damaged(batch.trees[0]) from error


def _contents(blobs: Blobs, versions: Versions, given: Mapping[str, pa.Array], sizes: pa.Array) -> dict[str, pa.Array]:
    """Whether the pieces of each file are all there, its digest where it is one, and the number of its version."""
    found, counts = blobs.find(versions.pieces), versions.counts
    have = blobs.sizes(found)
    had = np.concatenate([[0], np.cumsum(np.where(have < 0, 0, have))])
    lacking = np.concatenate([[0], np.cumsum((have < 0) | blobs.suspects(found))])
    ends = np.cumsum(counts)
    starts = ends - counts
    is_file = _flags(pc.equal(given["type"], "file"))
    is_whole = is_file & (lacking[ends] == lacking[starts]) & (had[ends] - had[starts] == sizes.to_numpy())
    is_one = is_whole & (counts == 1)
    pieces_of = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(versions.pieces) // 32, [None, pa.py_buffer(versions.pieces)]).cast(pa.binary())
    return {
        "digest": pieces_of.take(pa.array(starts, mask=~is_one)),
        "whole": pa.array(is_whole),
        "content": pa.array(numbers(versions, blobs, found), mask=~is_file),
    }


def _spans(whole: bytes, lengths: Array) -> pa.Array:
    """Bytes that lie one after the other, so many of each."""
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(lengths), [None, pa.py_buffer(ends), pa.py_buffer(whole)])


def _line(found: bytes, tree: str) -> bytes:
    """A tree as one line. Raises RunError."""
    try:
        found.decode()  # what reads lines takes them as they are
        line = found.strip()
        line = json.dumps(json.loads(line)).encode() if b"\n" in line or b"\r" in line else line
    except (ValueError, RecursionError) as error:
        raise _damaged(tree) from error
    if line[:1] != b"{":
        raise _damaged(tree)
    return line


def _nodes_of(lines: Sequence[bytes]) -> tuple[pa.StructArray, Array]:
    rows = parsed(b"\n".join(lines), _TREE, "ignore")["nodes"]
    lists = rows.chunk(0) if rows.num_chunks else pa.array([], _TREE.field("nodes").type)
    nodes = lists.flatten()
    if len(lists) != len(lines) or nodes.null_count:
        raise ValueError("not one object a tree, or a node that is none")
    return nodes, lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)


def _unquoted(batch: _Batch, place: int, name: str) -> bytes:
    try:
        return unquoted(name)
    except (ValueError, OverflowError) as error:
        raise _damaged(batch.trees[place]) from error


def _flags(column: pa.Array) -> Array:
    return np.array(column.to_numpy(zero_copy_only=False), bool)


def _damaged(tree: str) -> RunError:
    return RunError(f"the repository is damaged: tree {tree[:8]} cannot be read")
