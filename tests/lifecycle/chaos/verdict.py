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
    touched: list[str] = field(default_factory=list)  # something that is none of the program's business: a foreign file, a tree outside
    untrue: list[str] = field(default_factory=list)  # the journal says what is not so
    stuck: list[str] = field(default_factory=list)  # a job that does not end, a journal that does not verify

    def __bool__(self) -> bool:
        """Whether anything is amiss."""
        return any(vars(self).values())

    def add(self, other: "Verdict") -> None:
        """Take another's findings in."""
        for name, found in vars(other).items():
            mine = getattr(self, name)
            mine.extend(one for one in found if one not in mine)

    def __str__(self) -> str:
        return "; ".join(f"{name}: {', '.join(found[:3])}" for name, found in vars(self).items() if found) or "well"


@dataclass
class Wanted:
    """What must be true of one path: one of `somewhere` is at one of its names (none asked for: it may be gone), its final name shows nothing but `shown`."""

    somewhere: set[bytes]
    shown: set[bytes]
    anywhere: bool = False  # a directory above was moved: any name of the source will do
    kept: bool = False  # it must be where its user finds it: what is only in quarantine will be deleted


def look(truth: Mapping[bytes, bytes | Wanted], source: Truth, target: Truth, final: Mapping[bytes, bytes] | None = None) -> Verdict:
    """Judge two trees. `truth`: path → its content, or what is wanted; `final`: path → its name on the target, where that differs."""
    verdict = Verdict()
    hidden = {content for path, content in (*source.items(), *target.items()) if path.startswith(_QUARANTINE)}
    everything = set(source.values()) | set(target.values())
    for path, given in truth.items():
        wanted = given if isinstance(given, Wanted) else Wanted({given}, {given})
        name = final.get(path, path) if final else path
        there = everything if wanted.anywhere else {source.get(path), target.get(name)} | (set() if wanted.kept else hidden)
        if wanted.somewhere and not wanted.somewhere & there:
            verdict.lost.append(repr(path))
        if name in target and target[name] not in wanted.shown:
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
