"""Single points of failure: every site, system, device, admin, volume and threat by itself, by how much its loss would take."""

from collections.abc import Sequence
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
    ]
)
UNITS = {f"{outcome}_{unit}": of for outcome in ("lost", "unknown", "survives") for unit, of in (("assets", "files"), ("bytes", "bytes"))}


def ranked(connection: "duckdb.DuckDBPyConnection", config: Config, mounted: Sequence[str] = (), kinds: Sequence[str] = KINDS) -> pa.Table:
    """One row a single loss of these kinds: what it takes for good, what it perhaps takes, what survives; the worst first. `config` is the snapshot's.

    Raises NotFoundError for a volume that does not exist, RefusedError on a connection that is cut to a part of the estate.
    """
    rows: list[dict[str, Any]] = []
    with prepared(connection, config):  # the sets of alike assets are found once for all losses
        for kind, name in _losses(connection, kinds):
            loss = Loss((), name, tuple(mounted)) if kind == "threat" else Loss(((kind, name),), None, tuple(mounted))
            sums = {one.outcome: one for one in simulate.totals(connection, config, loss)}
            rows.append({"kind": kind, "name": name} | {f"{o}_assets": s.assets for o, s in sums.items()} | {f"{o}_bytes": s.bytes for o, s in sums.items()})
    rows.sort(key=lambda row: (*(-row[f"{outcome}_{unit}"] for outcome in ("lost", "unknown") for unit in ("bytes", "assets")), KINDS.index(row["kind"])))
    return pa.Table.from_pylist(rows, _SCHEMA)


def _losses(connection: "duckdb.DuckDBPyConnection", kinds: Sequence[str]) -> list[tuple[str, str]]:
    found = connection.execute(f"SELECT volume, encrypted, {', '.join(AXES.values())} FROM volumes ORDER BY position").fetchall()
    named = {kind: sorted({name for row in found for name in row[place]}) for place, kind in enumerate(AXES, 2)}
    named |= {"volume": [row[0] for row in found], KEY: [row[0] for row in found if row[1] != "no"], "threat": list(THREATS)}
    return [(kind, name) for kind in kinds for name in named[kind]]
