"""The audit chain: what was written is found whole, and every way to tamper with it is found."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import audit, database

EVENTS = 12


def _chain() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript((Path(database.__file__).parent / "journal.sql").read_text("utf-8"))
    for number in range(EVENTS):
        audit.append(connection, 1000 + number, "ada", "steps_moved", f"j{number % 3}", {"states": {"DONE": str(number)}, "name": "ümlaut \x00"})
    return connection


@pytest.fixture
def chain() -> Iterator[sqlite3.Connection]:
    """A chain of events."""
    connection = _chain()
    yield connection
    connection.close()


def _opened_up(connection: sqlite3.Connection) -> None:
    """As somebody does who wants to tamper."""
    connection.execute("DROP TRIGGER events_are_never_changed")
    connection.execute("DROP TRIGGER events_are_never_deleted")


def test_a_chain_that_nobody_touched_is_whole(chain: sqlite3.Connection) -> None:
    found = audit.verify(chain, audit.head(chain))
    assert (found.events, found.bad_seq, found.wrong, found.head) == (EVENTS, None, None, audit.head(chain))


def test_an_empty_chain_is_whole() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE events (seq, at_us, actor, kind, subject, detail, previous, hash)")
    assert audit.verify(connection) == audit.Verdict(0, audit.START, None, None)


def test_the_hash_is_what_the_documentation_says(chain: sqlite3.Connection) -> None:
    rows = chain.execute("SELECT seq, at_us, actor, kind, subject, detail, previous, hash FROM events ORDER BY seq").fetchall()
    previous = bytes(32)
    for row in rows:
        assert row[6] == previous
        previous = hashlib.sha256(previous + json.dumps(row[:6], separators=(",", ":")).encode("ascii")).digest()
        assert row[7] == previous


@pytest.mark.parametrize("statement", ["UPDATE events SET actor = 'eve'", "DELETE FROM events", "DELETE FROM events WHERE seq = 12"])
def test_the_trail_cannot_be_changed_by_a_slip(chain: sqlite3.Connection, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        chain.execute(statement)


def _edit(column: str, value: object) -> Callable[[sqlite3.Connection, int], None]:
    return lambda connection, seq: void(connection.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (value, seq)))


def void(_result: object) -> None:
    """Forget what a statement gave."""


def _delete(connection: sqlite3.Connection, seq: int) -> None:
    connection.execute("DELETE FROM events WHERE seq = ?", (seq,))


def _delete_and_close_the_gap(connection: sqlite3.Connection, seq: int) -> None:
    connection.execute("DELETE FROM events WHERE seq = ?", (seq,))
    for later in range(seq + 1, EVENTS + 1):
        connection.execute("UPDATE events SET seq = ? WHERE seq = ?", (later - 1, later))


def _swap_with_the_next(connection: sqlite3.Connection, seq: int) -> None:
    for old, new in ((seq, -1), (seq + 1, seq), (-1, seq + 1)):
        connection.execute("UPDATE events SET seq = ? WHERE seq = ?", (new, old))


def _write_again_with_a_good_hash(connection: sqlite3.Connection, seq: int) -> None:
    at_us, kind, subject, detail, previous = connection.execute("SELECT at_us, kind, subject, detail, previous FROM events WHERE seq = ?", (seq,)).fetchone()
    connection.execute("UPDATE events SET actor = 'eve', hash = ? WHERE seq = ?", (audit.digest(previous, (seq, at_us, "eve", kind, subject, detail)), seq))


TAMPERINGS: dict[str, tuple[Callable[[sqlite3.Connection, int], None], int]] = {
    "time": (_edit("at_us", 5), 0),
    "actor": (_edit("actor", "eve"), 0),
    "kind": (_edit("kind", "hold_released"), 0),
    "subject": (_edit("subject", "j9"), 0),
    "detail": (_edit("detail", "{}"), 0),
    "detail of another type": (_edit("detail", b"{}"), 0),
    "previous hash": (_edit("previous", bytes(32)), 0),
    "hash": (_edit("hash", bytes(32)), 0),
    "an event is deleted": (_delete, 0),
    "an event is deleted and the others move up": (_delete_and_close_the_gap, 0),
    "two events change places": (_swap_with_the_next, 0),
    "an event is written again with its own good hash": (_write_again_with_a_good_hash, 1),  # the next one gives it away
}


@pytest.mark.parametrize("seq", [2, 3, 7, EVENTS - 1])
@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_at_the_first_event_that_is_not_right(chain: sqlite3.Connection, name: str, seq: int) -> None:
    tamper, later = TAMPERINGS[name]
    _opened_up(chain)
    tamper(chain, seq)
    found = audit.verify(chain)
    assert found.bad_seq == seq + later
    assert found.wrong
    assert str(found.bad_seq) in found.wrong


def test_an_end_that_was_cut_off_is_found_against_a_head_that_was_written_down(chain: sqlite3.Connection) -> None:
    head = audit.head(chain)
    _opened_up(chain)
    _delete(chain, EVENTS)
    assert audit.verify(chain).bad_seq is None
    found = audit.verify(chain, head)
    assert found.bad_seq == EVENTS
    assert "cut off" in (found.wrong or "")


def test_a_chain_that_was_written_anew_as_a_whole_is_found_against_a_head(chain: sqlite3.Connection) -> None:
    head = audit.head(chain)
    rows = list(audit.events(chain))
    _opened_up(chain)
    chain.execute("DELETE FROM events")
    for event in rows:
        audit.append(chain, event.at_us, "eve", event.kind, event.subject, event.detail)
    assert audit.verify(chain).bad_seq is None
    assert audit.verify(chain, head).bad_seq is not None


def test_an_older_head_is_found_in_a_chain_that_went_on(chain: sqlite3.Connection) -> None:
    head = audit.head(chain)
    audit.append(chain, 2000, "ada", "job_finished", "j1", {})
    assert audit.verify(chain, head).bad_seq is None


@given(seq=st.integers(1, EVENTS), column=st.sampled_from(["at_us", "actor", "kind", "subject", "detail"]), value=st.text(max_size=4) | st.integers(0, 9))
def test_no_other_value_passes(seq: int, column: str, value: str | int) -> None:
    connection = _chain()
    _opened_up(connection)
    connection.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (value, seq))
    assert audit.verify(connection).bad_seq == seq
    connection.close()


def test_events_are_found_by_subject_time_kind_and_from_the_end(chain: sqlite3.Connection) -> None:
    assert [event.seq for event in audit.events(chain, "j1")] == [2, 5, 8, 11]
    assert [event.seq for event in audit.events(chain, since_us=1009)] == [10, 11, 12]
    assert [event.seq for event in audit.events(chain, "j1", last=2)] == [8, 11]
    assert list(audit.events(chain, kinds=("hold_placed",))) == []
