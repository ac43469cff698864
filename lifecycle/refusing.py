"""What speaks against acts that look good one by one: names that collide, hard links left behind, the floor, limits, space."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from catalog import domains, names
from lifecycle import guard, manifest, planning, stores
from lifecycle.draft import Draft
from lifecycle.looking import Places
from lifecycle.records import Counted
from lifecycle.stores import Fingerprint

_AT_ONCE = 20_000
_REFUSED = pa.schema([("id", pa.int64()), ("detail", pa.string())])
_NOT_READ_YET = b"\1" * 32  # stands for a content that the step will read

_EMPTY = "SELECT id, 'it stays where it is; copy it, if it is wanted elsewhere' AS detail FROM standing WHERE size_bytes = 0"

_COLLISIONS = """
SELECT id, detail FROM (
    SELECT
        id,
        'as ' || first_value(volume || ':' || path) OVER same_name AS detail,
        row_number() OVER same_name AS turn
    FROM standing
    LEFT JOIN (SELECT volume AS place, coalesce(list_position(['primary', 'archive', 'backup', 'replica'], role), 9) AS role_rank FROM volumes) AS v
        ON volume = v.place
    WHERE target_name IS NOT NULL
    WINDOW same_name AS (PARTITION BY target_volume, target_name ORDER BY role_rank, rank, id)
) AS colliding WHERE turn > 1
"""

_PARTIAL_GROUPS = """
SELECT id, names || ' of its ' || link_count || ' names are in the plan' AS detail
FROM standing WHERE link_count > names AND key IS NULL
"""


def refuse(draft: Draft, places: Places) -> None:
    """Refuse, in this order, what is empty, collides, is below the floor, leaves hard links behind, has no space, is over the limits."""
    draft.run(f"CREATE OR REPLACE TEMP VIEW standing AS {planning.sql('standing')}")
    draft.run(f"CREATE OR REPLACE TEMP VIEW evidence AS {planning.sql('evidence')}")
    if draft.action.REMOVES:
        draft.refuse("empty", _EMPTY)
    if draft.action.NEEDS_DIGEST:
        draft.refuse("unknown_digest", "SELECT id, 'its content was never read' AS detail FROM standing WHERE sha256 IS NULL")
    draft.refuse("name_collides", _COLLISIONS)
    if draft.action.REMOVES:
        _refuse_below_the_floor(draft, places)
        draft.refuse("partial_hard_link_group", _PARTIAL_GROUPS)
    _refuse_without_space(draft, places)
    policy = draft.policy
    limits = {"max_steps": policy.max_steps, "max_bytes": policy.max_bytes, "max_share_pct": policy.max_share_pct}
    if any(limit is not None for limit in limits.values()):
        draft.refuse("over_limit", planning.sql("over_limits"), **limits)


def floor_of(draft: Draft) -> int:
    """How many copies must stay."""
    return max(draft.config.lifecycle.min_copies, draft.policy.min_copies or 0)


def evidence_age_of(draft: Draft) -> float:
    """How long ago a copy may have been read, in seconds."""
    return guard.evidence_age(draft.config, draft.policy)


def _refuse_without_space(draft: Draft, places: Places) -> None:
    targets = [volume for (volume,) in draft.run("SELECT DISTINCT target_volume FROM standing WHERE target_volume IS NOT NULL")]
    rows = [{"volume": volume, "free_bytes": places.of(volume, written=True).free_bytes} for volume in targets]
    draft.insert("places", pa.Table.from_pylist(rows, pa.schema([("volume", pa.string()), ("free_bytes", pa.int64())])))
    draft.refuse("no_space", planning.sql("without_space"))


def _refuse_below_the_floor(draft: Draft, places: Places) -> None:
    floor = _Floor(draft, places)
    draft.insert("below_floor", _REFUSED.empty_table())
    for rows in _by_content(draft):
        below = [{"id": row["id"], "detail": why} for row in rows if (why := floor.forbids(row)) is not None]
        draft.insert("below_floor", pa.Table.from_pylist(below, _REFUSED))
    draft.refuse("floor_not_reachable", "SELECT * FROM below_floor")
    draft.run("DROP TABLE removals")


def _by_content(draft: Draft) -> Iterator[list[dict[str, Any]]]:
    """What stands with its evidence, equal contents together, in the order of the selection."""
    draft.make(
        "removals",
        "SELECT id, volume, path, size_bytes, sha256, target_volume, target_path, evidence FROM evidence WHERE kept_path IS NULL ORDER BY sha256, rank, id",
    )
    [(count,)] = draft.run("SELECT count(*) FROM removals")
    for first in range(0, count, _AT_ONCE):
        yield draft.connection.sql(f"SELECT * FROM removals WHERE rowid >= {first} AND rowid < {first + _AT_ONCE} ORDER BY rowid").to_arrow_table().to_pylist()


class _Floor:
    """The floor over what the catalog knows, file by file: a copy that the plan takes itself counts for no later one."""

    def __init__(self, draft: Draft, places: Places) -> None:
        self._draft = draft
        self._floor = floor_of(draft)
        self._domains = domains.cautious(domains.effective(draft.config, _devices(draft, places)))
        self._mirrors = guard.mirrors(draft.config)
        self._content: bytes | None = None
        self._taken: set[guard.Place] = set()
        self._workable = frozenset(stores.workable(draft.config))

    def forbids(self, row: Mapping[str, Any]) -> str | None:
        """Why a file may not be taken; None = enough copies would stay."""
        if row["sha256"] is None or row["sha256"] != self._content:
            self._content, self._taken = row["sha256"], set()
        path = names.unescape(row["path"])
        domain = self._domains[row["volume"]]
        followers = guard.followers(self._draft.config, [row["volume"], *(volume for volume, _ in self._taken)])
        gone = guard.Gone(row["volume"], path, domain.systems, domain.devices, followers, frozenset(self._taken), self._mirrors)
        verdict = guard.allowed(self._floor, [self._weighed(row, copy) for copy in self._copies(row)], gone)
        if not verdict.allowed:
            return verdict.reason
        self._taken.add((row["volume"], path))
        return None

    def _copies(self, row: Mapping[str, Any]) -> Iterator[manifest.Copy]:
        if row["target_volume"] is not None:  # the step makes and reads it
            yield manifest.Copy(row["target_volume"], names.unescape(row["target_path"]), Fingerprint("file", row["size_bytes"], 0), self._draft.now_us)
        for found in row["evidence"]:
            yield manifest.copy(found)

    def _weighed(self, row: Mapping[str, Any], copy: manifest.Copy) -> Counted:
        config, wanted = self._draft.config, row["sha256"] or _NOT_READ_YET
        offline = config.volumes[copy.volume].access == "offline" if copy.volume in config.volumes else True
        made = copy.volume == row["target_volume"] and copy.path == names.unescape(row["target_path"])
        look: guard.Look = "unreachable" if offline else "unchanged"
        if made or self._draft.action.REREADS:
            look = "read"
        if copy.volume not in self._workable and not made:  # an earlier job's copy, on a volume that has another url by now
            look = "no store"
        return guard.weigh(
            wanted,
            copy,
            look,
            self._domains.get(copy.volume, _NOWHERE),
            sha256=wanted,
            offline=offline,
            now_us=self._draft.now_us,
            max_age_us=int(evidence_age_of(self._draft) * 1e6),
        )


_NOWHERE = domains.Domain(frozenset(), frozenset(), frozenset(), frozenset(), {})


def _devices(draft: Draft, places: Places) -> dict[str, str | None]:
    from catalog import snapshot

    return guard.devices(draft.config, {name: scan.device for name, scan in snapshot.newest_scans(draft.root).items()}, places.devices())
