"""The floor: whether enough verified, independent copies stay if one is taken away. Pure functions that say why; see docs/lifecycle.md."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from catalog import names
from catalog.config import Config, Policy
from catalog.domains import Domain
from lifecycle.manifest import Copy
from lifecycle.records import Counted

EMPTY = hashlib.sha256().digest()
Look = Literal["read", "unchanged", "changed", "gone", "unreadable", "unreachable", "no store"]
Place = tuple[str, bytes]  # volume, path


class Gone(NamedTuple):
    """The copy that is to be taken, its volume's domains, and the places of its content that are going or gone already."""

    volume: str
    path: bytes
    systems: frozenset[str]
    devices: frozenset[str]
    followers: frozenset[str]  # volumes that will lose the file with it, or with one of the ledger's
    ledger: frozenset[Place] = frozenset()
    mirrors: Mapping[str, frozenset[str]] = MappingProxyType({})  # of each replica and backup, the volumes that it follows


class Verdict(NamedTuple):
    """Whether a removal is allowed; the copies that it rests on, pairwise apart; why each other one does not count."""

    allowed: bool
    floor: int
    counted: tuple[Counted, ...]
    others: tuple[tuple[Counted, str], ...]

    @property
    def reason(self) -> str:
        """One sentence for people, names escaped."""
        said = f"{len(self.counted)} of at least {self.floor} verified, independent copies would stay"
        named = [f"{copy.volume}:{names.escape(copy.path)}: {why}" for copy, why in self.others[:3]]
        more = [f"{len(self.others) - 3} more"] if len(self.others) > 3 else []
        return said + (f" (not counted: {'; '.join([*named, *more])})" if named else "")


def weigh(
    wanted: bytes, copy: Copy, look: Look, domain: Domain, *, sha256: bytes | None, offline: bool, now_us: int, max_age_us: int, purging: bool = False
) -> Counted:
    """A copy as the floor sees it: rules 1 and 2.

    `sha256` is the digest in its evidence, or as it was read now; `look` what the storage showed now: 'read' and digested, 'unchanged' since its
    evidence, 'changed', 'gone', 'unreadable' when that was tried after its evidence, 'unreachable', or 'no store': no job ever looks at such volumes. At a
    purge an offline copy must have been read.
    """
    why = _unverified(wanted, copy, look, sha256, offline, now_us - max_age_us, now_us, purging)
    return Counted(copy.volume, copy.path, domain.systems, domain.devices, offline, verified=why is None, why=why or "")


def evidence_age(config: Config, policy: Policy) -> float:
    """How long ago a copy may have been read, in seconds: as it is configured, or as the policy says where that is less."""
    limit = config.lifecycle.max_evidence_age
    return limit if policy.max_evidence_age is None else min(limit, policy.max_evidence_age)


def allowed(floor: int, copies: Sequence[Counted], gone: Gone) -> Verdict:
    """Whether a copy may be taken: rules 3, 4 and 5, and the largest set of copies that are pairwise apart."""
    lasting = _lasting(copies, gone)
    judged = [(copy, _excluded(copy, gone) or _fading(copy, gone, lasting)) for copy in copies]
    good = [copy for copy, why in judged if why is None]
    counted = apart(good)
    others = [(copy, why) for copy, why in judged if why is not None]
    others += [(copy, "shares its system or device with a copy that is counted") for copy in good if copy not in counted]
    return Verdict(len(counted) >= max(floor, 1), max(floor, 1), counted, tuple(others))


def apart(copies: Iterable[Counted]) -> tuple[Counted, ...]:
    """A largest set of copies that pairwise share no system and no device. Exact; its time grows with the number of distinct domains, not of copies."""
    distinct = {(copy.systems, copy.devices): copy for copy in reversed(list(copies))}
    return _largest(tuple(reversed(distinct.values())))


def devices(config: Config, scanned: Mapping[str, str | None], now: Mapping[str, str | None]) -> dict[str, str | None]:
    """The device of each volume, as scans saw it and as it is `now` where that was looked at: unknown where the two differ.

    Of a volume that declares its device that of now is kept all the same: it tells which others are perhaps on it.
    """
    told = {name: seen if config.volumes[name].device or seen == scanned.get(name) else None for name, seen in now.items() if name in config.volumes}
    return {**scanned, **told}


