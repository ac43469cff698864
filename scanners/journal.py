"""What is known of a scan that is not published: enough to go on with it after a crash, and to clear it away."""

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog import table
from catalog.durable import sync
from scanners import Segment, Settings, ShardRecord
from scanners.sink import Target

TABLES = ("entries", "problems", "recovery_points")  # that shards write
_FILE = "journal.jsonl"
_OF_ITS_START = ("started_us", "known_media", "password_file", "password_command")  # settings that may be others when a scan is gone on with
_MOST_PLACES, _MOST_SEGMENTS = 10_000, 300  # of a shard: what is said to a worker must fit into a pipe


class Journal:
    """The journal of one scan: what shards are done, and the segments that wait. A record that is in it is on disk."""

    def __init__(self, target: Target) -> None:
        """`target` is the scan's."""
        self.target = target
        self.header: dict[str, Any] = {}
        self.records: list[ShardRecord] = []
        self.waiting: list[Segment] = []
        self.next_number = 0

    def begin(self, header: dict[str, Any]) -> None:
        """Make the journal's folder, with what the scan is about in the first line."""
        self.target.journal.mkdir(parents=True)
        self.header = header
        self._append(header, durable=False)

    def add(self, taken: Sequence[Segment], record: ShardRecord) -> None:
        """Take the record of a shard. It is on disk afterwards, unless it ends the scan: then the commit follows at once."""
        self._append(
            {"taken": [dataclasses.astuple(segment) for segment in taken], "record": dataclasses.asdict(record)}, durable=bool(record.left or self.records)
        )
        self._learn(record)
        self.next_number = max(self.next_number, record.number + 1)

    def take(self, share: int) -> tuple[int, list[Segment]]:
        """The number and the segments of the next shard: the newest first, until there are `share` directories."""
        taken: list[Segment] = []
        count = 0
        while self.waiting and count < min(share, _MOST_PLACES) and len(taken) < _MOST_SEGMENTS:
            taken.append(self.waiting.pop())
            count += taken[-1].count
        self.next_number += 1
        return self.next_number - 1, taken

    @property
    def places(self) -> int:
        """How many directories wait."""
        return sum(segment.count for segment in self.waiting)

    def files(self, name: str) -> list[table.NewFile]:
        """The files that shards wrote for a table, one of TABLES."""
        partition = self.target.partition
        if name == "recovery_points":
            return [table.NewFile(r.recovery_points, r.recovery_points_size_bytes, r.recovery_point_rows, partition) for r in self.records if r.recovery_points]
        if name == "entries":
            return [table.NewFile(r.entries, r.entries_size_bytes, r.rows, partition) for r in self.records if r.entries]
        return [table.NewFile(r.problems, r.problems_size_bytes, r.problem_rows, partition) for r in self.records if r.problems]

    def _learn(self, record: ShardRecord) -> None:
        self.records.append(record)
        self.waiting.extend(reversed(record.left))

    def _append(self, line: dict[str, Any], durable: bool) -> None:
        file = self.target.journal / _FILE
        with file.open("ab") as out:
            out.write(json.dumps(line).encode() + b"\n")
            if durable:
                out.flush()
                os.fsync(out.fileno())
        if durable and len(self.records) < 2:
            sync(file.parent)
            sync(file.parent.parent)


def interrupted(root: Path, volume: str) -> list[Target]:
    """The scans of a volume that have a journal, oldest first. Look only while holding the volume's lock."""
    own = re.compile(rf"\d{{8}}T\d{{12}}Z-{re.escape(volume)}-[0-9a-f]{{4}}")
    folder = root / ".scans"
    found = sorted(entry.name for entry in folder.iterdir() if own.fullmatch(entry.name)) if folder.is_dir() else []
    return [Target(root, name, volume) for name in found]


def resume(target: Target, settings: Settings) -> Journal | None:
    """The journal of an interrupted scan as far as it got; None if it cannot be gone on with.

    It cannot if its beginning is torn, if it was made with other settings or by a list of changes, or if a file of it is gone.
    """
    file = target.journal / _FILE
    lines, whole_bytes = _lines(file)
    if not lines or lines[0].get("listed") or lines[0].get("settings") != comparable(settings):
        return None
    journal = Journal(target)
    journal.header = lines[0]
    taken = set()
    for line in lines[1:]:
        record = ShardRecord(**{**line["record"], "left": tuple(Segment(**segment) for segment in line["record"]["left"])})
        journal._learn(record)
        taken |= {tuple(segment) for segment in line["taken"]}
        journal.next_number = max(journal.next_number, record.number + 1)
    journal.waiting = [segment for segment in journal.waiting if dataclasses.astuple(segment) not in taken]
    if not journal.records or not all((target.root / name / file.path).is_file() for name in TABLES for file in journal.files(name)):
        return None
    # A shard that was running has left files under its number; numbers go on behind every one that may have been given away.
    numbers = [int(file.name.removeprefix("left-").partition(".")[0]) for file in target.journal.glob("left-*")]
    journal.next_number = max(journal.next_number, *numbers, 0) + 1_000
    os.truncate(file, whole_bytes)  # else the next record would end a torn line
    return journal


def comparable(settings: Settings) -> dict[str, Any]:
    """The settings that must be the same for going on with a scan."""
    found = dataclasses.asdict(settings)
    return json.loads(json.dumps({key: value for key, value in found.items() if key not in _OF_ITS_START}))  # type: ignore[no-any-return]  # JSON of an object is one


def forget(target: Target) -> None:
    """Remove the journal of a scan that is published."""
    shutil.rmtree(target.journal, ignore_errors=True)


def discard(target: Target) -> None:
    """Remove a scan that will not be published, and its files that no log names."""
    for name in TABLES:
        if not table.named(target.root, name, scan_id=[target.scan_id]):
            shutil.rmtree(target.root / name / f"scan_id={target.scan_id}", ignore_errors=True)
    forget(target)


def drop_strays(journal: Journal) -> None:
    """Remove files of shards that were running when an interrupted scan ended: no record names them."""
    target = journal.target
    for name in TABLES:
        if table.named(target.root, name, scan_id=[target.scan_id]):
            continue  # committed already, only not published: the log names them
        known = {Path(file.path).name for file in journal.files(name)}
        for file in (target.root / name).glob(f"scan_id={target.scan_id}/volume={target.volume}/*"):
            if file.name not in known:
                file.unlink()


def _lines(file: Path) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of a journal and their bytes: what follows the first torn one is not known."""
    found: list[dict[str, Any]] = []
    whole_bytes = 0
    try:
        content = file.read_bytes()
    except OSError:
        return found, 0  # killed before it was made
    for line in content.split(b"\n")[:-1]:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
        whole_bytes += len(line) + 1
    return found, whole_bytes
