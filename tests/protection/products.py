"""A folder of files and the repository that restic or borg keep of it: one estate for what must hold of both."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lastcopy.program import ask
from tests.scanners import borgs, repositories

LONG_AGO = 1_600_000_000
DATA = """\
[classes.default]
waive = ["ransomware"]

[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"
"""
NIGHTLY = """
[volumes.{volume}]
url = "{product}:{repository}"
role = "backup"
password_file = "password"
of = ["data"]
path_map = {{ "{data}" = "data:" }}
system = "{volume}"
site = "lyon of {volume}"
admin = "records"
device = "disk of {volume}"
access = "online"
immutability = "none"
keeps_versions = "1y"
"""
# What may not read what it is not allowed to, though a superuser started it.
UNPRIVILEGED = () if os.geteuid() else ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@dataclass(frozen=True)
class Product:
    """A program that makes backups."""

    name: str
    new: Callable[[Path], Path]
    words: tuple[str, ...]  # that begin a backup
    partial: int  # exit code of a backup that could not read everything

    def environment(self, repository: Path) -> dict[str, str]:
        """What it must know of a repository."""
        own = {"RESTIC_REPOSITORY": str(repository), "RESTIC_PASSWORD": repositories.PASSWORD, "GOMAXPROCS": "2"}
        own |= {"BORG_REPO": str(repository), "BORG_PASSPHRASE": borgs.PASSPHRASE, "BORG_BASE_DIR": str(repository.parent / "base")}
        own |= {"BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
        return {**os.environ, **own, "TZ": "UTC"}


RESTIC = Product("restic", repositories.new, ("restic", "--no-cache", "backup", "--quiet"), 3)
BORG = Product("borg", borgs.new, ("borg", "create"), 1)


@dataclass(frozen=True)
class Estate:
    """`folder`/data, and `folder`/repository with its backups."""

    folder: Path
    product: Product

    @property
    def data(self) -> Path:
        """What is backed up."""
        return self.folder / "data"

    @property
    def repository(self) -> Path:
        """Where it is backed up to."""
        return self.folder / "repository"

    def write(self, path: str, content: bytes, at_ns: int = LONG_AGO * 10**9) -> Path:
        """Make a file of the data that was modified at a time."""
        (self.data / path).parent.mkdir(parents=True, exist_ok=True)
        (self.data / path).write_bytes(content)
        os.utime(self.data / path, ns=(at_ns, at_ns))
        return self.data / path

    def back_up(self, name: str, *options: str, before: tuple[str, ...] = (), code: int = 0) -> None:
        """Make a recovery point of all data, in a second of its own: of two in one second nobody could say which is the newer."""
        time.sleep(1.01 - time.time() % 1)
        named = [f"::{name}"] if self.product is BORG else ["--tag", name]
        words = [*before, *self.product.words, *options, *named, str(self.data)]
        done = subprocess.run(words, env=self.product.environment(self.repository), capture_output=True, check=False)
        assert done.returncode == code, done.stderr

    @contextmanager
    def running(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A program at work on the repository, which is killed when the block ends."""
        process = subprocess.Popen(words, env=self.product.environment(self.repository), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def declare(self, more: str = "", **changed: str) -> None:
        """Write the configuration; `more` volumes follow, and lines of the repository's volume are another."""
        text = self.nightly("nightly", "repository")
        for key, value in changed.items():
            [line] = [line for line in text.splitlines() if line.startswith(f"{key} = ")]
            text = text.replace(line, f"{key} = {value}")
        (self.folder / "lastcopy.toml").write_text(DATA + text + more)

    def only_listed_counts(self) -> None:
        """Have what is only listed count, for sizes and times."""
        config = self.folder / "lastcopy.toml"
        config.write_text(config.read_text().replace("waive", "min_verification_level = 0\nwaive"))

    def nightly(self, volume: str, repository: str, product: str = "") -> str:
        """The lines of a volume that is a repository."""
        return NIGHTLY.format(volume=volume, repository=repository, product=product or self.product.name, data=self.data)

    def scan(self, *volumes: str, code: int = 0) -> str:
        """Scan; gives what was said."""
        return ask("scan", *volumes, folder=self.folder, code=code).err

    def assets(self) -> dict[str, dict[str, Any]]:
        """What is said of each asset, by its path."""
        return {row["path"]: row for row in ask("report", "assets", "--format", "json", folder=self.folder).data}

    def told(self) -> dict[str, tuple[str, str]]:
        """Status and reasons of each asset."""
        return {path: (row["status"], row["reasons"]) for path, row in self.assets().items()}

    def problems(self) -> list[str]:
        """The problems of all volumes."""
        return [row["error"] for row in ask("report", "problems", "--format", "json", folder=self.folder).data]


def estate(folder: Path, product: Product, files: dict[str, bytes]) -> Estate:
    """An estate of files, an empty repository, and a configuration."""
    product.new(folder)
    made = Estate(folder, product)
    made.data.mkdir()
    for path, content in files.items():
        made.write(path, content)
    made.declare()
    return made
