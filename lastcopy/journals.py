"""The journal of a configuration, for commands that only look into it."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from catalog import place
from catalog.errors import LastcopyError
from lastcopy import settings

if TYPE_CHECKING:
    from catalog.config import Config
    from lifecycle.journal import Journal


@contextmanager
def existing(config: "Config") -> "Iterator[Journal | None]":
    """The open journal, None where there is none yet. Makes nothing. Raises RefusedError on another host."""
    from catalog.errors import NotFoundError
    from lifecycle.journal import Journal

    try:
        journal = Journal.open(config, settings.root_of(config), create=False)
    except NotFoundError:
        yield None
        return
    with journal:
        yield journal


def taken(config: "Config", volume: str, since: datetime.datetime) -> int:
    """How many names of a volume jobs took away since a time, naive UTC. A journal that is missing or another's says of none."""
    root = settings.root_of(config)
    if not place.of(root) and not (root / "journal.json").exists():
        return 0
    since_us = (since - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
    try:
        with existing(config) as journal:
            return journal.taken_since(volume, since_us) if journal else 0
    except (LastcopyError, OSError):
        return 0
