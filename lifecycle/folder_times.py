"""When folders were last modified: kept while a job takes files out of them, and given back when all of these are put back and nothing else happened there."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog import names
from catalog.errors import UnreachableError
from lifecycle.ends import EndError

if TYPE_CHECKING:
    from lifecycle.chunk import Run, Work

KIND = "folders_left"  # of the event that keeps them
Folder = tuple[str, bytes]  # volume, and the path of the folder


@dataclass(frozen=True)
class Left:
    """A folder before and after files were taken out of it, by when it was modified: nanoseconds since 1970."""

    volume: str
    path: bytes
    before_ns: int
    after_ns: int


def seen(run: "Run", works: "Sequence[Work]") -> dict[Folder, int]:
    """When the folders of sources were modified; those that cannot be looked at are left out. Only reads."""
    found = {}
    for folder, work in {_folder(work): work for work in works if work.live}.items():
        with suppress(EndError, OSError, UnreachableError):
            found[folder] = run.store(work.step.volume).folder_modified_ns(work.step.path)
    return found


def left(run: "Run", works: "Sequence[Work]", before: Mapping[Folder, int]) -> list[Left]:
    """What is kept of the folders out of which files were moved. Only reads."""
    after = seen(run, [work for work in works if work.moved is not None])
    return [Left(*folder, before[folder], at_ns) for folder, at_ns in after.items() if folder in before]


def give_back(run: "Run", works: "Sequence[Work]", found: Mapping[Folder, int]) -> None:
    """Give the folders of files that were put back the times that they had, where `found`, from before that, is what the job had left. Writes."""
    for folder in {_folder(work) for work in works}:
        here = [work for work in works if _folder(work) == folder]
        ends = _ends(run, here[0].step.of_job, folder)
        if ends is None or not all(work.live for work in here) or found.get(folder) not in ends:
            continue
        with suppress(EndError, OSError, UnreachableError):
            run.store(folder[0]).give_folder_modified(here[0].step.path, ends[0])


def told(folders: Sequence[Left]) -> dict[str, Any]:
    """As an event keeps them."""
    return {"folders": [[one.volume, names.escape(one.path), one.before_ns, one.after_ns] for one in folders]}


def _ends(run: "Run", job_id: str | None, folder: Folder) -> tuple[int, int] | None:
    """When a folder was modified before a job took anything, and after it took the last: as far back as nothing else happened between two of its acts."""
    if job_id is None:
        return None
    kept = run.folders_of(job_id).get(folder)
    if not kept:
        return None
    before_ns, after_ns = kept[-1]
    for earlier_ns, then_ns in reversed(kept[:-1]):
        if then_ns != before_ns:
            break
        before_ns = earlier_ns
    return before_ns, after_ns


def read(details: Sequence[Mapping[str, Any]]) -> dict[Folder, list[tuple[int, int]]]:
    """What events keep, by folder, in the order of the acts."""
    found: dict[Folder, list[tuple[int, int]]] = {}
    for detail in details:
        for volume, path, before_ns, after_ns in detail["folders"]:
            found.setdefault((volume, names.unescape(path)), []).append((before_ns, after_ns))
    return found


def _folder(work: "Work") -> Folder:
    return work.step.volume, work.step.path.rpartition(b"/")[0]
