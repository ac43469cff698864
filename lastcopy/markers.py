"""Remarks on what jobs know of volumes: their markers, and what they were found able to do. Only reads."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from catalog.config import Config
from catalog.errors import ConfigError, LastcopyError, UnreachableError
from lastcopy.diagnosis import Remark
from lifecycle import stores
from lifecycle.journal import Journal
from lifecycle.records import PreparedVolume
from lifecycle.stores import Capabilities


def look(root: Path, config: Config, names: Sequence[str]) -> list[Remark]:
    """The markers of some volumes, as they are and as the journal knows them. One that cannot be reached has none."""
    return [remark for name in names for remark in _volume(config, name, _remembered(root, config, name))]


def abilities(found: Capabilities) -> str:
    """What a volume can and cannot do, in a line."""
    said = {name.replace("_", " "): value for name, value in asdict(found).items()}
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
