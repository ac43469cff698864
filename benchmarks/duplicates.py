"""Duplicates of a Python installation, from an empty catalog to the finished report, against duplicate finders; then the second scan."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow.compute as pc

from benchmarks import estate, peers, trees
from benchmarks.built import MissingToolError
from benchmarks.measure import Command, Usage, interleaved, run, say
from benchmarks.table import Asked, Row, limit, not_measured, ratio
from catalog import table
from catalog.names import unescape

FILES = 100_000
Groups = set[frozenset[int]]  # of inodes: hard links are one file, and a group has two files or more


def measure(asked: Asked) -> list[Row]:
    """The rows of duplicates and of the second scan."""
    tree, what = (asked.tree, str(asked.tree)) if asked.tree else trees.python_installation(asked.scratch, asked.size(FILES))
    say(f"{what}: duplicates")
    found = asked.scratch / "found"
    found.mkdir(parents=True, exist_ok=True)
    contenders: dict[str, Callable[[], Usage]] = {"lastcopy": lambda: _ours(asked.scratch, tree)}
    rows = []
    for name in _PEERS:
        try:
            command = _command(name, found, tree)
            contenders[name] = lambda command=command: run(command)  # type: ignore[misc]  # mypy cannot type a bound default
        except MissingToolError as missing:
            rows.append(not_measured(f"duplicates of {what}", name, "< 1 x", missing))
    _warm(tree)
    used = interleaved(contenders, asked.runs)
    groups = _groups_of_ours(asked.scratch / "duplicates" / "duplicates.json", tree)
    for name in contenders:
        if name != "lastcopy":
            rows.append(_row(asked, what, name, groups, _PEERS[name](found / name), used))
    return rows + _again(asked, tree, what)


def _row(asked: Asked, what: str, name: str, ours: Groups, theirs: Groups, used: dict[str, Usage]) -> Row:
    us, them = used["lastcopy"], used[name]
    same = f"same {len(ours):,} groups" if ours == theirs else f"GROUPS DIFFER: {len(ours - theirs):,} only ours, {len(theirs - ours):,} only theirs"
    note = f"wall {us.wall_seconds:.2f} s against {them.wall_seconds:.2f} s, CPU {us.cpu_seconds:.2f} s against {them.cpu_seconds:.2f} s; {same}"
    row = ratio(f"duplicates of {what}: wall", name, 1.0, us.wall_seconds, them.wall_seconds, note, asked=asked)
    return row if ours == theirs or row.met is None else Row(row.what, row.against, row.reach, row.measured, False, note)


def _ours(scratch: Path, tree: Path) -> Usage:
    made = estate.make(scratch / "duplicates", {"tree": tree})
    usage = run(made.scan("match"), made.lastcopy("report", "duplicates", "--format", "json", output=made.folder / "duplicates.json"))
    estate.check_published(made)
    return usage


def _again(asked: Asked, tree: Path, what: str) -> list[Row]:
    """The second scan of what has not changed, digests included, against the first."""
    made = estate.Estate(asked.scratch / "again")

    def first() -> Usage:
        estate.make(made.folder, {"tree": tree})
        return run(made.scan("match"), made.reading())

    used = interleaved({"first scan": first, "second scan": lambda: run(made.scan("match"), made.reading())}, asked.runs)
    estate.check_published(made)
    one, two = used["first scan"], used["second scan"]
    note = f"wall {two.wall_seconds:.2f} s against {one.wall_seconds:.2f} s, CPU {two.cpu_seconds:.2f} s against {one.cpu_seconds:.2f} s"
    newest = table.read(made.root, "scans").sort_by("started_at").column("scan_id")[-1]
    digests = table.read(made.root, "digests", ["scan_id", "bytes_read"])
    reread = pc.sum(digests.filter(pc.equal(digests["scan_id"].cast("string"), newest))["bytes_read"]).as_py() or 0
    return [
        ratio(f"second scan of {what}, with digests: wall", "first scan", 0.5, two.wall_seconds, one.wall_seconds, note, asked=asked),
        limit(f"second scan of {what}: content read", 0, reread, "bytes", "sum of `bytes_read` in the digests of the second scan", asked=asked),
    ]


def _warm(tree: Path) -> None:
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    while file.read(1 << 20):
                        pass


def _command(name: str, found: Path, tree: Path) -> Command:
    """A peer's command line; all leave out empty files, count hard links once, do not follow links and stay on the file system."""
    program, output = peers.program(name), found / name
    if name == "rmlint":
        return Command((program, "--types=duplicates", "--hidden", "--no-followlinks", "--no-crossdev", "--no-with-color", "-o", f"json:{output}", str(tree)))
    if name == "rdfind":
        return Command((program, "-ignoreempty", "true", "-followsymlinks", "false", "-outputname", str(output), str(tree)))
    if name == "jdupes":
        return Command((program, "--recurse", "--quiet", "--one-file-system", "--print-null", str(tree)), output)
    return Command((program, "--recurse", "--quiet", "--noempty", str(tree)), output)


def _groups_of_ours(report: Path, tree: Path) -> Groups:
    groups: dict[str, list[bytes]] = {}
    for row in json.loads(report.read_text("utf-8"))["data"]:
        groups.setdefault(row["digest"], []).append(unescape(row["path"]))
    return _by_inode([os.path.join(os.fsencode(tree), path) for path in paths] for paths in groups.values())


def _rmlint(output: Path) -> Groups:
    groups: list[list[bytes]] = []
    for item in json.loads(output.read_text("utf-8")):
        if item.get("type") == "duplicate_file":
            if item["is_original"]:
                groups.append([])
            groups[-1].append(os.fsencode(item["path"]))
    return _by_inode(groups)


def _rdfind(output: Path) -> Groups:
    groups: list[list[int]] = []
    for line in output.read_text("utf-8", "surrogateescape").splitlines():
        fields = line.split(" ", 7)
        if fields[0] == "DUPTYPE_FIRST_OCCURRENCE":
            groups.append([])
        if fields[0].startswith("DUPTYPE_"):
            groups[-1].append(int(fields[5]))
    return {frozenset(group) for group in groups if len(set(group)) > 1}


def _jdupes(output: Path) -> Groups:
    return _by_inode(filter(None, block.split(b"\0")) for block in output.read_bytes().split(b"\0\0"))


def _fdupes(output: Path) -> Groups:
    return _by_inode(filter(None, block.split(b"\n")) for block in output.read_bytes().split(b"\n\n"))


def _by_inode(groups: Iterable[Iterable[bytes]]) -> Groups:
    inodes = (frozenset(os.lstat(path).st_ino for path in paths) for paths in groups)
    return {group for group in inodes if len(group) > 1}


_PEERS: dict[str, Callable[[Path], Groups]] = {"rmlint": _rmlint, "jdupes": _jdupes, "rdfind": _rdfind, "fdupes": _fdupes}
