"""What a person may see of the estate: whole volumes, and folders of volumes. The one place where that is decided: everything reads through views cut to it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from catalog.errors import ConfigError

_VOLUME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Sight:
    """Parts of the estate: 'VOLUME', or 'VOLUME:FOLDER/' in the escaped form of names. No part: nothing. Who sees everything has no Sight."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.parts)

    @classmethod
    def of(cls, parts: Iterable[str]) -> "Sight":
        """The sight of parts as somebody wrote them; what lies within another part is left out. Raises ConfigError."""
        written = sorted({_part(text) for text in parts})
        return cls(tuple(part for part in written if not any(part != other and _holds(other, part) for other in written)))

    @classmethod
    def parse(cls, text: str) -> "Sight | None":
        """What `str` gave; None, which is everything, of ''."""
        return cls(tuple(text.split("\n"))) if text else None

    @property
    def whole(self) -> tuple[str, ...]:
        """The volumes that are seen as a whole."""
        return tuple(part for part in self.parts if ":" not in part)

    @property
    def cut(self) -> tuple[str, ...]:
        """The volumes of which a part is seen."""
        return tuple(dict.fromkeys(part.partition(":")[0] for part in self.parts if ":" in part))

    @property
    def volumes(self) -> tuple[str, ...]:
        """The volumes of which anything is seen."""
        return (*self.whole, *self.cut)

    def files(self, volume: str = "volume", folder: str = "dir") -> str:
        """The SQL condition on the columns of a file's volume and folder."""
        return self._condition(volume, lambda inside: f"starts_with({folder}, {inside})")

    def folders(self, volume: str = "volume", key: str = '"key"') -> str:
        """The SQL condition on a folder, written with its slash."""
        return self._condition(volume, lambda inside: f"starts_with({key}, {inside})")

    def around(self, volume: str = "volume", folder: str = "folder") -> str:
        """The SQL condition on a folder, written with its slash: what lies within a part, or holds one."""
        return self._condition(volume, lambda inside: f"(starts_with({folder}, {inside}) OR starts_with({inside}, {folder}))")

    def problems(self) -> str:
        """The SQL condition on a problem, whose folder is written without its slash: what hides a part is seen with it."""
        return self._condition("volume", lambda inside: f"(starts_with(concat(path, '/'), {inside}) OR starts_with({inside}, concat(path, '/')) OR path = '')")

    def _condition(self, volume: str, within: Callable[[str], str]) -> str:
        found = [f"{volume} IN ({', '.join(map(_quoted, self.whole))})"] if self.whole else []
        for part in self.parts:
            name, colon, folder = part.partition(":")
            if colon:
                found.append(f"({volume} = {_quoted(name)} AND {within(_quoted(folder))})")
        return f"({' OR '.join(found)})" if found else "FALSE"


def listed(names: Iterable[str]) -> str:
    """Names as a list of SQL texts; of none the empty name, which nothing has."""
    return ", ".join(map(_quoted, names)) or "''"


def _part(text: str) -> str:
    volume, colon, folder = text.partition(":")
    if not _VOLUME.fullmatch(volume):
        raise ConfigError(f"{text!r}: write VOLUME or VOLUME:FOLDER, as in 'projects' or 'projects:finance/2026'")
    folder = folder.strip("/")
    if any(step in ("", ".", "..") for step in folder.split("/")) and folder:
        raise ConfigError(f"{text!r}: a folder is written as reports write it, without '.', '..' and empty names")
    return f"{volume}:{folder}/" if colon and folder else volume


def _holds(wide: str, narrow: str) -> bool:
    return narrow.partition(":")[0] == wide if ":" not in wide else narrow.startswith(wide)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
