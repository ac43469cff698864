"""The root of a volume on a file system, held open: a mount that changes later changes nothing for who reads below it."""

import os

from catalog.errors import UnreachableError
from scanners import Settings


class Rooted:
    """A scanner of what lies at a place of a file system. Opens nothing before the root is asked for."""

    _FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root_descriptor: int | None = None

    @property
    def _root(self) -> int:
        """The root's descriptor. Raises UnreachableError."""
        if self._root_descriptor is None:
            settings = self._settings
            try:
                self._root_descriptor = os.open(settings.location, self._FLAGS)
            except OSError as error:
                raise UnreachableError(f"volume {settings.volume}: {settings.location}: {error.strerror}; is it mounted?") from error
        return self._root_descriptor

    def close(self) -> None:
        """Let go of the root."""
        if self._root_descriptor is not None:
            os.close(self._root_descriptor)
            self._root_descriptor = None
