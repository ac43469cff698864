"""The program `restic`, read-only: started with the repository and its password in the environment."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from catalog import names
from catalog.errors import UnreachableError
from scanners import Settings, _program
from scanners._program import Run

_SECRETS = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND")
# It collects its garbage at half of what it holds, not at as much again. Its output and its times must not depend on where it runs.
_ALWAYS = {"GOGC": "50", "GOMAXPROCS": "2", "TZ": "UTC", "LC_ALL": "C.UTF-8"}

# What it says of an error (0.14 in words, later also by its exit code), and what that means here. Of several the first holds.
_MEANINGS = (
    (("wrong password", "no key found"), 12, "the password is wrong, or is not one of this repository"),
    (
        ("resolving password failed", "empty password", "password cannot be read"),
        None,
        "its password could not be got: look at password_file or password_command",
    ),
    (("unsupported repository version", "unsupported repository format"), None, "the repository is of a version that this restic does not know"),
    (("unable to open config file", "repository does not exist", "is there a repository"), 10, "there is no repository"),
    (("already locked", "unable to create lock"), 11, "the repository is locked"),
    (
        ("ciphertext verification failed", "invalid data returned", "load(<", "not found in index", "invalid id", "unexpected eof"),
        None,
        "the repository is damaged",
    ),
)

_MASTER_KEYS: dict[tuple[object, ...], Any] = {}  # of this process: to make one of a password is slow on purpose


class Restic:
    """Asks one repository. One process at a time; all that it does to the repository is reading, without a lock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._location = settings.location.removeprefix("restic:")

    def whole(self, *words: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The JSON that a command answers with. Raises RunError, UnreachableError."""
        return _program.answer(f"restic {words[0]}", self.blocks(*words))

    def master_key(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """What opens the files of a repository on this host. Asked for once, as long as what tells it stays as it is. Raises RunError, UnreachableError."""
        environment = self._environment()
        files = [Path(self._location, "config"), *sorted(Path(self._location, "keys").glob("*"))]
        if "RESTIC_PASSWORD_FILE" in environment:
            files.append(Path(environment["RESTIC_PASSWORD_FILE"]))
        told = (*environment.items(), *map(_state, files))
        if told not in _MASTER_KEYS:
            _MASTER_KEYS[told] = self.whole("cat", "masterkey")
        return _MASTER_KEYS[told]

    def blocks(self, *words: str) -> AbstractContextManager[Iterator[bytes]]:
        """What a command says, see `_program.blocks`; no word of a command is the repository's but hexadecimal ids. Raises UnreachableError."""
        program = shutil.which("restic")
        if program is None:
            raise UnreachableError(f"volume {self._settings.volume}: the program restic is not installed, or not in $PATH")
        return _program.blocks(Run(f"restic {words[0]}", [program, "--no-lock", "--no-cache", *words], self._environment(), _why))

    def _environment(self) -> dict[str, str]:
        settings, kept = self._settings, dict(os.environ)
        if settings.password_file or settings.password_command:
            for name in _SECRETS:
                kept.pop(name, None)
        given = {"RESTIC_REPOSITORY": self._location}
        if settings.password_file:
            given["RESTIC_PASSWORD_FILE"] = settings.password_file
        if settings.password_command:
            given["RESTIC_PASSWORD_COMMAND"] = settings.password_command
        kept.pop("RESTIC_REPOSITORY_FILE", None)
        return kept | _ALWAYS | given


def _state(file: Path) -> tuple[object, ...]:
    """What is another where a file is another, or was written to."""
    try:
        found = file.stat()
    except OSError:
        return (file,)
    return file, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _why(code: int, complaints: bytes) -> tuple[str, str]:
    """What a run that failed says of itself. Only lines that are restic's own: what a password command prints is not repeated."""
    lines = [found for line in complaints.split(b"\n") if (found := _own(line))]
    said = complaints.decode("utf-8", "replace").lower()
    meaning = next((found for marks, number, found in _MEANINGS if code == number or any(mark in said for mark in marks)), "")
    return meaning, lines[-1] if lines else ""


def _own(line: bytes) -> str | None:
    """The text of a line of standard error that restic wrote for an error; None for any other."""
    text = names.escape(line.strip())
    if line.startswith(b"{"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return None
        message = found.get("message") if found.get("message_type") in ("exit_error", "error") else None
        return names.escape(message.encode("utf-8", "surrogatepass")) if isinstance(message, str) else None
    return (
        text.removeprefix("Fatal: ") if text.startswith(("Fatal: ", "Resolving password failed", "Is there a repository", "Load(<", "error loading")) else None
    )
