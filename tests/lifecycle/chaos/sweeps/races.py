"""Files that other programs change while they are being moved: the program stands still after each call, and the world changes."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lifecycle.chaos import tracing, writers
from tests.lifecycle.chaos.choice import Choice
from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.estate import Truth
from tests.lifecycle.chaos.programs import Program, ready
from tests.lifecycle.chaos.scorecard import Row
from tests.lifecycle.chaos.sweeps.kill import own_calls
from tests.lifecycle.chaos.tracing import Call
from tests.lifecycle.chaos.verdict import Verdict, Wanted
from tests.lifecycle.chaos.writers import Act

MAPPING, PARENT, TARGET_PARENT, TARGET = (
    "store through a mapping",
    "parent swapped for a symlink",
    "target's parent swapped for a symlink",
    "a file at the target",
)
KINDS = (*writers.WRITERS, MAPPING, PARENT, TARGET_PARENT, TARGET)
FOREIGN = b"somebody else's file, at the very name"
_CHANGED = (b"plain.bin", b"odd \xff\n name", b"-rf", b"large.bin", b"deep/hole")
_SWAPPED = b"deep"
# Outside of every volume: the very names that would be read and taken away; and room for names that would be written.
_IN_THE_WAY = (b"deep/er/one", b"deep/two", b"deep/hole")
_ROOMY = (b"deep/er/other", b"deep/another")


def race(program: Program, rack: Rack, choice: Choice, kind: str) -> Row:
    """At each chosen call have the writer of that kind act on one of the files; look; run again; look again."""
    row = Row(f"writer at every call: {kind}", program.name)
    truth = ready(program, rack)
    own = own_calls(program, rack)[:-1]
    row.existing = len(own)
    changed = [path for path in _CHANGED if path in truth] or sorted(truth)
    for place, call in enumerate(choice.of(own)):
        rack.restore()
        fired, verdict = _one(program, rack, truth, call, kind, changed[place % len(changed)])
        row.note(f"{call} {kind}", verdict, fired=fired)
    return row


@dataclass
class _Scene:
    """What the world does while the program stands still, and what must be true afterwards."""

    act: Callable[[], None]
    after: Callable[[], dict[bytes, bytes | Wanted]]


def _one(program: Program, rack: Rack, truth: Truth, call: Call, kind: str, path: bytes) -> tuple[bool, Verdict]:
    roots = program.roots(rack)
    outside = rack.folder / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    victim = writers.victim(outside, _IN_THE_WAY if kind == PARENT else _ROOMY)
    mapping = writers.Mapping(os.path.join(os.fsencode(roots[0]), path)) if kind == MAPPING else None
    scene = _scene(kind, (os.fsencode(roots[0]), os.fsencode(program.landing(rack))), path, truth, os.fsencode(outside), mapping)
    fired, code = tracing.halt(lambda: program.begin(rack, held=True), call, rack.folder / "strace", scene.act)
    wanted = scene.after()
    if mapping:
        mapping.close()
    verdict = program.judge(rack, wanted, settled=False)
    if code < 0:
        verdict.stuck.append(f"it died of signal {-code}")
    program.again(rack)  # an exit code that is not 0 is right here: a step was given up
    verdict.add(program.judge(rack, wanted, settled=True))
    verdict.left = [name for name in verdict.left if "~moved/" not in name]  # it went with the directory that somebody moved away
    if writers.victim_now(outside) != victim:
        verdict.touched.append("the tree outside of the volume")
    if kind == TARGET and wanted[path] == _foreign(truth[path], acknowledged=True) and _content(program.landing(rack), path) != FOREIGN:
        verdict.touched.append(f"the file of somebody else at {path!r}")
    return fired, verdict


def _content(root: Path, path: bytes) -> bytes | None:
    try:
        return Path(os.fsdecode(os.path.join(os.fsencode(root), path))).read_bytes()
    except OSError:
        return None


def _scene(kind: str, roots: tuple[bytes, bytes], path: bytes, truth: Truth, outside: bytes, mapping: writers.Mapping | None) -> _Scene:
    source, target = roots
    acts: list[Act] = []

    def acting(body: Callable[[], None]) -> Callable[[], None]:
        return lambda: acts.append(Act(body))

    def acknowledged() -> bool:
        return bool(acts) and acts[0].acknowledged()

    if mapping:
        return _Scene(mapping.store, lambda: {**truth, path: _wanted(truth[path], writers.Mapping.stored(truth[path]), mapping.changed)})
    if kind in writers.WRITERS:
        change, becomes = writers.WRITERS[kind]
        place = os.path.join(source, path)
        return _Scene(acting(lambda: change(place)), lambda: {**truth, path: _wanted(truth[path], becomes(truth[path]), acknowledged())})
    if kind == TARGET:
        place = os.path.join(target, path)
        return _Scene(acting(lambda: _create(place)), lambda: {**truth, path: _foreign(truth[path], acknowledged())})
    root = source if kind == PARENT else target
    return _Scene(acting(lambda: writers.swap_parent(root, _SWAPPED, outside)), lambda: _moved(truth, acknowledged()))


def _wanted(old: bytes, new: bytes | None, acknowledged: bool) -> Wanted:
    """A change that was acknowledged must be there; one that was not may. What the target shows may be the version before."""
    if new is None:
        return Wanted(set() if acknowledged else {old}, {old})
    return Wanted({new} if acknowledged else {old, new}, {old, new}, kept=acknowledged)


def _foreign(old: bytes, acknowledged: bool) -> Wanted:
    return Wanted({old}, {old, FOREIGN} if acknowledged else {old})


def _moved(truth: Truth, acknowledged: bool) -> dict[bytes, bytes | Wanted]:
    below = _SWAPPED + b"/"
    return {
        path: Wanted({content}, {content, writers.VICTIM}, anywhere=True) if acknowledged and path.startswith(below) else content
        for path, content in truth.items()
    }


def _create(place: bytes) -> None:
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "xb") as file:
        file.write(FOREIGN)
