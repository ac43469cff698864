"""What `restic ls --json` says of one recovery point, as columns: a block of lines at a time, without a Python object a line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from catalog import names
from catalog.schema import TIME_FLAGS
from scanners._columns import DAY_S, FIRST_S, LAST_S, START_1980_S
from scanners._program import RunError

_BLOCK_BYTES = 4 << 20
_LONGEST_LINE_BYTES = 64 << 20
_MOST_NODES = 500_000_000  # of a recovery point: a few trees that hold each other twice can make more than there are atoms
_MOST_PROBLEMS = 10_000  # of one kind, kept in memory
_MORE = "; there are more such paths, which are not told of"
_NODE = pa.schema(
    [
        ("name", pa.string()), ("type", pa.string()), ("path", pa.string()), ("uid", pa.uint64()), ("gid", pa.uint64()), ("size", pa.uint64()),
        ("mode", pa.uint64()), ("mtime", pa.string()), ("ctime", pa.string()), ("struct_type", pa.string()),
    ]
)  # fmt: skip
_TYPES = {"file": "file", "dir": "dir", "symlink": "symlink"}
# Go's os.FileMode: the type and the three special bits lie elsewhere than in st_mode.
_MODE_BITS = ((31, 0o040000), (27, 0o120000), (25, 0o010000), (24, 0o140000), (23, 0o4000), (22, 0o2000), (20, 0o1000))
_DEVICE_BIT, _CHARACTER_BIT = 26, 21
_TIME = r"^(?P<second>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})$"
NO_NAME = "its name leads elsewhere in the repository, or is no name: no file can have it"
VAST = "its size is beyond what a file can have"
_LOSSY = "\N{REPLACEMENT CHARACTER}"
_BAD_PATH = r"(?s)^[^/]|\x00|//|/\.{1,2}/|/\.{1,2}$|/$"


@dataclass
class Findings:
    """What is wrong with entries of a repository: escaped paths."""

    refused: dict[str, str] = field(default_factory=dict)  # of no entry: the reason
    lossy: set[str] = field(default_factory=set)  # folders that hold names that restic does not tell exactly
    damaged: dict[str, str] = field(default_factory=dict)  # entries whose content is lost: the reason

    def refuse_path(self, path: str, why: str) -> None:
        """Keep an escaped path that cannot be entered."""
        _keep(self.refused, path, why)

    def damage(self, path: str, why: str) -> None:
        """Keep an escaped path whose content the repository does not have."""
        _keep(self.damaged, path, why)

    def refuse(self, paths: pa.Array, why: str) -> None:
        """Keep paths that cannot be entered."""
        for path in paths.to_pylist():
            self.refuse_path(escape(path or "").lstrip("/"), why)


def _keep(kept: dict[str, str], path: str, why: str) -> None:
    """Keep a path with its reason; of very many only that there are more."""
    if path in kept:
        return
    if len(kept) < _MOST_PROBLEMS:
        kept[path] = why
    elif not kept[last := next(reversed(kept))].endswith(_MORE):
        kept[last] += _MORE


def read(blocks: Iterator[bytes], snapshot: str, started_us: int, findings: Findings) -> Iterator[pa.Table]:
    """Batches of the nodes of one recovery point, with the columns of `columns`. Raises RunError where what is said is not a listing of it."""
    torn, begun, listed = bytearray(), False, 0
    for block in blocks:
        torn += block
        if len(torn) < _BLOCK_BYTES and begun:
            continue
        end = torn.rfind(b"\n") + 1
        if not end:
            if len(torn) > _LONGEST_LINE_BYTES:
                raise RunError(f"restic ls: a line of more than {_LONGEST_LINE_BYTES} bytes")
            continue
        lines = bytes(memoryview(torn)[:end])
        del torn[:end]
        if not begun:
            lines, begun = _without_head(lines, snapshot), True
        if lines:
            nodes = _parsed(lines)
            listed += len(nodes)
            if listed > _MOST_NODES:
                raise RunError(f"restic ls: more than {_MOST_NODES} nodes in one recovery point: what repeats itself so often is no backup of files")
            yield columns(nodes, started_us, findings)
    if not begun:
        raise RunError("restic ls: it listed nothing, not even the recovery point")
    if torn:
        yield columns(_parsed(bytes(torn)), started_us, findings)


def escape(path: str) -> str:
    """The escaped form of a path as restic tells it."""
    return names.escape(path.encode("utf-8", "surrogatepass"))


def columns(nodes: pa.Table, started_us: int, findings: Findings) -> pa.Table:
    """The columns of entries that nodes give, with `modified_us` in place of a time; what no entry can be is left out."""
    nodes = nodes.combine_chunks()
    bad = pc.fill_null(pc.or_(pc.match_substring_regex(nodes["path"], _BAD_PATH), _is_misnamed(nodes)), True)
    if pc.any(bad).as_py():
        findings.refuse(nodes["path"].filter(bad), NO_NAME)
        nodes = nodes.filter(pc.invert(bad))
    vast = pc.fill_null(pc.greater(nodes["size"], pa.scalar(2**63 - 1, pa.uint64())), False)
    if pc.any(vast).as_py():
        findings.refuse(nodes["path"].filter(vast), VAST)
        nodes = nodes.filter(pc.invert(vast))
    given = {name: _one(nodes[name]) for name in _NODE.names}
    paths = _escaped(pc.utf8_slice_codeunits(given["path"], 1))
    parts = pc.extract_regex(paths, r"^(?s)(?P<dir>(?:.*/)?)(?P<name>[^/]+)$")
    lossy = pc.match_substring(paths, _LOSSY)
    if pc.any(lossy).as_py():
        findings.lossy.update(_nearest_exact(path) for path in paths.filter(lossy).to_pylist())
        exact = pc.invert(lossy)
        given, parts, paths = {name: values.filter(exact) for name, values in given.items()}, parts.filter(exact), paths.filter(exact)
    rows = len(paths)
    unread = {"digest": pa.nulls(rows, pa.binary()), "whole": pa.array(np.zeros(rows, bool)), "content": pa.nulls(rows, pa.int64())}
    return pa.table({"dir": pc.struct_field(parts, "dir"), "name": pc.struct_field(parts, "name"), **attributes(given, started_us), **unread})


def attributes(given: Mapping[str, pa.Array], started_us: int) -> dict[str, pa.Array]:
    """The columns of entries that the values of nodes give, but for their names; `given` has those of `_NODE`."""
    kinds = given["type"]
    is_file = pc.equal(kinds, "file")
    modified, changed = times(given["mtime"]), times(given["ctime"])
    return {
        "type": pc.if_else(pc.is_in(kinds, value_set=pa.array(list(_TYPES))), kinds, "special"),
        "size_bytes": pc.if_else(is_file, pc.fill_null(given["size"], 0), 0).cast(pa.int64()),
        "mode": _mode(given["mode"]),
        "uid": given["uid"].cast(pa.int64(), safe=False),
        "gid": given["gid"].cast(pa.int64(), safe=False),
        "modified_us": modified[0],
        "modified_ns": modified[1],
        "changed_us": changed[0],
        "changed_ns": changed[1],
        "time_flags": pa.array(flags("modified", *modified, started_us) | flags("changed", *changed, started_us)),
    }


def _parsed(lines: bytes) -> pa.Table:
    """Whole lines as columns of `_NODE`. Raises RunError."""
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    parsing = pyarrow.json.ParseOptions(explicit_schema=_NODE, unexpected_field_behavior="ignore")
    try:
        nodes = pyarrow.json.read_json(pa.BufferReader(lines), read_options=reading, parse_options=parsing)
    except pa.ArrowInvalid as error:
        raise RunError("restic ls: a line that cannot be read") from error
    if not pc.all(pc.fill_null(pc.equal(nodes["struct_type"], "node"), False), min_count=0).as_py():
        raise RunError("restic ls: a line that is no file of the listing")
    return nodes


def _without_head(lines: bytes, snapshot: str) -> bytes:
    """The lines after the first, which names the recovery point. Raises RunError."""
    head, _, rest = lines.partition(b"\n")
    try:
        found: Any = json.loads(head)
        matches = found["struct_type"] == "snapshot" and found["id"] == snapshot
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RunError("restic ls: it did not begin with the recovery point") from error
    if not matches:
        raise RunError("restic ls: it lists another recovery point than was asked for")
    return rest


def _one(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _is_misnamed(nodes: pa.Table) -> pa.Array:
    """Whether a path does not end with the name of its node: what it says was put together from a name with a slash."""
    whole = pc.binary_join_element_wise(pc.replace_substring_regex(nodes["path"], r"(?s)^(.*/)[^/]*$", r"\1"), nodes["name"], "")
    return pc.not_equal(whole, nodes["path"])


def _escaped(paths: pa.Array) -> pa.Array:
    """The escaped form of paths; most need none."""
    strange = pc.match_substring_regex(paths, r"[^\x20-\x5b\x5d-\x7e]")
    if not pc.any(strange).as_py():
        return paths
    return pc.replace_with_mask(paths, strange, pa.array(map(escape, paths.filter(strange).to_pylist()), pa.string()))


def _nearest_exact(path: str) -> str:
    """The folder of the first name of a path that is not told exactly."""
    return path[: path.index(_LOSSY)].rpartition("/")[0]


def _mode(found: pa.Array) -> pa.Array:
    """Go's file mode as st_mode."""
    mode = found.fill_null(0).to_numpy(zero_copy_only=False)
    wanted = (mode & 0o777).astype(np.int32)
    for bit, value in _MODE_BITS:
        wanted |= np.where(mode >> bit & 1, value, 0).astype(np.int32)
    device = (mode >> _DEVICE_BIT & 1).astype(bool)
    wanted |= np.where(device, np.where(mode >> _CHARACTER_BIT & 1, 0o020000, 0o060000), 0).astype(np.int32)
    wanted |= np.where(wanted & 0o170000, 0, 0o100000).astype(np.int32)
    return pa.array(wanted, mask=found.is_null().to_numpy(zero_copy_only=False))


