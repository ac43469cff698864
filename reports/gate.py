"""The gate for scheduled scans: classes that are covered too little, volumes whose scan is too old or incomplete, assets that became unprotected."""

import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import reports
from catalog.errors import ConfigError
from catalog.snapshot import ScanRow, Snapshot
from reports import cells, terminal
from reports.state import age, counted, day

if TYPE_CHECKING:
    import duckdb

_CLOCKS_DIFFER = datetime.timedelta(hours=1)  # between the machine that scanned and the one that asks
SHOWN = 100  # newly unprotected assets that are named one by one


@dataclass(frozen=True)
class Limits:
    """What the user asks for; None asks for nothing. `fail_under_pct` holds for every class and each threat that it does not waive."""

    fail_under_pct: float | None = None
    max_age_seconds: float | None = None
    new: bool = False

    def __post_init__(self) -> None:
        if self.fail_under_pct is not None and not 0 <= self.fail_under_pct <= 100:
            raise ConfigError(f"--fail-under {self.fail_under_pct}: give a percentage from 0 to 100")

    def words(self) -> str:
        """What is asked, in words."""
        asked = ["the newest scan of every volume is complete, and was judged"]
        if self.max_age_seconds is not None:
            asked.append(f"none is older than {self.max_age_seconds / 3600:g} h")
        if self.fail_under_pct is not None:
            asked.append(f"{self.fail_under_pct:g} % of each class survive each threat")
        if self.new:
            asked.append("nothing became unprotected")
        return "; ".join(asked)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as asked: `kind` is coverage, age, incomplete, never_scanned, failed, not_derived or newly_unprotected."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True)
class Gate:
    """The findings and what could not be judged; the gate is met if there is no finding. `waiting` new files are within the copy age of their class."""

    as_of: datetime.datetime
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    waiting: int = 0
    limits: Limits = Limits()

    @property
    def met(self) -> bool:
        """Whether all is as the user asked."""
        return not self.findings

    def data(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"met": self.met, "as_of": self.as_of.isoformat() + "Z", "findings": [asdict(finding) for finding in self.findings], "waiting": self.waiting}

    def text(self) -> str:
        """For people."""
        lines = [f"{finding.kind:<18}{finding.name}: {finding.reason}" for finding in self.findings]
        if self.waiting:
            lines.append(f"Waiting for their first copy, within the copy age of their class: {counted(self.waiting, 'new file')}.")
        lines += [f"Warning: {warning}" for warning in self.warnings]
        lines.append(f"Not met: {counted(len(self.findings), 'finding')}. Asked: {self.limits.words()}." if self.findings else f"Met: {self.limits.words()}.")
        return "\n".join(cells.clean(line) for line in lines) + "\n"


def unseen(newest: Snapshot, scans: Sequence[ScanRow], declared: Collection[str], now: datetime.datetime) -> list[Finding]:
    """What the newest snapshot cannot say of itself, `now` being naive UTC.

    Scans, oldest first, that failed since or are in no snapshot, volumes that were declared since, and classes whose copies were judged longer ago than
    their changes may wait for one, or than they may go unverified.
    """
    last = {scan.volume: scan for scan in scans if scan.volume in newest.config.volumes}
    failed = [scan for scan in last.values() if scan.state == "failed" and scan.finished_at > newest.as_of]
    good = {scan.volume: scan for scan in scans if scan.volume in newest.config.volumes and scan.state != "failed"}
    left_out = [scan for scan in good.values() if scan.scan_id != newest.scans.get(scan.volume)]
    return [
        *(Finding("failed", scan.volume, f"a newer scan failed at {day(scan.started_at)}: {scan.error}") for scan in failed),
        *(
            Finding("not_derived", scan.volume, f"what its scan of {day(scan.started_at)} saw is in no snapshot yet; 'lastcopy scan' makes one")
            for scan in left_out
        ),
        *(
            Finding("never_scanned", name, "it was declared after the snapshot, and no scan of it is in one")
            for name in declared
            if name not in newest.config.volumes
        ),
        *_outdated(newest, now),
    ]


