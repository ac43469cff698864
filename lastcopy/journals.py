"""The journal of a configuration, for commands that only look into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
