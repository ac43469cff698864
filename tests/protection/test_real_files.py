"""Real files on disk, really scanned and read, against a walk with os.stat and hashlib."""

import datetime
import hashlib
import os
import random
from pathlib import Path
from typing import Any

import pytest

import scanners
from catalog import connect, derive, names, snapshot
from catalog.config import Config, parse
from scanners import crawl
from scanners import digest as reading
from tests.protection import bare
from tests.protection.oracle import Verdict, judge
from tests.protection.plain import Estate, File, Read, Scan
from tests.protection.requirement import THREATS

FOLDERS = (b"", b"x/", b"x/y/", b"\xff\n/")
CONTENTS = (b"", b"a", b"b", b"one" * 50_000, b"two" * 50_000)
LONG_AGO = (1_500_000_000_000_000_000, 1_500_000_000_000_001_000, 1_600_000_000_000_000_999)  # nanoseconds


@pytest.mark.parametrize("seed", range(6))
def test_a_scanned_estate_is_judged_as_a_walk_over_its_files_says(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    volumes = [tmp_path / name for name in "abc"]
    for folder in volumes:
        _fill(chance, folder, volumes[0])
    config = _config(chance, tmp_path)
    root = tmp_path / "catalog"
    root.mkdir()
    for name in config.volumes:
        crawl.scan(root, config, name, now=_now, workers=1)
    reading.digest(root, config, mode="all", volumes=list(config.volumes), now=_now, workers=1)
    as_of = scanners.utc(_now())
    with connect.connect(root, derive.derive(root, config, as_of)) as connection:
        rows = bare.select(connection, "SELECT * FROM assets")
    truth = judge(_walked(root, config, as_of))
    assert {(row["volume"], row["path"]): _derived(row) for row in rows} == {where: _computed(verdict) for where, verdict in truth.items()}
    assert truth


def _computed(verdict: Verdict) -> dict[str, object]:
    threats = {threat: (value, ",".join(reasons)) for threat, (value, reasons) in verdict.threats.items()}
    counts = [verdict.counts[name] for name in ("copies", "systems", "sites", "offline_or_immutable")]
    return {**threats, "status": verdict.status, "freshness": verdict.freshness, "counts": counts, "level": verdict.level, "bytes": verdict.counted_bytes}


def _derived(row: dict[str, Any]) -> dict[str, object]:
    threats = {threat: (row[threat], row[f"{threat}_reasons"]) for threat in THREATS}
    counts = [row[name] for name in ("copies", "systems", "sites", "offline_or_immutable_copies")]
    return {
        **threats,
        "status": row["status"],
        "freshness": row["freshness"],
        "counts": counts,
        "level": row["verification_level"],
        "bytes": row["counted_bytes"],
    }


def _fill(chance: random.Random, folder: Path, first: Path) -> None:
    """Write some files; on other volumes than the first mostly what lies there, sometimes under the same inode."""
    for path in FOLDERS:
        os.makedirs(os.fsencode(folder) + b"/" + path, exist_ok=True)
    for number in range(8):
        path = chance.choice(FOLDERS) + b"%d" % chance.randint(0, 5)
        target, source = os.fsencode(folder) + b"/" + path, os.fsencode(first) + b"/" + path
        if os.path.exists(target):
            continue
        if folder != first and chance.random() < 0.1 and os.path.exists(source):
            os.link(source, target)
            continue
        if number and chance.random() < 0.1:
            os.link(chance.choice(_paths(folder)), target)
            continue
        taken = folder != first and chance.random() < 0.7 and os.path.exists(source)
        with open(target, "wb") as sink:
            sink.write(Path(os.fsdecode(source)).read_bytes() if taken else chance.choice(CONTENTS))
        modified = os.stat(source).st_mtime_ns if taken and chance.random() < 0.8 else chance.choice(LONG_AGO)
        os.utime(target, ns=(modified, modified))


def _paths(folder: Path) -> list[bytes]:
    return sorted(os.path.join(where, name) for where, _, found in os.walk(os.fsencode(folder)) for name in found)


def _config(chance: random.Random, folder: Path) -> Config:
    tables: dict[str, Any] = {}
    for name in "abc":
        tables[name] = {
            "url": str(folder / name),
            "role": "primary" if name == "a" else chance.choice(["backup", "replica", "archive"]),
            "system": chance.choice(["s1", "s2", "s3"]),
            "site": chance.choice(["p1", "p2"]),
            "device": name,
            "access": chance.choice(["online", "offline"]),
            "immutability": "none",
            "keeps_versions": chance.choice(["0s", "60d"]),
        }
    return parse({"volumes": tables, "classes": {"default": {"copies": 2, "min_verification_level": 2}}})


def _walked(root: Path, config: Config, as_of: datetime.datetime) -> Estate:
    """The estate as a plain walk sees it; only the times of the scans are taken from the catalog."""
    scans: dict[str, tuple[Scan, ...]] = {}
    reads = []
    started = {name: scan.started_at for name, scan in snapshot.newest_scans(root).items()}
    for name, volume in config.volumes.items():
        files = []
        for path in _paths(Path(volume.url)):
            seen = os.stat(path)
            file = File(
                names.escape(os.path.relpath(path, os.fsencode(volume.url))),
                seen.st_size,
                _time(seen.st_mtime_ns),
                _time(seen.st_ctime_ns),
                seen.st_mtime_ns % 1000,
                seen.st_ctime_ns % 1000,
                fs=str(seen.st_dev),
                inode=seen.st_ino,
            )
            files.append(file)
            if seen.st_size:
                reads.append(Read(name, file, as_of, hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).digest()))
        scans[name] = (Scan(started[name], files=tuple(sorted(files, key=lambda file: file.place))),)
    return Estate(config, as_of, scans, tuple(reads))


def _time(nanoseconds: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=nanoseconds // 1000)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
