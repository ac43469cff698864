"""What docs/protection.md says, computed with loops and dicts: the independent half of the proof. Never SQL, never ours."""

import datetime
import itertools
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from catalog.config import DataClass
from catalog.volumes import Volume
from tests.protection import pointers
from tests.protection.checks import known_of
from tests.protection.evidence import Evidence, first_names
from tests.protection.locks import Declared, binds, outlasts, tells
from tests.protection.places import apart, chained, domains, excluded, known_groups, mapped, may_protect
from tests.protection.plain import FLAGGED_CHANGED, FLAGGED_MODIFIED, STORED_MODIFIED, Estate, File, Scan
from tests.protection.requirement import THREATS, Claim, Requirement, class_of, holds, requirement_of, rule_of, three_and, three_or
from tests.protection.times import same_time, trusted

MONTH_SECONDS = 30 * 86400.0
SECOND = datetime.timedelta(seconds=1)
CLOCKS_DIFFER_SECONDS = 3600.0
CURRENT_KINDS = ("content", "metadata")
REASONS = (
    "volume_not_scanned", "scan_incomplete", "path_not_mapped", "never_copied", "excluded_by_backup", "conflict",
    "changed_since_copy", "same_volume_only", "same_system_only", "same_site_only", "mirror_only", "retention_too_short",
    "not_immutable_or_offline", "key_lost", "metadata_match_only", "never_verified", "verification_too_old",
)  # fmt: skip


@dataclass(frozen=True)
class Match:
    """What one volume says of one asset."""

    kind: str  # content | metadata | path_only | conflict | older | absent
    file: File | None = None
    level: int = 0
    verified_at: datetime.datetime | None = None


@dataclass(frozen=True)
class Verdict:
    """All that is known of one asset. Threats: value and reasons in the fixed order."""

    threats: dict[str, tuple[str, tuple[str, ...]]]
    controls: dict[str, str]
    status: str
    data_class: str
    freshness: str
    counts: dict[str, int]
    level: int | None
    verified_at: datetime.datetime | None
    newest_copy_at: datetime.datetime | None
    counted_bytes: int
    other_copies: int
    first_seen_at: datetime.datetime
    matches: dict[str, Match] = field(default_factory=dict, compare=False)
    usable: dict[str, str] = field(default_factory=dict, compare=False)
    locks: dict[str, tuple[str, str]] = field(default_factory=dict, compare=False)  # of volumes whose objects tell: outlasts, binds


def judge(estate: Estate) -> dict[tuple[str, str], Verdict]:
    """The verdict on every asset, by volume and path."""
    return _Court(pointers.without(estate), pointers.targets(estate)).verdicts()


