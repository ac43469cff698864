"""The states of a step, and which may follow which; drawn in docs/lifecycle.md."""

import functools
from typing import Literal

State = Literal[
    "PLANNED", "CLAIMED", "COPYING", "VERIFIED", "PUBLISHED", "RETIRING", "GUARDED", "QUARANTINED", "PURGING", "DONE",
    "CONFLICT", "STALE", "SOURCE_CHANGED", "SOURCE_BUSY", "FAILED", "REFUSED", "UNKNOWN",
]  # fmt: skip

ENDS: frozenset[State] = frozenset({"DONE", "CONFLICT", "STALE", "SOURCE_CHANGED", "SOURCE_BUSY", "FAILED", "REFUSED", "UNKNOWN"})
BAD_ENDS = ENDS - {"DONE"}
RESTING: frozenset[State] = frozenset({"QUARANTINED"})
LIVE: frozenset[State] = frozenset({"PLANNED", "CLAIMED", "COPYING", "VERIFIED", "PUBLISHED", "RETIRING", "GUARDED", "PURGING"})
GUARDING: frozenset[State] = frozenset({"RETIRING", "GUARDED"})  # the source is still where it was
TAKEN: frozenset[State] = frozenset({"QUARANTINED", "PURGING"})  # the source is in quarantine, or was
STATES: tuple[State, ...] = State.__args__  # type: ignore[attr-defined]  # the members of a Literal

# What may follow a state, beside an end, which may follow any live one. RETIRING is entered by the guard's transaction alone.
_NEXT: dict[State, frozenset[State]] = {
    "PLANNED": frozenset({"CLAIMED"}),
    "CLAIMED": frozenset({"PLANNED", "CLAIMED", "COPYING", "QUARANTINED", "DONE"}),  # QUARANTINED: an equal file has its name
    "COPYING": frozenset({"PLANNED", "CLAIMED", "COPYING", "VERIFIED", "PUBLISHED"}),  # PUBLISHED: equal content was at the target
    "VERIFIED": frozenset({"PLANNED", "CLAIMED", "COPYING", "VERIFIED", "PUBLISHED"}),
    "PUBLISHED": frozenset({"PLANNED", "CLAIMED", "PUBLISHED", "DONE"}),
    "RETIRING": frozenset({"GUARDED", "PURGING"}),
    "GUARDED": frozenset({"GUARDED", "QUARANTINED", "PURGING", "DONE"}),
    "QUARANTINED": frozenset({"GUARDED", "QUARANTINED", "PURGING"}),  # GUARDED: after a power cut the old name had it again
    "PURGING": frozenset({"QUARANTINED", "PURGING"}),
}


@functools.cache
def may_follow(now: State, then: State, *, retry: bool = False) -> bool:
    """Whether a step in state `now` may be moved to `then`; `retry`: it had ended so that a later run may well succeed."""
    if now in BAD_ENDS:
        return then == "PLANNED" and (retry or now == "UNKNOWN")
    if now == "DONE":
        return then == "DONE"  # it is undone: the state stays
    if then == "DONE" and now == "PURGING":
        return True
    return then in _NEXT[now] or then in BAD_ENDS
