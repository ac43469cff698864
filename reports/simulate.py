"""What would be lost: a site, system, device, volume or admin is gone, or a threat strikes; what survives, and where.

Computed from the copies and the volumes alone, never from the stored results of the threats; the meaning is "Loss simulation" of
docs/protection.md. Three-valued numbers are 0 = no, 1 = unknown, 2 = yes, so that AND is the least and OR the greatest.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog.config import Config
from catalog.errors import ConfigError, NotFoundError, RefusedError
from catalog.words import THREATS
from reports import cells, keyless, recall, remedy, terminal
from reports.alike import COLUMNS, Alike, prepared
from reports.reach import AXES, KEY, Lock, Loss, reach
from reports.state import counted, day

if TYPE_CHECKING:
    import duckdb

_WORDS = ("no", "unknown", "yes")
_OUTCOMES = ("lost", "unknown", "survives")


@dataclass(frozen=True)
class Sum:
    """Assets and their bytes, hard links once; `name` is an outcome, a volume or a class."""

    name: str
    outcome: str
    assets: int
    bytes: int


@dataclass(frozen=True)
class Hit:
    """One of the greatest losses. `older` says that an older version of it survives, `conflict` that a file with other content does that should be it."""

    volume: str
    path: str
    size_bytes: int
    data_class: str
    owner: str | None
    outcome: str
    older: bool
    conflict: bool

    @property
    def remark(self) -> str:
        """What is left in its place, in brackets; nothing where nothing is."""
        return "  (an older copy survives)" if self.older else "  (what survives is in conflict: other content)" if self.conflict else ""


@dataclass(frozen=True)
class Simulation:
    """The result of a loss: sums by outcome (lost, unknown, survives), by class, by volume, where survivors lie, the worst hit."""

    loss: str
    title: str
    snapshot: str
    as_of: datetime.datetime
    totals: tuple[Sum, ...]
    by_class: tuple[Sum, ...]
    by_volume: tuple[Sum, ...]
    survivors: tuple[Sum, ...]  # by volume, the originals' included
    worst: tuple[Hit, ...]
    keyless: keyless.Keyless  # what survives only together with a key that is kept nobody says where
    older: Sum  # assets of which only an older version survives, within the copy age of their class
    by_owner: tuple[Sum, ...]  # '' = none
    targets: tuple[remedy.Target, ...]  # where copies of what may be lost would be safe
    recalls: tuple[recall.Source, ...]  # where what may be lost and survives is brought back from, each asset from one volume
    recall_hours: float | None  # how long that takes where all volumes are read at once; None = not known of one

    def data(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"as_of": self.as_of.isoformat() + "Z"}

    def text(self) -> str:
        """For people."""
        lines = [f"{self.title}, as of {day(self.as_of)} UTC (snapshot {self.snapshot})", ""]
        lines += [f"  {s.outcome:<9}{s.assets:>14,} {'asset ' if s.assets == 1 else 'assets'}  {terminal.size(s.bytes):>12}" for s in self.totals]
        if self.older.assets:
            versions = "an older version, not its" if self.older.assets == 1 else "older versions, not their"
            lines.append(f"  of what survives, {counted(self.older.assets, 'asset')} ({terminal.size(self.older.bytes)}) only as {versions} current content")
        if self.keyless.assets:
            lines.append(self.keyless.text())
        for title, sums in (("By class", self.by_class), ("By volume", self.by_volume), ("Survivors lie on", self.survivors)):
            lines += [
                "",
                title,
                *(f"  {s.name:<24} {s.outcome:<9}{s.assets:>14,} {'asset ' if s.assets == 1 else 'assets'}  {terminal.size(s.bytes):>12}" for s in sums),
            ]
        if self.recalls:
            took = "" if self.recall_hours is None else f": {self.recall_hours:,.1f} hours, if all are read at once"
            lines += ["", f"To be brought back from{took}", *(one.text() for one in self.recalls)]
        if self.worst:
            lines += ["", "Worst hit"]
        lines += [f"  {h.outcome:<8}{terminal.size(h.size_bytes):>12}  {h.volume}:{h.path}{h.remark}" for h in self.worst]
        return "\n".join(cells.clean(line) for line in lines) + "\n"


def parse(lose: Sequence[str], threat: str | None = None, mounted: Sequence[str] = ()) -> Loss:
    """A loss from the command line's words, as in 'site=paris'. Raises ConfigError."""
    pairs = []
    for word in lose:
        kind, equals, value = word.partition("=")
        if kind not in {*AXES, "volume", KEY} or not equals or not value:
            raise ConfigError(f"--lose {word!r}: write what is lost and its name, as in site=paris; it may be {', '.join([*AXES, 'volume', KEY])}")
        pairs.append((kind, value))
    if threat is not None and threat.replace("-", "_") not in THREATS:
        raise ConfigError(f"--threat {threat!r}: threats are {', '.join(THREATS)}")
    if not pairs and threat is None:
        raise ConfigError("nothing is lost: give --lose site=NAME, system=, region=, device=, volume=, admin=, key=, or --threat NAME")
    return Loss(tuple(pairs), threat.replace("-", "_") if threat else None, tuple(mounted))


