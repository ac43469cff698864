"""Backup repositories of many small files into the catalog, against what their own program takes to list them."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import alone, peers, trees
from benchmarks.estate import Estate, VoidError
from benchmarks.measure import Command, Usage, interleaved, run, say
from benchmarks.table import Asked, Row, limit, ratio
from catalog import table

FILES = 250_000
_MOST_BYTES = 400e6
_PASSWORD = "of a benchmark"
_ENV = {
    "RESTIC_PASSWORD": _PASSWORD,
    "BORG_PASSPHRASE": _PASSWORD,
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
}


@dataclass(frozen=True)
class _Kind:
    """A program, how it makes a repository of the folder where it stands, how it lists that, and what a scan may take of that."""

    name: str
    make: tuple[tuple[str, ...], ...]
    listing: tuple[str, ...]
    most: float


_KINDS = (
    _Kind("restic", (("init",), ("backup", "--no-cache", ".")), ("ls", "--no-lock", "--no-cache", "--json", "latest"), 0.5),
    _Kind("borg", (("init", "--encryption", "repokey"), ("create", "::one", ".")), ("list", "--json-lines", "::one"), 1.5),
)


def measure(asked: Asked) -> list[Row]:
    """The rows of repositories."""
    files = asked.size(FILES)
    tree = trees.small(asked.scratch, files)
    return [row for kind in _KINDS for row in _rows(asked, kind, tree, f"{kind.name}: repository of {files:,} files into the catalog")]


def _rows(asked: Asked, kind: _Kind, tree: Path, what: str) -> list[Row]:
    folder = asked.scratch / f"{kind.name}-{tree.name}"
    program, env = peers.program(kind.name), _environment(folder)
    _repository(kind, program, folder, tree, env)
    listing = Command((program, *kind.listing), folder / "listed.json", env=env)
    made = Estate(asked.scratch / f"scanned-{kind.name}")
    listed = f"{kind.name} {kind.listing[0]} {next(word for word in kind.listing if 'json' in word)}"
    contenders = {
        "scan alone": lambda: _alone(made, kind, folder),
        "lastcopy scan": lambda: _whole(made, kind, folder),
        listed: lambda: run(listing),
    }
    used = interleaved(contenders, asked.runs)
    _check(made, folder)
    us, whole, theirs = used["scan alone"], used["lastcopy scan"], used[listed]
    note = f"CPU {us.cpu_seconds:.2f} s against {theirs.cpu_seconds:.2f} s; with start and derivation {whole.cpu_seconds:.2f} s"
    peak = _whole(made, kind, folder, sample_memory=True).peak_bytes
    return [
        ratio(f"{what}: CPU", listed, kind.most, us.cpu_seconds, theirs.cpu_seconds, note, asked=asked),
        limit(f"{what}: peak memory", _MOST_BYTES / 1e6, peak / 1e6, "MB", "whole command; proportional set size, sampled every 20 ms", asked=asked),
    ]


def _environment(folder: Path) -> Mapping[str, str]:
    """Where the repository is, and what opens it."""
    repository = str(folder / "repository")
    return _ENV | {"RESTIC_REPOSITORY": repository, "BORG_REPO": repository, "BORG_BASE_DIR": str(folder / "base")}


def _repository(kind: _Kind, program: str, folder: Path, tree: Path, env: Mapping[str, str]) -> None:
    """Back the tree up, once."""
    if (folder / "password").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    say(f"  making {folder}, once")
    for words in kind.make:
        run(Command(("env", f"--chdir={tree}", program, *words), env=env))
    (folder / "password").write_text(_PASSWORD + "\n", "ascii")


def _fresh(made: Estate, kind: _Kind, folder: Path) -> None:
    """An estate of the repository, with an empty catalog."""
    shutil.rmtree(made.folder, ignore_errors=True)
    made.folder.mkdir(parents=True)
    declared = {"url": f"{kind.name}:{folder / 'repository'}", "role": "backup", "password_file": str(folder / "password")}
    lines = ["[catalog]", 'path = "catalog"', "[volumes.repository]", *(f"{key} = {json.dumps(value)}" for key, value in declared.items())]
    (made.folder / "lastcopy.toml").write_text("\n".join(lines) + "\n", "utf-8")


def _whole(made: Estate, kind: _Kind, folder: Path, *, sample_memory: bool = False) -> Usage:
    _fresh(made, kind, folder)
    return run(made.lastcopy("scan"), sample_memory=sample_memory)


def _alone(made: Estate, kind: _Kind, folder: Path) -> Usage:
    _fresh(made, kind, folder)
    return alone.scan(made, _ENV)


def _check(made: Estate, folder: Path) -> None:
    """Raises VoidError unless the catalog has as many entries, and as many bytes of files, as the program listed."""
    found = [json.loads(line) for line in (folder / "listed.json").read_bytes().splitlines()]
    nodes = [node for node in found if node.get("struct_type") != "snapshot" and node["path"] != "."]
    sizes = sum(node.get("size", 0) for node in nodes if node["type"] in ("file", "-"))
    [scan] = table.read(made.root, "scans").to_pylist()
    if (scan["state"], scan["entries"], scan["bytes"]) != ("complete", len(nodes), sizes):
        raise VoidError(f"{len(nodes)} entries of {sizes} bytes are in the repository, the scan saw {scan['entries']} of {scan['bytes']}")
