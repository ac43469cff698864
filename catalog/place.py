"""Where a catalog lies: in a folder of this host, or on an object store, of which a folder of this host is then the mirror."""

import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.durable import sync
from catalog.errors import ConfigError

if TYPE_CHECKING:
    from catalog.config import Config

_SCHEME = "s3://"
_MARK = "mirror-of.json"
_mirrors: "dict[Path, Place]" = {}


@dataclass(frozen=True)
class Place:
    """Where a bucket is that holds a catalog, and where its credentials are: no secrets. What `store.Settings` asks for."""

    location: str
    endpoint: str | None
    endpoint_region: str | None
    profile: str | None
    credentials_file: str | None
    credentials_command: str | None
    metadata_server: bool
    volume: str = "catalog"


def is_url(path: str) -> bool:
    """Whether a `[catalog] path` names an object store."""
    return path.startswith(_SCHEME)


def root_of(config: "Config") -> Path:
    """The folder of a configuration's catalog; of one on an object store its mirror, which is made. Raises ConfigError."""
    return _settle(config) if is_url(config.catalog.path) else config.folder / config.catalog.path


def of(root: Path) -> Place | None:
    """The place whose mirror a folder is; None where the folder is the catalog. Raises ConfigError for a mirror whose configuration was not read."""
    found = _mirrors.get(root)
    if found is None:
        _refuse_a_mirror(root)
    return found


@functools.lru_cache(maxsize=64)
def _refuse_a_mirror(root: Path) -> None:
    """What is put into a mirror would never come to its store, and what is read there is of some day."""
    told = _told(root / _MARK)
    if told is not None:
        raise ConfigError(f"{root}: is only what this host has of the catalog {told['url']}; set that as [catalog] path, or give it as --catalog")


def _settle(config: "Config") -> Path:
    declared, folder = config.catalog, config.folder.absolute()
    if not re.fullmatch(r"s3://[^/?#]+(/[A-Za-z0-9._/-]*)?", declared.path) or any(part in (".", "..") for part in declared.path.split("/")):
        raise ConfigError(f"[catalog] path {declared.path!r}: is no s3://BUCKET/PREFIX of letters, digits, '.', '_' and '-'")
    place = Place(
        location=re.sub(r"(?<!:)/+", "/", declared.path).rstrip("/"),
        endpoint=declared.endpoint,
        endpoint_region=declared.endpoint_region,
        profile=declared.profile,
        credentials_file=str(folder / Path(declared.credentials_file).expanduser()) if declared.credentials_file else None,
        credentials_command=declared.credentials_command,
        metadata_server=declared.metadata_server,
    )
    root = folder / Path(declared.mirror).expanduser() if declared.mirror else _usual_mirror(place)
    told = {"url": place.location, "endpoint": place.endpoint}
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = _told(root / _MARK)
    if known is None:
        if any(not entry.name.startswith(_MARK) for entry in root.iterdir()):  # another process may be about to write its mark
            raise ConfigError(f"[catalog] mirror {root}: holds something else; name a folder that is empty, or not there")
        new = root / f"{_MARK}~{os.getpid()}"
        new.write_text(json.dumps(told), "utf-8")
        sync(new)
        new.replace(root / _MARK)
        sync(root)
    elif known != told:
        raise ConfigError(f"[catalog] mirror {root}: is that of another catalog, {known['url']} at {known['endpoint'] or 'Amazon'}; name another folder")
    _mirrors[root] = place
    return root


def _usual_mirror(place: Place) -> Path:
    import hashlib

    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    name = hashlib.sha256(f"{place.endpoint or ''} {place.location}".encode()).hexdigest()[:16]
    return state.absolute() / "lastcopy" / "catalogs" / name


def _told(mark: Path) -> "dict[str, str | None] | None":
    """What the mark of a mirror says; None where there is none. Raises ConfigError."""
    try:
        found = json.loads(mark.read_text("utf-8"))
        return {"url": found["url"], "endpoint": found["endpoint"]}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{mark}: cannot be read ({error.strerror}); it says of which catalog this folder is a mirror") from error
    except (ValueError, KeyError, TypeError) as error:
        what = "does not say of which catalog this folder is a mirror"
        raise ConfigError(f"{mark}: {what}; remove it all while nothing runs and no scan or plan waits: it is fetched again") from error
