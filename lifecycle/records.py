"""What the journal keeps, as values. All times are microseconds since 1970 UTC; paths are raw bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from lifecycle.manifest import Step
from lifecycle.states import State
from lifecycle.stores import Capabilities, Fingerprint

Kind = Literal["plan", "undo", "purge"]


@dataclass(frozen=True)
class PreparedVolume:
    """A volume that has our marker."""

    volume: str
    marker: str
    fs_id: str | None
    capabilities: Capabilities
    prepared_us: int


@dataclass(frozen=True)
class Approval:
    """Somebody agreed to a plan, named by its hash. `steps` are ranges, ends included; None = all of it."""

    plan_id: str
    plan_hash: str
    actor: str
    at_us: int
    steps: tuple[tuple[int, int], ...] | None


@dataclass(frozen=True)
class Job:
    """A plan being carried out, an undo or a purge."""

    job_id: str
    kind: Kind
    plan_id: str
    plan_hash: str
    action: str
    policy: str  # JSON of the Policy that the plan was made of
    created_us: int
    actor: str
    of_job: str | None


@dataclass(frozen=True)
class JobRow(Job):
    """A job as the journal has it: `state` is 'open' until `Journal.finish` says another word."""

    state: str
    finished_us: int | None
    counts: Mapping[State, int]  # steps by state; states without any are left out
    bytes: Mapping[State, int]


class Record(NamedTuple):
    """A step, and how far it came."""

    step: Step
    state: State
    reason: str | None  # why it ended
    retry: bool  # whether it ended so that a later run may well succeed
    attempt: int
    key: str | None
    temp_inode: int | None
    sha256: bytes | None  # as the copy found it, else as planned
    target_fingerprint: Fingerprint | None
    quarantine_fingerprint: Fingerprint | None
    losses: tuple[str, ...]  # metadata that the target could not keep
    undone_by: str | None  # the job that put it back
    since_us: int  # when it came to this state


class Move(NamedTuple):
    """A step comes to a state. `values` are fields of Record to set: attempt, key, temp_inode, sha256, target_fingerprint,
    quarantine_fingerprint, losses, retry, undone_by; the others stay."""

    step: int
    state: State
    reason: str | None = None
    values: Mapping[str, Any] = MappingProxyType({})


class Counted(NamedTuple):
    """A copy that a removal may rest on, looked at now. Empty domains are unknown, and count for nothing."""

    volume: str
    path: bytes
    systems: frozenset[str]
    devices: frozenset[str]
    offline: bool
    verified: bool  # rules 1 and 2 of the floor hold for it; `guard.weigh` judges them
    why: str = ""  # why it is not verified


class Retirement(NamedTuple):
    """A wish to take a copy away. `systems` and `devices` are those of its own volume."""

    step: int
    sha256: bytes
    volume: str
    path: bytes
    owner: str | frozenset[str] | None  # all names that it may have, the storage's and a label's; None = not known
    copies: tuple[Counted, ...]
    floor: int
    systems: frozenset[str]
    devices: frozenset[str]
    stays: bool = False  # its content stays at its name, so that no copy goes: neither floor nor ledger are asked
