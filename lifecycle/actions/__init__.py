"""What can be done to files: one module an action, whose stem is its name."""

import functools
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from catalog.config import Policy
    from lifecycle.draft import Draft
    from lifecycle.stores import Capabilities

DEFINES = "class Action"


class Action(Protocol):
    """One action. Its stages are carried out in their order over a chunk of steps; see docs/lifecycle.md."""

    NAME: ClassVar[str]
    STAGES: ClassVar[tuple[str, ...]]
    REPORT: ClassVar[str | None] = None  # the report whose rows it takes where a policy names neither report nor class
    NEEDS_TARGET: ClassVar[bool] = False  # whether its policy must say `to`
    NEEDS_DIGEST: ClassVar[bool] = False  # whether the content must be known when it is planned
    REMOVES: ClassVar[bool] = False  # the source is taken away: the floor holds for it
    TOUCHES: ClassVar[bool] = False  # the source's volume is written to: it must be prepared, and holds count
    FREES: ClassVar[bool] = False  # the source's space is given back, though the file stays
    RETURNS: ClassVar[bool] = False  # a pointer that an archive left at the target gives way to it
    REREADS: ClassVar[bool] = False  # all copies that a removal rests on are read before it
    QUIET: ClassVar[bool] = True  # files that changed within the quiet time are left alone

    def intend(self, draft: "Draft") -> None:
        """Fill the draft with the acts that its policy means, refusals of the action's own included. Raises ConfigError. Writes nothing."""

    def lacks(self, capabilities: "Capabilities", policy: "Policy") -> str | None:
        """What the source's volume cannot do that the action needs; None = nothing."""
        return None


@functools.cache
def load(name: str) -> Action:
    """The action of that name, looked for once: every file of a job asks. Raises NotFoundError that lists the known ones."""
    from catalog import extensions

    module: Any = extensions.load("actions", name, DEFINES)
    action: Action = module.Action()
    return action


def names() -> list[str]:
    """The names of all actions, sorted; none is imported."""
    from catalog import extensions

    return extensions.names("actions", ".py", DEFINES)
