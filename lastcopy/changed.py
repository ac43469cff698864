"""The list of what changed that a scan is given."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.config import Config
from catalog.errors import ConfigError, NotFoundError, RefusedError

if TYPE_CHECKING:
    from lastcopy.scanning import Wish
    from scanners.change_lists import Changes


def listed(config: Config, wish: "Wish") -> "Changes":
    """What a scan of one volume is told has changed there. Raises RefusedError, ConfigError, NotFoundError."""
    from scanners import change_lists

    if len(wish.volumes) != 1:
        raise ConfigError("--changes is of one volume: name it")
    if wish.resume or wish.accept_losses or wish.engine != "local":
        raise ConfigError("--changes goes with neither --resume, --accept-losses nor --engine: leave it out, and scan the volume as a whole")
    volume = wish.volumes[0]
    if volume not in config.volumes:
        raise NotFoundError(f"there is no volume {volume!r}; volumes are {', '.join(config.volumes) or 'none'}")
    place = config.place(volume)
    if place is None:
        raise RefusedError(f"volume {volume}: it is no folder of this machine, and lists of changes are of such; scan it as a whole")
    if wish.changes == "-":
        return change_lists.read(sys.stdin.buffer, wish.changes_form, place)
    try:
        with Path(str(wish.changes)).open("rb") as file:
            return change_lists.read(file, wish.changes_form, place)
    except FileNotFoundError as error:
        raise NotFoundError(f"{wish.changes}: there is no such file; it must be the list of what changed") from error
    except OSError as error:
        raise ConfigError(f"{wish.changes}: {error.strerror}; it must be the list of what changed") from error
