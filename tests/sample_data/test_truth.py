"""The truth that was reasoned out by hand is also what the independent computation finds, by walking and hashing the estate."""

import datetime
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from catalog import config, names
from sample_data import demo, estate
from tests.protection import oracle
from tests.protection.plain import FLAGGED_MODIFIED, Estate, File, Read, Scan

CLOSED = {row.volume: ((row.path, True),) for row in estate.rows() if row.type == "unreadable"}


def _time(nanoseconds: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=nanoseconds // 1000)


def _files(root: bytes, now: datetime.datetime) -> Iterator[File]:
    for folder, _, found in os.walk(root):
        for name in found:
            path = os.path.join(folder, name)
            seen = os.lstat(path)
            if stat.S_ISREG(seen.st_mode):
                yield File(
                    path=names.escape(os.path.relpath(path, root)),
                    size=seen.st_size,
                    modified=_time(seen.st_mtime_ns),
                    changed=_time(seen.st_ctime_ns),
                    modified_ns=seen.st_mtime_ns % 1000,
                    changed_ns=seen.st_ctime_ns % 1000,
                    flags=FLAGGED_MODIFIED if _time(seen.st_mtime_ns) > now else 0,
                    fs="one",
                    inode=seen.st_ino,
                )


def _look(written: Path) -> Estate:
    declared = config.load(written)
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    scans: dict[str, tuple[Scan, ...]] = {}
    reads: list[Read] = []
    for name, volume in declared.volumes.items():
        root = os.fsencode(written.parent / volume.url)
        if not os.path.isdir(root):
            continue
        files = tuple(_files(root, now))
        scans[name] = (Scan(now, "incomplete" if name in CLOSED else "complete", files, CLOSED.get(name, ())),)
        for file in files if volume.digest != "off" else ():
            if file.size:
                content = Path(os.fsdecode(os.path.join(root, names.unescape(file.path)))).read_bytes()
                reads.append(Read(name, file, now, hashlib.sha256(content).digest()))
    return Estate(declared, now + datetime.timedelta(seconds=1), scans, tuple(reads))


def test_the_independent_computation_gives_the_table(tmp_path: Path) -> None:
    verdicts = oracle.judge(_look(demo.build(tmp_path / "demo")))
    found = {
        key: (
            verdict.data_class,
            verdict.status,
            verdict.counts["copies"],
            verdict.freshness,
            {threat: (value, ",".join(reasons)) for threat, (value, reasons) in verdict.threats.items()},
        )
        for key, verdict in verdicts.items()
    }
    expected = {
        (row.volume, row.path): (row.truth.data_class, row.truth.status, row.truth.copies, row.truth.freshness, row.truth.threats)
        for row in estate.rows()
        if row.truth
    }
    assert found == expected