class _Court:
    def __init__(self, estate: Estate, pointed_to: Collection[tuple[str, str]]) -> None:
        self.estate, self.config, self.as_of, self.pointed_to = estate, estate.config, estate.as_of, pointed_to
        detected = {name: scan.device if (scan := estate.newest(name)) else None for name in self.config.volumes}
        self.domains = domains(self.config, detected)
        self.evidence = Evidence(estate)
        self.inodes = {volume: {file.identity for file in estate.files(volume)} - {None} for volume in self.config.volumes}
        self.first_names = first_names(estate)

    def verdicts(self) -> dict[tuple[str, str], Verdict]:
        return {(volume, file.path): self.verdict(volume, file) for volume, file in self.estate.every_file() if self.is_asset(volume, file)}

    def is_asset(self, volume: str, file: File) -> bool:
        role = self.config.volumes[volume].role
        if file.latest is False:
            return False
        if role != "archive" or (volume, file.path) in self.pointed_to:
            return role in ("primary", "archive")
        homes = [name for name, declared in self.config.volumes.items() if declared.role == "primary"]
        wards = [name for name in homes if may_protect(self.config, volume, name)]
        return not any(self._holds_home(volume, file, ward, theirs) for ward in wards for theirs in self.estate.files(ward))

    def _holds_home(self, volume: str, file: File, ward: str, theirs: File) -> bool:
        if file.aside or theirs.aside:
            return False
        here = mapped(self.config.volumes[volume], ward, theirs.path) == file.path
        if file.size == 0:
            return here and theirs.size == 0
        verdict = self.evidence.compare(volume, file, ward, theirs)
        same_listing = here and theirs.size is not None and theirs.size == file.size and same_time(theirs, file) is True and trusted(theirs, file)
        same_listing = same_listing and not file.flags & STORED_MODIFIED
        return verdict == "equal" or (same_listing and verdict != "differ")

    # What one volume says of one asset

    def match(self, volume: str, ward: str, asset: File) -> Match:
        there = mapped(self.config.volumes[volume], ward, asset.path)
        scan = self.estate.newest(volume)
        if scan is None or asset.aside:
            promised = pointers.unproven(self.estate, self.evidence, asset, volume, self.inodes[ward])
            return Match("path_only", promised, 0, _seen_at(promised, scan)) if scan and promised else Match("absent")
        counted = [file for file in scan.files if not file.aside and (file.identity is None or file.identity not in self.inodes[ward])]
        best = self._content(volume, ward, asset, there, counted, scan)
        if best:
            return best
        versions = [self._at_the_path(volume, file, ward, asset, scan) for file in counted if file.path == there]
        return min(versions, key=lambda match: _rank(match, asset), default=Match("absent"))

    def _content(self, volume: str, ward: str, asset: File, there: str | None, counted: list[File], scan: Scan) -> Match | None:
        if asset.size == 0:
            empty = [file for file in counted if file.path == there and file.size == 0]
            return Match("content", empty[0], 2, _seen_at(empty[0], scan)) if empty else None
        known = self.evidence.digest(ward, asset)
        found: list[Match] = []
        for file in counted:
            theirs = self.evidence.digest(volume, file)
            if known and theirs and theirs.value == known.value and file.may_hold:
                read_by_us = known.read_at is not None and theirs.read_at is not None
                found.append(Match("content", file, 3 if read_by_us else max(1, _own_level(file)), theirs.read_at or _seen_at(file, scan)))
        found.sort(key=lambda match: match.file.place if match.file else ("", ""))
        found.sort(key=lambda match: match.verified_at or datetime.datetime.min, reverse=True)
        found.sort(key=lambda match: match.file is not None and match.file.path != there)
        found.sort(key=lambda match: self._is_blind(volume, match))
        return found[0] if found else None

    def _is_blind(self, volume: str, match: Match) -> bool:
        """Whether the matched file was not seen by the newest scan, or could not be read."""
        return match.file is not None and (match.file.carried or self.evidence.is_unreadable(volume, match.file))

    def _is_doubtful(self, match: Match, ward: str, asset: File) -> bool:
        """Whether a match by digest rests on what an asset held before it could no longer be read."""
        return match.kind == "content" and asset.may_hold and self.evidence.is_unreadable(ward, asset)

    def _at_the_path(self, volume: str, file: File, ward: str, asset: File, scan: Scan) -> Match:
        verdict = self.evidence.compare(volume, file, ward, asset)
        same = same_time(asset, file)
        if file.flags & STORED_MODIFIED:
            same = False if trusted(asset) and asset.modified and file.modified and file.modified + SECOND <= asset.modified else None
        sizes_known = file.size is not None and asset.size is not None
        alike = not sizes_known or file.size == asset.size != 0
        if alike and same is not False and not (verdict == "differ" and not (same and sizes_known)):
            if verdict == "differ":
                return Match("conflict", file)
            return (
                Match("metadata", file, _own_level(file), _seen_at(file, scan))
                if same and sizes_known and trusted(asset, file)
                else Match("path_only", file, 0, _seen_at(file, scan))
            )
        theirs = self.evidence.digest(volume, file)
        read_at = theirs.read_at if theirs else None
        return Match("older", file, 2 if read_at else _own_level(file), read_at or _seen_at(file, scan))

    def matches(self, ward: str, asset: File) -> dict[str, Match]:
        found = {name: self.match(name, ward, asset) for name in self.config.volumes if may_protect(self.config, name, ward)}
        if any(match.kind == "conflict" for match in found.values()):
            return {name: Match("conflict", match.file) if match.kind in ("metadata", "path_only") else match for name, match in found.items()}
        return found

    def best_known(self, volume: str, match: Match, rule: DataClass) -> Match:
        """A match as well as it is known: with the highest level that the class accepts at its age, else the highest."""
        if match.kind not in ("content", "metadata", "older") or match.file is None or (match.kind == "content" and match.file.size == 0):
            return match
        vouched = known_of(self.estate, volume, match.file)
        found = [
            match,
            *(replace(match, level=level, verified_at=at) for level, at in vouched.items() if level in (1, 2, 4) and (level < 4 or match.kind == "content")),
        ]
        accepted = [one for one in found if self._current_usable(one, rule, blind=False)[0] == "yes"]
        return max(accepted or found, key=lambda one: one.level)

    # Times

    def first_seen(self, volume: str, file: File) -> tuple[datetime.datetime, bool]:
        """Start of the scan that first saw the path, and whether it was the volume's first."""
        good = self.estate.good(volume)
        for number, scan in enumerate(good):
            if any(entry.path == file.path for entry in scan.files):
                return min(scan.known_at, good[-1].known_at), number == 0
        raise AssertionError("a file is in the scan that shows it")

    def changed_for_absence(self, volume: str, file: File) -> datetime.datetime:
        times = [file.modified if not file.flags & FLAGGED_MODIFIED else None, file.changed if not file.flags & FLAGGED_CHANGED else None]
        return max([time for time in times if time is not None], default=self.first_seen(volume, file)[0])

    def changed_since(self, volume: str, file: File) -> datetime.datetime:
        seen_at, by_the_first_scan = self.first_seen(volume, file)
        changed = self.changed_for_absence(volume, file)
        return changed if by_the_first_scan else max(changed, seen_at)

    # Usable

    def is_current(self, match: Match, rule: DataClass, asset: File) -> bool:
        if match.kind in CURRENT_KINDS:
            return True
        version = match.file
        if match.kind != "older" or version is None or version.modified is None or rule.max_copy_age is None or not _is_version(version, asset):
            return False
        held_at = max(version.modified, version.point or version.modified)
        return (self.as_of - held_at).total_seconds() <= rule.max_copy_age

    def usable(self, volume: str, match: Match, ward: str, asset: File, rule: DataClass) -> tuple[str, str | None]:
        if self.is_current(match, rule, asset):
            return self._current_usable(match, rule, self._is_blind(volume, match) or self._is_doubtful(match, ward, asset))
        if match.kind == "path_only":
            return "unknown", "metadata_match_only"
        unseen = self._absence_unknown(volume, match, ward, asset)
        if unseen:
            return "unknown", unseen
        if match.kind in ("conflict", "older"):
            return "no", "conflict" if match.kind == "conflict" else "changed_since_copy"
        there = mapped(self.config.volumes[volume], ward, asset.path)
        left_out = there is not None and (excluded(self.config.volumes[volume], there) or self._was_left_out(volume, there))
        return "no", "excluded_by_backup" if left_out else "never_copied"

    def _current_usable(self, match: Match, rule: DataClass, blind: bool) -> tuple[str, str | None]:
        wanted = 1 if rule.min_verification_level is None else rule.min_verification_level
        if blind:
            return "unknown", "scan_incomplete"
        if match.level < wanted:
            return "unknown", "metadata_match_only" if match.kind == "metadata" else "never_verified"
        age = (self.as_of - (match.verified_at or datetime.datetime.min)).total_seconds()
        if rule.max_verification_age is not None and not -CLOCKS_DIFFER_SECONDS <= age <= rule.max_verification_age:
            return "unknown", "verification_too_old"
        return "yes", None

    def _absence_unknown(self, volume: str, match: Match, ward: str, asset: File) -> str | None:
        """The reason why the absence of a current copy is not known; None where it is."""
        if match.kind == "conflict":
            return None
        scan = self.estate.newest(volume)
        if scan is None:
            return "volume_not_scanned"
        if scan.known_at < self.changed_for_absence(ward, asset) and self.config.volumes[volume].access != "offline":
            return "volume_not_scanned"
        there = mapped(self.config.volumes[volume], ward, asset.path)
        if there is None:
            return "path_not_mapped"
        return "scan_incomplete" if any(path in ("", there) or there.startswith(f"{path}/") for path, _ in (*scan.problems, *scan.broken)) else None

    def _was_left_out(self, volume: str, there: str) -> bool:
        scan = self.estate.newest(volume)
        path = f"/{there}/"
        return scan is not None and bool(scan.points) and any(path.startswith(text) if at_begin else text in path for at_begin, text in scan.left_out)

    # What one volume does against one threat

    def conditions(self, threat: str, volume: str, ward: str, rule: DataClass, lock: str | None = None) -> list[tuple[str, str]]:
        """The conditions on a volume, each with the reason that it gives where it is not met. `lock` is what its objects tell of theirs."""
        if threat == "user_error":  # it is with what was deleted, and takes no key
            return self._kept(volume, rule)
        mine, theirs = self.domains[volume], self.domains[ward]
        key = (self.openable(threat, volume, ward, rule), "key_lost")
        if threat == "system_failure":
            return [(apart(mine, theirs, "system"), "same_system_only"), key]
        if threat == "facility_outage":
            return [(apart(mine, theirs, "site"), "same_site_only"), key]
        return [(self.out_of_reach(volume, ward, rule, lock), "not_immutable_or_offline"), key]

    def openable(self, threat: str, volume: str, ward: str, rule: DataClass) -> str:
        """Whether a threat to a ward leaves what opens a volume: some place of it that is left, and that can be opened."""
        places = self.config.volumes[volume].key_on
        if not places:
            return "yes"
        return three_or([three_and([self._left(threat, place, ward, rule), self.openable(threat, place, ward, rule)]) for place in places])

    def _left(self, threat: str, place: str, ward: str, rule: DataClass) -> str:
        if threat == "ransomware":
            written = self.config.volumes[place].role == "primary"
            declared = self.config.volumes[place]
            offline = {"offline": "yes", None: "no" if written else "unknown"}.get(declared.access, "no")
            return three_or([offline, "no" if written and declared.immutability is None else self.immutable(place, ward, rule)])
        return "no" if place == ward else apart(self.domains[place], self.domains[ward], {"system_failure": "system", "facility_outage": "site"}[threat])

    def _kept(self, volume: str, rule: DataClass) -> list[tuple[str, str]]:
        """The conditions on how long a volume keeps versions: as it says, else as its recovery points show."""
        keeps, role = self.config.volumes[volume].keeps_versions, self.config.volumes[volume].role
        scan = self.estate.newest(volume)
        if keeps is None and scan and scan.points:
            wanted = max(scan.points) - datetime.timedelta(seconds=_retention(rule))
            late = sorted(point for point in scan.points if point >= wanted)
            before = max((point for point in scan.points if point <= wanted), default=None)
            steps = [] if before is None else [before, *late]
            dense = bool(steps) and all(two - one <= datetime.timedelta(days=8) for one, two in itertools.pairwise(steps))
            return [("yes" if dense else "unknown", "retention_too_short")]
        if keeps is None:
            return [("no" if role == "replica" else "unknown", "mirror_only")]
        if keeps == 0:
            return [("no", "mirror_only")]
        return [("yes", "mirror_only"), ("yes" if keeps >= _retention(rule) else "no", "retention_too_short")]

    def out_of_reach(self, volume: str, ward: str, rule: DataClass, lock: str | None = None) -> str:
        """Whether what holds `ward` hostage could not change a volume, three-valued."""
        declared = self.config.volumes[volume]
        offline = {"offline": "yes", None: "unknown"}.get(declared.access, "no")
        return three_or([offline, lock or self.immutable(volume, ward, rule)])

    def own_locks(self, volume: str, ward: str, asset: File, match: Match, rule: DataClass) -> tuple[str, str] | None:
        """What locks of objects are worth that hold an asset on a volume: until the retention ends, and now. None where no object tells."""
        if match.file is None or not (self.is_current(match, rule, asset) or match.kind == "path_only"):
            return None
        holding = [] if match.kind == "content" and asset.may_hold else [match]
        if match.kind == "content" and asset.may_hold:
            mine, scan = self.evidence.digest(ward, asset), self.estate.newest(volume)
            counted = [file for file in self.estate.files(volume) if not file.aside and (file.identity is None or file.identity not in self.inodes[ward])]
            holding = [one for file in counted if mine and scan and (one := self._content(volume, ward, asset, None, [file], scan))]
        if not any(one.file and tells(one.file) for one in holding):
            return None
        admin = apart(self.domains[volume], self.domains[ward], "admin")
        locked = self.immutable(volume, ward, rule)
        declared = Declared(locked, locked if self.config.volumes[volume].immutability == "append_only" else "no", admin, self.bound(volume, rule))
        least = self.as_of + datetime.timedelta(seconds=_retention(rule))
        found = [(self.usable(volume, one, ward, asset, rule)[0], one.file) for one in holding if one.file]
        found = [("yes", match.file), *found]  # how well the match itself is known is asked elsewhere
        return (
            three_or(three_and([known, outlasts(file, declared, least)]) for known, file in found),
            three_or(three_and([known, binds(file, declared, self.as_of)]) for known, file in found),
        )

    def bound(self, volume: str, rule: DataClass) -> str:
        """Whether a volume is declared to be such that not even its admin can change it now, three-valued."""
        declared = self.config.volumes[volume]
        if declared.immutability != "compliance":
            return "unknown" if declared.immutability is None else "no"
        if not rule.accept_declared or declared.immutable_until is None:
            return "unknown"
        return "yes" if datetime.datetime.combine(declared.immutable_until, datetime.time()) >= self.as_of else "no"

    def immutable(self, volume: str, ward: str, rule: DataClass) -> str:
        """Whether nobody could change a volume's content before the retention ends, three-valued."""
        declared = self.config.volumes[volume]
        if declared.immutability is None:
            return "unknown"
        if declared.immutability == "none":
            return "no"
        if declared.immutability != "compliance":
            admin = apart(self.domains[volume], self.domains[ward], "admin")
            return self._locked(declared, rule) if admin == "yes" else admin
        return self._locked(declared, rule)

    def _locked(self, declared: Volume, rule: DataClass) -> str:
        """Whether a declared lock is accepted and outlives the retention, three-valued."""
        if not rule.accept_declared:
            return "unknown"
        if declared.immutability == "append_only":
            return "yes"
        if declared.immutable_until is None:
            return "unknown"
        until = datetime.datetime.combine(declared.immutable_until, datetime.time())
        return "yes" if until >= self.as_of + datetime.timedelta(seconds=_retention(rule)) else "no"

    # What holds for the asset

    def verdict(self, ward: str, asset: File) -> Verdict:
        rule_name = class_of(self.config, ward, asset)
        rule = rule_of(self.config, rule_name)
        matches = {name: self.best_known(name, match, rule) for name, match in self.matches(ward, asset).items()}
        usable = {name: self.usable(name, match, ward, asset, rule) for name, match in matches.items()}
        locks = {name: lock for name, match in matches.items() if (lock := self.own_locks(name, ward, asset, match, rule))}
        claims = {name: self._claim(name, ward, rule, usable[name], locks.get(name)) for name in matches}
        gone = self._reason_of_nothing(ward, asset, matches)
        threats = {threat: self._threat(threat, ward, asset, rule, usable, gone, locks) for threat in THREATS}
        exposure = (self.as_of - self.changed_since(ward, asset)).total_seconds()
        current = {name: match for name, match in matches.items() if self.is_current(match, rule, asset)}
        doubtful = {name: match for name, match in matches.items() if name not in current}
        unseen = any(match.kind == "path_only" or self._absence_unknown(name, match, ward, asset) for name, match in doubtful.items())
        sighted = {name: match for name, match in matches.items() if not self._is_blind(name, match) and not self._is_doubtful(match, ward, asset)}
        seen = [match for name, match in current.items() if name in sighted]
        freshness = "unknown" if asset.carried else _freshness(matches.values(), sighted.values(), exposure, rule)
        copy_age = "met" if seen else "unknown" if current or unseen else "not_met"
        own = self._claim(ward, ward, rule, ("yes", None))
        requirement = Requirement(rule, {threat: value for threat, (value, _) in threats.items()}, own, list(claims.values()), copy_age, asset.carried)
        controls, counts = requirement_of(requirement)
        level = max((match.level for match in seen), default=None)
        starts = [scan.known_at for name, match in current.items() if match in seen and (scan := self.estate.newest(name))]
        return Verdict(
            threats=threats,
            controls=controls,
            status=self._status(ward, asset, controls, threats),
            data_class=rule_name,
            freshness=freshness,
            counts=counts,
            level=level,
            verified_at=max((match.verified_at for match in seen if match.level == level and match.verified_at), default=None),
            newest_copy_at=max(starts, default=None),
            counted_bytes=asset.size or 0 if (ward, asset.path) in self.first_names else 0,
            other_copies=self.other_copies(ward, asset, matches),
            first_seen_at=self.first_seen(ward, asset)[0],
            matches=matches,
            usable={name: value for name, (value, _) in usable.items()},
            locks=locks,
        )

    def _claim(self, volume: str, ward: str, rule: DataClass, usable: tuple[str, str | None], lock: tuple[str, str] | None = None) -> Claim:
        media = self.config.volumes[volume].media
        axes = {"copies": "device", "systems": "system", "sites": "site", "regions": "region", "admins": "admin"}
        user_error = three_and([usable[0], *(value for value, _ in self.conditions("user_error", volume, ward, rule))])
        return Claim(
            usable=usable[0],
            groups={count: chained(self.domains, volume, axis) for count, axis in axes.items()} | {"media": frozenset([media] if media else [])},
            apart=known_groups(self.config, self.domains, volume, ward) | {"media": frozenset([media] if media else [])},
            out_of_reach=three_and([self.out_of_reach(volume, ward, rule, lock and lock[0]), self.openable("ransomware", volume, ward, rule)]),
            user_error=user_error,
        )

    def _threat(
        self,
        threat: str,
        ward: str,
        asset: File,
        rule: DataClass,
        usable: dict[str, tuple[str, str | None]],
        gone: str | None,
        locks: dict[str, tuple[str, str]],
    ) -> tuple[str, tuple[str, ...]]:
        if asset.carried:
            return "unknown", ("scan_incomplete",)
        values, reasons = [], set()
        for volume, (value, why) in usable.items():
            parts = [(value, why), *self.conditions(threat, volume, ward, rule, locks[volume][0] if volume in locks else None)]
            values.append(three_and(part for part, _ in parts))
            decisive = [reason for part, reason in parts if part == values[-1] and part != "yes" and reason]
            reasons.update(sorted(decisive, key=REASONS.index)[:1])
        total = three_or(values)
        if total == "yes":
            return "yes", ()
        if "never_copied" in reasons or not usable:
            reasons.discard("never_copied")
            reasons.update([gone] if gone else [])
        return total, tuple(sorted(reasons, key=REASONS.index))

    def _reason_of_nothing(self, ward: str, asset: File, matches: dict[str, Match]) -> str | None:
        """What the reason of a known absence is called for this asset; None where it is dropped."""
        if any(match.kind != "absent" for match in matches.values()):
            return None
        known = self.evidence.digest(ward, asset)
        for file in self.estate.files(ward):
            twin = self.evidence.digest(ward, file)
            another = file.path != asset.path and (file.identity is None or file.identity != asset.identity)
            if another and known and twin and asset.may_hold and twin.value == known.value:
                return "same_volume_only"
        return "never_copied"

    def other_copies(self, ward: str, asset: File, matches: dict[str, Match]) -> int:
        """How many other files and volumes are known to hold an asset's content: by digest every other file, else the volumes that hold it by listing."""
        if asset.carried:
            return 0
        listed = [name for name, match in matches.items() if match.kind == "metadata" or (match.kind == "content" and not asset.may_hold)]
        count = sum(not self._is_blind(name, matches[name]) for name in listed)
        known = self.evidence.digest(ward, asset)
        if not known or not asset.may_hold or self.evidence.is_unreadable(ward, asset):
            return count
        others = set()
        for volume, file in self.estate.every_file():
            theirs = self.evidence.digest(volume, file)
            seen = not file.carried and not self.evidence.is_unreadable(volume, file)
            if seen and theirs and theirs.value == known.value and file.may_hold:
                others.add((volume, "backup") if file.point else file.identity or (volume, file.path))
        return count + len(others - {asset.identity or (ward, asset.path)})

    def _status(self, ward: str, asset: File, controls: dict[str, str], threats: dict[str, tuple[str, tuple[str, ...]]]) -> str:
        missed = {control for control, result in controls.items() if result == "not_met"}
        if missed:
            accepted: set[str] = set()
            for finding in self.config.exceptions:
                end = datetime.datetime.combine(finding.until, datetime.time()) + datetime.timedelta(days=1)
                if self.as_of < end and holds(finding.where, ward, asset):
                    accepted |= missed if finding.controls is None else set(finding.controls)
            if missed <= accepted:
                return "excepted"
            return "partly" if any(value == "yes" for value, _ in threats.values()) else "unprotected"
        return "unknown" if "unknown" in controls.values() else "protected"