def _outdated(newest: Snapshot, now: datetime.datetime) -> Iterator[Finding]:
    for name, data_class in newest.config.classes.items():
        for control in ("max_copy_age", "max_verification_age"):
            most = getattr(data_class, control)
            if most is not None and (now - newest.as_of).total_seconds() > most:
                judged = f"its copies were judged {age(newest.as_of, now)} ago, longer than its {control}"
                yield Finding("age", name, f"{judged}: what is known of them does not say that it is kept; 'lastcopy scan' looks again")


def check(connection: "duckdb.DuckDBPyConnection", limits: Limits, as_of: datetime.datetime, since: Sequence[Finding] = ()) -> Gate:
    """Hold a snapshot against limits. `as_of` is the caller's clock, naive UTC: the age of scans is counted up to it; `since` is of `unseen`."""
    findings = [*since, *_volumes(connection, limits, as_of), *(_coverage(connection, limits.fail_under_pct) if limits.fail_under_pct is not None else ())]
    warnings: list[str] = []
    waiting = 0
    if limits.new:
        [(waiting,)] = connection.execute("SELECT count(*) FROM assets WHERE freshness = 'new_within_rpo' AND status <> 'protected'").fetchall()
        if _earlier(connection):
            findings += _newly_unprotected(connection)
        else:
            warnings.append("there is no earlier snapshot: what became unprotected is unknown")
    return Gate(as_of, tuple(findings), tuple(warnings), waiting, limits)


def _volumes(connection: "duckdb.DuckDBPyConnection", limits: Limits, as_of: datetime.datetime) -> list[Finding]:
    rows = connection.execute("SELECT volume, state, scanned_at, coalesce(problems, 0), last_error, last_failed_at FROM volumes ORDER BY position").fetchall()
    found = []
    for volume, state, scanned_at, problems, last_error, last_failed_at in rows:
        if scanned_at is None:
            found.append(Finding("never_scanned", volume, f"no scan of it ever succeeded{f': {last_error}' if last_error else ''}"))
            continue
        if state != "complete":
            found.append(Finding("incomplete", volume, f"its scan of {day(scanned_at)} is {state}, {counted(problems, 'problem')}"))
        if last_failed_at is not None and last_failed_at > scanned_at:
            found.append(Finding("failed", volume, f"a newer scan failed at {day(last_failed_at)}: {last_error}"))
        if scanned_at > as_of + _CLOCKS_DIFFER:
            found.append(Finding("age", volume, f"its newest good scan is of {day(scanned_at)}, in the future: its age is unknown"))
        if limits.max_age_seconds is not None and (as_of - scanned_at).total_seconds() > limits.max_age_seconds:
            found.append(Finding("age", volume, f"its newest good scan is {age(scanned_at, as_of)} old"))
    return found


def _coverage(connection: "duckdb.DuckDBPyConnection", fail_under_pct: float) -> list[Finding]:
    relation = reports.load("coverage").run(connection, {"by": "class"})
    rows: Sequence[Mapping[str, Any]] = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    found = [] if any(row["assets"] for row in rows) else [Finding("coverage", "all", "the snapshot holds no asset: nothing is known to survive")]
    for row in rows:
        if row["waived"] or not row["assets"] or row["covered_assets"] * 100 >= fail_under_pct * row["assets"]:
            continue
        unknown = f", {row['unknown_assets']:,} unknown" if row["unknown_assets"] else ""
        reason = f"{row['covered_pct']:.1f} % of {row['assets']:,} assets ({terminal.size(row['bytes'])}) survive it, asked are {fail_under_pct:g} %{unknown}"
        found.append(Finding("coverage", f"{row['name']}, {row['threat']}", reason))
    return found


def _earlier(connection: "duckdb.DuckDBPyConnection") -> bool:
    return connection.execute("SELECT previous_snapshot_id FROM snapshot").fetchall() != [(None,)]


def _newly_unprotected(connection: "duckdb.DuckDBPyConnection") -> list[Finding]:
    # `changes` lists rows whose status or content differs; only those that are assets and unprotected now are read from it.
    relation = reports.load("changes").run(connection, where="newly_unprotected", limit=SHOWN + 1)
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    found = [Finding("newly_unprotected", f"{row['volume']}:{row['path']}", f"{row['change']}, before: {row['status_before'] or 'not there'}") for row in rows]
    if len(found) > SHOWN:
        found[SHOWN:] = [Finding("newly_unprotected", "and more", "'lastcopy report changes --where newly_unprotected' lists them all")]
    return found
