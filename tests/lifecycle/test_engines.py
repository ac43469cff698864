"""Several processes on one journal: no chunk has two masters, and a death at any moment leaves a journal that opens and verifies."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lifecycle.journal import Journal
from tests.lifecycle.journals import TO_QUARANTINE, estate, job, opened, step

CHUNKS, STEPS_OF_A_CHUNK = 40, 4

# Takes chunks to quarantine, a stage at a time. While it holds a chunk it marks it by a file of its own making, which must not be there yet;
# one of a process that is dead is taken over.
ENGINE = """
import os, sys, time
from pathlib import Path
from lifecycle.journal import Journal
from tests.lifecycle.journals import TO_QUARANTINE, estate, walk

def lives(pid):  # one that was killed lets go of its locks first: it dies within moments, and nobody may have waited for it yet
    for _ in range(500):
        try:
            if Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return False
        except OSError:
            return False
        time.sleep(0.01)
    return True


root, marks, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with Journal.open(estate("abcd"), root, create=False) as journal:
    for _ in range(rounds):
        for chunk in journal.chunks("j1"):
            with journal.claim("j1", chunk) as mine:
                if not mine:
                    continue
                mark = marks / str(chunk)
                if mark.exists():
                    holder = mark.read_text()
                    assert not holder or not lives(holder), f"chunk {chunk} has two masters"
                    mark.unlink()
                with mark.open("x") as file:
                    file.write(str(os.getpid()))
                records = journal.steps("j1", chunk)
                for at, state in enumerate(TO_QUARANTINE):
                    behind = [record.step.step for record in records if record.state == "PLANNED" or record.state in TO_QUARANTINE[:at]]
                    if behind:
                        walk(journal, state, steps=behind)
                mark.unlink()
"""

HOLDER = """
import sys, time
from pathlib import Path
from lifecycle.journal import Journal
from tests.lifecycle.journals import estate

with Journal.open(estate("abcd"), Path(sys.argv[1]), create=False) as journal, journal.claim("j1", 3) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def _start(root: Path, marks: Path, rounds: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", ENGINE, str(root), str(marks), str(rounds)], stderr=subprocess.PIPE, cwd=Path(__file__).parent.parent.parent)


def _prepare(tmp_path: Path) -> tuple[Path, Path]:
    root, marks = tmp_path / "catalog", tmp_path / "marks"
    marks.mkdir()
    with opened(root) as journal:
        numbers = range(1, CHUNKS * STEPS_OF_A_CHUNK + 1)
        journal.create_job(job(), (step(number, chunk=(number - 1) // STEPS_OF_A_CHUNK) for number in numbers))
    return root, marks


@pytest.mark.slow
def test_three_engines_never_share_a_chunk(tmp_path: Path) -> None:
    root, marks = _prepare(tmp_path)
    engines = [_start(root, marks, 2) for _ in range(3)]
    for engine in engines:
        _, said = engine.communicate(timeout=120)
        assert (engine.returncode, said) == (0, b"")
    with Journal.open(estate("abcd"), root, create=False) as journal:
        assert journal.job("j1").counts == {"QUARANTINED": CHUNKS * STEPS_OF_A_CHUNK}
        moved = [event for event in journal.events("j1") if event.kind in ("steps_moved", "guard_asked")]
        assert len(moved) == CHUNKS * len(TO_QUARANTINE)  # nothing was done twice
        assert journal.verify(journal.head()).bad_seq is None
    assert list(marks.iterdir()) == []


@pytest.mark.slow
def test_engines_that_are_killed_at_any_moment_leave_a_journal_that_goes_on(tmp_path: Path) -> None:
    root, marks = _prepare(tmp_path)
    chance, head = random.Random(20261123), bytes(32)
    engines = [_start(root, marks, 1000) for _ in range(3)]
    with Journal.open(estate("abcd"), root, create=False) as journal:
        for _ in range(24):
            _wait_for_more(journal, head)
            time.sleep(chance.uniform(0, 0.03))
            oldest = engines.pop(0)
            assert oldest.poll() in (None, 0), oldest.communicate()[1].decode()
            oldest.kill()
            assert oldest.communicate()[1] == b""
            found = journal.verify(head if any(head) else None)
            assert found.bad_seq is None  # what was said stays said
            head = found.head
            engines.append(_start(root, marks, 1000))
    for engine in engines:
        engine.kill()
        engine.communicate()
    last = _start(root, marks, 2)
    assert last.communicate(timeout=120)[1] == b""
    with Journal.open(estate("abcd"), root, create=False) as journal:
        assert journal.chunks("j1") == []
        assert journal.job("j1").counts == {"QUARANTINED": CHUNKS * STEPS_OF_A_CHUNK}
        assert journal.verify(head).bad_seq is None
        with journal._database.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _wait_for_more(journal: Journal, head: bytes) -> None:
    """Until an engine has said something more, or all is said."""
    until = time.monotonic() + 20
    while journal.head() == head and journal.chunks("j1") and time.monotonic() < until:
        time.sleep(0.005)


def test_a_claim_dies_with_its_process(tmp_path: Path) -> None:
    root, _ = _prepare(tmp_path)
    program = [sys.executable, "-c", HOLDER, str(root)]
    holder = subprocess.Popen(program, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent.parent)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"True\n"
    with Journal.open(estate("abcd"), root, create=False) as journal:
        with journal.claim("j1", 3) as mine, journal.claim("j1", 4) as other:
            assert (mine, other) == (False, True)
        os.kill(holder.pid, signal.SIGSTOP)  # a claim does not run out
        with journal.claim("j1", 3) as mine:
            assert not mine
        holder.kill()
        holder.communicate()
        with journal.claim("j1", 3) as mine, journal.claim("j1", 3) as again:
            assert (mine, again) == (True, False)
        with journal.claim("j1", 3) as mine:
            assert mine
