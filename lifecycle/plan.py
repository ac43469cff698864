"""Plans: frozen lists of steps. Made once and never changed; approved by their hash."""

import base64
import datetime
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import snapshot
from catalog.config import Config, Policy
from catalog.durable import sync
from catalog.errors import NotFoundError, RefusedError
from lifecycle import actions, asking_back, effect, looking, manifest, numbering, policies, refusing
from lifecycle import draft as drafts
from lifecycle.actions import Action
from lifecycle.draft import Draft
from lifecycle.manifest import Step

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from duckdb import DuckDBPyConnection

    from catalog.snapshot import Snapshot
    from lifecycle.journal import Journal
    from lifecycle.records import Approval

FOLDER = "plans"
HEADER_FILE = "plan.json"
VERSION = 1
_ABANDONED_SECONDS = 86_400  # after which what a killed run left of a plan is removed
_ASKED = ("string", "int64", "int32")  # types of columns that a condition may ask for
Ranges = tuple[tuple[int, int], ...]  # of steps, ends included


@dataclass(frozen=True)
class Header:
    """What `plan.json` says. Times are microseconds since 1970 UTC."""

    plan_id: str
    policy_name: str  # '' = given on the command line
    policy: Policy
    action: str
    snapshot_id: str
    created_us: int
    expires_us: int
    actor: str
    floor: int  # copies that must stay where the action removes
    max_evidence_age: float  # seconds; what was read longer ago is no evidence of a copy
    volumes: Mapping[str, Mapping[str, str | None]]  # volume -> marker, fs_id as they were
    totals: Mapping[str, Any]  # chosen, steps, bytes, refused, refusals by reason, cost_per_month
    effect: Mapping[str, Any] | None  # see `effect`; None = was not asked for
    sha256s: Mapping[str, str]  # of the two files


@dataclass(frozen=True)
class Plan:
    """A plan whose files are what its header says."""

    folder: Path
    header: Header
    hash: str  # SHA-256 of plan.json, hexadecimal

    @property
    def id(self) -> str:
        """Its name."""
        return self.header.plan_id

    @property
    def steps_count(self) -> int:
        """How many steps it has."""
        return int(self.header.totals["steps"])

    def steps(self, first: int = 1, rows: int = 1024) -> Iterator[list[Step]]:
        """Its steps from a number on, some at a time."""
        for batch in self._batches(numbering.STEPS_FILE, rows):
            if batch["step"][-1].as_py() >= first:
                yield [step for step in manifest.steps(batch) if step.step >= first]

    def rows(self, file: str, rows: int = 1024) -> Iterator[list[dict[str, Any]]]:
        """The rows of one of its files, some at a time."""
        for batch in self._batches(file, rows):
            yield batch.to_pylist()

    def approved(self, journal: "Journal | None") -> Ranges:
        """The steps that may be carried out: all where the policy needs no approval, else those that somebody approved under this hash."""
        everything = ((1, self.steps_count),) if self.steps_count else ()
        if not self.header.policy.needs_approval or journal is None:
            return () if self.header.policy.needs_approval else everything
        good = [one for one in journal.approvals(self.id) if one.plan_hash == self.hash and self._may_approve(one.actor)]
        return everything if any(one.steps is None for one in good) else merged(span for one in good for span in one.steps or ())

    def state(self, journal: "Journal | None", now_us: int) -> str:
        """In a word: empty, cancelled, what its job came to or by which job that was undone, expired, waiting, partly approved, approved."""
        if journal is not None and journal.cancelled(self.id):
            return "cancelled"
        known = journal.jobs() if journal is not None else []
        jobs = [job for job in known if job.plan_hash == self.hash]
        undone = [job for job in known if jobs and job.kind == "undo" and job.of_job == jobs[0].job_id]
        if undone:
            return f"job {jobs[0].job_id}: undone by job {undone[-1].job_id}" + ("" if undone[-1].state == "done" else f": {undone[-1].state}")
        if jobs:
            return f"job {jobs[0].job_id}: {jobs[0].state}"
        if not self.steps_count:
            return "empty"
        if now_us >= self.header.expires_us:
            return "expired"
        spans = self.approved(journal)
        return "waiting" if not spans else "approved" if spans == ((1, self.steps_count),) else "partly approved"

    def refuse_if_ended(self, journal: "Journal | None", now_us: int) -> None:
        """Raises RefusedError if it expired or was cancelled."""
        if now_us >= self.header.expires_us:
            raise RefusedError(f"plan {self.id} expired on {moment(self.header.expires_us):%Y-%m-%d %H:%M}; create it again")
        if journal is not None and journal.cancelled(self.id):
            raise RefusedError(f"plan {self.id} was cancelled; create it again")

    def _may_approve(self, actor: str) -> bool:
        return not self.header.policy.two_persons or actor != self.header.actor

    def _batches(self, file: str, rows: int) -> Iterator[pa.RecordBatch]:
        for batch in pq.ParquetFile(self.folder / file, pre_buffer=False).iter_batches(rows, use_threads=False):  # a thread keeps engines from being forked
            if batch.num_rows:
                yield batch


