"""Moves of steps as the journal writes them: many at once, told and counted as if each had been moved alone."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from catalog.errors import RefusedError
from lifecycle import _rows, manifest
from lifecycle.journal import Journal, Move
from lifecycle.manifest import Copy, Step
from lifecycle.states import LIVE, State
from lifecycle.stores import Fingerprint
from tests.lifecycle import estate
from tests.lifecycle.journals import FINGERPRINT, NOW, job, move, opened, step


def counted(journal: Journal) -> tuple[object, object]:
    """What the journal has counted, by state and by chunk."""
    with journal._database.reading() as connection:
        states = connection.execute("SELECT state, steps, bytes FROM counts WHERE steps > 0 ORDER BY 1").fetchall()
        return states, connection.execute("SELECT chunk, live FROM chunks ORDER BY 1").fetchall()


def there(journal: Journal) -> tuple[object, object]:
    """The same, counted anew."""
    with journal._database.reading() as connection:
        states = connection.execute("SELECT state, count(*), sum(size_bytes) FROM progress GROUP BY 1 ORDER BY 1").fetchall()
        live = f"sum(state IN ({', '.join('?' * len(LIVE))}))"
        return states, connection.execute(f"SELECT chunk, {live} FROM progress GROUP BY 1 ORDER BY 1", tuple(LIVE)).fetchall()


@pytest.mark.parametrize("seed", range(5))
def test_what_is_counted_is_what_is_there_whichever_steps_move_together(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with opened(tmp_path) as journal:
        journal.create_job(job(), [step(number, chunk=number // 7) for number in range(1, 41)])
        waiting: dict[int, State] = dict.fromkeys(range(1, 41), "PLANNED")
        following: dict[State, tuple[State, ...]] = {"PLANNED": ("CLAIMED",), "CLAIMED": ("COPYING", "STALE"), "COPYING": ("VERIFIED", "FAILED")}
        while waiting:
            together = chance.sample(sorted(waiting), chance.randint(1, len(waiting)))
            moves = [Move(number, chance.choice(following[waiting[number]])) for number in together]
            journal.advance(moves, "j1", NOW, "ada")
            assert counted(journal) == there(journal)
            waiting |= {one.step: one.state for one in moves}
            waiting = {number: state for number, state in waiting.items() if state in following}


@pytest.mark.parametrize("steps", [(1, 2, 2), (2, 2), (3, 1, 2, 1), (1, 1, 3), (3, 3, 1)])
def test_a_step_is_not_moved_twice_at_once(tmp_path: Path, steps: tuple[int, ...]) -> None:
    with opened(tmp_path) as journal:
        journal.create_job(job(), [step(1), step(2), step(3)])
        with pytest.raises(RefusedError, match="twice"):
            move(journal, "CLAIMED", *steps)
        assert {record.state for record in journal.records("j1")} == {"PLANNED"}


@pytest.mark.parametrize("missing", [(4,), (1, 2, 3, 4), (9, 1)])
def test_a_step_that_is_not_there_is_named_and_none_moves(tmp_path: Path, missing: tuple[int, ...]) -> None:
    with opened(tmp_path) as journal:
        journal.create_job(job(), [step(1), step(2), step(3)])
        with pytest.raises(RefusedError, match=r"has no step [49]"):
            move(journal, "CLAIMED", *missing)
        assert {record.state for record in journal.records("j1")} == {"PLANNED"}


def test_the_one_step_of_many_that_may_not_move_is_named_and_none_moves(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.create_job(job(), [step(number) for number in range(1, 6)])
        move(journal, "CLAIMED", 1, 2, 4, 5)
        with pytest.raises(RefusedError, match="step 3 is PLANNED and cannot become COPYING"):
            move(journal, "COPYING", 1, 2, 3, 4, 5)
        assert [record.state for record in journal.records("j1")] == ["CLAIMED", "CLAIMED", "PLANNED", "CLAIMED", "CLAIMED"]


@pytest.mark.parametrize(
    "found",
    [
        FINGERPRINT,
        FINGERPRINT._replace(created_ns=5, changed_ns=6),
        FINGERPRINT._replace(fs_id=None, inode=None, created_ns=5, changed_ns=None),
        Fingerprint("symlink", 0, -1, 'a "name"\\\n\N{SNOWMAN}', -(2**63), 2**63 - 1, -5, 3),
        Fingerprint("file", 10, 5, None, 7, 8, 9),
    ],
)
def test_a_fingerprint_is_written_as_json_has_it(found: Fingerprint) -> None:
    written = _rows.stored("target_fingerprint", found)
    assert written == json.dumps(found)
    assert _rows._read(str(written)) == found


def test_the_steps_of_a_plan_are_read_as_its_rows_say() -> None:
    known = Copy("c", b"a\\b\xff", FINGERPRINT, 1_700_000_000_000_001)
    steps = [
        Step(1, 1, "archive", "a", b"d/\xff\\x", FINGERPRINT, bytes(32), "b", b"e/\x01", None, None, None, None, "old", (known, known)),
        Step(2, 1, "dedupe", "a", b"f", FINGERPRINT._replace(inode=None), None, None, None, 4, b"\xfe", "j9", 7, "equal", ()),
    ]
    assert manifest.steps(pa.RecordBatch.from_pylist([row(one) for one in steps], manifest.STEPS)) == steps


def row(one: Step) -> dict[str, object]:
    """A step as a row of a plan."""
    paths = {b"d/\xff\\x": "d/\\xff\\\\x", b"e/\x01": "e/\\x01", b"f": "f", b"\xfe": "\\xfe", b"a\\b\xff": "a\\\\b\\xff", None: None}
    evidence = [{"volume": copy.volume, "path": paths[copy.path], **copy.fingerprint._asdict(), "verified_at": copy.verified_us} for copy in one.evidence]
    named = {name: getattr(one, name) for name in ("step", "chunk", "action", "volume", "sha256", "target_volume", "link_group", "of_job", "of_step", "reason")}
    named |= {name: paths[getattr(one, name)] for name in ("path", "target_path", "kept_path")}
    return {**named, **one.fingerprint._asdict(), "evidence": evidence or None, "cost_per_month": None}


def test_of_small_files_one_word_is_said_a_chunk_and_no_byte_is_left_out(tmp_path: Path) -> None:
    small = estate.made(tmp_path)
    contents = {f"f{number}": bytes([number]) * (1000 + number) for number in range(6)}
    for name, content in contents.items():
        small.write("prod", name, content)
    told: list[tuple[int, int]] = []
    made = small.job([replace(small.step(number, name), chunk=number % 2) for number, name in enumerate(contents, 1)])
    small.carry_out(made, heard=lambda steps, size_bytes: told.append((steps, size_bytes)))
    assert set(small.states(made)) == {"QUARANTINED"}
    sizes = list(map(len, contents.values()))
    assert sorted(told) == sorted([(3, sum(sizes[::2])), (3, sum(sizes[1::2]))])
