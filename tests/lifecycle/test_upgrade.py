"""A journal of version 1 is brought up when it is opened: jobs go on, holds and the ledger stay, and a death meanwhile leaves it as it was."""

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.errors import LockedError
from lifecycle import database, intents, upgrade
from lifecycle import job as jobs
from lifecycle.holds import Scope
from lifecycle.states import LIVE
from tests.lifecycle import estate as estates
from tests.lifecycle.journals import CONTENT, NOW, TO_PUBLISHED, TO_QUARANTINE, job, move, opened, step, walk, wish

_AS_IT_WAS = Path(__file__).parent / "journal_1.sql"
DIED = 9


def made_old(root: Path) -> None:
    """Have the journal of a catalog be one as version 1 made it, with all that it keeps."""
    folder = root / "journal"
    with closing(sqlite3.connect(folder / "old.db", isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode=WAL")
        old.executescript(f"BEGIN;\n{_AS_IT_WAS.read_text()}\nPRAGMA application_id={database._APPLICATION};\nPRAGMA user_version=1;\nCOMMIT;")
        old.execute("ATTACH ? AS new", (str(folder / "journal.db"),))
        for (table,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            old.execute(f"INSERT INTO main.{table} SELECT * FROM new.{table}")
        journal_id = old.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()[0]
    (folder / "old.db").replace(folder / "journal.db")
    database.name_journal(root, folder, journal_id)


def kept(root: Path) -> dict[str, list[object]]:
    """What a journal's file has: its version, its tables and indexes, and the rows of each."""
    with closing(sqlite3.connect(root / "journal" / "journal.db")) as found:
        schema = found.execute("SELECT name, type, sql FROM sqlite_master ORDER BY name").fetchall()
        rows = {name: found.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name, kind, _ in schema if kind == "table"}
        return {"version": found.execute("PRAGMA user_version").fetchall(), "schema": schema, **rows}


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, dict[str, list[object]]]:
    """A journal of version 1 with steps that live, ended, rest and are held; and what it would be if this version had written it."""
    with opened(tmp_path) as journal:
        journal.create_job(job(), [step(number, chunk=number // 3) for number in range(1, 9)])
        journal.create_job(job("j2"), [step(1, path=b"another")])
        walk(journal, *TO_QUARANTINE, steps=(1, 2))
        walk(journal, *TO_PUBLISHED, "RETIRING", steps=(3,))
        walk(journal, *TO_PUBLISHED, "DONE", steps=(6, 7))
        move(journal, "CLAIMED", 4)
        move(journal, "FAILED", 4)
        move(journal, "FAILED", job_id="j2")
        journal.place_hold(Scope("digest", digest=CONTENT), reason="a lawsuit", until_us=None, at_us=NOW, actor="ada")
    new = kept(tmp_path)
    made_old(tmp_path)
    assert kept(tmp_path)["version"] == [(1,)]
    return tmp_path, new


def test_it_is_then_what_this_version_would_have_written(old: tuple[Path, dict[str, list[object]]]) -> None:
    root, new = old
    opened(root).close()
    found = kept(root)
    assert found == new
    states = {(row[0], row[1]): (row[2], row[4]) for row in found["progress"]}  # type: ignore[index]  # rows are tuples
    live = {(one, chunk): 0 for (one, _), (chunk, _) in states.items()}
    for (one, _), (chunk, state) in states.items():
        live[one, chunk] += state in LIVE
    assert {(row[0], row[1]): row[2] for row in found["chunks"]} == live  # type: ignore[index]  # likewise
    with opened(root) as journal:
        assert (journal.chunks("j1"), journal.chunks("j2")) == ([1, 2], [])
        assert journal.verify().bad_seq is None
        walk(journal, *TO_PUBLISHED, steps=(8,))
        held = journal.retire([wish(8, path=b"file 8")], "j1", NOW, "ada")
        assert "by ada: its content" in str(held[8]), "the hold is in force"
        assert len(found["ledger"]) == 3


def test_a_new_catalog_that_is_given_it_keeps_its_holds_and_its_ledger(old: tuple[Path, dict[str, list[object]]]) -> None:
    root, new = old
    (root / "journal.json").unlink()
    opened(root).close()
    assert kept(root) == new


def test_while_somebody_has_it_open_it_stays_as_it_is(old: tuple[Path, dict[str, list[object]]]) -> None:
    root, new = old
    before = kept(root)
    other = database.locked(root / "journal", fcntl.F_RDLCK)
    with pytest.raises(LockedError, match="older Lastcopy"):
        opened(root)
    assert kept(root) == before
    os.close(other)
    with opened(root), opened(root):  # and then it is open to any number again
        assert kept(root) == new


def test_two_that_open_it_at_once_find_it_brought_up_once(old: tuple[Path, dict[str, list[object]]]) -> None:
    root, new = old
    file = root / "journal" / "journal.db"

    def lock(how: int) -> None:
        if how == fcntl.F_WRLCK:
            with closing(sqlite3.connect(file, isolation_level=None)) as faster:
                upgrade.bring_up(root, faster, lambda _: None)

    with closing(sqlite3.connect(file, isolation_level=None)) as slower:
        upgrade.bring_up(root, slower, lock)
    assert kept(root) == new


def dying_at(statement: int, real: Callable[[sqlite3.Connection], None]) -> Callable[[sqlite3.Connection], None]:
    """The upgrade, which ends its process when it comes to a statement."""
    seen = 0

    def count(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen > statement:
            os._exit(DIED)

    def act(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(count)
        real(connection)
        connection.set_trace_callback(None)

    return act


def test_whoever_dies_at_any_statement_leaves_it_whole(old: tuple[Path, dict[str, list[object]]], monkeypatch: pytest.MonkeyPatch) -> None:
    root, new = old
    before, died = kept(root), 0
    for statement in range(50):
        child = os.fork()
        if child == 0:
            try:
                monkeypatch.setattr(upgrade, "_bring_up", dying_at(statement, upgrade._bring_up))
                opened(root).close()
                os._exit(0)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            break
        died += 1
        assert (code, kept(root)) == (DIED, before)
    assert died > 5
    assert kept(root) == new


def test_a_failure_leaves_it_whole(old: tuple[Path, dict[str, list[object]]], monkeypatch: pytest.MonkeyPatch) -> None:
    root, new = old
    before = kept(root)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(intents, "count_chunks", fail)
        with pytest.raises(Exception, match="disk I/O error"):
            opened(root)
    assert kept(root) == before
    opened(root).close()
    assert kept(root) == new


def test_a_job_that_an_earlier_version_began_goes_on_and_is_undone(tmp_path: Path) -> None:
    small = estates.made(tmp_path)
    contents = {f"f{number}": b"content %d" % number for number in range(1, 5)}
    for name, content in contents.items():
        small.write("prod", name, content)
    made = small.job([replace(small.step(number, name), chunk=number) for number, name in enumerate(contents, 1)])
    small.write("vault", "f4", b"somebody else's")
    made_old(small.root)
    small.carry_out(made)
    assert small.states(made) == ["QUARANTINED"] * 3 + ["CONFLICT"], small.reasons(made)
    made_old(small.root)
    jobs.undo(small.root, small.config, made, clock=small.clock, actor="test")
    assert {name: small.read("prod", name) for name in contents} == contents
    assert small.trail_is_whole()
