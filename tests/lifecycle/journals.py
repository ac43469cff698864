"""Small journals for tests: a configuration of volumes that are apart, steps, jobs, and requests to take copies away."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from catalog import config
from catalog.config import Config
from lifecycle.journal import Counted, Job, Journal, Move, Retirement
from lifecycle.manifest import Copy, Step
from lifecycle.records import Kind
from lifecycle.states import State
from lifecycle.stores import Fingerprint

NOW = 1_800_000_000_000_000  # microseconds since 1970
CONTENT = bytes(range(32))
FINGERPRINT = Fingerprint("file", 10, 1_700_000_000_000_000_000, "fs-1", 7, None, 1_700_000_000_000_000_001)


def estate(volumes: Mapping[str, Mapping[str, Any]] | Iterable[str], **lifecycle: object) -> Config:
    """A configuration of volumes, each on a system and a device of its own name where nothing else is said."""
    declared = volumes if isinstance(volumes, Mapping) else {name: {} for name in volumes}
    tables = {name: {"url": f"/nowhere/{name}", "system": name, "device": name, **given} for name, given in declared.items()}
    return config.parse({"volumes": tables, "lifecycle": lifecycle})


def step(number: int = 1, volume: str = "a", path: bytes | None = None, *, chunk: int = 0, of: tuple[str, int] | None = None, target: str | None = "b") -> Step:
    """A step that archives a file."""
    path = b"file %d" % number if path is None else path
    of_job, of_step = of or (None, None)
    goes_to = None if target is None else path
    evidence = (Copy("c", path, FINGERPRINT, NOW),)
    return Step(number, chunk, "archive", volume, path, FINGERPRINT, None, target, goes_to, None, None, of_job, of_step, "dormant", evidence)


def job(job_id: str = "j1", kind: Kind = "plan", of_job: str | None = None) -> Job:
    """A job whose plan is named after it."""
    return Job(job_id, kind, f"plan of {job_id}", f"hash of {job_id}", "archive", "{}", NOW, "ada", of_job)


def opened(root: Path, given: Config | None = None) -> Journal:
    """The journal of a catalog, made if need be."""
    return Journal.open(given or estate("abcd"), root, create=True)


def move(journal: Journal, state: State, *steps: int, job_id: str = "j1", **values: object) -> None:
    """Bring steps (none = step 1) to a state."""
    journal.advance([Move(number, state, None, values) for number in steps or (1,)], job_id, NOW, "ada")


def walk(journal: Journal, *states: State, steps: Iterable[int] = (1,), job_id: str = "j1") -> None:
    """Bring steps through states, with what the journal needs to know of each."""
    values: dict[State, dict[str, object]] = {"VERIFIED": {"sha256": CONTENT, "temp_inode": 8}, "PUBLISHED": {"target_fingerprint": FINGERPRINT}}
    for state in states:
        if state == "RETIRING":
            assert not any(journal.retire([wish(number) for number in steps], job_id, NOW, "ada").values())
        else:
            move(journal, state, *steps, job_id=job_id, **values.get(state, {}))


def copy(volume: str, path: bytes = b"copy", *, verified: bool = True) -> Counted:
    """A copy on a volume of `estate`."""
    return Counted(volume, path, frozenset([volume]), frozenset([volume]), offline=False, verified=verified)


def wish(
    number: int = 1,
    volume: str = "a",
    path: bytes | None = None,
    *,
    copies: Iterable[Counted] = (copy("b"), copy("c")),
    floor: int = 2,
    owner: str | frozenset[str] | None = "ada",
    sha256: bytes = CONTENT,
) -> Retirement:
    """A wish to take a copy away from a volume of `estate`."""
    path = b"file %d" % number if path is None else path
    return Retirement(number, sha256, volume, path, owner, tuple(copies), floor, frozenset([volume]), frozenset([volume]))


TO_PUBLISHED: tuple[State, ...] = ("CLAIMED", "COPYING", "VERIFIED", "PUBLISHED")
TO_QUARANTINE: tuple[State, ...] = (*TO_PUBLISHED, "RETIRING", "GUARDED", "QUARANTINED")