def times(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Microseconds since 1970, and the nanoseconds below them, of times of RFC 3339; null where that is none."""
    try:
        ns = texts.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
        if pc.all(pc.match_substring_regex(texts, _TIME)).as_py():
            return pa.array(ns // 1000), pa.array((ns % 1000).astype(np.int32))
    except pa.ArrowInvalid:
        pass  # one of them is none, or of a year that nanoseconds do not reach
    parts = pc.extract_regex(texts, _TIME)
    fraction = pc.cast(pc.utf8_rpad(pc.if_else(pc.equal(pc.struct_field(parts, "fraction"), ""), "0", pc.struct_field(parts, "fraction")), 9, "0"), pa.int64())
    second = pc.strptime(pc.struct_field(parts, "second"), format="%Y-%m-%dT%H:%M:%S", unit="s", error_is_null=True).cast(pa.int64())
    zone = pc.struct_field(parts, "zone")
    east = pc.if_else(pc.equal(zone, "Z"), "+00:00", zone)
    hours, minutes = (pc.cast(pc.utf8_slice_codeunits(east, at, at + 2), pa.int64()) for at in (1, 4))
    offset = pc.add(pc.multiply(hours, 3600), pc.multiply(minutes, 60))
    second = pc.subtract(second, pc.if_else(pc.starts_with(east, "-"), pc.negate(offset), offset))
    whole = pc.add(pc.multiply(second, 1_000_000), pc.divide(fraction, 1000))
    return whole, pc.cast(pc.subtract(fraction, pc.multiply(pc.divide(fraction, 1000), 1000)), pa.int32())


def flags(name: str, whole: pa.Array, rest: pa.Array, started_us: int) -> "np.ndarray[Any, Any]":
    """The bits of `time_flags` for a time."""
    known = whole.is_valid().to_numpy(zero_copy_only=False)
    microseconds = whole.fill_null(0).to_numpy()
    seconds = microseconds // 1_000_000
    exact = (microseconds % 1_000_000 == 0) & (rest.fill_null(0).to_numpy() == 0)
    outside = (seconds < FIRST_S) | (seconds > LAST_S)
    suspect = (seconds > started_us // 1_000_000 + DAY_S) | ((seconds >= 0) & (seconds < DAY_S)) | ((seconds == START_1980_S) & exact)
    found = np.where(outside, TIME_FLAGS[f"{name}_range"], suspect * TIME_FLAGS[f"{name}_suspect"])
    return np.where(known, found, 0).astype(np.int32)
