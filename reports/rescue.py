"""The shell command that brings a file back from another one: exactly that file, whatever its name holds. Nothing is run here."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from catalog import names
from catalog.volumes import path_of

_PRINTABLE = re.compile(rb"[ -~]+")
Volume = Mapping[str, Any]  # a row of `volumes`


class Held(Protocol):
    """A file with the content: where it lies, its path escaped."""

    @property
    def volume(self) -> str:
        """Its volume."""

    @property
    def path(self) -> str:
        """Its path there."""


def command(source: Volume, source_path: str, target: Volume, target_path: str) -> str | None:
    """What copies a file from one file tree to another, as text; None where one is no file tree or at a relative place."""
    if any(volume["kind"] != "posix" or not path_of(volume["url"]).startswith("/") for volume in (source, target)):
        return None
    return (
        f"cp --archive --no-clobber --no-target-directory -- {_quoted(_location(source['url'], source_path))} {_quoted(_location(target['url'], target_path))}"
    )


def first(target: Volume, path: str, files: Sequence[Held], volumes: Mapping[str, Volume]) -> tuple[str | None, str | None]:
    """The volume and the command of the first file that one command can copy: none lies in an archive."""
    for one in files:
        if found := command(volumes[one.volume], one.path, target, path):
            return one.volume, found
    return None, None


def anchored(volume: Volume, folder: Path | None) -> Volume:
    """The volume, its relative folder made absolute: a command must mean the same files wherever it is run."""
    return {**volume, "url": str(folder / path_of(volume["url"]))} if folder and volume["kind"] == "posix" else volume


def root(url: str) -> str:
    """The folder of a file tree, without a slash at its end."""
    return path_of(url).rstrip("/")


def _location(url: str, path: str) -> bytes:
    return root(url).encode("utf-8", "surrogateescape") + b"/" + names.unescape(path)


def _quoted(raw: bytes) -> str:
    if _PRINTABLE.fullmatch(raw):
        return shlex.quote(raw.decode())
    # ANSI-C quoting: every byte that is not plain ASCII by its number, so that neither the terminal nor the shell can read it otherwise.
    return "$'" + "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\" else f"\\x{byte:02x}" for byte in raw) + "'"
