"""The program `restic`, read-only: started with the repository and its password in the environment, ended with us, and never waited for without end."""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from catalog import names, printable
from catalog.errors import UnreachableError
from scanners import Settings

_SILENT_SECONDS = 600.0  # without a sign of life
_PIECE_BYTES = 1 << 20
_ERRORS_BYTES = 64 * 1024  # the end of what it complains of
_MOST_BYTES = 1 << 30  # of an answer that is kept whole
_TOLD_LETTERS = 300
_SECRETS = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND")
# It collects its garbage at half of what it holds, not at as much again. Its output and its times must not depend on where it runs.
_ALWAYS = {"GOGC": "50", "GOMAXPROCS": "2", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
# The kernel ends it when we end, however we do (PR_SET_PDEATHSIG survives execve).
_BOUND = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); os.getppid() == int(sys.argv[1]) or os._exit(1); os.execv(sys.argv[2], sys.argv[2:])"

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


class RunError(Exception):
    """A run of the program that did not end with 0; the text says why, without a secret."""


class Restic:
    """Asks one repository. One process at a time; all that it does to the repository is reading, without a lock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._location = settings.location.removeprefix("restic:")

    def whole(self, *words: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The JSON that a command answers with. Raises RunError, UnreachableError."""
        answer = bytearray()
        with self.blocks(*words) as blocks:
            for block in blocks:
                answer += block
                if len(answer) > _MOST_BYTES:
                    raise RunError(f"restic {words[0]}: an answer of more than {_MOST_BYTES} bytes")
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise RunError(f"restic {words[0]}: its answer cannot be read") from error

    @contextmanager
    def blocks(self, *words: str) -> Iterator[Iterator[bytes]]:
        """What a command says, as it comes; the iteration ends by RunError unless the program ended with 0. The process is gone when the block ends."""
        program = shutil.which("restic")
        if program is None:
            raise UnreachableError(f"volume {self._settings.volume}: the program restic is not installed, or not in $PATH")
        command = [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), program, "--no-lock", "--no-cache", *words]
        process = subprocess.Popen(  # noqa: S603 - no shell, and no word of a command is the repository's but hexadecimal ids
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self._environment(), process_group=0
        )
        try:
            yield self._heard(process, words[0])
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()

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

    def _heard(self, process: "subprocess.Popen[bytes]", what: str) -> Iterator[bytes]:
        """Blocks of standard output until its end."""
        complaints = bytearray()
        streams: list[IO[bytes]] = [stream for stream in (process.stdout, process.stderr) if stream]
        with selectors.DefaultSelector() as selector:
            for stream in streams:
                selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(_SILENT_SECONDS)
                if not ready:
                    raise RunError(f"restic {what}: nothing was heard of it for {_SILENT_SECONDS:g} seconds, so it was ended")
                for key, _ in ready:
                    piece = os.read(key.fd, _PIECE_BYTES)
                    if not piece:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is process.stdout:
                        yield piece
                    else:
                        complaints = (complaints + piece)[-_ERRORS_BYTES:]
        try:
            code = process.wait(_SILENT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise RunError(f"restic {what}: it closed its output and did not end") from error
        if code:
            raise RunError(f"restic {what}: {_why(code, bytes(complaints))}")


def _why(code: int, complaints: bytes) -> str:
    """What a run that failed says of itself. Only lines that are restic's own: what a password command prints is not repeated."""
    lines = [found for line in complaints.split(b"\n") if (found := _own(line))]
    last = lines[-1][:_TOLD_LETTERS] if lines else ""
    said = complaints.decode("utf-8", "replace").lower()
    otherwise = f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"
    meaning = next((found for marks, number, found in _MEANINGS if code == number or any(mark in said for mark in marks)), otherwise)
    return f"{meaning} ({printable.clean(last)})" if last else meaning


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