def simulate(connection: "duckdb.DuckDBPyConnection", config: Config, loss: Loss, worst: int = 20) -> Simulation:
    """What a loss would leave. `config` is the snapshot's. Raises NotFoundError where the estate has no such site, system, … or volume,
    RefusedError on a connection that is cut to a part of it."""
    refuse_a_part(connection)
    snapshot_id, as_of = _snapshot(connection)
    with worked_out(connection, config, loss) as alike:
        recalls = recall.sources(connection, alike, config)
        return Simulation(
            loss=str(loss),
            title=loss.title,
            snapshot=snapshot_id,
            as_of=as_of,
            totals=_totals(connection),
            by_class=_sums(connection, "data_class"),
            by_volume=_sums(connection, "volume"),
            survivors=_survivors(connection, alike),
            worst=_worst(connection, alike, worst),
            keyless=keyless.found(connection, alike),
            older=_older(connection),
            by_owner=_sums(connection, "owner"),
            targets=remedy.targets(connection),
            recalls=recalls,
            recall_hours=recall.hours(recalls),
        )


def totals(connection: "duckdb.DuckDBPyConnection", config: Config, loss: Loss) -> dict[str, Sum]:
    """The sums alone: lost, unknown, survives, and what of the last does so only as an older version (`older`) or as long as a key does (`keyless`).

    Raises as `simulate`.
    """
    refuse_a_part(connection)
    with worked_out(connection, config, loss) as alike:
        kept = keyless.found(connection, alike)
        return {one.outcome: one for one in _totals(connection)} | {
            "older": _older(connection),
            "keyless": Sum("keyless", "survives", kept.assets, kept.bytes),
        }


def outcomes(connection: "duckdb.DuckDBPyConnection", config: Config, loss: Loss) -> pa.Table:
    """One row an asset: `volume`, `path`, `original` and `copies` (whether it, or a copy that counts, survives: yes, no, unknown), `outcome`,
    and `only_older`: what survives is an older version, within the copy age of its class."""
    with worked_out(connection, config, loss) as alike:
        found = connection.sql(
            f"""
            SELECT
                a.volume, a.dir || a.name AS path, {_word("o.original", _WORDS)} AS original, {_word("o.copies", _WORDS)} AS copies, o.outcome,
                o.outcome = 'survives' AND o.original < 2 AND o.same_content < 2 AS only_older
            FROM ({alike.assets()}) AS a INNER JOIN loss_outcomes AS o USING ({alike.keys})
            ORDER BY 1, 2
            """
        )
        assert found is not None  # noqa: S101  # a SELECT gives a relation
        return found.to_arrow_table()


def refuse_a_part(connection: "duckdb.DuckDBPyConnection") -> None:
    """Raises RefusedError on a connection that is cut to a part of the estate."""
    if connection.execute("SELECT 1 FROM sight LIMIT 1").fetchall():
        raise RefusedError("what survives a loss depends on copies on every volume: only who may see all of them can simulate one")


def _snapshot(connection: "duckdb.DuckDBPyConnection") -> tuple[str, datetime.datetime]:
    [row] = connection.execute("SELECT snapshot_id, as_of FROM snapshot").fetchall()
    return row[0], row[1]


@contextmanager
def worked_out(connection: "duckdb.DuckDBPyConnection", config: Config, loss: Loss) -> Iterator[Alike]:
    """A loss for the length of a block: the tables `loss_reach` and `loss_outcomes`, and the sets of alike assets that these are about."""
    volumes, classes = _rows(connection, "volumes"), _rows(connection, "classes")
    _refuse_unknown_names(volumes, loss)
    pairs = reach(volumes, classes, config, loss, _snapshot(connection)[1], _locks(connection))
    texts = [(name, pa.string()) for name in ("volume", "data_class", "copy_volume")]
    types = pa.schema([*texts, ("lock", pa.int32()), ("removed", pa.int32())])
    types = types.append(pa.field("keyless", pa.list_(pa.string())))
    with prepared(connection, config) as alike:
        connection.register("loss_pairs", pa.Table.from_pylist(pairs, types))
        try:
            connection.execute("CREATE OR REPLACE TEMP TABLE loss_reach AS SELECT * FROM loss_pairs")
            connection.execute(f"CREATE OR REPLACE TEMP TABLE loss_outcomes AS {_outcome_sql(alike)}")
            yield alike
        finally:
            connection.unregister("loss_pairs")
            connection.execute("DROP TABLE IF EXISTS loss_outcomes; DROP TABLE IF EXISTS loss_reach")


