"""Remarks on what jobs know of volumes: the journal, their markers, what they were found able to do, the links that jobs left. Only reads."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

from catalog.config import Config, Policy
from catalog.errors import ConfigError, LastcopyError, NotFoundError, UnreachableError
from lastcopy.diagnosis import Remark, escaped
from lifecycle import stores
from lifecycle.journal import Journal
from lifecycle.records import PreparedVolume
from lifecycle.stores import Capabilities
from reports.state import counted

_MOST_LINKS = 100_000  # links that are looked at
_MOST_BYTES = 64 << 10  # of a marker


def journal(root: Path, config: Config) -> list[Remark]:
    """Whether the catalog's journal is there and its own, the volumes that it knows are declared, and the links that its jobs left lead somewhere."""
    try:
        with Journal.open(config, root, create=False) as found:
            return [Remark("journal", "journal", "ok", f"is there, id {found.id}"), *_undeclared(config, found), *_dangling(config, found)]
    except NotFoundError:
        return [Remark("journal", "journal", "ok", "there is none yet: no volume was prepared, no plan approved")]
    except (LastcopyError, OSError) as error:
        mend = "run jobs on the host that it names, with its disk mounted; if it is lost, 'lastcopy job rebuild' makes it anew"
        return [Remark("journal", "journal", "error", str(error), mend)]


def _undeclared(config: Config, found: Journal) -> Iterator[Remark]:
    """Volumes that were prepared, and are declared no more, or by another name."""
    there = {marker: name for name in config.volumes if (marker := _marker_at(config.root(name)))}
    for name in dict.fromkeys(event.subject for event in found.events(kinds=("volume_prepared",))):
        known = None if name in config.volumes or stores.is_folder(name) else found.prepared(name)
        if known is None:
            continue
        now = there.get(known.marker)
        if now is None:
            text, mend = "was prepared, and is declared no more: none of its jobs can be undone or purged", f"declare volume {name} again"
        else:
            text = f"was prepared, and is declared as volume {now} now: jobs refuse it, and none of its jobs can be undone or purged"
            mend = f"give it its old name, {name}; or undo or purge its jobs under that name first, then 'lastcopy volume prepare {now} --take-over'"
        yield Remark(name, "declared", "warning", text, mend)


def _marker_at(root: str | Path | None) -> str | None:
    """The id in the marker below a root, whatever volume it names; None where there is none that can be read."""
    if root is None:
        return None
    with suppress(OSError, ValueError, AttributeError):
        descriptor = os.open(os.path.join(os.fsencode(root), b".lastcopy/volume.json"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            marker = json.loads(file.read(_MOST_BYTES)).get("id")
        return marker if isinstance(marker, str) else None
    return None


def _dangling(config: Config, found: Journal) -> Iterator[Remark]:
    """The symbolic links that jobs left at the names of archived files, and that lead nowhere now."""
    lost: dict[str, list[bytes]] = {}
    looked = 0
    for job in found.jobs():
        if job.kind != "plan" or Policy.model_validate_json(job.policy).leave != "symlink":
            continue
        for record in found.records(job.job_id, {"QUARANTINED", "DONE"}):
            root = config.root(record.step.volume) if record.step.volume in config.volumes else None
            if record.undone_by is not None or root is None or looked >= _MOST_LINKS:
                continue
            looked += 1
            link = os.path.join(os.fsencode(root), record.step.path)
            if os.path.islink(link) and not os.path.exists(link):
                lost.setdefault(record.step.volume, []).append(link)
    for volume, links in lost.items():
        text = f"{counted(len(links), 'link')} of jobs at the names of archived files: what is linked to is not there"
        first = escaped(os.fsdecode(links[0]))
        yield Remark(
            volume, "links", "warning", f"{text}; the first is {first}", "mount the archive where it was, or bring the files back with a plan of action recall"
        )


def look(root: Path, config: Config, names: Sequence[str]) -> list[Remark]:
    """The markers of some volumes, as they are and as the journal knows them. One that cannot be reached has none."""
    return [remark for name in names for remark in _volume(config, name, _remembered(root, config, name))]


def abilities(found: Capabilities) -> str:
    """What a volume can and cannot do, in a line."""
    said = {name.replace("_", " "): value for name, value in asdict(found).items() if value is not None}
    able = [name for name, value in said.items() if value is True]
    unable = [name for name, value in said.items() if value is False]
    rest = [f"{name} {value}" for name, value in said.items() if not isinstance(value, bool)]
    return f"can: {', '.join(able) or 'nothing'}; cannot: {', '.join(unable) or 'nothing'}; {', '.join(rest)}"


def _remembered(root: Path, config: Config, name: str) -> PreparedVolume | None:
    try:
        with Journal.open(config, root, create=False) as journal:
            return journal.prepared(name)
    except LastcopyError:
        return None  # no journal yet, or one of another host: what the volume itself says is told


def _volume(config: Config, name: str, known: PreparedVolume | None) -> list[Remark]:
    prepare = f"lastcopy volume prepare {name}"
    try:
        with closing(stores.connect(config, name)) as store:
            there, able = store.identify(), store.capabilities
    except (ConfigError, UnreachableError):
        return []  # no job works on this kind, or other remarks tell that it is away
    if known and there.marker != known.marker:
        return [Remark(name, "marker", "error", f"its marker is {there.marker or 'missing'}, and was {known.marker}: jobs refuse it", _mount(prepare))]
    if known and there.fs_id != known.fs_id:
        text = f"its marker {known.marker} lies on file system {there.fs_id}, and was made on {known.fs_id}: jobs refuse it"
        return [Remark(name, "marker", "error", text, _mount(prepare))]
    if there.marker is None or able is None:
        return [Remark(name, "marker", "ok", "is not prepared: no job writes to it", prepare)]
    if known is None:
        return [Remark(name, "marker", "warning", f"its marker {there.marker} is unknown to this catalog's journal: jobs refuse it", f"{prepare} --take-over")]
    return [Remark(name, "marker", "ok", f"is prepared, marker {there.marker}"), Remark(name, "abilities", "ok", abilities(able))]


def _mount(prepare: str) -> str:
    return f"mount the right one; if it was replaced on purpose, {prepare} --take-over"
