"""Storages that are known by a marker, read and written by a protocol of their own."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, suppress
from typing import ClassVar

from catalog import names
from catalog.config import Config
from catalog.errors import LastcopyError, RefusedError
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, Identity
from lifecycle.stores._home import Marker


class Marked(ABC):
    """What `stores.Store` says of markers and of preparing a volume."""

    waits: ClassVar[bool] = True

    def __init__(self, config: Config, volume: str) -> None:
        """Asks nobody yet."""
        self._config, self._volume = config, volume
        self._capabilities: Capabilities | None = None
        self._identified = False

    @property
    def capabilities(self) -> Capabilities | None:
        """What the canaries found; None = never prepared, or prepared as another volume, elsewhere, or when other things held. Raises UnreachableError."""
        if not self._identified:
            self.identify()
        return self._capabilities

    def identify(self) -> Identity:
        """Look at the marker. Only reads. Raises UnreachableError."""
        marker, fs_id = self._marker(), self._fs_id
        mine = marker if marker is not None and marker.volume == self._volume and marker.fs_id == fs_id else None
        self._capabilities = self._standing(mine.capabilities) if mine and mine.capabilities else None
        self._identified = True
        return Identity(mine.id if mine else None, self._fs_id_of_files, writable=True)

    def prepare(self, marker: str, *, at_us: int, take_over: bool = False) -> Capabilities:
        """Write the marker and try the canaries; see `stores.Store`. Writes. Raises RefusedError, UnreachableError, EndError."""
        self._refuse_twins()
        was, fs_id = self._marker(), self._fs_id
        if was is not None and not take_over and (was.volume != self._volume or was.fs_id != fs_id or (was.id != marker and was.capabilities)):
            told = f"has the marker of volume {names.escape(was.volume.encode())!r}, made by another catalog or for another place, whose jobs may work on it"
            raise RefusedError(f"volume {self._volume}: {told}; if that is gone for good, say --take-over")
        with self._preparing():
            self._make_home(known=was is not None)
            self._write_marker(Marker(self._volume, marker, fs_id, None, at_us, was.capabilities if was and was.id == marker else None))
            found = self._find_out()
            self._write_marker(Marker(self._volume, marker, fs_id, None, at_us, found))
        self._capabilities, self._identified = self._standing(found), True
        return found

    def device(self) -> str | None:
        """Never known: what disks it is on such a storage does not tell. Declare `device`."""
        return None

    @abstractmethod
    def shown(self, path: bytes) -> str:
        """The volume and the path, escaped."""

    @property
    @abstractmethod
    def _fs_id(self) -> str:
        """Which place this is, as scans tell it. Raises UnreachableError."""

    @property
    def _fs_id_of_files(self) -> str:
        """What files of this place are told apart by, as scans tell it. Raises UnreachableError."""
        return self._fs_id

    @abstractmethod
    def _marker(self) -> Marker | None:
        """The marker that is there, whoever's; None = none that can be read. Raises UnreachableError."""

    @abstractmethod
    def _write_marker(self, marker: Marker) -> None:
        """Put the marker in its place. Writes."""

    @abstractmethod
    def _preparing(self) -> AbstractContextManager[None]:
        """Turns what goes wrong in a preparation into EndError, UnreachableError."""

    @abstractmethod
    def _find_out(self) -> Capabilities:
        """Try the canaries. Writes."""

    @abstractmethod
    def _place_of(self, volume: str) -> object:
        """Where a volume of this kind is, equal for what is one place. Raises LastcopyError where that cannot be told."""

    @abstractmethod
    def _make_home(self, *, known: bool) -> None:
        """Make what the marker lies in, if it needs anything. `known`: a marker is there. Writes. Raises EndError REFUSED where it is not ours."""

    def _standing(self, able: Capabilities) -> Capabilities | None:
        """What the canaries found, if it still holds. Only reads. Raises UnreachableError."""
        return able

    def _able(self, path: bytes) -> Capabilities:
        """What the storage can do, for a step that writes. Raises EndError REFUSED where nobody knows; UnreachableError."""
        if self.capabilities is None:
            raise EndError("REFUSED", f"{self.shown(path)}: the volume is not prepared; 'lastcopy volume prepare {self._volume}' does it")
        return self.capabilities

    def _refuse_twins(self) -> None:
        """Raises RefusedError where another volume of the configuration is the same place."""
        here, kind = self._place_of(self._volume), self._config.volumes[self._volume].kind
        for name, declared in self._config.volumes.items():
            found = None
            if name != self._volume and declared.kind == kind:
                with suppress(LastcopyError):  # one that is away, or declared wrongly, is none
                    found = self._place_of(name)
            if found == here:
                raise RefusedError(f"volume {self._volume}: is the same storage as volume {name}; declare it once, or two copies would be one")
