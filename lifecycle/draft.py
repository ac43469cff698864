"""A plan in the making: its tables on a connection of one snapshot, and what its policy and the journal say."""

import datetime
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog import connect
from catalog.config import Config, Policy
from catalog.errors import ConfigError
from catalog.snapshot import Snapshot
from lifecycle import actions, manifest, planning, policies, stores
from lifecycle.actions import Action

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from lifecycle.journal import Journal

_MEMORY_BYTES = 512 << 20  # where the configuration sets no limit; what does not fit goes to disk

# What an earlier job knows of a file that it put somewhere; the catalog may not have seen it yet.
EXPECTED = pa.struct(
    [
        ("type", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("fs_id", pa.string()),
        ("inode", pa.int64()),
        ("created_ns", pa.int64()),
        ("changed_ns", pa.int64()),
        ("link_count", pa.int32()),
    ]
)

# The acts that an action means. Of several choices of one rank, the first that nothing speaks against is taken.
INTENDED = pa.schema(
    [
        ("rank", pa.int64()),  # in the order of what was chosen: limits cut the end off
        ("choice", pa.int64()),
        ("volume", pa.string()),
        ("path", pa.string()),
        ("key", pa.string()),  # of a file in quarantine; null = it lies at its path
        ("target_volume", pa.string()),
        ("target_path", pa.string()),
        ("kept_path", pa.string()),
        ("of_job", pa.string()),
        ("of_step", pa.int64()),
        ("reason", pa.string()),
        ("sha256", pa.binary()),
        ("expected", EXPECTED),
        ("also", pa.list_(manifest.EVIDENCE)),  # copies that earlier jobs made of it
    ]
)

_ON_REPLICAS = """
SELECT i.id, 'volume ' || i.volume || ' mirrors another one; if its files are meant, name it: volume = ' || chr(39) || i.volume || chr(39) AS detail
FROM intended AS i
INNER JOIN volumes AS v ON i.volume = v.volume
WHERE v.role = 'replica' AND NOT list_contains(CAST($named AS VARCHAR[]), i.volume)
"""

# Where an act has several choices, its first one tells whose file it is.
_BESIDE_AN_ORIGINAL = """
WITH acts AS (
    SELECT i.rank, i.volume, i.path, i.target_volume, i.target_path, v.role = 'primary' AS is_primary
    FROM intended AS i
    INNER JOIN volumes AS v ON i.volume = v.volume
    WHERE i.choice = 0 AND i.target_path IS NOT NULL
),

beside AS (
    SELECT other.rank, min(original.volume || ':' || original.path) AS original
    FROM acts AS other
    INNER JOIN acts AS original ON other.target_volume = original.target_volume AND other.target_path = original.target_path
    WHERE original.is_primary AND NOT coalesce(other.is_primary, FALSE)
    GROUP BY other.rank
)

SELECT i.id, 'as ' || b.original || ', which is the original' AS detail
FROM intended AS i
INNER JOIN beside AS b ON i.rank = b.rank
"""


@dataclass(frozen=True)
class Draft:
    """What an action works with while it plans. Its tables are temporary: nothing is written to any volume."""

    connection: "DuckDBPyConnection"
    root: Path
    config: Config
    snapshot: Snapshot
    name: str  # of the policy; '' = given on the command line
    policy: Policy
    action: Action
    journal: "Journal | None"
    now_us: int
    actor: str

    @property
    def now(self) -> datetime.datetime:
        """The time of the plan, naive UTC."""
        return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=self.now_us)

    @property
    def folder(self) -> str:
        """The folder of the target that files go to, with its trailing slash; '' is the root. Raises ConfigError."""
        parts = [part for part in self.policy.to_dir.split("/") if part]
        if self.policy.to_dir.startswith("/") or any(part in (".", "..", ".lastcopy") for part in parts):
            raise ConfigError(f"policy {self.name}: to_dir {self.policy.to_dir!r} must be a folder below the volume's root, as in 'closed/2026'")
        return "".join(f"{part}/" for part in parts)

    @property
    def target(self) -> str:
        """The volume that files go to, or the folder outside of every volume. Raises ConfigError where the policy names none."""
        if self.policy.to_folder is not None:
            return self.policy.to_folder
        if self.policy.to is None:
            raise ConfigError(f"policy {self.name}: {self.action.NAME} needs 'to', the volume that files go to")
        return self.policy.to

    def run(self, sql: str, **params: object) -> list[Any]:
        """The rows of a statement with those parameters."""
        return self.connection.execute(sql, params).fetchall()

    def make(self, name: str, text: str, **params: object) -> None:
        """A temporary table of a SELECT."""
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {text}", params)

    def insert(self, name: str, rows: pa.Table) -> None:
        """Put rows into a temporary table, made where it is not there yet."""
        given = f"given_{secrets.token_hex(4)}"
        self.connection.register(given, rows)
        self.connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} AS SELECT * FROM {given} LIMIT 0")
        self.connection.execute(f"INSERT INTO {name} SELECT * FROM {given}")
        self.connection.unregister(given)

    def choose(self) -> None:
        """Make the table `chosen` (rank, volume, path, reason) of what the policy takes."""
        policies.choose(self.connection, self.policy, self.action.REPORT, self.name)

    def intend(self, text: str, **params: object) -> None:
        """Make the table `intended` of a SELECT with the columns of INTENDED; those that it lacks are null."""
        self.insert("intended_rows", INTENDED.empty_table())
        self.connection.execute(f"INSERT INTO intended_rows BY NAME {text}", params)
        self.make("intended", "SELECT row_number() OVER (ORDER BY rank, choice) AS id, * REPLACE (coalesce(choice, 0) AS choice) FROM intended_rows")
        self.run("DROP TABLE intended_rows")

    def without_condition(self) -> "Draft":
        """The same draft, its policy's condition left out: it was for the rows of the report."""
        return replace(self, policy=self.policy.model_copy(update={"where": None}))

    def spare_replicas(self) -> None:
        """Refuse what lies on a replica, unless the policy's `where` compares `volume` with its name, or `role` with 'replica', by = or IN."""
        named = policies.compared(self.policy)
        if ("role", "replica") not in named:
            self.refuse("on_replica", _ON_REPLICAS, named=sorted(value for column, value in named if column == "volume"))

    def prefer_originals(self) -> None:
        """Refuse what would go to the name of a chosen file of a primary volume from another volume, whatever becomes of the primary's."""
        self.refuse("name_collides", _BESIDE_AN_ORIGINAL)

    def send_to_target(self) -> None:
        """Intend one act a chosen file: onto the policy's target, in its folder, under its own path."""
        self.intend("SELECT *, $to AS target_volume, $folder || path AS target_path FROM chosen", to=self.target, folder=self.folder)
        self.refuse("already_there", "SELECT id, 'volume ' || volume AS detail FROM intended WHERE volume = target_volume")
        self.prefer_originals()

    def refuse(self, reason: str, text: str, **params: object) -> None:
        """Refuse acts for a reason; the SELECT gives their id and a detail. Those that were refused before keep their first reason."""
        self.connection.execute(f"INSERT INTO refused SELECT id, '{reason}', detail FROM ({text}) AS found WHERE id NOT IN (SELECT id FROM refused)", params)


