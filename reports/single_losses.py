"""Single points of failure: every site, system, device, admin, volume and threat by itself, by how much its loss would take."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog.config import Config
from catalog.words import THREATS
from reports import simulate
from reports.alike import prepared
from reports.reach import AXES, KEY, Loss

if TYPE_CHECKING:
    import duckdb

KINDS = (*AXES, "volume", KEY, "threat")
_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("name", pa.string()),
        ("lost_assets", pa.int64()),
        ("lost_bytes", pa.int64()),
        ("unknown_assets", pa.int64()),
        ("unknown_bytes", pa.int64()),
        ("survives_assets", pa.int64()),
        ("survives_bytes", pa.int64()),
        ("older_assets", pa.int64()),  # of what survives, that of which only an older version does
        ("older_bytes", pa.int64()),
        ("keyless_assets", pa.int64()),  # of what survives, that which does only as long as a key that is kept nobody says where
        ("keyless_bytes", pa.int64()),
    ]
)
UNITS = {name: {"assets": "files", "bytes": "bytes"}[name.rpartition("_")[2]] for name in _SCHEMA.names[2:]}
_WORST_FIRST = [f"{what}_{unit}" for what in ("lost", "unknown", "keyless", "older") for unit in ("bytes", "assets")]


def ranked(connection: "duckdb.DuckDBPyConnection", config: Config, mounted: Sequence[str] = (), kinds: Sequence[str] = KINDS) -> pa.Table:
    """One row a single loss of these kinds: what it takes for good, what it perhaps takes, what survives and how; the worst first. `config` is the snapshot's.

    Raises NotFoundError for a volume that does not exist, RefusedError on a connection that is cut to a part of the estate.
    """
    rows: list[dict[str, Any]] = []
    with prepared(connection, config):  # the sets of alike assets are found once for all losses
        for kind, name in _losses(connection, kinds):
            loss = Loss((), name, tuple(mounted)) if kind == "threat" else Loss(((kind, name),), None, tuple(mounted))
            sums = simulate.totals(connection, config, loss)
            rows.append({"kind": kind, "name": name} | {f"{o}_assets": s.assets for o, s in sums.items()} | {f"{o}_bytes": s.bytes for o, s in sums.items()})
    rows.sort(key=lambda row: (*(-row[column] for column in _WORST_FIRST), KINDS.index(row["kind"])))
    return pa.Table.from_pylist(rows, _SCHEMA)


def perhaps_worse(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of rows as `ranked` gives them that which may take more than the first: more that is lost or unknown, in bytes or else in files, or else
    more that survives only with a key or as an older version. None where no other may."""
    for whats in (("lost", "unknown"), ("keyless",), ("older",)):
        for unit in ("bytes", "assets"):
            taken = [sum(row[f"{what}_{unit}"] for what in whats) for row in rows]
            if taken and max(taken) > taken[0]:
                return rows[taken.index(max(taken))]
    return None


def _losses(connection: "duckdb.DuckDBPyConnection", kinds: Sequence[str]) -> list[tuple[str, str]]:
    found = connection.execute(f"SELECT volume, encrypted, {', '.join(AXES.values())} FROM volumes ORDER BY position").fetchall()
    named = {kind: sorted({name for row in found for name in row[place]}) for place, kind in enumerate(AXES, 2)}
    named |= {"volume": [row[0] for row in found], KEY: [row[0] for row in found if row[1] != "no"], "threat": list(THREATS)}
    return [(kind, name) for kind in kinds for name in named[kind]]
