"""What each role may do: the one table that pages, API calls and messages go by."""

from dataclasses import dataclass
from typing import get_args

from catalog.services import Role

ROLES: tuple[Role, ...] = get_args(Role)
_AUDITORS: tuple[Role, ...] = ("auditor", "operator")
_OPERATORS: tuple[Role, ...] = ("operator",)


@dataclass(frozen=True)
class Right:
    """Something that some roles may do. `whole`: only who may see every volume may, since no part of it can be cut out for others."""

    what: str
    roles: tuple[Role, ...]
    whole: bool = False

    def held(self, role: Role, *, limited: bool) -> bool:
        """Whether a role has it, who is limited to some volumes or folders, or not."""
        return role in self.roles and not (self.whole and limited)

    @property
    def refusal(self) -> str:
        """What somebody is told who does not have it."""
        those = "those" if self.roles == ROLES else " and ".join(f"{role}s" for role in self.roles)
        return f"{self.what} are for {those}{' who may see every volume' if self.whole else ''}"


REPORTS = Right("reports, figures and files", ROLES)
LOSSES = Right("simulations of losses", ROLES, whole=True)
WORK = Right("plans and jobs", _AUDITORS, whole=True)
TRAIL = Right("audit trails", _AUDITORS, whole=True)
ACTS = Right("new plans and approvals", _OPERATORS, whole=True)

# Of each page, and of each call of the API by the first word of its address; what is not here is for nobody.
PAGES = {
    **dict.fromkeys(("overview", "coverage", "dormant", "duplicates", "explore", "changes", "volumes", "reports", "file", "search"), REPORTS),
    "loss": LOSSES,
    "plans": WORK,
    "trail": TRAIL,
}
CALLS = {
    **dict.fromkeys(("openapi.json", "snapshots", "volumes", "reports", "explain", "find"), REPORTS),
    **dict.fromkeys(("plans", "jobs"), WORK),
    **dict.fromkeys(("audit-log", "audit-verify"), TRAIL),
}


def of_address(path: str) -> Right | None:
    """What the page at a path of the service asks for; None where there is no page of ours."""
    return PAGES.get(path.strip("/").partition("/")[0] or "overview")
