"""Where the derived rows of an estate differ from the independent computation, in words."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.protection import pointers
from tests.protection.evidence import duplicates
from tests.protection.oracle import Verdict, judge
from tests.protection.plain import Estate
from tests.protection.requirement import THREATS
from tests.protection.strays import orphans

Rows = Iterable[Mapping[str, Any]]


def disagreements(estate: Estate, files: Rows) -> list[str]:
    """What is said of an asset in the rows of `files` and is not so; empty where both agree on everything."""
    truth = judge(estate)
    found = {(row["volume"], row["dir"] + row["name"]): row for row in files if row["is_asset"]}
    lost = [f"{':'.join(where)}: an asset, not derived" for where in truth.keys() - found.keys()]
    invented = [f"{':'.join(where)}: derived, no asset" for where in found.keys() - truth.keys()]
    wrong = [line for where, verdict in truth.items() if where in found for line in _differences(estate, ":".join(where), verdict, found[where])]
    return sorted(lost + invented + wrong)


def disagreeing_copies(estate: Estate, copies: Rows) -> list[str]:
    """What is said of a copy in the rows of `copies` and is not so."""
    truth = {}
    for (volume, path), verdict in judge(estate).items():
        for other, match in verdict.matches.items():
            if match.file is not None:
                proven = match.kind != "conflict"
                usable = verdict.usable[other]
                known = (match.level, match.verified_at) if proven else (None, None)
                truth[volume, path, other] = (match.kind, match.file.path, *known, usable, *verdict.locks.get(other, (None, None)))
    found = {
        (row["volume"], row["dir"] + row["name"], row["copy_volume"]): (
            row["match"],
            row["copy_dir"] + row["copy_name"],
            row["verification_level"],
            row["verified_at"],
            row["usable"],
            row["lock_outlasts"],
            row["lock_binds"],
        )
        for row in copies
    }
    return [f"{key}: {truth.get(key)}, derived {found.get(key)}" for key in sorted(truth.keys() | found.keys()) if truth.get(key) != found.get(key)]


def disagreeing_duplicates(estate: Estate, groups: Rows) -> list[str]:
    """What is said of a group of equal content in the rows of `duplicate_groups` and is not so."""
    names: dict[tuple[str, bytes], set[tuple[str, str]]] = {}
    sums: dict[tuple[str, bytes], tuple[int, int]] = {}
    for row in groups:
        key = (row["scope"], bytes(row["digest"]))
        names.setdefault(key, set()).add((row["volume"], row["dir"] + row["name"]))
        sums[key] = (row["members"], row["reclaimable_bytes"])
    found = {key: (*sums[key], frozenset(members)) for key, members in names.items()}
    truth = duplicates(pointers.without(estate))
    return [f"{key[0]}: {truth.get(key)}, derived {found.get(key)}" for key in truth.keys() | found.keys() if truth.get(key) != found.get(key)]


def _differences(estate: Estate, where: str, verdict: Verdict, row: Mapping[str, Any]) -> list[str]:
    waived = estate.config.data_class(verdict.data_class).waive
    all_reasons = {reason for threat, (_, reasons) in verdict.threats.items() if threat not in waived for reason in reasons}
    expected: dict[str, object] = {
        "status": verdict.status,
        **{threat: value for threat, (value, _) in verdict.threats.items()},
        **{f"{threat}_reasons": ",".join(verdict.threats[threat][1]) for threat in THREATS},
        "not_met": _controls(verdict, "not_met"),
        "unknown_controls": _controls(verdict, "unknown"),
        "freshness": verdict.freshness,
        "copies": verdict.counts["copies"],
        "systems": verdict.counts["systems"],
        "sites": verdict.counts["sites"],
        "offline_or_immutable_copies": verdict.counts["offline_or_immutable"],
        "newest_copy_at": verdict.newest_copy_at,
        "verification_level": verdict.level,
        "verified_at": verdict.verified_at,
        "data_class": verdict.data_class,
        "counted_bytes": verdict.counted_bytes,
        "other_copies": verdict.other_copies,
        "first_seen_at": verdict.first_seen_at,
        "reasons": all_reasons,
    }
    derived = dict(row)
    for control in ("not_met", "unknown_controls"):
        derived[control] = set(filter(None, row[control].split(",")))
    derived["reasons"] = set(filter(None, row["reasons"].split(",")))
    return [f"{where}: {key} is {value!r}, derived {derived[key]!r}" for key, value in expected.items() if derived[key] != value]


def _controls(verdict: Verdict, result: str) -> set[str]:
    return {control for control, found in verdict.controls.items() if found == result}


def disagreeing_orphans(estate: Estate, rows: Rows) -> list[str]:
    """What is said of an orphan in the rows of `orphans` and is not so."""
    truth = orphans(estate)
    found = {(row["volume"], row["dir"] + row["name"]): (row["kind"], row["certain"]) for row in rows}
    return [f"{':'.join(key)}: {truth.get(key)}, derived {found.get(key)}" for key in sorted(truth.keys() | found.keys()) if truth.get(key) != found.get(key)]
