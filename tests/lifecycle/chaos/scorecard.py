"""The figures: points fired of points existing, and what was found at them, as a Markdown table."""

import time
from dataclasses import asdict, dataclass, field
from typing import Literal

from tests.lifecycle.chaos.verdict import Verdict

FINDINGS = ("lost", "wrong", "touched", "left", "untrue", "stuck")
_EXAMPLES = 5


@dataclass
class Row:
    """One sweep of one program."""

    sweep: str
    program: str
    must: Literal["hold", "be caught", "be seen"] = "hold"  # a mutant must be caught; what others lose is only seen
    existing: int = 0  # points that the undisturbed run has
    chosen: int = 0  # points that were to be tried
    fired: int = 0  # points at which the fault was seen to happen
    lost: int = 0  # points after which an original content was nowhere
    wrong: int = 0  # … a final name showed something else
    touched: int = 0  # … something that is none of its business was changed
    left: int = 0  # … a temporary name stayed
    untrue: int = 0  # … the journal said what was not so
    stuck: int = 0  # … the job did not come to an end, or its journal did not verify
    seconds: float = 0.0
    examples: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic, repr=False)

    def note(self, point: object, verdict: Verdict, *, fired: bool = True) -> None:
        """Count one point."""
        self.chosen += 1
        self.fired += fired
        for name in FINDINGS:
            setattr(self, name, getattr(self, name) + bool(getattr(verdict, name)))
        if verdict and len(self.examples) < _EXAMPLES:
            self.examples.append(f"{point}: {verdict}")
        self.seconds = time.monotonic() - self.began

    @property
    def findings(self) -> int:
        """How many findings there are of any kind."""
        return sum(getattr(self, name) for name in FINDINGS)

    @property
    def well(self) -> bool:
        """Whether every chosen point fired, and nothing was amiss at any; of a mutant, whether something was."""
        if self.must == "hold":
            return self.chosen > 0 and self.fired == self.chosen and not self.findings
        return self.chosen > 0 and (self.must == "be seen" or self.findings > 0)

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return {name: value for name, value in asdict(self).items() if name != "began"}


_COLUMNS = {
    "sweep": "sweep",
    "program": "program",
    "existing": "points existing",
    "fired": "fired of tried",
    "lost": "a file lost",
    "wrong": "wrong at a final name",
    "touched": "not its own touched",
    "left": "left over",
    "untrue": "journal untrue",
    "stuck": "stuck",
    "seconds": "seconds",
    "well": "as it must be",
}


def markdown(rows: list[Row]) -> str:
    """The table, and below it what was found where it is not as it must be."""
    lines = [f"| {' | '.join(_COLUMNS.values())} |", f"|---|---|{'---:|' * (len(_COLUMNS) - 2)}"]
    for row in rows:
        told = row.plain() | {"fired": f"{row.fired} of {row.chosen}", "seconds": f"{row.seconds:.0f}", "well": "yes" if row.well else "**no**"}
        lines.append(f"| {' | '.join(str(told[name]) for name in _COLUMNS)} |")
    found = [f"* {row.sweep}, {row.program}: {example}" for row in rows if not row.well for example in row.examples]
    return "\n".join([*lines, "", *found])