def create(
    root: Path,
    config: Config,
    wanted: str | Policy,
    *,
    now_us: int,
    actor: str,
    of: "Snapshot | None" = None,
    journal: "Journal | None" = None,
    with_effect: bool = True,
) -> Plan:
    """A new plan of a policy (its name, or one that is in no file) over a snapshot, the newest by default. Writes to the catalog only.

    The effect takes as long as the derivation after a scan.
    Raises ConfigError where the policy cannot be planned, NotFoundError where there is no snapshot or policy of that name.
    """
    name, policy = (wanted, policies.named(config, wanted)) if isinstance(wanted, str) else ("", wanted)
    wanted_snapshot = of or snapshot.find(root)
    connection = drafts.connected(root, config, wanted_snapshot)
    try:
        draft = drafts.begun(connection, root, config, wanted_snapshot, (name, policy), journal, now_us, actor)
        with looking.Places(draft) as places:
            draft.action.intend(draft)
            drafts.sources(draft)
            looking.look(draft, places)
            refusing.refuse(draft, places)
            return _freeze(draft, places, with_effect=with_effect)
    finally:
        connection.close()


def load(root: Path, plan_id: str) -> Plan:
    """A plan as it was made. Raises NotFoundError, and RefusedError if any of its files is not what it was."""
    folder = root / FOLDER / plan_id
    if "/" in plan_id or plan_id.startswith(".") or not (folder / HEADER_FILE).is_file():
        known = ", ".join(sorted(_ids(root))[-5:])
        raise NotFoundError(f"{root}: there is no plan {plan_id!r}; {f'the last are {known}' if known else 'no plan was made yet'}")
    content = (folder / HEADER_FILE).read_bytes()
    try:
        header = _header(json.loads(content))
        whole = header.plan_id == plan_id == _id(json.loads(content)) and set(header.sha256s) == {numbering.STEPS_FILE, numbering.REFUSALS_FILE}
        whole = whole and all(_sha256(folder / file) == digest for file, digest in header.sha256s.items())
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RefusedError(f"plan {plan_id} cannot be read as it was made: {error}; create it again") from error
    if not whole:
        raise RefusedError(f"plan {plan_id} was altered after it was made; create it again")
    return Plan(folder, header, hashlib.sha256(content).hexdigest())


def afterwards(root: Path, plan: Plan) -> "AbstractContextManager[DuckDBPyConnection]":
    """A connection with the views over which a loss is simulated, as its snapshot would be once a plan was carried out. Raises RefusedError.

    Files that may become names of others are taken to: nobody looks at the volumes now, and a loss takes all names of a file or none.
    """
    action = actions.load(plan.header.action)
    doing = _doing(action, plan.header.policy, frozenset(plan.header.volumes))
    return effect.afterwards(root, snapshot.find(root, plan.header.snapshot_id), plan.folder / numbering.STEPS_FILE, doing)


def plans(root: Path) -> list[Plan]:
    """All plans, oldest first, by their headers alone: `load` tells whether one was altered. What cannot be read is left out."""
    found = []
    for plan_id in _ids(root):
        try:
            content = (root / FOLDER / plan_id / HEADER_FILE).read_bytes()
            found.append(Plan(root / FOLDER / plan_id, _header(json.loads(content)), hashlib.sha256(content).hexdigest()))
        except (ValueError, KeyError, TypeError, OSError):
            continue
    return sorted(found, key=lambda plan: (plan.header.created_us, plan.id))


