"""Makes an audit pack beside where it shall lie, verifies and signs it there, and gives it its name when it is whole."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import lastcopy
from catalog import evidence
from catalog.durable import sync
from catalog.errors import CatalogError, ConfigError, RefusedError
from catalog.snapshot import Snapshot
from lastcopy import signing
from reports import pack, proof, sums

_LONGEST_NAME = 200  # bytes: while it is made the pack has a longer one


@dataclass(frozen=True)
class Packed:
    """A pack that lies where it shall. `digest` is the SHA-256 of its list of sums."""

    digest: str
    files: int
    reports: int
    size_bytes: int
    signed: bool


def make(root: Path, wanted: Snapshot, output: Path, key: Path | None, *, asks: bool) -> Packed:
    """Make the pack of a snapshot as a new folder. Reads the catalog; writes there only what it derives again.

    Raises RefusedError where something has that name, ConfigError where its folder is missing or its name long, CatalogError where the pack does not verify.
    """
    if len(os.fsencode(output.name)) > _LONGEST_NAME:
        raise ConfigError(f"--output: the name of the folder is longer than {_LONGEST_NAME} bytes; give it a shorter one")
    if os.path.lexists(output):
        raise RefusedError(f"--output {output}: exists, and is not overwritten; name a new folder")
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"--output {output}: there is no folder {output.absolute().parent}")
    if key is not None:
        signing.ready(key)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.absolute().parent))
    try:
        digest = pack.write(unfinished, evidence.subject(root, wanted), lastcopy.version())
        _prove(unfinished)
        if key is not None:
            signing.sign(unfinished / sums.NAME, key, asks=asks)
        found = Packed(digest, *_counted(unfinished), signed=key is not None)
        _publish(unfinished, output)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return found


def _prove(folder: Path) -> None:
    """What does not verify is given to nobody."""
    found = proof.verify(folder, lastcopy.version())
    if found.findings:
        first = found.findings[0]
        raise CatalogError(
            f"the pack does not verify, so it was not kept: {first.file}: {first.wrong} ({len(found.findings)} in all); "
            "what the catalog has stored of this snapshot is not what this version derives of its evidence"
        )


def _counted(folder: Path) -> tuple[int, int, int]:
    found = sums.files(folder)
    return len(found), sum(name.startswith("reports/") and name.endswith(".parquet") for name in found), sum(path.stat().st_size for path in found.values())


def _publish(unfinished: Path, output: Path) -> None:
    """Put all of it on disk, and then give it its name, which nothing may have."""
    for path in (*unfinished.rglob("*"), unfinished):
        sync(path)
    try:
        output.mkdir()  # a folder is renamed over an empty one, and over nothing that holds something
        unfinished.rename(output)
    except OSError as error:
        raise RefusedError(f"--output {output}: appeared meanwhile ({error.strerror}), and is not overwritten") from error
    sync(output.absolute().parent)
