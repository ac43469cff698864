"""What is swept: a program that moves an estate from a source disk to a target disk, behind one contract."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.lifecycle.chaos import estate, warm
from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.estate import Truth
from tests.lifecycle.chaos.verdict import Verdict, Wanted, look
from tests.lifecycle.chaos.warm import Place, Run


class Program(Protocol):
    """One program with one task. It is told where the disks are; it keeps nothing of a run in itself but what `prepare` found."""

    @property
    def name(self) -> str:
        """As the scorecard has it."""

    @property
    def mutant(self) -> str | None:
        """The safety that is taken out; its undisturbed run may well fail."""

    @property
    def disks(self) -> Sequence[str]:
        """The disks it works on; S and D are the source and the target."""

    def prepare(self, rack: Rack) -> Truth:
        """Make the estate and whatever must be there before the faulted run. Gives what is true."""

    def begin(self, rack: Rack, *, held: bool = False) -> Run:
        """Start the run that meets the fault."""

    def again(self, rack: Rack) -> int:
        """What an operator does afterwards, to its end. Gives the last exit code."""

    def roots(self, rack: Rack) -> tuple[Path, Path]:
        """Where files are taken from, and where they go."""

    def landing(self, rack: Rack) -> Path:
        """Where the run gives files their names: the other end, for one that brings back."""

    def judge(self, rack: Rack, truth: Mapping[bytes, bytes | Wanted], *, settled: bool) -> Verdict:
        """Look at the disks; `settled`: after `again`, when nothing may be left lying about."""

    def claims(self, rack: Rack) -> list[str]:
        """What the program's own records say that is not so on the disks, right after a fault."""


def ready(program: Program, rack: Rack) -> Truth:
    """Have a program's estate on the disks as it was prepared, once for all sweeps of a rack. Gives what is true."""
    if rack.truth is None:
        rack.truth = program.prepare(rack)
        rack.keep()
    else:
        rack.restore()
    return rack.truth


def place(rack: Rack, **more: str) -> Place:
    """Where children of a rack run: beside the disks, with an environment that is the same every time."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(rack.folder), "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", **more}
    return Place(rack.folder, rack.folder / "out", rack.folder / "err", environment)


def command(*argv: str | bytes | Path) -> Callable[[], int]:
    """The body of a child that becomes another program."""

    def body() -> int:
        os.execvp(os.fsencode(argv[0]), [os.fsencode(part) for part in argv])

    return body


@dataclass
class Mover:
    """A program of others that moves all files below S/s to D/t."""

    name: str
    body: Callable[[Path, Path], Callable[[], int | None]]
    files: Truth | None = None
    disks: Sequence[str] = ("S", "D")
    mutant: str | None = None

    def prepare(self, rack: Rack) -> Truth:
        (rack["S"] / "s").mkdir()
        (rack["D"] / "t").mkdir()
        truth = estate.grow(rack["S"] / "s", self.files)
        os.sync()
        return truth

    def begin(self, rack: Rack, *, held: bool = False) -> Run:
        return warm.start(self.body(*self.roots(rack)), place(rack), held=held)

    def again(self, rack: Rack) -> int:
        return self.begin(rack).wait()

    def roots(self, rack: Rack) -> tuple[Path, Path]:
        return rack["S"] / "s", rack["D"] / "t"

    def landing(self, rack: Rack) -> Path:
        return self.roots(rack)[1]

    def judge(self, rack: Rack, truth: Mapping[bytes, bytes | Wanted], *, settled: bool) -> Verdict:
        source, target = map(estate.seen, self.roots(rack))
        return look(truth, source, target)

    def claims(self, rack: Rack) -> list[str]:  # it keeps no records
        return []


def _shutil_move(source: Path, target: Path) -> Callable[[], int]:
    def body() -> int:
        for name in sorted(os.listdir(source)):
            shutil.move(source / name, target)
        return 0

    return body


def _mv(source: Path, target: Path) -> Callable[[], int]:
    return command("sh", "-c", 'cd "$1" && exec mv -- * "$2/"', "sh", source, target)


def _rsync(*options: str) -> Callable[[Path, Path], Callable[[], int]]:
    return lambda source, target: command("rsync", "-aHX", "--remove-source-files", *options, f"{source}/", f"{target}/")


def _rclone(source: Path, target: Path) -> Callable[[], int]:
    return command("rclone", "move", "--links", "--config", "", source, target)


MV, SHUTIL = "mv", "shutil.move"
RSYNC, RSYNC_FSYNC, RCLONE = "rsync --remove-source-files", "rsync --fsync --remove-source-files", "rclone move"
_BODIES: dict[str, Callable[[Path, Path], Callable[[], int | None]]] = {
    MV: _mv,
    SHUTIL: _shutil_move,
    RSYNC: _rsync(),
    RSYNC_FSYNC: _rsync("--fsync"),
    RCLONE: _rclone,
}
PEERS = tuple(_BODIES)


def peer(name: str, files: Truth | None = None) -> Mover:
    """A program of others by its name in PEERS; `files`: other ones than the small estate."""
    return Mover(name, _BODIES[name], files)
