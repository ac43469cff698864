"""The program `borg`, read-only: without a lock, and with the kernel's word that it writes to no repository."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from catalog import names
from catalog.errors import UnreachableError
from scanners import Settings, _borg_contents, _borg_inside, _bound, _program, _secret
from scanners._program import Run, RunError

_LINK = "repository"
_EXACT = {"PYTHONIOENCODING": "unicode_escape"}  # for names of files, see `_items`
_COMMAND_SECONDS = 600.0
_OWN_PLACES = ("BORG_CACHE_DIR", "BORG_CONFIG_DIR", "BORG_SECURITY_DIR", "BORG_REPO", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
_SECRETS = ("BORG_PASSPHRASE", "BORG_PASSCOMMAND", "BORG_PASSPHRASE_FD")
# Its output and its times must not depend on where it runs, and it must ask nobody.
_ALWAYS = {
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "BORG_EXIT_CODES": "modern",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
}
_REMOTE = "a repository on another host is not read, as nothing keeps borg from writing there: mount it here, best read-only, or scan it on its own host"
_WRITABLE = (
    "this kernel has no Landlock, which keeps borg from repairing what it reads, and the repository can be written to from here: mount it read-only, or scan "
    "it as a user who may only read it"
)
# What it says of an error, and what that means here. Of several the first holds.
_MEANINGS = (
    (("passphrasewrong",), "the passphrase is wrong"),
    (
        ("nopassphrasefailure", "passcommandfailure", "passwordretriesexceeded", "passphrase", "getpass"),
        "its passphrase could not be got: look at password_file or password_command of the volume, or BORG_PASSCOMMAND",
    ),
    (("keyfilenotfounderror", "repokeynotfounderror"), "there is no key for it: look at BORG_KEYS_DIR and BORG_KEY_FILE"),
    (("repository.doesnotexist", "repository.invalidrepository", "pathalreadyexists"), "there is no repository"),
    (("locktimeout", "lockfailed"), "the repository is locked"),
    (("usage: borg",), "this borg is of a version that is not known; 1.2 and 1.4 are"),
    (
        ("permission denied", "read-only file system"),
        "borg was refused a file: it may not be read from here, or the repository has a transaction that is not finished (a backup is just being stored, or "
        "was cut off), which it would end by writing; scan it later",
    ),
    (
        ("integrityerror", "objectnotfound", "checkneeded", "no such file or directory", "tamrequired", "crc", "unpackvalueerror", "msgpack", "keyerror"),
        "the repository is damaged",
    ),
)


class UnknownError(RunError):
    """Borg's own code is of a form that is not known here, or cannot be run."""


