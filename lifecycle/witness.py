"""What was last seen of a journal, kept beside `journal.json`: an older state that is written into the same file shows.

A backup that is restored in place keeps the inode, and a journal from yesterday has forgotten the holds and removals since.
"""

import json
import os
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path

from catalog import names

FILE = "journal.seen"


def lacking(connection: sqlite3.Connection, root: Path, journal_id: str) -> str | None:
    """Why the journal of the catalog in folder `root` is not what was last seen of it; None if it is, or more. Only reads."""
    try:
        told = json.loads((root / FILE).read_text("utf-8"))
        seen_id, seq, digest = told["id"], int(told["seq"]), bytes.fromhex(told["hash"])
    except FileNotFoundError:
        return None  # a new one
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{_shown(root / FILE)}: cannot be read ({error}); it says which event of the journal was last seen; 'lastcopy job rebuild' begins anew"
    if seen_id != journal_id:
        return None  # of the journal before
    found = connection.execute("SELECT hash FROM events WHERE seq = ?", (seq,)).fetchone()
    if found == (digest,):
        return None
    text = f"lacks event {seq}, which was seen: its end was cut off, or it was restored from a backup, and may not know what was removed or held since"
    return f"{_shown(root)}: the journal {text}; 'lastcopy job rebuild' makes it anew from what lies on the volumes"


def remember(connection: sqlite3.Connection, root: Path, journal_id: str) -> None:
    """Keep the last event as seen, where the catalog's folder can be written. Writes."""
    last = connection.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    if last is None:
        return
    new = root / f".{FILE}~{secrets.token_hex(8)}"
    with suppress(OSError):  # a person without the right to write here: the next one keeps it
        try:
            with new.open("x", encoding="utf-8") as file:
                file.write(json.dumps({"id": journal_id, "seq": last[0], "hash": last[1].hex()}) + "\n")
                file.flush()
                os.fsync(file.fileno())
            new.replace(root / FILE)
        finally:
            new.unlink(missing_ok=True)


def forget(root: Path) -> None:
    """What was seen is of a journal that is no more. Writes."""
    (root / FILE).unlink(missing_ok=True)


def _shown(path: Path) -> str:
    return names.escape(os.fsencode(path))
