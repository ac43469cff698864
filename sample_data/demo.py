"""The sample estate in a folder, with the configuration that describes it."""

import hashlib
import itertools
import shutil
import stat
import time
from pathlib import Path

from catalog.errors import RefusedError
from sample_data import estate

CONFIGURATION = Path(__file__).with_name("lastcopy.toml")
MARKER = ".lastcopy-demo"


def build(folder: Path, built_at: float | None = None) -> Path:
    """Build the estate in `folder` and write its lastcopy.toml, whose path is given. Ages count from `built_at` (seconds since 1970; None = now).

    A demo that was built there before is removed with its catalog, but a configuration that was edited since is kept under another name.
    Raises RefusedError if the folder holds anything else.
    """
    folder = folder.absolute()
    _clear(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = hashlib.sha256(CONFIGURATION.read_bytes()).hexdigest()
    (folder / MARKER).write_text(f"lastcopy demo built this folder, and may remove what it built\nlastcopy.toml {written}\n")
    estate.build(folder / "estate", estate.rows(), time.time() if built_at is None else built_at)
    return Path(shutil.copyfile(CONFIGURATION, folder / "lastcopy.toml"))


def set_aside(folder: Path) -> Path | None:
    """Rename a demo's lastcopy.toml that somebody edited, so that it is not replaced; gives its new path, None where there was none."""
    path, marker = folder / "lastcopy.toml", folder / MARKER
    if not path.is_file() or not marker.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() in marker.read_text("utf-8", "replace"):
        return None
    number = next(number for number in itertools.count(1) if not (folder / f"lastcopy.toml.edited-{number}").exists())
    return path.rename(folder / f"lastcopy.toml.edited-{number}")


def remove(folder: Path) -> None:
    """Remove what `build` made in a folder, and the catalog beside it; other files there stay."""
    for row in estate.rows():
        directory = folder / "estate" / row.volume / row.path
        if row.type == "unreadable" and _is_directory(directory):
            directory.chmod(0o700)
    for name in ("estate", "catalog"):
        if _is_directory(folder / name):
            shutil.rmtree(folder / name)
    for name in ("lastcopy.toml", MARKER):
        (folder / name).unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / MARKER).is_file():
        raise RefusedError(f"{folder}: is not empty and was not built by 'lastcopy demo'; name a new folder")
    set_aside(folder)
    remove(folder)


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False
