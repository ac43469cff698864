"""The schedule: each task is the real command line in a process of its own, at its times; what was missed is caught up once."""

import contextlib
import datetime
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from catalog import lock
from catalog.config import Config
from catalog.errors import ConfigError, LockedError
from catalog.services import Task, written
from lastcopy import exits, listing, settings
from lastcopy.service import logs, tasks
from lastcopy.service.tasks import Run

if TYPE_CHECKING:
    from lastcopy.settings import Settings

_LOCKED_WAIT_SECONDS = 30.0
_LOCKED_TRIES = 240  # two hours for a scan that somebody else runs
_STOP_SECONDS = 60.0
_ALERTS_EVERY_SECONDS = 600
_LEFT = ("waiting", "outside_hours")  # jobs that stopped for a reason which time may have mended; suspended and stopped ones are for a person
_OURS = (*_LEFT, "open", "interrupted")  # one that this service had begun, and was ended over


def now() -> datetime.datetime:
    """The clock."""
    return datetime.datetime.now(datetime.UTC)


def trigger(name: str, task: Task) -> Any:  # noqa: ANN401  # APScheduler ships no types
    """When a task is due. Raises ConfigError."""
    from apscheduler.triggers.cron import CronTrigger

    fields = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * sun", "@monthly": "0 0 1 * *"}.get(task.cron, task.cron)
    try:
        return CronTrigger.from_crontab(fields, timezone=task.timezone)
    except (ValueError, LookupError) as error:
        raise ConfigError(f"schedule.{name}: {error}; cron has five fields, as in '0 2 * * *', and a timezone is named as in 'Europe/Paris'") from error


def next_after(name: str, task: Task, moment: datetime.datetime) -> datetime.datetime | None:
    """The first time after a moment at which a task is due."""
    found: datetime.datetime | None = trigger(name, task).get_next_fire_time(None, moment + datetime.timedelta(microseconds=1))
    return found


@contextlib.contextmanager
def running(configuration: Callable[[], Config], chosen: "Settings") -> "Iterator[Runner]":
    """The schedule, running in the background until the block ends. Raises LockedError where another service runs it, ConfigError."""
    config = configuration()
    root = settings.root_of(config)
    with contextlib.ExitStack() as stack:
        if config.schedule or config.notify.to:
            root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock.hold(root, "service"))
        runner = Runner(configuration, flags(chosen))
        runner.begin()
        try:
            yield runner
        finally:
            runner.end()


def flags(chosen: "Settings") -> list[str]:
    """The flags that a child needs to mean the same catalog."""
    from catalog import config

    found = ["--config", str(config.find(chosen.config))]
    return [*found, *(["--catalog", settings.written_out(chosen.catalog)] if chosen.catalog else []), "--no-input"]


