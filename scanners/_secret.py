"""The password of a volume, from the file or the command that its configuration names."""

import shlex
import subprocess
from pathlib import Path

from catalog.errors import UnreachableError
from scanners import Settings

_COMMAND_SECONDS = 60
_MOST_BYTES = 4096


def read(settings: Settings, command: str | None) -> bytes:
    """What the volume's `password_file` holds, else what `command` prints. Raises UnreachableError, which tells nothing of it."""
    try:
        if settings.password_file:
            found = Path(settings.password_file).read_bytes()
        else:
            found = subprocess.run(  # noqa: S603 - it is what the configuration asks for
                shlex.split(command or ""), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_COMMAND_SECONDS, check=True
            ).stdout
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        found = b""
    if not found.strip(b"\n") or len(found) > _MOST_BYTES:
        raise UnreachableError(f"volume {settings.volume}: its password could not be got: look at password_file or password_command") from None
    return found
