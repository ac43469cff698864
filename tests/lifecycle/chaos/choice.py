"""Which of the points of a run are tried."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.lifecycle.chaos.tracing import Call


@dataclass(frozen=True)
class Choice:
    """All points; or those that can change a disk (between two of them it does not change); or a number of them, spread evenly from a seed on."""

    changing: bool = False
    before: frozenset[str] = frozenset()  # only the calls right before, and those of, these names: where a check and an act are apart
    at_most: int | None = None
    seed: int = 0

    def of(self, calls: Sequence[Call]) -> list[Call]:
        """The chosen calls, in order."""
        able = [call for call in calls if call.changing] if self.changing else list(calls)
        if self.before:
            near = {place - back for place, call in enumerate(calls) if call.name in self.before for back in range(3)}
            able = [calls[place] for place in sorted(near) if place >= 0]
        if self.at_most is None or len(able) <= self.at_most:
            return able
        step = len(able) / self.at_most
        start = random.Random(self.seed).random() * step
        return [able[int(start + place * step)] for place in range(self.at_most)]


EVERY = Choice()
