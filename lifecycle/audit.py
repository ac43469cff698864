"""The audit trail: events of which each holds the hash of the one before, so that no edit, deletion or reordering goes unseen.

hash = SHA-256(previous hash ‖ the JSON array [seq, at_us, actor, kind, subject, detail] in ASCII without spaces), where detail is
itself the text of a JSON object with sorted keys; the first previous hash is 32 zero bytes. A chain alone cannot show that its end was cut
off: for that, a head that was written down elsewhere is looked for in it.
"""

import datetime
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from catalog import names

START = bytes(32)
_COLUMNS = "seq, at_us, actor, kind, subject, detail, previous, hash"


@dataclass(frozen=True)
class Event:
    """One act, by whom and when. `subject` is what it is about: a job, a plan, a volume, a hold."""

    seq: int
    at_us: int
    actor: str
    kind: str
    subject: str
    detail: Mapping[str, Any]
    previous: bytes
    hash: bytes


@dataclass(frozen=True)
class Verdict:
    """What a look at the whole chain found. `bad_seq` is the first event that is not right, `wrong` says how; None if all are."""

    events: int
    head: bytes
    bad_seq: int | None
    wrong: str | None


def append(connection: sqlite3.Connection, at_us: int, actor: str, kind: str, subject: str, detail: Mapping[str, Any]) -> Event:
    """Add an event to the chain, within the caller's transaction. Writes."""
    last = connection.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = (last[0] + 1, last[1]) if last else (1, START)
    text = canonical(detail)
    found = digest(previous, (seq, at_us, actor, kind, subject, text))
    connection.execute(f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (seq, at_us, actor, kind, subject, text, previous, found))
    return Event(seq, at_us, actor, kind, subject, detail, previous, found)


def events(
    connection: sqlite3.Connection, subject: str | None = None, since_us: int | None = None, kinds: tuple[str, ...] = (), last: int | None = None
) -> Iterator[Event]:
    """The events in their order: of a subject, since a time, of some kinds, only the `last` of these."""
    wanted, given = ["seq > 0"], list[object]()
    if subject is not None:
        wanted.append("subject = ?")
        given.append(subject)
    if since_us is not None:
        wanted.append("at_us >= ?")
        given.append(since_us)
    if kinds:
        wanted.append(f"kind IN ({', '.join('?' * len(kinds))})")
        given += kinds
    rows = f"SELECT {_COLUMNS} FROM events WHERE {' AND '.join(wanted)} ORDER BY seq"
    if last is not None:
        rows = f"SELECT {_COLUMNS} FROM ({rows} DESC LIMIT ?) ORDER BY seq"
        given.append(last)
    for row in connection.execute(rows, given):
        yield Event(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]), row[6], row[7])


def head(connection: sqlite3.Connection) -> bytes:
    """The hash of the last event: who writes it down elsewhere can later tell that nothing was cut off."""
    last = connection.execute("SELECT hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return last[0] if last else START


def verify(connection: sqlite3.Connection, against: bytes | None = None) -> Verdict:
    """Compute the whole chain anew; `against` is a head from earlier, which must be in it. Only reads."""
    previous, count, seen = START, 0, against is None
    for row in connection.execute(f"SELECT {_COLUMNS} FROM events ORDER BY seq"):
        count += 1
        wrong = _wrong(row, count, previous)
        if wrong:
            return Verdict(count, previous, count, wrong)
        previous = row[7]
        seen = seen or previous == against
    if not seen:
        return Verdict(count, previous, count + 1, "the head that was written down is not in the chain: its end was cut off, or it is another journal's")
    return Verdict(count, previous, None, None)


def digest(previous: bytes, values: tuple[int, int, str, str, str, str]) -> bytes:
    """The hash of an event: of the hash before it, and of (seq, at_us, actor, kind, subject, detail text)."""
    return hashlib.sha256(previous + json.dumps(values, separators=(",", ":")).encode()).digest()


def row(event: Event) -> dict[str, object]:
    """An event as lists have it: its details are the text that was hashed."""
    return {
        "seq": event.seq,
        "at": moment(event.at_us),
        "actor": event.actor,
        "kind": event.kind,
        "subject": names.escape(event.subject.encode("utf-8", "surrogateescape")),
        "detail": canonical(event.detail),
        "hash": event.hash.hex(),
    }


def moment(at_us: int | None) -> datetime.datetime | None:
    """A moment of the journal as lists have it, naive UTC; None where it is beyond the calendar."""
    try:
        return None if at_us is None else datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=at_us)
    except OverflowError:
        return None


def canonical(detail: Mapping[str, Any]) -> str:
    """The one JSON text of an object: ASCII, sorted keys, no spaces."""
    return json.dumps(detail, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _wrong(row: tuple[Any, ...], seq: int, previous: bytes) -> str | None:
    if row[0] != seq:
        return f"event {seq} is not there; the next one is {row[0]}"
    if row[6] != previous:
        return f"event {seq} does not follow the one before it"
    try:
        return None if digest(previous, row[:6]) == row[7] else f"event {seq} was changed after it was written"
    except TypeError:
        return f"event {seq} holds what was never written"
