"""What the configuration does not hold itself: it says which file, command or variable does."""

import os
import subprocess
from pathlib import Path

from catalog.errors import ConfigError

_SECONDS = 30  # for a command


def read(folder: Path, what: str, file: str | None, command: str | None, variable: str | None) -> str:
    """The secret that one of the three leads to, without the space around it. `what` names it in errors. May run a command. Raises ConfigError."""
    try:
        if file is not None:
            return (folder / file).read_text("utf-8").strip()
        if command is not None:
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, timeout=_SECONDS, cwd=folder)  # noqa: S602  # the configuration's own command
            return done.stdout.strip()
        return os.environ[str(variable)].strip()
    except KeyError as error:
        raise ConfigError(f"{what} cannot be had: there is no variable {variable} in the environment") from error
    except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:  # its text may hold the secret
        raise ConfigError(f"{what} cannot be had: {type(error).__name__}") from error
