"""Engines side by side: however they begin, each chunk is carried out once and all of them end."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lifecycle import crew
from lifecycle.crew import Came, Errand
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate

FILES, CHUNKS = 40, 10


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    return estate.made(tmp_path)


@contextmanager
def a_thread() -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("meanwhile", ["nothing", "a thread", "an open journal", "a thread that ends", "nothing that tells of threads"])
def test_engines_share_a_job_whatever_else_their_process_does(small: Estate, monkeypatch: pytest.MonkeyPatch, meanwhile: str) -> None:
    contents = {f"f{number}": b"content %d" % number for number in range(FILES)}
    for name, content in contents.items():
        small.write("prod", name, content)
    job = small.job([replace(small.step(number, name), chunk=number % CHUNKS) for number, name in enumerate(contents, 1)])
    heard = [0, 0]

    def hear(steps: int, size_bytes: int) -> None:
        heard[0], heard[1] = heard[0] + steps, heard[1] + size_bytes

    with ExitStack() as stack:
        if meanwhile == "a thread that ends":
            (small.folder / "tasks" / "7").mkdir(parents=True)  # its name was listed, and what it was is gone
        if meanwhile in ("a thread that ends", "nothing that tells of threads"):
            monkeypatch.setattr(crew, "_TASKS", small.folder / "tasks")
        if meanwhile in ("a thread", "an open journal"):
            stack.enter_context(a_thread() if meanwhile == "a thread" else small.journal())
        came = small.carry_out(job, 3, hear)
    assert (came.halt, came.blocked, came.others) == (None, {}, False)
    assert small.states(job) == ["QUARANTINED"] * FILES, small.reasons(job)
    assert {name: small.read("vault", name) for name in contents} == contents
    assert heard == [FILES, sum(map(len, contents.values()))]
    assert small.trail_is_whole()


def test_no_engine_begins_whose_parent_died_before_it_asked_to_die_with_it(small: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("prod", "f", b"content")
    small.write("prod", "g", b"content too")
    job = small.job([replace(small.step(number, name), chunk=number) for number, name in enumerate("fg", 1)])
    told, tell = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            real_engine, real_library, me = crew._engine, ctypes.CDLL, os.getpid()

            def waits_to_be_killed(errand: Errand, place: int, heard: Callable[[int, int], None]) -> Came:
                if place == 0:
                    signal.pause()
                return real_engine(errand, place, heard)

            def after_its_death(name: str | None, **more: Any) -> ctypes.CDLL:  # noqa: ANN401  passed on as they came
                if os.getpid() != me and not died:
                    os.write(tell, b"begun")
                    while os.getppid() == me:
                        time.sleep(0.01)
                    died.append(True)
                return real_library(name, **more)

            died: list[bool] = []
            monkeypatch.setattr(crew, "_engine", waits_to_be_killed)
            monkeypatch.setattr(ctypes, "CDLL", after_its_death)
            small.carry_out(job, 2)
        finally:
            os._exit(1)
    os.close(tell)
    assert os.read(told, 5) == b"begun"
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert os.read(told, 1) == b"", "the engine has ended, too"
    os.close(told)
    assert small.states(job) == ["PLANNED"] * 2
