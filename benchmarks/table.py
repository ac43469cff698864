"""The rows of the table that `make bench` prints, and what a benchmark is asked."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """What the command line says: `quick` shrinks every input by about ten and then meets or misses no target."""

    scratch: Path
    tree: Path | None = None
    runs: int = 3
    quick: bool = False

    def size(self, full: int) -> int:
        """A number of entries, a tenth of it if it is to be quick."""
        return full // 10 if self.quick else full


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where there is no target or nothing could be measured; `note` has the absolute figures."""

    what: str
    against: str
    reach: str
    measured: str
    met: bool | None
    note: str = ""


def ratio(what: str, against: str, most: float, ours: float, theirs: float, note: str, *, asked: Asked) -> Row:
    """A row of a ratio that is to be at most `most`."""
    measured = ours / theirs
    return Row(what, against, f"≤ {most:g} x", f"{measured:.2f} x", None if asked.quick else measured <= most, note)


def limit(what: str, most: float, measured: float, unit: str, note: str, *, asked: Asked) -> Row:
    """A row of a figure that is to be at most `most`."""
    return Row(
        what,
        "-",
        f"≤ {most:g} {unit}",
        f"{measured:.3g} {unit}" if measured < 100 else f"{measured:,.0f} {unit}",
        None if asked.quick else measured <= most,
        note,
    )


def not_measured(what: str, against: str, reach: str, why: object) -> Row:
    """A row that says why it has no figure."""
    return Row(what, against, reach, "not measured", None, " ".join(str(why).split())[:300])


def as_markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, with the machine in the last line."""
    heads = ("what", "against", "reach", "measured", "met", "figures")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = (row.what, row.against, row.reach, row.measured, {True: "yes", False: "**no**", None: "-"}[row.met], row.note)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", machine()])


def as_json(rows: Sequence[Row]) -> str:
    """The rows and the machine as JSON."""
    return json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, ensure_ascii=False, indent=1)


def machine() -> str:
    """What the figures were taken on, in one line."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = f"{os.cpu_count()} x {models[0] if models else platform.machine()}, {memory:.0f} GiB"
    return f"{processor}, Linux {platform.release()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
