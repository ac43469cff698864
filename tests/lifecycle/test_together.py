"""What threads do for the steps of a chunk: each acts like one alone, a volume that is away is left alone, nothing goes on once something failed."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from catalog.errors import UnreachableError
from lifecycle.chunk import Run
from lifecycle.ends import EndError
from lifecycle.stores import _calls, _staging, sftp
from lifecycle.stores._hosted_quarantine import Quarantine
from lifecycle.stores._tree import Tree
from tests.lifecycle.hosts import Hosts
from tests.scanners import sshd

STEPS = 200
_A_WHILE_SECONDS = 0.002


class Step:
    """As much of a step's work as `Run` asks."""

    rests = False
    shown = "step"

    def __init__(self) -> None:
        self.end: EndError | None = None
        self.paused: str | None = None
        self.step = SimpleNamespace(volume="data")

    @property
    def live(self) -> bool:
        return self.end is None and self.paused is None

    def volume(self, side: str) -> str:
        return "data" if side == "source" else "vault"


def a_run() -> Any:  # noqa: ANN401  of which little is made
    """A run without a job."""
    run: Any = Run.__new__(Run)
    run.blocked, run.threads = {}, ThreadPoolExecutor(8)
    return run


@pytest.mark.parametrize("error", [EndError("FAILED", "no space left", retry=True, stops_volume=True), UnreachableError("no answer")])
def test_a_volume_that_is_blocked_is_left_alone_by_all_threads(error: Exception) -> None:
    works, calls = [Step() for _ in range(STEPS)], list[Step]()

    def act(work: Step) -> None:
        time.sleep(_A_WHILE_SECONDS)
        calls.append(work)
        raise error

    a_run().together(works, act, "target")
    assert len(calls) <= 8
    assert sum(work.paused is not None for work in works) >= STEPS - 8


def test_nothing_is_done_any_more_once_something_unforeseen_came_out() -> None:
    works, late, is_over = [Step() for _ in range(STEPS)], list[Step](), threading.Event()

    def act(work: Step) -> None:
        time.sleep(_A_WHILE_SECONDS)
        if work is works[0]:
            raise LookupError
        if is_over.is_set():
            late.append(work)

    run = a_run()
    with pytest.raises(LookupError):
        run.together(works, act)
    is_over.set()
    run.threads.shutdown(wait=True)
    assert not late


@pytest.mark.parametrize("exclusive", [True, False])
def test_threads_make_one_folder_also_where_a_name_may_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, exclusive: bool) -> None:
    real = _calls.rename_new

    def rename_new(*given: int | bytes) -> None:
        time.sleep(_A_WHILE_SECONDS)
        if not exclusive:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(*given)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(_calls, "rename_new", rename_new)
    tree = Tree("nfs", str(tmp_path), cross_mounts=False)
    assert tree.fs_id is not None
    for place in range(10):

        def stage(number: int, place: int = place) -> None:
            path, key = b"%d/a/b/%d" % (place, number), f"job-{number}-1"
            _staging.make_directories(tree, path, key, (), may_not_sync=True)
            _staging.create(tree, path, key, None, [], None, stable=True).close()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(stage, range(8)))
    assert all(len(os.listdir(tmp_path / str(place) / "a" / "b")) == 8 for place in range(10))
    tree.close()


def test_what_left_a_quarantine_is_tidied_once() -> None:
    removed: list[bytes] = []

    class Files:
        @contextmanager
        def ending(self, _doing: str, _path: bytes) -> Iterator[None]:
            yield

        def home(self, *parts: bytes) -> bytes:
            return b"/".join(parts)

        def remove(self, place: bytes) -> None:
            time.sleep(_A_WHILE_SECONDS)
            removed.append(place)

    quarantine: Any = Quarantine(Files(), lambda *_: [])  # type: ignore[arg-type]  # what it asks of them is there
    quarantine._spent = [f"job-{number}-1" for number in range(6)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _number: quarantine.settle(), range(3)))
    assert len(removed) == len(set(removed)) == 6
    assert not quarantine._spent


@pytest.mark.slow
def test_the_clock_of_a_host_is_asked_once(tmp_path: Path, ssh_server: sshd.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = Hosts(tmp_path, server=ssh_server)
    for number in range(12):
        estate.write("data", b"f%d" % number, b"%d" % number)
    estate.ready()
    assert estate.run("archive", to="vault").counts == {"QUARANTINED": 12}
    estate.scanned()
    asked, real = [], sftp.Store.clock_ns

    def clock_ns(store: sftp.Store) -> int:
        asked.append(threading.current_thread().name)
        return real(store)

    monkeypatch.setattr(sftp.Store, "clock_ns", clock_ns)
    made = estate.approved("archive", to="far", where="volume = 'vault'", quiet="1s")
    asked.clear()
    came = estate.carried_out(made)
    assert came.counts == {"QUARANTINED": 12}, estate.reasons(came.job_id)
    assert len(asked) == 1
