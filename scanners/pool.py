"""Worker processes that run shards: started when there is much to do, dead when their driver is."""

import dataclasses
import json
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence

from catalog.errors import CatalogError
from scanners import Segment, Settings, ShardRecord
from scanners.sink import Target

_QUEUE = 2  # shards that a worker has at a time: the next one waits for it, not it for us


@dataclasses.dataclass
class Result:
    """A shard that is done: the segments that it was made of, and its record."""

    taken: Sequence[Segment]
    record: ShardRecord


class _Worker:
    """One process: shards go in and records come out as lines of JSON."""

    def __init__(self, module: str, settings: Settings, target: Target, entries: int) -> None:
        """Starts it."""
        # -P: the folder we stand in may be the very tree that is scanned, and must not be a place for modules.
        command = [sys.executable, "-P", "-m", "scanners._worker"]
        alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # numpy's threads for matrices would only wait
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0, env=alone)  # noqa: S603 - our own interpreter and module
        self.given: deque[Sequence[Segment]] = deque()
        self._torn = b""
        self.tell(
            {
                "module": module,
                "settings": dataclasses.asdict(settings),
                "root": str(target.root.absolute()),
                "scan_id": target.scan_id,
                "parent": os.getpid(),
                "entries": entries,
            }
        )

    @property
    def output(self) -> int:
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        return self.process.stdout.fileno()

    def tell(self, message: dict[str, object]) -> None:
        assert self.process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error

    def heard(self) -> Iterator[Result]:
        """The records that have come; blocks only if there is nothing at all."""
        content = os.read(self.output, 1 << 20)
        if not content:
            raise self._died()
        *lines, self._torn = (self._torn + content).split(b"\n")
        for line in lines:
            reply = json.loads(line)
            if "error" in reply:
                raise CatalogError(f"a scan worker failed: {reply['error']}")
            yield Result(self.given.popleft(), ShardRecord(**{**reply, "left": tuple(Segment(**segment) for segment in reply["left"])}))

    def _died(self) -> CatalogError:
        return CatalogError(f"a scan worker ended by itself (exit {self.process.wait()}); its memory or its disk may have run out")


class Pool:
    """Some workers. `close` kills them, whatever they do: what they wrote without a record does not exist."""

    def __init__(self, module: str, settings: Settings, target: Target, size: int, entries: int) -> None:
        """Starts nothing yet. `module` has the scanner; `entries` is the budget of a shard."""
        self._start = module, settings, target, entries
        self._size = size
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.communicate()
        self._selector.close()

    def start(self) -> None:
        """Start all workers at once: there will be much to do."""
        while len(self._workers) < self._size:
            self._add()

    @property
    def busy(self) -> bool:
        """Whether a worker has a shard."""
        return any(worker.given for worker in self._workers)

    @property
    def hungry(self) -> "_Worker | None":
        """The worker with the least to do, if it can take a shard; a new one as long as there may be more."""
        if len(self._workers) < self._size:
            return self._add()
        least = min(self._workers, key=lambda worker: len(worker.given), default=None)
        return least if least and len(least.given) < _QUEUE else None

    def give(self, worker: _Worker, number: int, taken: Sequence[Segment], seconds: float) -> None:
        """Have a worker run the shard of some segments, for about that long."""
        worker.given.append(taken)
        worker.tell({"number": number, "segments": [dataclasses.astuple(segment) for segment in taken], "seconds": seconds})

    def _add(self) -> _Worker:
        worker = _Worker(*self._start)
        self._workers.append(worker)
        self._selector.register(worker.output, selectors.EVENT_READ, worker)
        return worker

    def results(self, timeout_seconds: float) -> list[Result]:
        """What has come back by then. Raises CatalogError if a worker failed or died."""
        if not self.busy:
            return []
        return [result for key, _ in self._selector.select(timeout_seconds) for result in key.data.heard()]