class Borg:
    """Asks one repository on this host. One process at a time; nothing that a process keeps of a repository outlives it, so that replicas never mix."""

    def __init__(self, settings: Settings, room: Path | None = None) -> None:
        """`room`: a folder for what processes keep of the repository while they run; None = that of the system."""
        self._settings, self._room = settings, room
        self._location = Path(settings.location)

    def whole(self, *words: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The JSON that a command on the repository answers with. Raises RunError, UnreachableError."""
        return _program.answer(f"borg {words[0]}", self.blocks(*words))

    @contextmanager
    def blocks(self, *words: str, archive: str | None = None, of: Sequence[str] = ()) -> Iterator[Iterator[bytes]]:
        """What a command says of the repository, or of an archive in it, or of what patterns choose `of` it. Raises UnreachableError."""
        place = f"./{_LINK}" if archive is None else f"./{_LINK}::{archive.replace('{', '{{').replace('}', '}}')}"
        command = [self._program(), "--log-json", "--bypass-lock", *words, "--", place, *of]
        with self._running(f"borg {words[0]}", command, _EXACT if archive is not None and not of else {}) as (found, _):
            yield found

    @contextmanager
    def inside(self, wanted: Sequence[str], suspects: Iterable[str] = ()) -> Iterator[tuple[Iterator[bytes], Callable[[], Any]]]:
        """What `_borg_inside` says of archives, and what gives, after its end, the groups of each. Raises UnknownError where borg has no Python to run it."""
        python = _python(Path(self._program()))
        if python is None:
            raise UnknownError("borg is not run by a Python of its own")
        with self._running("borg's code", [*python, _borg_inside.__file__], {}, {"wanted": "\n".join(wanted), "suspects": "\n".join(suspects)}) as (
            found,
            folder,
        ):
            yield found, lambda: _held(folder / "held")

    @contextmanager
    def contents(self, wanted: Sequence[str]) -> Iterator[tuple[Iterator[bytes], BinaryIO]]:
        """What `_borg_contents` says of versions of files in archives, and where it is asked. Raises UnknownError where borg has no Python to run it."""
        python = _python(Path(self._program()))
        if python is None:
            raise UnknownError("borg is not run by a Python of its own")
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb"), os.fdopen(writing, "wb", 0) as asked:
            command = [*python, _borg_contents.__file__, str(reading)]
            with self._running("borg's code", command, {}, {"wanted": "\n".join(wanted)}, (reading,)) as (found, _):
                yield found, asked

    @property
    def can_look_inside(self) -> bool:
        """Whether borg is run by a Python that can run its code for us."""
        return _python(Path(self._program())) is not None

    @contextmanager
    def _running(
        self,
        what: str,
        command: Sequence[str],
        env: Mapping[str, str],
        files: Mapping[str, str] = MappingProxyType({}),
        descriptors: tuple[int, ...] = (),
    ) -> Iterator[tuple[Iterator[bytes], Path]]:
        """What a program says in a folder of its own, with `files`, and a link to the repository: so no path has a meaning of its own to borg."""
        self._refuse()
        with tempfile.TemporaryDirectory(prefix="lastcopy-borg-", dir=self._room) as name:
            folder = Path(name)
            os.symlink(self._location, folder / _LINK)
            for file, text in files.items():
                (folder / file).write_text(text, "ascii")
            with self._passphrase() as (secret, passed):
                run = Run(what, command, self._environment(folder) | secret | dict(env), _why, folder, passed + descriptors)
                with _program.blocks(run) as found:
                    yield found, folder

    def _program(self) -> str:
        program = shutil.which("borg")
        if program is None:
            raise UnreachableError(f"volume {self._settings.volume}: the program borg is not installed, or not in $PATH")
        return program

    def _refuse(self) -> None:
        """Raises UnreachableError for what is elsewhere, or could be written to."""
        volume = self._settings.volume
        if not self._location.is_absolute():
            raise UnreachableError(f"volume {volume}: {_REMOTE}")
        if not _bound.landlock() and _is_writable(self._location):
            raise UnreachableError(f"volume {volume}: {_WRITABLE}")

    def _environment(self, folder: Path) -> dict[str, str]:
        kept = dict(os.environ)
        keys = _keys(kept)
        for name in (*_OWN_PLACES, *_SECRETS[1:], *(_SECRETS if self._has_password else ())):
            kept.pop(name, None)
        given = {"BORG_BASE_DIR": str(folder), "TMPDIR": str(folder)}
        if keys.is_dir():
            given["BORG_KEYS_DIR"] = str(keys)
        return kept | _ALWAYS | given

    @property
    def _has_password(self) -> bool:
        return bool(self._settings.password_file or self._settings.password_command or os.environ.get("BORG_PASSCOMMAND"))

    @contextmanager
    def _passphrase(self) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
        """What the environment says of a passphrase, and the descriptor that it is read from: it is in no argument and no environment."""
        if not self._has_password:
            yield {}, ()
            return
        reading, writing = os.pipe()
        try:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(_secret.read(self._settings, self._settings.password_command or os.environ.get("BORG_PASSCOMMAND")))
            yield {"BORG_PASSPHRASE_FD": str(reading)}, (reading,)
        finally:
            os.close(reading)


def _python(program: Path) -> list[str] | None:
    """The interpreter that runs a program, by the program's first line; None if that names no Python."""
    with program.open("rb") as file:
        first = file.readline(4096)
    words = os.fsdecode(first.removeprefix(b"#!")).split() if first.startswith(b"#!") else []
    if words and Path(words[0]).name == "env":
        words = [shutil.which(words[-1]) or ""]
    return words if words and Path(words[0]).name.startswith(("python", "pypy")) else None


def _held(file: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RunError("borg's code: it did not tell what archives have") from error


def _is_writable(repository: Path) -> bool:
    """Whether files of a repository can be made or removed by who runs this."""
    data = repository / "data"
    return any(os.access(folder, os.W_OK) for folder in (repository, data, *(data.iterdir() if data.is_dir() else ())))


def _keys(env: Mapping[str, str]) -> Path:
    """Where borg looks for keys that lie in files, as its documentation says."""
    if keys := env.get("BORG_KEYS_DIR"):
        return Path(keys)
    if config := env.get("BORG_CONFIG_DIR"):
        return Path(config) / "keys"
    base = env.get("BORG_BASE_DIR")
    home = Path(base) / ".config" if base else Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME") or "~").expanduser() / ".config")
    return home / "borg" / "keys"


def _why(code: int, complaints: bytes) -> tuple[str, str]:
    """What a run that failed says of itself: the last message of borg's own, without what follows its first line."""
    said, marks = "", complaints.decode("utf-8", "replace").lower()
    for line in complaints.split(b"\n"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found.get("type") == "log_message" and isinstance(found.get("message"), str):
            said = found["message"] if found.get("levelname") in ("ERROR", "CRITICAL") or not said else said
    meaning = next((found for known, found in _MEANINGS if any(mark in marks for mark in known)), "")
    return meaning, names.escape((said.strip().splitlines() or [""])[0].encode("utf-8", "surrogatepass"))
