"""Scans of a million entries, metadata only: against the system calls alone, against other programs, and the bytes an entry takes."""

import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks import built, estate, peers, trees
from benchmarks.built import MissingToolError
from benchmarks.measure import Command, CommandError, Usage, interleaved, run, say
from benchmarks.table import Asked, Row, limit, not_measured, ratio

ENTRIES = 1_000_000
FIELDS = r"%p\0%y\0%s\0%b\0%T@\0%A@\0%C@\0%B@\0%U\0%G\0%u\0%g\0%m\0%i\0%n\0%D\0%l\0"
WHAT = "scan, metadata only"
Contender = Callable[[], Usage]


def measure(asked: Asked) -> list[Row]:
    """The rows of scans."""
    tree = asked.tree or trees.machine(asked.scratch, asked.size(ENTRIES))
    entries = _entries(tree, asked.scratch)
    say(f"{tree}: {entries:,} entries")
    return _million(asked, tree, f"{WHAT}, {entries:,} entries")


def measure_catalogers(asked: Asked) -> list[Row]:
    """The rows of scans of /usr against programs that take minutes for it."""
    tree = Path("/usr/include" if asked.quick else "/usr")
    return _catalogers(asked, tree, f"{WHAT}, {tree}: {_entries(tree, asked.scratch):,} entries")


def ours(folder: Path, tree: Path) -> Contender:
    """A scan into an empty catalog, from process start to a second process that has read what was published."""

    def contender() -> Usage:
        made = estate.make(folder, {"tree": tree})
        usage = run(made.scan("off"), made.reading())
        estate.check_published(made)
        return usage

    return contender


def _million(asked: Asked, tree: Path, what: str) -> list[Row]:
    contenders: dict[str, Contender] = {"lastcopy": ours(asked.scratch / "scanned", tree)}
    rows = []
    floor, find = Command((str(built.floor()), str(tree))), Command((peers.program("find"), str(tree), "-xdev", "-printf", FIELDS), accepted=(0, 1))
    contenders |= {"floor": lambda: run(floor), "find": lambda: run(find)}
    try:
        gdu = Command((peers.program("gdu"), "--non-interactive", "--no-progress", "--no-color", "--no-cross", "--ignore-dirs", "/proc", str(tree)))
        contenders["gdu"] = lambda: run(gdu)
    except MissingToolError as missing:
        rows.append(not_measured(f"{what}: wall", "gdu", "≤ 1.2 x", missing))
    estate.check_synced(asked.scratch, trees.generated(asked.scratch, 2_000)[1], "off")
    run(floor)  # warms the cache
    used = interleaved(contenders, asked.runs)
    us = used["lastcopy"]
    for name, most in (("floor", 2.5), ("find", 1.0), ("gdu", 1.2)):
        if name in used:
            rows.append(_against(what, name, most, us, used[name], asked))
    size, count = estate.entry_bytes(estate.Estate(asked.scratch / "scanned"))
    rows.append(limit("size of `entries`", 20, size / count, "bytes an entry", f"{size:,} bytes, {count:,} entries of {tree}", asked=asked))
    return rows


def _against(what: str, name: str, most: float, us: Usage, them: Usage, asked: Asked) -> Row:
    if name == "floor":
        note = f"CPU {us.cpu_seconds:.2f} s against {them.cpu_seconds:.2f} s"
        return ratio(f"{what}: CPU", "C walker: getdents64 + statx", most, us.cpu_seconds, them.cpu_seconds, note, asked=asked)
    note = f"wall {us.wall_seconds:.2f} s against {them.wall_seconds:.2f} s; CPU {us.cpu_seconds:.2f} s against {them.cpu_seconds:.2f} s"
    return ratio(f"{what}: wall", "find -printf, same fields" if name == "find" else name, most, us.wall_seconds, them.wall_seconds, note, asked=asked)


def _catalogers(asked: Asked, tree: Path, what: str) -> list[Row]:
    """Programs that keep a catalog too. `holdings` digests what it has not seen: its second scan, which only looks, is the one measured."""
    contenders: dict[str, Contender] = {"lastcopy": ours(asked.scratch / "scanned-usr", tree)}
    rows = []
    folder = asked.scratch / "catalogers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, prepare in (("fscatalog", _fscatalog), ("holdings", _holdings)):
        try:
            contenders[name] = prepare(folder, tree)
        except (MissingToolError, CommandError) as missing:
            rows.append(not_measured(f"{what}: wall", name, "≤ 1 x", missing))
    used = interleaved(contenders, 1)  # they take minutes, and the answer is not close
    titles = {"fscatalog": "fscatalog scan --no-hash", "holdings": "holdings scan, the second"}
    for name in contenders:
        if name != "lastcopy":
            us, them = used["lastcopy"], used[name]
            note = f"wall {us.wall_seconds:.2f} s against {them.wall_seconds:.2f} s, one run"
            rows.append(ratio(f"{what}: wall", titles[name], 1.0, us.wall_seconds, them.wall_seconds, note, asked=asked))
    size, count = estate.entry_bytes(estate.Estate(asked.scratch / "scanned-usr"))
    rows.append(limit("size of `entries`", 20, size / count, "bytes an entry", f"{size:,} bytes, {count:,} entries of {tree}", asked=asked))
    return rows


def _fscatalog(folder: Path, tree: Path) -> Contender:
    made = folder / "fscatalog.duckdb"
    command = Command((peers.python_program("fscatalog"), "scan", "--db", str(made), "--no-hash", str(tree)), env=peers.with_fd())

    def contender() -> Usage:
        made.unlink(missing_ok=True)
        return run(command)

    return contender


def _holdings(folder: Path, tree: Path) -> Contender:
    program = (peers.python_program("holdings"), "--db", str(folder / "holdings.sqlite"))
    run(Command((*program, "add-medium", "--kind", "drive", "tree")))
    scan = Command((*program, "scan", "tree", str(tree)), accepted=(0, 1, 2))
    say("  holdings: first scan, not timed")
    run(scan)
    return lambda: run(scan)


def _entries(tree: Path, scratch: Path) -> int:
    counted = scratch / "floor.txt"
    run(Command((str(built.floor()), str(tree)), output=counted))
    return int(counted.read_text("ascii").split()[0])