def _locks(connection: "duckdb.DuckDBPyConnection") -> list[tuple[str, Lock]]:
    """The locks that objects tell of, by the volume that they are on."""
    found = connection.execute("SELECT DISTINCT copy_volume, lock_outlasts, lock_binds FROM copies WHERE lock_outlasts IS NOT NULL ORDER BY ALL").fetchall()
    return [(volume, (_WORDS.index(outlasts), _WORDS.index(binds))) for volume, outlasts, binds in found]


def _rows(connection: "duckdb.DuckDBPyConnection", view: str) -> list[dict[str, Any]]:
    found = connection.execute(f"SELECT * FROM {view} ORDER BY position")
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _refuse_unknown_names(volumes: Sequence[Mapping[str, Any]], loss: Loss) -> None:
    for kind, value in [*loss.lose, *(("volume", name) for name in loss.mounted)]:
        known = sorted(known_names(volumes, kind))
        if value not in known:
            raise NotFoundError(f"there is no {kind} {value!r}; known are {', '.join(known) or 'none'}")


def known_names(volumes: Sequence[Mapping[str, Any]], kind: str) -> set[str]:
    """What of a kind the estate has, that a loss can take; `volumes` are rows of that view."""
    if kind == KEY:
        return {row["volume"] for row in volumes if row["encrypted"] != "no"}
    return {row["volume"] for row in volumes} if kind == "volume" else {name for row in volumes for name in row[AXES[kind]]}


def _word(number: str, words: Sequence[str]) -> str:
    return f"CASE {number} WHEN 0 THEN '{words[0]}' WHEN 1 THEN '{words[1]}' ELSE '{words[2]}' END"


# What is spared of the volumes that were not seen to hold an asset, and may, makes it unknown whether a copy is left.
def _outcome_sql(alike: Alike) -> str:
    return f"""
WITH judged AS (
    SELECT
        a.*,
        w.unseen,
        2 - r.removed AS original
    FROM loss_alike AS a
    INNER JOIN stored_verdicts AS w ON a.signature_no = w.signature_no
    INNER JOIN loss_reach AS r ON a.volume = r.volume AND a.volume = r.copy_volume AND a.data_class = r.data_class
),

matched AS (
    SELECT
        t.alike_no,
        max(least(t.usable, 2 - r.removed)) AS copies,
        max(CASE WHEN t.is_current THEN least(t.usable, 2 - r.removed) END) AS same_content,
        bool_or(t.is_older AND r.removed = 0) AS older,
        bool_or(t.is_conflict AND r.removed = 0) AS conflict
    FROM ({alike.testimonies}) AS t
    INNER JOIN loss_reach AS r ON t.volume = r.volume AND t.copy_volume = r.copy_volume AND t.data_class = r.data_class AND t.lock = r.lock
    GROUP BY t.alike_no
),

perhaps AS (
    SELECT DISTINCT u.alike_no
    FROM (
        SELECT
            alike_no,
            volume,
            data_class,
            unnest(string_split(unseen, ',')) AS copy_volume
        FROM judged
        WHERE unseen IS NOT NULL
    ) AS u
    INNER JOIN loss_reach AS r ON u.volume = r.volume AND u.copy_volume = r.copy_volume AND u.data_class = r.data_class
    WHERE r.removed < 2 AND r.lock = 0
),

valued AS (
    SELECT
        j.* EXCLUDE (unseen, original),
        CASE WHEN j.carried THEN least(j.original, 1) ELSE j.original END AS original,
        CASE
            WHEN j.carried THEN 1
            WHEN m.copies = 2 THEN 2
            WHEN m.copies = 1 OR p.alike_no IS NOT NULL THEN 1
            ELSE 0
        END AS copies,
        coalesce(m.same_content, 0) AS same_content,
        coalesce(m.older, FALSE) AS older,
        coalesce(m.conflict, FALSE) AS conflict
    FROM judged AS j
    LEFT JOIN matched AS m ON j.alike_no = m.alike_no
    LEFT JOIN perhaps AS p ON j.alike_no = p.alike_no
)

SELECT *, {_word("greatest(original, copies)", _OUTCOMES)} AS outcome
FROM valued
"""