def begun(
    connection: "DuckDBPyConnection",
    root: Path,
    config: Config,
    of: Snapshot,
    wanted: tuple[str, Policy],
    journal: "Journal | None",
    now_us: int,
    actor: str,
) -> Draft:
    """A draft of a policy (its name, itself) on a connection that no other one uses, with an empty table of refusals. Raises NotFoundError."""
    connection.execute("CREATE TEMP TABLE refused (id BIGINT, reason VARCHAR, detail VARCHAR)")
    name, policy = wanted
    return Draft(connection, root, config, of, name, policy, actions.load(policy.action), journal, now_us, actor)


def connected(root: Path, config: Config, of: Snapshot) -> "DuckDBPyConnection":
    """A connection to a snapshot within the limits of the configuration."""
    limits = config.catalog
    memory = limits.memory_limit or _MEMORY_BYTES
    return connect.connect(root, of, memory_limit=f"{memory}B", threads=limits.threads)


def sources(draft: Draft) -> None:
    """Make the tables `sources` and `holders`: what the newest scans know of every intended act, and who else has its content."""
    draft.make("sources", f"{planning.sql('sources')} ORDER BY volume, path, id")
    draft.run("DROP TABLE intended; DROP TABLE IF EXISTS chosen; DROP TABLE IF EXISTS chosen_rows; DROP TABLE IF EXISTS taken")
    draft.make("holders", planning.sql("holders"), workable=stores.workable(draft.config))