class Runner:
    """Runs tasks, one of a kind at a time, and remembers how they ended."""

    def __init__(self, configuration: Callable[[], Config], given: list[str]) -> None:
        self._configuration = configuration
        self._given = given
        self.root = settings.root_of(configuration())
        self._kinds: dict[str, threading.Lock] = {}
        self._children: set[subprocess.Popen[bytes]] = set()
        self._stopping = threading.Event()
        self._scheduler: Any = None

    def states(self) -> list[tuple[str, str]]:
        """Every task and its state in a word."""
        return [(name, tasks.state(self.root, name, tasks.read(self.root, name))) for name in self._configuration().schedule]

    def begin(self) -> None:
        """Run what was missed, once, and from now on what is due. Starts threads."""
        from apscheduler.schedulers.background import BackgroundScheduler

        config = self._configuration()
        triggers: Mapping[str, Any] = {name: trigger(name, task) for name, task in config.schedule.items()}
        self._scheduler = BackgroundScheduler(timezone=datetime.UTC, job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1})
        for name, when in triggers.items():
            first = {"next_run_time": now()} if self._missed(name, config.schedule[name]) else {}
            self._scheduler.add_job(self._due, when, args=[name], id=name, **first)
        if config.notify.to:
            self._scheduler.add_job(self._alert, "interval", seconds=_ALERTS_EVERY_SECONDS, id=" alerts", next_run_time=now())
        self._scheduler.start()

    def end(self) -> None:
        """Begin nothing more, and interrupt what runs: it can be gone on with."""
        self._stopping.set()
        self._scheduler.pause()
        for child in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGINT)
        for child in list(self._children):
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
        self._scheduler.shutdown(wait=True)

    def run(self, name: str, said: "int | None" = None) -> int:
        """Run a task now, to its end; gives its exit code. `said` is where its output goes, else its log. Raises LockedError where it runs already."""
        task = self._configuration().schedule[name]
        before = tasks.read(self.root, name) or Run(tasks.stamp(now()))
        with lock.hold(self.root, f"task-{name}"):
            run = before.begun(now())
            tasks.write(self.root, name, run)
            try:
                code = self._carried_out(name, task, before, said)
            except Exception:
                tasks.write(self.root, name, run.ended(now(), exits.Exit.FAILED))
                raise
            if self._stopping.is_set():
                return exits.Exit.INTERRUPTED  # it is not written down as ended: the next start goes on with it
            tasks.write(self.root, name, run.ended(now(), code))
        return code

    def _carried_out(self, name: str, task: Task, before: Run, said: "int | None") -> exits.Exit:
        """Run the commands of a task, until this is to stop, and send what they wrote; gives the worst of their codes."""
        codes: list[int] = []
        file: str | None = None
        for words in self._commands(name, task, before):
            file = written(words)
            codes.append(self._child(name, words, said))
            if self._stopping.is_set():
                break
        code = exits.worst(exits.Exit(one) if one in set(exits.Exit) else exits.Exit.FAILED for one in codes)
        undelivered = task.to and file and code in tasks.GOOD and not self._stopping.is_set() and not self._delivered(name, task, file)
        return exits.Exit.UNREACHABLE if undelivered else code

    def _delivered(self, name: str, task: Task, file: str) -> bool:
        from lastcopy.service import alerts

        config = self._configuration()
        return alerts.deliver(config, task.to, f"Lastcopy: {name}", config.folder / file)

    def _missed(self, name: str, task: Task) -> bool:
        found = tasks.read(self.root, name)
        if found is None:
            tasks.write(self.root, name, Run(tasks.stamp(now())))  # from now on it can be missed
            return False
        following = next_after(name, task, datetime.datetime.fromisoformat(found.due_at))
        return found.unfinished or (following is not None and following <= now())

    def _due(self, name: str) -> None:
        task = self._configuration().schedule.get(name)
        if task is None or self._stopping.is_set():
            return
        with self._kinds.setdefault(task.run.split()[0], threading.Lock()):
            if self._stopping.is_set():
                return
            log = logs.log().bind(task=name, run=task.run)
            log.info("task begins")
            try:
                code = self.run(name)
            except LockedError:
                log.warning("task is running already")
                return
            except Exception:  # it is written down as failed, and told of
                log.exception("task could not be run")
            else:
                log.info("task ended", code=int(code))
        self._alert()

    def _alert(self) -> None:
        from lastcopy.service import alerts

        config = self._configuration()
        if config.notify.to and not self._stopping.is_set():
            try:
                alerts.tell(config, self.root, now(), dict(self.states()))
            except Exception:
                logs.log().exception("notifications could not be made")

    def _commands(self, name: str, task: Task, before: Run) -> Iterator[list[str]]:
        words = [word.replace("{day}", f"{now():%Y-%m-%d}") for word in shlex.split(task.run)]
        if words[0] == "approved-plans":
            yield from self._plans(name, before)
        elif words[0] == "scan" and before.unfinished and not any(word.startswith(("--resume", "--changes")) for word in words):  # by a list a scan begins anew
            yield [*words, "--resume"]
        else:
            yield words

    def _plans(self, name: str, before: Run) -> Iterator[list[str]]:
        """First the jobs of approved plans that are to be gone on with, then each plan that is approved as a whole."""
        config = self._configuration()
        jobs = listing.jobs(config)
        plans = {plan["id"]: str(plan["state"]) for plan in listing.plans(config, int(now().timestamp() * 1_000_000))}
        undone = {job["of_job"] for job in jobs if job["kind"] == "undo"}
        for job in jobs:
            states = _OURS if before.unfinished and job["plan"] == before.plan else _LEFT
            wanted = job["kind"] != "undo" and job["id"] not in undone and plans.get(job["plan"]) not in (None, "cancelled")
            if wanted and job["state"] in states:
                self._carries_out(name, str(job["plan"]))
                yield ["job", "resume", str(job["id"])]
        for plan, state in plans.items():
            if state == "approved":
                self._carries_out(name, str(plan))
                yield ["job", "run", str(plan)]

    def _carries_out(self, name: str, plan: str) -> None:
        """Remember the plan whose job is the task's, so that it is gone on with if this is ended over it."""
        if run := tasks.read(self.root, name):
            tasks.write(self.root, name, replace(run, plan=plan))

    def _child(self, name: str, words: list[str], said: "int | None") -> int:
        for tries_left in reversed(range(_LOCKED_TRIES)):
            code = self._once(name, words, said)
            if code != exits.Exit.LOCKED or not tries_left or self._stopping.wait(_LOCKED_WAIT_SECONDS):
                return code
        raise AssertionError("unreachable: the last try returns")

    def _once(self, name: str, words: list[str], said: "int | None") -> int:
        program = [sys.executable, "-m", "lastcopy.service.child", str(os.getpid()), *words, *self._given]
        with (tasks.folder(self.root) / f"task-{name}.log").open("wb") as log:
            out, err = (log, subprocess.STDOUT) if said is None else (said, None)
            folder = self._configuration().folder
            # In a session of its own: Ctrl-C in a terminal reaches it once, from us.
            child = subprocess.Popen(program, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)  # noqa: S603  # our own program, no shell
            self._children.add(child)
            if self._stopping.is_set():  # it was told to stop while this began
                child.send_signal(signal.SIGINT)
            try:
                return child.wait()
            finally:
                self._children.discard(child)
