"""A lost journal made anew from what lies on the volumes: everything in quarantine goes back to its old name, and nothing is deleted."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from catalog import names
from catalog.config import Config, Policy
from catalog.errors import CatalogError, ConfigError, NotFoundError, RefusedError, UnreachableError
from lifecycle import database, stores
from lifecycle.ends import EndError
from lifecycle.journal import Journal
from lifecycle.manifest import Step
from lifecycle.records import Job, Move, PreparedVolume, Record
from lifecycle.states import BAD_ENDS, LIVE, RESTING
from lifecycle.stores import Store, Stray

_AT_ONCE = 128


@dataclass(frozen=True)
class Found:
    """Something of ours that no journal knew: a file that was put back, or could not be, or a copy that was never finished and lies where it lay."""

    volume: str
    path: str  # escaped
    came: Literal["put_back", "left", "unfinished"]
    reason: str | None


def rebuild(root: Path, config: Config, *, at_us: int, actor: str, take_over: bool = False) -> list[Found]:
    """Open the journal, or make it anew where it is lost or damaged, then put back every quarantined file that it does not know. Writes to storages.

    A new journal keeps the holds of the old one where that can be read (its first event says how many); approvals and what was removed for good
    are not known to it. Where the catalog never had a journal, or is a copy, what lies on the volumes may be another catalog's: only
    `take_over` puts that back. Raises LockedError while jobs run, RefusedError on another host, and for such a catalog.
    """
    found: list[Found] = []
    with _journal(root, config, at_us, actor, take_over=take_over) as journal:
        for volume in config.volumes:
            try:
                with closing(stores.connect(config, volume)) as store:
                    found += _volume(journal, store, volume, at_us, actor)
            except ConfigError:
                continue  # no job can have worked on that kind
            except (UnreachableError, EndError, OSError) as error:
                found.append(Found(volume, "", "left", f"{error}; make it reachable, then rebuild again"))
    return found


def _journal(root: Path, config: Config, at_us: int, actor: str, *, take_over: bool) -> Journal:
    try:
        journal = Journal.open(config, root, create=False)
    except NotFoundError as error:
        if not take_over:
            told = "this catalog never had a journal: what is in quarantine is another's, whose jobs may work on it; if that catalog is gone for good"
            raise RefusedError(f"{told}, say --take-over") from error
        if database.was_put_aside(database.folder_of(config, root)):
            return Journal.renew(config, root, at_us=at_us, actor=actor, why=str(error))
        return Journal.open(config, root, create=True)
    except (CatalogError, RefusedError) as error:
        if isinstance(error, RefusedError) and ("job rebuild" not in str(error) or ("--take-over" in str(error) and not take_over)):
            raise  # it is whole, and not for us
        return Journal.renew(config, root, at_us=at_us, actor=actor, why=str(error))
    verdict = journal.verify()
    if verdict.bad_seq is None:
        return journal
    journal.close()
    return Journal.renew(config, root, at_us=at_us, actor=actor, why=str(verdict.wrong))


def _volume(journal: Journal, store: Store, volume: str, at_us: int, actor: str) -> Iterator[Found]:
    """Everything of ours on one volume that the journal does not know."""
    identity = store.identify()
    if identity.marker is None:
        return
    if journal.prepared(volume) is None and store.capabilities is not None:
        journal.remember_volume(PreparedVolume(volume, identity.marker, identity.fs_id, store.capabilities, at_us), actor)
    found = list(store.strays())
    strays = [stray for stray in found if not _known(journal, stray)]  # asked last: the journal knows what is moved before it is
    for stray in strays:
        if stray.place == "temporary":
            yield Found(volume, names.escape(stray.path), "unfinished", "a copy that was never finished; its source is where it was")
    quarantined = [stray for stray in strays if stray.place == "quarantine"]
    if quarantined:
        yield from _put_back(journal, store, volume, quarantined, at_us, actor)


def _put_back(journal: Journal, store: Store, volume: str, strays: Sequence[Stray], at_us: int, actor: str) -> Iterator[Found]:
    job_id = "jr" + hashlib.sha256(f"{journal.id} {volume} {at_us}".encode()).hexdigest()[:9]
    policy = Policy(action="undo", data_class="default").model_dump_json()
    job = Job(job_id, "undo", "", f"rebuild of {volume} at {at_us}", "undo", policy, at_us, actor, None)
    journal.create_job(job, (_step(volume, place, stray) for place, stray in enumerate(strays, 1)))
    for first in range(0, len(strays), _AT_ONCE):
        part = list(enumerate(strays[first : first + _AT_ONCE], first + 1))
        journal.advance([Move(place, "CLAIMED") for place, _ in part], job_id, at_us, actor)
        ends = {place: _moved_back(store, stray) for place, stray in part}
        store.settle([stray.path for place, stray in part if ends[place] is None])
        store.settle_quarantine()
        moves = [Move(place, "DONE") if end is None else Move(place, end.state, end.reason) for place, end in ends.items()]
        journal.advance(moves, job_id, at_us, actor)
        for place, stray in part:
            end = ends[place]
            if end is None:
                _count_again(journal, stray, at_us, actor)
            yield Found(volume, names.escape(stray.path), "put_back" if end is None else "left", None if end is None else end.reason)
    journal.finish(job_id, "done", at_us, actor)


def _known(journal: Journal, stray: Stray) -> bool:
    """Whether a job has something under way, or at rest, under exactly that key; of a copy that is not finished it is enough that there is the job."""
    record = _record(journal, stray)
    if stray.place == "temporary":
        return record is not None
    return record is not None and record.key == stray.key and record.state in (LIVE | RESTING) - {"PLANNED"}


def _record(journal: Journal, stray: Stray) -> Record | None:
    """The step that a key names."""
    job_id, _, rest = stray.key.partition("-")
    step = rest.partition("-")[0]
    try:
        return journal.record(job_id, int(step)) if step.isdecimal() else None
    except NotFoundError:
        return None


def _count_again(journal: Journal, stray: Stray, at_us: int, actor: str) -> None:
    """The copy of a step that had ended counts again once its file is at its name."""
    record = _record(journal, stray)
    if record is not None and record.state in BAD_ENDS:
        journal.unretire(stray.key.partition("-")[0], [record.step.step], at_us, actor, "its file was found in quarantine and put back")


def _moved_back(store: Store, stray: Stray) -> EndError | None:
    if not stray.path:
        return EndError("FAILED", f"quarantine/{stray.key}: nothing tells where it came from; it stays there")
    try:
        store.put_back(stray.key, stray.path, stray.fingerprint)
    except EndError as end:
        return end
    return None


def _step(volume: str, place: int, stray: Stray) -> Step:
    return Step(
        step=place,
        chunk=(place - 1) // _AT_ONCE + 1,
        action="undo",
        volume=volume,
        path=stray.path,
        fingerprint=stray.fingerprint,
        sha256=None,
        target_volume=None,
        target_path=None,
        link_group=None,
        kept_path=None,
        of_job=None,
        of_step=None,
        reason="rebuild",
        evidence=(),
    )
