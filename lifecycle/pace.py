"""How fast and when a job may work: rates, hours of the day, the kill switch, and being asked to stop."""

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from catalog.config import Policy

HaltState = Literal["stopped", "interrupted", "outside_hours", "suspended", "waiting"]
_LONGEST_NAP_SECONDS = 0.5


class Halt(Exception):  # noqa: N818  not an error: the job can go on later
    """The job goes no further in this run; what is on disk and in the journal lets a later run go on."""

    def __init__(self, state: HaltState, reason: str) -> None:
        super().__init__(reason)
        self.state: HaltState = state
        self.reason = reason


@dataclass
class Pace:
    """The limits of one run. `interrupted` is set by a signal; `seconds` and `nap` are the clock that rates are kept by."""

    policy: Policy
    stop: Path
    interrupted: bool = False
    seconds: Callable[[], float] = time.monotonic
    nap: Callable[[float], None] = time.sleep
    local: Callable[[], datetime.time] = lambda: datetime.datetime.now().time()  # of this host
    _free_at: float = field(default=0.0, init=False)

    def check(self) -> None:
        """Raises Halt where the job was asked to stop, the kill switch lies there, or it is outside of the policy's hours."""
        if self.interrupted:
            raise Halt("interrupted", "interrupted; nothing is lost, 'job resume' goes on")
        if present(self.stop):
            raise Halt("stopped", f"the kill switch {self.stop} is there; remove it, then resume the job")
        if self.policy.hours and not within(self.policy.hours, self.local()):
            raise Halt("outside_hours", f"it is outside of the hours {self.policy.hours} of the policy; resume the job then")

    def spent(self, steps: int, size_bytes: int) -> None:
        """Wait as long as the rates ask for so much work. Raises Halt as `check` does."""
        share = 0.0
        if self.policy.steps_per_second:
            share = steps / self.policy.steps_per_second
        if self.policy.bytes_per_second:
            share = max(share, size_bytes / self.policy.bytes_per_second)
        if not share:
            return
        self._free_at = max(self._free_at, self.seconds()) + share
        while (left := self._free_at - self.seconds()) > 0:
            self.check()
            self.nap(min(left, _LONGEST_NAP_SECONDS))


def present(stop: Path) -> bool:
    """Whether the kill switch is there. What cannot be told counts as there."""
    try:
        stop.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def within(hours: str, now: datetime.time) -> bool:
    """Whether a time of day lies in 'HH:MM-HH:MM'; hours that end before they begin go over midnight, equal ones are the whole day."""
    begin, end = (datetime.time.fromisoformat(part) for part in hours.split("-"))
    return begin <= now < end if begin < end else now >= begin or now < end
