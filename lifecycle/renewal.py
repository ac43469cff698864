"""A new journal in the place of one that is lost or damaged, with the holds of that: whole under another name before anything of the old one goes.

Each step is durable before the next: what is left of the old journal gets second names in `lost-…`; the new one is made in `new-…`; the old names go; the
new file gets its name; at last `journal.json` names it. A renewal that was cut off leaves a journal that is refused as before, or none that opens; the
next one takes the holds of every `lost-…` that no renewal has named.
"""

import fcntl
import os
import secrets
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from catalog.config import Config
from catalog.durable import sync
from lifecycle import audit, database, holds, witness

_LOST, _NEW, _PART = "lost-", "new-", ".part"
_FILES = ("journal.db", "journal.db-wal", "journal.db-shm")


def renew(config: Config, root: Path, *, at_us: int, actor: str, why: str) -> None:
    """Make the journal anew. Writes. Raises LockedError while somebody has it open, RefusedError on another host."""
    folder = database.folder_of(config, root)
    database.refuse_a_foreign_host(root)
    folder.mkdir(parents=True, exist_ok=True)
    lock = database.locked(folder, fcntl.F_WRLCK, wait=False)
    try:
        _clear(folder)
        aside = _second_names(folder)
        made = folder / f"{_NEW}{secrets.token_hex(4)}"
        made.mkdir()
        journal_id = database.write_tables(made / _FILES[0])
        _fill(made / _FILES[0], journal_id, _unnamed(folder, aside), aside, (at_us, actor, why))
        for name in _FILES:  # the database first: without it nothing opens
            (folder / name).unlink(missing_ok=True)
            sync(folder)
        (made / _FILES[0]).rename(folder / _FILES[0])
        made.rmdir()
        sync(folder)
        database.name_journal(root, folder, journal_id)
        witness.forget(root)
    finally:
        os.close(lock)


def _second_names(folder: Path) -> Path | None:
    """One more name for each file of the old journal, durable, in a folder that has its own name only when it is whole. None where nothing is left."""
    found = [name for name in _FILES if (folder / name).exists()]
    if not found:
        return None
    aside = folder / f"{_LOST}{secrets.token_hex(4)}"
    part = aside.with_suffix(_PART)
    part.mkdir()
    for name in found:
        try:
            os.link(folder / name, part / name)
        except OSError:  # a file system without links
            shutil.copy2(folder / name, part / name)
            sync(part / name)
    sync(part)
    part.rename(aside)
    sync(folder)
    return aside


def _unnamed(folder: Path, aside: Path | None) -> list[Path]:
    """The databases that were put aside and that no renewal names, the newest first: those of a renewal that was cut off."""
    lost = sorted(folder.glob(f"{_LOST}*"), key=lambda one: (one != aside, one.name))
    named = {name for one in lost for name in _named_by(one / _FILES[0])}
    return [one / _FILES[0] for one in lost if one == aside or one.name not in named]


def _named_by(file: Path) -> list[str]:
    """The folders that the renewals of which a journal tells have put aside; none where it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as old:
            return [str(event.detail.get("aside")) for event in audit.events(old, kinds=("journal_renewed",))]
    except (sqlite3.Error, ValueError):
        return []


def _fill(file: Path, journal_id: str, old: list[Path], aside: Path | None, said: tuple[int, str, str]) -> None:
    """Write the holds that are in force, and that the journal was renewed, into a journal that nobody knows yet; it is one file afterwards."""
    at_us, actor, why = said
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        kept = holds.carry_over(old, connection, at_us)
        detail = {"why": why, "aside": aside.name if aside else None, "holds": kept}
        audit.append(connection, at_us, actor, "journal_renewed", journal_id, detail)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'latest_us'", (str(at_us),))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=DELETE")
    sync(file)
    sync(file.parent)


def _clear(folder: Path) -> None:
    """Away with what a renewal that was cut off had begun to make: second names, and a journal that nobody knows."""
    for begun in [*folder.glob(f"{_NEW}*"), *folder.glob(f"{_LOST}*{_PART}")]:
        shutil.rmtree(begun)