def approve(plan: Plan, journal: "Journal", *, actor: str, at_us: int, steps: Ranges | None = None) -> None:
    """Agree to a plan, or to some of its steps. Writes to the journal, but for an empty plan.

    Raises RefusedError where this person may not, or the plan has ended.
    """
    plan.refuse_if_ended(journal, at_us)
    if plan.header.policy.two_persons and actor == plan.header.actor:
        raise RefusedError(f"plan {plan.id} was created by {actor}, and its policy asks for two persons: somebody else must approve it")
    if not plan.steps_count and steps is None:
        if plan.header.totals["refused"]:
            raise RefusedError(f"plan {plan.id} has no steps, for every file was refused; 'lastcopy plan show {plan.id}' says why")
        return  # as its job does nothing
    wanted = merged(steps) if steps is not None else None
    if wanted is not None and (not wanted or wanted[0][0] < 1 or wanted[-1][1] > plan.steps_count):
        raise RefusedError(f"plan {plan.id} has steps 1 to {plan.steps_count}; {'none' if not wanted else _spans(wanted)} cannot be approved")
    if wanted is not None:
        _refuse_part_of_a_file(plan, wanted)
    journal.approve(plan.id, plan.hash, actor, at_us, wanted)


def _refuse_part_of_a_file(plan: Plan, wanted: Ranges) -> None:
    """Raises RefusedError where only some names of a hard-linked file were chosen: the others would keep a file that a copy says was moved."""
    import pyarrow.compute as pc

    table = pq.read_table(plan.folder / numbering.STEPS_FILE, columns=["step", "link_group"])
    names_of: dict[int, list[int]] = {}
    for row in table.filter(pc.is_valid(table["link_group"])).to_pylist():
        names_of.setdefault(row["link_group"], []).append(row["step"])
    for steps in names_of.values():
        chosen = [step for step in steps if any(first <= step <= last for first, last in wanted)]
        if chosen and chosen != steps:
            told = ", ".join(map(str, steps))
            raise RefusedError(f"plan {plan.id}: steps {told} are the names of one file; approve all of them or none, not only {', '.join(map(str, chosen))}")


def where(plan: Plan, condition: str) -> Ranges:
    """The steps for which a condition over the columns of `steps.parquet` holds. Raises ConfigError."""
    import duckdb

    from catalog import predicate
    from catalog.derive.expressions import quoted, sql_type

    columns = {field.name: sql_type(field.type) for field in manifest.STEPS if str(field.type) in _ASKED}
    checked = predicate.check(condition, columns, f"plan {plan.id}, where")
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT min(step), max(step) FROM (SELECT step, step - row_number() OVER (ORDER BY step) AS island "
            f"FROM read_parquet({quoted(str(plan.folder / numbering.STEPS_FILE))}) WHERE {checked}) AS chosen GROUP BY island ORDER BY 1"
        ).fetchall()
    return tuple((int(first), int(last)) for first, last in found)


def cancel(plan: Plan, journal: "Journal", *, actor: str, at_us: int, why: str) -> None:
    """End a plan: it can be neither approved nor run. Writes to the journal."""
    journal.cancel(plan.id, actor, at_us, why)


def approvals(plan: Plan, journal: "Journal | None") -> "list[Approval]":
    """Who agreed to this very plan."""
    return [] if journal is None else [one for one in journal.approvals(plan.id) if one.plan_hash == plan.hash]