def _totals(connection: "duckdb.DuckDBPyConnection") -> tuple[Sum, ...]:
    rows = connection.execute("SELECT outcome, sum(assets), sum(bytes) FROM loss_outcomes GROUP BY outcome").fetchall()
    found = {outcome: (assets, size) for outcome, assets, size in rows}
    return tuple(Sum("all", outcome, *map(int, found.get(outcome, (0, 0)))) for outcome in _OUTCOMES)


def _sums(connection: "duckdb.DuckDBPyConnection", column: str) -> tuple[Sum, ...]:
    query = f"SELECT {column}, outcome, sum(assets), sum(bytes) FROM loss_outcomes GROUP BY 1, 2 ORDER BY 1, 2"
    return tuple(Sum(name, outcome, int(assets), int(size)) for name, outcome, assets, size in connection.execute(query).fetchall())


def _survivors(connection: "duckdb.DuckDBPyConnection", alike: Alike) -> tuple[Sum, ...]:
    query = f"""
        WITH places AS (
            SELECT volume AS place, original AS value, assets, bytes FROM loss_outcomes
            UNION ALL
            SELECT t.copy_volume AS place, least(t.usable, 2 - r.removed, o.copies) AS value, o.assets, o.bytes
            FROM loss_outcomes AS o
            INNER JOIN ({alike.testimonies}) AS t ON o.alike_no = t.alike_no
            INNER JOIN loss_reach AS r ON o.volume = r.volume AND t.copy_volume = r.copy_volume AND o.data_class = r.data_class AND t.lock = r.lock
        )
        SELECT place, {_word("value", _OUTCOMES)} AS outcome, sum(assets), sum(bytes)
        FROM places WHERE value > 0 GROUP BY 1, 2 ORDER BY 1, 2
        """
    return tuple(Sum(name, outcome, int(assets), int(size)) for name, outcome, assets, size in connection.execute(query).fetchall())


def _older(connection: "duckdb.DuckDBPyConnection") -> Sum:
    query = """
        SELECT coalesce(sum(assets), 0), coalesce(sum(bytes), 0) FROM loss_outcomes
        WHERE outcome = 'survives' AND original < 2 AND same_content < 2
        """
    [(assets, size)] = connection.execute(query).fetchall()
    return Sum("older", "survives", int(assets), int(size))


def _worst(connection: "duckdb.DuckDBPyConnection", alike: Alike, most: int) -> tuple[Hit, ...]:
    found: list[Hit] = []
    for outcome in ("lost", "unknown"):
        found += _worst_of(connection, alike, outcome, most - len(found))
    return tuple(found)


def _worst_of(connection: "duckdb.DuckDBPyConnection", alike: Alike, outcome: str, most: int) -> list[Hit]:
    """The greatest assets of an outcome: of the greatest that share class and verdict with some of it, of ever more of these until there are enough."""
    said = {"outcome": outcome}
    those = """
        stored_files AS f
        INNER JOIN (SELECT DISTINCT volume, data_class, signature_no, carried FROM loss_outcomes WHERE outcome = $outcome) AS o
            ON f.volume = o.volume AND f.data_class = o.data_class AND f.signature_no = o.signature_no AND f.carried = o.carried
        """
    tried = 4 * most
    while most > 0:
        greatest = f"SELECT count(*), coalesce(min(size_bytes), 0) FROM (SELECT f.size_bytes FROM {those} ORDER BY f.size_bytes DESC LIMIT {tried}) AS found"
        [(count, least)] = connection.execute(greatest, said).fetchall()
        connection.execute(f"CREATE OR REPLACE TEMP TABLE loss_candidates AS SELECT {COLUMNS} FROM {those} WHERE f.size_bytes >= {least}", said).fetchall()
        matches = "(SELECT c.* FROM copies AS c INNER JOIN loss_candidates AS f ON c.volume = f.volume AND c.entry_id = f.entry_id)"
        rows = connection.execute(
            f"""
            SELECT volume, dir || name AS path, size_bytes, data_class, nullif(owner, ''), outcome, older, conflict
            FROM ({alike.assets("loss_candidates", matches)}) AS a INNER JOIN loss_outcomes AS o USING ({alike.keys})
            WHERE outcome = $outcome ORDER BY size_bytes DESC, volume, path LIMIT {most}
            """,
            said,
        ).fetchall()
        connection.execute("DROP TABLE loss_candidates")
        if len(rows) == most or count < tried:
            return [Hit(*row) for row in rows]
        tried *= 64
    return []