def _is_version(file: File, asset: File) -> bool:
    """Whether a file is, by its time, no younger than the asset, and holds something."""
    known = trusted(asset, file) and file.modified is not None and asset.modified is not None
    return known and bool(file.size) and file.modified <= asset.modified  # type: ignore[operator]  # both are known


def _own_level(file: File) -> int:
    """What is known of a file that nobody of us has read: 0 of a version in a backup that is only listed; of somebody else's word as much as that is worth."""
    if file.told_level is not None:
        return file.told_level
    return 0 if file.point is not None and not file.attested and not file.whole else 1


def _seen_at(file: File, scan: Scan) -> datetime.datetime:
    """The time that what a scan says of a file is of."""
    return file.told or scan.known_at


def _rank(match: Match, asset: File) -> tuple[object, ...]:
    """The order of what several versions at one path say: the first holds."""
    kinds = ("content", "conflict", "metadata", "path_only", "older")
    early = datetime.datetime.min
    if match.file is None:
        return (len(kinds),)
    newest = [early - early - ((time or early) - early) for time in (match.file.point, match.file.modified)]
    return (kinds.index(match.kind), match.file.carried, not _is_version(match.file, asset), *newest)


def _retention(rule: DataClass) -> float:
    return MONTH_SECONDS if rule.retention is None else rule.retention


def _freshness(matches: Collection[Match], sighted: Collection[Match], exposure_seconds: float, rule: DataClass) -> str:
    kinds = {match.kind for match in matches}
    if kinds & set(CURRENT_KINDS):
        return "current" if any(match.kind in CURRENT_KINDS for match in sighted) else "unknown"
    if "path_only" in kinds:
        return "unknown"
    within = exposure_seconds <= (rule.max_copy_age or 0.0)
    if kinds & {"older", "conflict"}:
        return "stale_within_rpo" if within else "stale_overdue"
    return "new_within_rpo" if within else "unprotected"
