"""Who is answered when: some answers side by side, few of them one asker's, and the others in line."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException

_AT_ONCE = 8  # answers that are computed side by side
_AT_ONCE_OF_ONE = 4
_IN_LINE = 24  # who waits for his turn, each in one of the server's 40 threads: those who read need some too
_IN_LINE_OF_ONE = 20
_TURN_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Turn:
    """A place in line, and the right to be answered once it comes first."""

    who: str


@dataclass
class Turns:
    """The turns of a service. '' asks for anybody, whom nobody can tell from another: he may take them all."""

    at_once: int = _AT_ONCE
    at_once_of_one: int = _AT_ONCE_OF_ONE
    in_line: int = _IN_LINE
    in_line_of_one: int = _IN_LINE_OF_ONE
    seconds: float = _TURN_SECONDS
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _taken: set[Turn] = field(default_factory=set)
    _line: list[Turn] = field(default_factory=list)

    @contextmanager
    def turn(self, who: str) -> Iterator[None]:
        """Be answered within. Raises HTTPException as `take` does."""
        taken = self.take(who)
        try:
            yield
        finally:
            self.end(taken)

    def take(self, who: str) -> Turn:
        """Wait for a turn, which is to be ended. Raises HTTPException 503 where the line is too long or does not move."""
        mine = Turn(who)
        with self._changed:
            if len(self._line) >= self.in_line or (who and sum(one.who == who for one in self._line) >= self.in_line_of_one):
                raise _busy()
            self._line.append(mine)
            try:
                if not self._changed.wait_for(lambda: self._next() is mine, self.seconds):
                    raise _busy()
                self._taken.add(mine)
            finally:
                self._line.remove(mine)
                self._changed.notify_all()
        return mine

    def end(self, taken: Turn) -> None:
        """Let the next in line have it. Once is as good as twice."""
        with self._changed:
            self._taken.discard(taken)
            self._changed.notify_all()

    def _next(self) -> Turn | None:
        """The first in line who may be answered now."""
        if len(self._taken) >= self.at_once:
            return None
        have = Counter(one.who for one in self._taken)
        return next((one for one in self._line if not one.who or have[one.who] < self.at_once_of_one), None)


def _busy() -> HTTPException:
    return HTTPException(503, "too many answers at once; come again", {"Retry-After": "5"})
