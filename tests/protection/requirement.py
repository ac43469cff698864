"""What a data class asks for, and what of it an asset has: counts, controls, and the predicates that pick assets."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from catalog.config import Config, DataClass
from tests.protection.plain import File

THREATS = ("user_error", "ransomware", "system_failure", "facility_outage")
COUNTS = ("copies", "systems", "sites", "regions", "admins", "media")


YEAR_SECONDS = 365 * 86400.0
# What the named sets ask for, as docs/protection.md says it: by key of a class the least, or for ages the most.
NAMED: dict[str, dict[str, float]] = {
    "3-2-1-1-0": {"copies": 3, "media": 2, "sites": 2, "offline_or_immutable": 1, "min_verification_level": 2, "max_verification_age": YEAR_SECONDS},
    "ndsa-1": {"copies": 2, "sites": 2, "min_verification_level": 2},
    "ndsa-2": {"copies": 3, "sites": 2, "min_verification_level": 3},
    "ndsa-3": {"copies": 3, "sites": 2, "regions": 2, "media": 2, "min_verification_level": 3, "max_verification_age": YEAR_SECONDS},
    "ndsa-4": {
        "copies": 3, "systems": 2, "sites": 3, "regions": 3, "admins": 2, "media": 2, "min_verification_level": 3, "max_verification_age": YEAR_SECONDS,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """What one volume brings to the counts of an asset."""

    usable: str
    groups: dict[str, frozenset[str]]  # by count; empty = unknown
    apart: dict[str, frozenset[str]]  # likewise, put together where they are perhaps one
    out_of_reach: str  # its ransomware condition
    user_error: str  # usable and its user-error conditions


@dataclass(frozen=True)
class Requirement:
    """The rule of an asset's class, and all that it is held against."""

    rule: DataClass
    threats: dict[str, str]
    original: Claim
    volumes: list[Claim]
    copy_age: str
    carried: bool


def rule_of(config: Config, name: str) -> DataClass:
    """What a class asks for, with each set that it names: the strictest of all."""
    rule = config.data_class(name)
    for one in rule.requires:
        for key, value in NAMED[one].items():
            own = getattr(rule, key)
            strictest = value if own is None else min(own, value) if key.endswith("_age") else max(own, value)
            rule = rule.model_copy(update={key: strictest})
    return rule


def three_and(values: Iterable[str]) -> str:
    """`no` if any is, else `unknown` if any is, else `yes`."""
    seen = set(values)
    return "no" if "no" in seen else "unknown" if "unknown" in seen else "yes"


def three_or(values: Iterable[str]) -> str:
    """`yes` if any is, else `unknown` if any is, else `no`."""
    seen = set(values)
    return "yes" if "yes" in seen else "unknown" if "unknown" in seen else "no"


def requirement_of(asked: Requirement) -> tuple[dict[str, str], dict[str, int]]:
    """The result of each control of the class, and the known counts with the original."""
    rule, claims = asked.rule, [asked.original, *asked.volumes]
    results = {threat: {"yes": "met", "no": "not_met", "unknown": "unknown"}[value] for threat, value in asked.threats.items() if threat not in rule.waive}
    known = {count: _known_groups(count, claims) for count in COUNTS}
    reach = [three_and([claim.usable, claim.out_of_reach]) for claim in claims]
    known["offline_or_immutable"] = reach.count("yes")
    possible = {count: _possible_groups(count, claims) for count in COUNTS}
    possible["offline_or_immutable"] = known["offline_or_immutable"] + reach.count("unknown")
    for count, have in known.items():
        wanted = getattr(rule, count)
        if wanted is not None:
            results[count] = "met" if have >= wanted else "unknown" if possible[count] >= wanted else "not_met"
    usable = _control(three_or(claim.usable for claim in asked.volumes))
    if rule.max_copy_age is not None:
        results["max_copy_age"] = asked.copy_age
    if rule.min_verification_level is not None:
        results["min_verification_level"] = usable
    if rule.max_verification_age is not None:
        results["max_verification_age"] = usable
    if rule.retention is not None:
        results["retention"] = _control(three_or(claim.user_error for claim in asked.volumes))
    if asked.carried:
        results = dict.fromkeys(results, "unknown")
    return results, known


def class_of(config: Config, volume: str, file: File) -> str:
    """The class of a file: a label's, else the first whose `select` matches, else `default`."""
    for label in config.labels:
        if label.data_class and label.where and holds(label.where, volume, file):
            return label.data_class
    for name, rule in config.classes.items():
        if rule.select and holds(rule.select, volume, file):
            return name
    return "default"


def holds(where: str, volume: str, file: File) -> bool:
    """Whether a predicate of the few forms that the estates use holds for a file."""
    for term in where.split(" AND "):
        found = re.fullmatch(r"(?:(path|volume) LIKE '([^%_']*)%'|volume = '([^']*)'|size_bytes > (\d+))", term)
        if not found:
            raise AssertionError(f"the truth does not know the predicate {term!r}")
        column, prefix, name, size = found.groups()
        if column and not {"path": file.path, "volume": volume}[column].startswith(prefix):
            return False
        if (name is not None and name != volume) or (size is not None and (file.size is None or file.size <= int(size))):
            return False
    return True


def _control(value: str) -> str:
    return {"yes": "met", "no": "not_met", "unknown": "unknown"}[value]


def _known_groups(count: str, claims: list[Claim]) -> int:
    return len(_groups([claim.apart[count] for claim in claims if claim.usable == "yes"]))


def _possible_groups(count: str, claims: list[Claim]) -> int:
    """How many groups there would be if everything that is unknown were there and apart."""
    maybe = [claim.groups[count] for claim in claims if claim.usable != "no"]
    return len(_groups(maybe)) + sum(not values for values in maybe)


def _groups(sets: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Sets that overlap, put together until none overlap; empty ones say nothing."""
    groups: list[frozenset[str]] = []
    for values in sets:
        touching = [group for group in groups if group & values]
        groups = [group for group in groups if not group & values]
        if values:
            groups.append(values.union(*touching))
    return groups
