"""A host that the URL of a volume names: its address, the password for it, and the error of its volume."""

from collections.abc import Callable
from typing import Generic, TypeVar

from catalog.errors import UnreachableError
from scanners import Settings, _secret

A = TypeVar("A")


class OtherHost(Generic[A]):
    """What connections to hosts share."""

    def __init__(self, settings: Settings, address: Callable[[str], A]) -> None:
        """`address` reads a URL, and raises ValueError for one that is none; then UnreachableError."""
        self._settings = settings
        try:
            self.address = address(settings.location)
        except ValueError as error:
            raise self.unreachable(f"its url: {error}") from error

    def unreachable(self, why: str) -> UnreachableError:
        """The error of this volume."""
        return UnreachableError(f"volume {self._settings.volume}: {why}")

    def _password(self) -> str | None:
        """The password that the configuration leads to; None = it leads to none. Raises UnreachableError."""
        settings = self._settings
        if not settings.password_file and not settings.password_command:
            return None
        return _secret.read(settings, settings.password_command).decode(errors="surrogateescape").rstrip("\r\n")
