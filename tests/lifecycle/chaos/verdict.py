"""What a look at the disks says: which contents are nowhere, which names show what they should not, what was left lying about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.lifecycle.chaos.estate import ARROW, OWN, Truth

# What programs call a file that is not whole yet.
_TEMPORARY = (b".lastcopy~",)
_QUARANTINE = OWN + b"/quarantine/"


@dataclass
class Verdict:
    """The findings of one point. Nothing is well but an empty one."""

    lost: list[str] = field(default_factory=list)  # an original content that is at none of its names
    wrong: list[str] = field(default_factory=list)  # a final name that shows something else than its content
    left: list[str] = field(default_factory=list)  # temporary names, and quarantined files that nobody knows
    stuck: list[str] = field(default_factory=list)  # a job that does not end, a journal that does not verify, a victim touched

    def __bool__(self) -> bool:
        """Whether anything is amiss."""
        return bool(self.lost or self.wrong or self.left or self.stuck)

    def add(self, other: "Verdict") -> None:
        """Take another's findings in."""
        for name in ("lost", "wrong", "left", "stuck"):
            getattr(self, name).extend(getattr(other, name))

    def __str__(self) -> str:
        return "; ".join(f"{name}: {', '.join(found[:3])}" for name, found in vars(self).items() if found) or "well"


def look(truth: Mapping[bytes, bytes | set[bytes]], source: Truth, target: Truth, final: Mapping[bytes, bytes] | None = None) -> Verdict:
    """Judge two trees. `truth`: path → its content, or the contents of which one must be there; `final`: path → its name on the target, where that differs."""
    verdict = Verdict()
    hidden = {content for path, content in (*source.items(), *target.items()) if path.startswith(_QUARANTINE)}
    for path, wanted in truth.items():
        accepted = wanted if isinstance(wanted, set) else {wanted}
        name = final.get(path, path) if final else path
        if not accepted & ({source.get(path), target.get(name)} | hidden):
            verdict.lost.append(repr(path))
        if name in target and target[name] not in accepted:
            verdict.wrong.append(repr(path))
    verdict.left += [repr(path) for path in (*source, *target) if _is_temporary(path)]
    return verdict


def strangers(truth: Iterable[bytes], tree: Truth) -> list[str]:
    """Names in a tree that nobody planned."""
    known = set(truth)
    return [repr(path) for path in tree if path not in known and not path.startswith(OWN + b"/") and not _is_temporary(path)]


def missing(truth: Truth, tree: Truth) -> list[str]:
    """Names of which a tree has not the content."""
    return [repr(path) for path, content in truth.items() if tree.get(path) != content and not content.startswith(ARROW)]


def _is_temporary(path: bytes) -> bool:
    return path.rpartition(b"/")[2].startswith(_TEMPORARY) and path.endswith(b".part")
