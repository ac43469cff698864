"""What can be done to files: one module an action, whose stem is its name."""

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from lifecycle.draft import Draft

DEFINES = "class Action"


class Action(Protocol):
    """One action. Its stages are carried out in their order over a chunk of steps; see docs/lifecycle.md."""

    NAME: ClassVar[str]
    NEEDS_TARGET: ClassVar[bool]  # whether its policy must say `to`
    REMOVES: ClassVar[bool]  # the source is taken away: the floor holds for it
    TOUCHES: ClassVar[bool]  # the source's volume is written to: it must be prepared, and holds count
    REREADS: ClassVar[bool]  # whether its last stage reads all copies that a removal rests on
    QUIET: ClassVar[bool]  # whether files that changed within the quiet time are left alone
    REPORT: ClassVar[str | None]  # the report whose rows it takes where a policy names neither report nor class
    STAGES: ClassVar[tuple[str, ...]]

    def intend(self, draft: "Draft") -> None:
        """Fill the draft with the acts that its policy means, refusals of the action's own included. Raises ConfigError. Writes nothing."""


def load(name: str) -> Action:
    """The action of that name. Raises NotFoundError that lists the known ones."""
    from catalog import extensions

    module: Any = extensions.load("actions", name, DEFINES)
    action: Action = module.Action()
    return action


def names() -> list[str]:
    """The names of all actions, sorted; none is imported."""
    from catalog import extensions

    return extensions.names("actions", ".py", DEFINES)