def followers(config: Config, volumes: Iterable[str]) -> frozenset[str]:
    """The volumes that follow any of these."""
    reached, waiting = set[str](), list(volumes)
    while waiting:
        above = waiting.pop()
        new = [name for name in config.volumes if name != above and name not in reached and _mirrors(config, name, above)]
        reached.update(new)
        waiting += new
    return frozenset(reached)


def mirrors(config: Config) -> dict[str, frozenset[str]]:
    """Of each replica and backup, the volumes that it follows: what none of them has, it will not keep."""
    return {
        name: frozenset(above for above in config.volumes if above != name and _mirrors(config, name, above))
        for name, declared in config.volumes.items()
        if declared.role in ("replica", "backup")
    }


def _mirrors(config: Config, volume: str, above: str) -> bool:
    declared = config.volumes[volume]
    return declared.role in ("replica", "backup") and (declared.of is None or above in declared.of)


def _unverified(  # noqa: PLR0911  one answer a rule
    wanted: bytes, copy: Copy, look: Look, sha256: bytes | None, offline: bool, oldest_us: int, now_us: int, purging: bool
) -> str | None:
    if sha256 is None:
        return "its content was never read"
    if sha256 != wanted:
        return "its content differs"
    if wanted == EMPTY or copy.fingerprint.size_bytes == 0:
        return "it is empty"
    if look == "read":
        return None
    if look in ("changed", "gone"):
        return "it is not there any more" if look == "gone" else "it changed since it was verified"
    if look == "no store":
        return "no job can look at its volume"
    if look == "unreadable":
        return "it could not be read when that was tried last"
    if look == "unreachable" and (purging or not offline):
        return "its medium must be mounted and read before the purge" if offline else "it cannot be reached"
    if copy.verified_us is None or copy.verified_us > now_us:
        return "when it was verified is not known"
    return "it was verified too long ago" if copy.verified_us < oldest_us else None


def _excluded(copy: Counted, gone: Gone) -> str | None:  # noqa: PLR0911  one answer a rule
    if not copy.verified:
        return copy.why or "it is not verified"
    if (copy.volume, copy.path) == (gone.volume, gone.path):
        return "it is the one to be taken"
    if (copy.volume, copy.path) in gone.ledger:
        return "it is being removed, or was"
    if copy.volume in gone.followers:
        return "its volume follows one that the content is taken from"
    if not copy.systems or not copy.devices:
        return "its system or device is not known"
    if not gone.systems or not gone.devices:
        return f"the system or device of volume {gone.volume} is not known"
    if copy.systems & gone.systems or copy.devices & gone.devices:
        return f"it shares its system or device with volume {gone.volume}"
    return None


def _lasting(copies: Sequence[Counted], gone: Gone) -> frozenset[str]:
    """The volumes that have the content and keep it: those that follow none, and those that follow one of these."""
    places = {(copy.volume, copy.path) for copy in copies if copy.verified} - {(gone.volume, gone.path)} - gone.ledger
    holding = {volume for volume, _ in places} - gone.followers
    found = {volume for volume in holding if volume not in gone.mirrors}
    while more := {volume for volume in holding - found if gone.mirrors[volume] & found}:
        found |= more
    return frozenset(found)


def _fading(copy: Counted, gone: Gone, lasting: frozenset[str]) -> str | None:
    if copy.volume in lasting:
        return None
    above = ", ".join(sorted(gone.mirrors.get(copy.volume, ()))) or "none"
    return f"its volume follows another ({above}) on which no verified copy is known, and will lose it"


def _largest(left: tuple[Counted, ...]) -> tuple[Counted, ...]:
    """The largest set without a clash: one that clashes with at most one other is always in some largest set; else it is tried with and without."""
    if len(left) < 2:
        return left
    clashes = {at: [two for two, other in enumerate(left) if two != at and _clash(left[at], other)] for at in range(len(left))}
    least = min(clashes, key=lambda at: len(clashes[at]))
    if len(clashes[least]) <= 1:
        return (left[least], *_largest(_without(left, [least, *clashes[least]])))
    most = max(clashes, key=lambda at: len(clashes[at]))
    taken = (left[most], *_largest(_without(left, [most, *clashes[most]])))
    spared = _largest(_without(left, [most]))
    return max(taken, spared, key=len)


def _without(left: tuple[Counted, ...], gone: list[int]) -> tuple[Counted, ...]:
    return tuple(copy for at, copy in enumerate(left) if at not in gone)


def _clash(one: Counted, two: Counted) -> bool:
    return bool(one.systems & two.systems or one.devices & two.devices)
