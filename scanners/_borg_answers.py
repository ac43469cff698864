"""The content of files of a repository of borg on this host, as borg's own code reads it from its segments, each piece held against its id."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pyarrow as pa

from catalog import names, printable
from catalog.errors import UnreachableError
from scanners import _borg_contents
from scanners._borg import Borg
from scanners._program import RunError
from scanners.reading import Problem, Reply

_GONE = "no archive holds this version any more, or it lies in other segments than it did"
_STATES = {_borg_contents.READ, _borg_contents.BROKEN, _borg_contents.GONE, _borg_contents.ALIVE}
_TOLD_LETTERS = 300


class Contents:
    """Asks one process of borg's code, which lives from the first question to `close`. Where it ends before, all that is asked later is told to be unread."""

    def __init__(self, borg: Borg, archives: Sequence[str]) -> None:
        """`archives`: the ids of those whose files are asked for. Raises RunError, UnreachableError."""
        self._stack = ExitStack()
        self._blocks, self._asked = self._stack.enter_context(borg.contents(archives))
        self._said = bytearray()
        self._ended: str | None = None

    def read(self, rows: pa.RecordBatch) -> Reply:
        """Digests of files, by the numbers of their versions (`inode`). What cannot be read is a problem of stage `read`."""
        started, count = time.monotonic_ns(), rows.num_rows
        ended, digests, samples = [started] * count, list[bytes | None]([None] * count), list[bytes | None]([None] * count)
        problems, total = list[Problem](), 0
        answers = self._answers(rows["inode"].to_pylist())
        for row in range(count):
            try:
                state, bytes_read, digest, sample, text = next(answers)
            except (RunError, UnreachableError) as error:
                self._ended = self._ended or str(error)
                problems += [(left, "read", self._ended, None) for left in range(row, count)]
                ended[row:] = [time.monotonic_ns()] * (count - row)
                break
            total += bytes_read
            if state == _borg_contents.READ:
                digests[row], samples[row] = digest, sample if any(sample) else None
            else:
                problems.append((row, "changed", _GONE, None) if state == _borg_contents.GONE else (row, "read", _damaged(text), None))
            ended[row] = time.monotonic_ns()
        return Reply(started, ended, digests, samples, total, problems)

    def close(self) -> None:
        """End the process."""
        self._stack.close()

    def _answers(self, numbers: Sequence[int]) -> Iterator[tuple[bytes, int, bytes, bytes, bytes]]:
        """Ask one by one: no answer is waited for whose question waits behind a full pipe. Raises RunError, UnreachableError."""
        for number in numbers:
            if self._ended:
                raise RunError(self._ended)
            self._asked.write(_borg_contents.NUMBER.pack(number))
            while (answer := self._answer())[0] == _borg_contents.ALIVE:
                pass
            yield answer

    def _answer(self) -> tuple[bytes, int, bytes, bytes, bytes]:
        record = _borg_contents.RECORD
        state, size, digest, sample, length = record.unpack(self._take(record.size))
        if state not in _STATES:
            raise RunError("borg's code: an answer that cannot be read")
        return state, size, digest, sample, self._take(length)

    def _take(self, count: int) -> bytes:
        """So many bytes of what is said. Raises RunError where it ends before."""
        while len(self._said) < count:
            block = next(self._blocks, None)
            if block is None:
                raise RunError("borg's code: it ended within an answer")
            self._said += block
        taken = bytes(self._said[:count])
        del self._said[:count]
        return taken


def _damaged(text: bytes) -> str:
    return f"the repository is damaged: {printable.clean(names.escape(text)[:_TOLD_LETTERS])}"
