"""Where the paths of assets lie on the volumes that may hold copies, and what these leave out: small tables for readers. Pure functions, no file is read."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from catalog import domains, glob, recovery
from catalog.config import Config
from catalog.recovery import RecoveryPoint

_TEXT = pa.string()
# One row an asset volume, a volume that may protect it, and a folder of its path_map. Without one both folders are the root, ''.
MAPPINGS = pa.schema([("volume", _TEXT), ("folder", _TEXT), ("copy_volume", _TEXT), ("copy_folder", _TEXT)])
# One row a pattern: `text` is looked for in '/path/on/it/', at its begin or anywhere. Of the configuration it is a regular expression over the path.
OMISSIONS = pa.schema([("volume", _TEXT), ("copy_volume", _TEXT), ("source", _TEXT), ("at_begin", pa.bool_()), ("text", _TEXT), ("pattern", _TEXT)])


def mappings(config: Config, points: Mapping[str, Sequence[RecoveryPoint]]) -> pa.Table:
    """Where each volume's paths lie on each that may protect it, see MAPPINGS. What no recovery point holds anything of is not mapped."""
    rows = []
    for volume, copy_volume in _pairs(config):
        path_map = config.volumes[copy_volume].path_map
        for source, target in path_map.items():
            asset, _, folder = target.partition(":")
            if asset == volume and recovery.holds(points.get(copy_volume, ()), source):
                rows.append({"volume": volume, "folder": _folder(folder), "copy_volume": copy_volume, "copy_folder": _folder(source)})
        if not path_map:
            rows.append({"volume": volume, "folder": "", "copy_volume": copy_volume, "copy_folder": ""})
    return pa.Table.from_pylist(rows, MAPPINGS)


def omissions(config: Config, points: Mapping[str, Sequence[RecoveryPoint]]) -> pa.Table:
    """What each volume leaves out of each that it may protect, see OMISSIONS."""
    rows = []
    for volume, copy_volume in _pairs(config):
        pair = {"volume": volume, "copy_volume": copy_volume}
        for at_begin, text in recovery.left_out(config, volume, copy_volume, points.get(copy_volume, ())):
            rows.append(pair | {"source": "backup", "at_begin": at_begin, "text": text, "pattern": _written(at_begin, text)})
        for pattern in config.volumes[copy_volume].exclude:
            rows.append(pair | {"source": "configuration", "at_begin": False, "text": f"^{glob.regex([pattern])}$", "pattern": pattern})
    return pa.Table.from_pylist(rows, OMISSIONS)


def _pairs(config: Config) -> list[tuple[str, str]]:
    homes = [name for name, volume in config.volumes.items() if volume.role in ("primary", "archive")]
    return [(name, near) for name in homes for near in domains.protectors(config, name)]


def _folder(path: str) -> str:
    return path.strip("/") + "/" if path.strip("/") else ""


def _written(at_begin: bool, text: str) -> str:
    """A pattern that is understood as a text: what `text` looks for, as one would write it."""
    ends_open = not text.endswith("/")
    core = text.rstrip("/") + ("*" if ends_open else "")
    if at_begin:
        return core
    return core.removeprefix("/") if text.startswith("/") else f"*{core}"
