"""What `_borg_inside` says of the items of archives, as columns, each with the number of the group that archives have in common."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from scanners import _borg_inside, _naming
from scanners._nodes import NO_NAME, Findings
from scanners._program import RunError
from scanners._records import BLOCK_BYTES, LONGEST_BYTES, Fields, modified, number, split, table

_UNTOLD_LINK = "nothing tells which file it is a hard link of: it is left out"
_LATEST = r"^[0-9]{1,19}$"


def read(blocks: Iterator[bytes], started_us: int, findings: Findings) -> Iterator[pa.Table]:
    """The items in batches, with the columns that `_versions` puts together and `tree`, the number of the group. Raises RunError."""
    torn = bytearray()
    for block in blocks:
        torn += block
        if len(torn) >= BLOCK_BYTES:
            yield from _taken(torn, started_us, findings)
            if len(torn) > LONGEST_BYTES:
                raise RunError(f"borg's code: a record of more than {LONGEST_BYTES} bytes")
    yield from _taken(torn, started_us, findings)
    if torn:
        raise RunError("borg's code: its answer ends within a record")


def _taken(torn: bytearray, started_us: int, findings: Findings) -> Iterator[pa.Table]:
    """The items of the whole records, which are taken away."""
    used, given = split(torn, _borg_inside.FIELDS, ("path",))
    del torn[:used]
    if given:
        try:
            yield _items(given, started_us, findings)
        except pa.ArrowInvalid as error:
            raise RunError("borg's code: a record that cannot be read") from error


def _items(given: dict[str, pa.Array], started_us: int, findings: Findings) -> pa.Table:
    states = given["state"]
    found = Fields(
        paths=_naming.escaped(given["path"], bytes),
        kinds=given["kind"],
        modes=pc.bit_wise_and(given["mode"].cast(pa.int32()), 0o7777),
        sizes=number(given["size"]),
        uid=number(given["uid"]),
        gid=number(given["gid"]),
        whole=pc.equal(states, _borg_inside.WHOLE),
        broken=pc.equal(states, _borg_inside.BROKEN),
        content=number(given["content"]),
    )
    told = pc.match_substring_regex(given["mtime"], _LATEST)
    moments = pc.if_else(told, given["mtime"], "0").cast(pa.int64()).to_numpy(zero_copy_only=False)
    times = modified(moments // 1000, moments % 1000, pc.invert(told).to_numpy(zero_copy_only=False), started_us)
    rows, kept = table(found, times, findings)
    for state, why in ((_borg_inside.UNTOLD, _UNTOLD_LINK), (_borg_inside.MISNAMED, NO_NAME)):
        wrong = pc.equal(states, state)
        if pc.any(wrong).as_py():
            for path in found.paths.filter(wrong).to_pylist():
                findings.refuse_path(path, why)
            kept = pc.and_not(kept, wrong)
    return rows.append_column("tree", given["group"].cast(pa.int32())).filter(kept)
