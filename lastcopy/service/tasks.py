"""What is known of each scheduled task: when it was due, begun and ended, and how. One file a task, which outlives every process."""

import datetime
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from catalog import lock
from lastcopy import exits

State = Literal["ok", "failed", "running", "interrupted", "waiting"]
GOOD = (exits.Exit.DONE, exits.Exit.PARTLY)


@dataclass(frozen=True)
class Run:
    """The newest run of a task. Times are ISO 8601, UTC; `due_at` is that up to which it was caught up. `plan` is one that it began to carry out."""

    due_at: str
    started_at: str | None = None
    ended_at: str | None = None
    code: int | None = None
    plan: str | None = None

    @property
    def unfinished(self) -> bool:
        """Whether it was begun, and nobody saw it end."""
        return self.started_at is not None and self.ended_at is None

    def begun(self, now: datetime.datetime) -> "Run":
        """As it is while it runs."""
        return replace(self, due_at=stamp(now), started_at=stamp(now), ended_at=None, code=None)

    def ended(self, now: datetime.datetime, code: int) -> "Run":
        """As it is when it ended."""
        return replace(self, ended_at=stamp(now), code=code, plan=None)


def folder(root: Path) -> Path:
    """Where the service keeps what it must not forget. Makes it."""
    found = root / ".service"
    found.mkdir(parents=True, exist_ok=True)
    return found


def read(root: Path, name: str) -> Run | None:
    """The newest run of a task; None = never, or nothing that can be read."""
    try:
        return Run(**json.loads((root / ".service" / f"task-{name}.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def state(root: Path, name: str, found: Run | None) -> State:
    """How a task is, by its newest run, in a word."""
    if found is None:
        return "waiting"
    if found.unfinished:
        return "running" if lock.is_held(root, f"task-{name}") else "interrupted"
    return "waiting" if found.code is None else "ok" if found.code in GOOD else "failed"


def write(root: Path, name: str, run: Run) -> None:
    """Remember a run. Replaces the file as a whole."""
    from reports import render

    with render.replaced(folder(root) / f"task-{name}.json") as file:
        file.write(json.dumps(asdict(run)).encode())


def stamp(moment: datetime.datetime) -> str:
    """A moment as it is kept."""
    return moment.astimezone(datetime.UTC).isoformat()