def merged(spans: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges in order, those that touch or overlap as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def _freeze(draft: Draft, places: looking.Places, *, with_effect: bool) -> Plan:
    folder = draft.root / FOLDER
    folder.mkdir(exist_ok=True)
    _remove_abandoned(folder, draft.now_us)
    made = folder / f".making-{secrets.token_hex(8)}"
    made.mkdir()
    try:
        numbering.write(draft, made)
        said = _said(draft, places, made)
        said["effect"] = _effect(draft, places, made) if with_effect and said["totals"]["steps"] else None
        said["plan_id"] = _id(said)
        content = _canonical(said)
        (made / HEADER_FILE).write_bytes(content)
        for file in (numbering.STEPS_FILE, numbering.REFUSALS_FILE, HEADER_FILE):
            sync(made / file)
        sync(made)
        final = folder / said["plan_id"]
        if final.exists():  # the very same plan: its name is of its content
            shutil.rmtree(made)
            return load(draft.root, said["plan_id"])
        made.rename(final)
        sync(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return Plan(final, _header(said), hashlib.sha256(content).hexdigest())


def _said(draft: Draft, places: looking.Places, made: Path) -> dict[str, Any]:
    """What goes into plan.json, but for the id."""
    return {
        "version": VERSION,
        "policy_name": draft.name,
        "policy": draft.policy.model_dump(mode="json", exclude_none=True),
        "action": draft.action.NAME,
        "snapshot_id": draft.snapshot.snapshot_id,
        "created_us": draft.now_us,
        "expires_us": draft.now_us + int(draft.policy.expires * 1e6),
        "actor": draft.actor,
        "floor": refusing.floor_of(draft),
        "max_evidence_age": refusing.evidence_age_of(draft),
        "volumes": places.identities(),
        "totals": _totals(draft),
        "sha256s": {file: _sha256(made / file) for file in (numbering.STEPS_FILE, numbering.REFUSALS_FILE)},
    }


def _effect(draft: Draft, places: looking.Places, made: Path) -> dict[str, Any]:
    doing = _doing(draft.action, draft.policy, places.without_shared_blocks())
    return effect.of(draft.root, draft.snapshot, draft.config, made / numbering.STEPS_FILE, draft.connection, doing)


def _doing(action: Action, policy: Policy, without_shared_blocks: frozenset[str]) -> effect.Doing:
    linking = without_shared_blocks if action.FREES and policy.hard_links else frozenset[str]()
    stubs = action.REMOVES and action.NEEDS_TARGET and policy.leave == "stub"
    return effect.Doing(action.REMOVES, action.REMOVES or action.FREES, stubs, linking)


def _totals(draft: Draft) -> dict[str, Any]:
    [(steps, size_bytes)] = draft.run("SELECT count(*), coalesce(sum(size_bytes) FILTER (WHERE id = unit), 0) FROM standing")
    refused = draft.run(
        "SELECT r.reason, count(*), coalesce(sum(s.size_bytes), 0), arg_min(s.volume || ':' || s.path, s.rank), arg_min(r.detail, s.rank) "
        "FROM refused AS r INNER JOIN sources AS s ON r.id = s.id GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    by_reason = {reason: {"files": int(files), "bytes": int(left), "first": first, "detail": detail} for reason, files, left, first, detail in refused}
    return {
        "steps": int(steps),
        "bytes": int(size_bytes),
        "refused": sum(one["files"] for one in by_reason.values()),
        "refused_bytes": sum(one["bytes"] for one in by_reason.values()),
        "refusals": by_reason,
        **asking_back.expected(draft),
    }


def _header(said: Mapping[str, Any]) -> Header:
    if said["version"] != VERSION:
        raise ValueError(f"it is of version {said['version']}, this program knows {VERSION}")
    fields: dict[str, Any] = {name: said[name] for name in Header.__dataclass_fields__}
    return Header(**fields | {"policy": Policy.model_validate(said["policy"])})


def _id(said: Mapping[str, Any]) -> str:
    """Of the content itself: a plan.json that was altered does not bear its own name."""
    digest = hashlib.sha256(_canonical({key: value for key, value in said.items() if key != "plan_id"})).digest()
    return "p" + base64.b32encode(digest).decode().lower()[:10]


def _canonical(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"


def _ids(root: Path) -> list[str]:
    folder = root / FOLDER
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []


def _remove_abandoned(folder: Path, now_us: int) -> None:
    for path in folder.glob(".making-*"):
        if path.stat().st_mtime < now_us / 1e6 - _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def moment(us: int) -> datetime.datetime:
    """Microseconds since 1970 as naive UTC."""
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)


def _spans(spans: Ranges) -> str:
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
