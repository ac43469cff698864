"""Bars on stderr while a scan runs; nothing where that is no terminal."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from lifecycle.job import Progress as Worked
    from scanners.digest import DigestCounts
    from scanners.progress import Progress as Crawled


class Bars:
    """One bar a step: what it is, how far, how fast, how long yet. A context."""

    def __init__(self, *, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._bars: Progress | None = None

    def __enter__(self) -> Self:
        if self._shown:
            from rich import progress
            from rich.console import Console

            text = progress.TextColumn("{task.description}", markup=False)
            said = progress.TextColumn("{task.fields[said]}", markup=False)
            self._bars = progress.Progress(text, progress.BarColumn(), said, progress.TimeRemainingColumn(), console=Console(stderr=True), transient=True)
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def crawl(self, volume: str) -> "Callable[[Crawled], None] | None":
        """The listener of a volume's crawl; its share is known where there is a scan before it."""
        if self._bars is None:
            return None
        bars, task = self._bars, self._task(volume)

        def listen(heard: "Crawled") -> None:
            said = f"{heard.entries:,} entries  {heard.rate:,.0f}/s" + (f"  {heard.problems:,} problems" if heard.problems else "")
            bars.update(task, total=1.0 if heard.done_share is not None else None, completed=heard.done_share or 0.0, said=said)

        return listen

    def digest(self) -> "Callable[[DigestCounts], None] | None":
        """The listener of the reading of content. What is wanted grows while it reads, so its end is a guess."""
        if self._bars is None:
            return None
        bars, task = self._bars, self._task("content")

        def listen(heard: "DigestCounts") -> None:
            from reports.terminal import size

            said = f"{heard.read:,} of {heard.wanted:,} files  {size(heard.bytes_read)}"
            bars.update(task, total=float(heard.wanted_bytes) or None, completed=float(heard.bytes_read), said=said)

        return listen

    def job(self, name: str) -> "Callable[[Worked], None] | None":
        """The listener of a job: by bytes where it has any, else by steps."""
        if self._bars is None:
            return None
        bars, task = self._bars, self._task(name)

        def listen(heard: "Worked") -> None:
            from reports.terminal import size

            said = f"{heard.steps:,} of {heard.steps_wanted:,} steps  {size(int(heard.bytes / max(heard.seconds, 0.001)))}/s"
            total, done = (heard.bytes_wanted, heard.bytes) if heard.bytes_wanted else (heard.steps_wanted, heard.steps)
            bars.update(task, total=float(total) or None, completed=float(min(done, total)), said=said)

        return listen

    def derive(self) -> None:
        """The bar of the derivation, which cannot tell how far it is."""
        if self._bars:
            self._task("deriving")

    def _task(self, name: str) -> "TaskID":
        assert self._bars is not None  # noqa: S101  # the callers have looked
        for task in self._bars.task_ids:
            self._bars.update(task, visible=False)
        return self._bars.add_task(name, total=None, said="")
