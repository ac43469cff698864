"""The floor, as docs/lifecycle.md draws it: every state of a copy, and every set of copies that are apart or not."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.domains import Domain
from lifecycle import guard
from lifecycle.manifest import Copy
from lifecycle.records import Counted
from lifecycle.stores import Fingerprint
from tests.lifecycle.journals import CONTENT, NOW, estate

DAY = 86_400_000_000
OTHER = bytes(32)

# The truth table. A copy counts if each of its properties is in the left column, and else does not: one wrong property is enough.
#
#   property     counts                                  does not count
#   content      the same                                other, empty, never read
#   look         read now,                               changed, gone, on no volume of jobs, unreachable
#                                                        (unless its medium is offline and it is not yet the purge),
#                unchanged with evidence of 29 days      unchanged with evidence of 31 days, of tomorrow, or none
#   system       other                                   same, unknown
#   device       other                                   same, unknown
#   volume       independent                             a follower, or the file itself
#   ledger       not in it                               in it
CONTENTS = {"same": True, "other": False, "empty": False, "never read": False}
LOOKS = {
    "read": True,
    "fresh": True,
    "stale": False,
    "of tomorrow": False,
    "without a date": False,
    "changed": False,
    "gone": False,
    "unreachable": False,
    "offline": True,  # not yet read, and not yet the purge
    "offline and stale": False,
    "offline at the purge": False,
    "offline and never to be looked at": False,
}
SYSTEMS = {"other": True, "same": False, "unknown": False}
DEVICES = {"other": True, "same": False, "unknown": False}
VOLUMES = {"independent": True, "follower": False, "the file itself": False}
LEDGERS = {"not in it": True, "in it": False}
TABLE = list(itertools.product(CONTENTS, LOOKS, SYSTEMS, DEVICES, VOLUMES, LEDGERS))

_LOOKED: dict[str, guard.Look] = {
    "read": "read",
    "changed": "changed",
    "gone": "gone",
    "unreachable": "unreachable",
    "offline and never to be looked at": "no store",
}
_VERIFIED_US = {"stale": NOW - 31 * DAY, "offline and stale": NOW - 31 * DAY, "of tomorrow": NOW + DAY, "without a date": None}
_PLACES = {"independent": ("b", b"x"), "follower": ("mirror", b"x"), "the file itself": ("a", b"original")}


def _copy(content: str, look: str, system: str, device: str, volume: str) -> Counted:
    name, path = _PLACES[volume]
    seen = Copy(name, path, Fingerprint("file", 0 if content == "empty" else 10, 1), _VERIFIED_US.get(look, NOW - 29 * DAY))
    offline = look.startswith("offline")
    return guard.weigh(
        guard.EMPTY if content == "empty" else CONTENT,
        seen,
        _LOOKED.get(look, "unreachable" if offline else "unchanged"),
        _domain(system, device),
        sha256={"same": CONTENT, "other": OTHER, "empty": guard.EMPTY}.get(content),
        offline=offline,
        now_us=NOW,
        max_age_us=30 * DAY,
        purging=look == "offline at the purge",
    )


def _domain(system: str, device: str) -> Domain:
    whose = {"other": ["b"], "same": ["a"], "unknown": list[str]()}
    systems, devices = (frozenset(f"{axis}-{name}" for name in whose[word]) for axis, word in (("system", system), ("device", device)))
    return Domain(systems, frozenset(), frozenset(), devices, {})


def _gone(ledger: frozenset[guard.Place] = frozenset()) -> guard.Gone:
    return guard.Gone("a", b"original", frozenset({"system-a"}), frozenset({"device-a"}), frozenset({"mirror"}), ledger)


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("look", LOOKS)
def test_a_copy_counts_only_if_every_property_is_right(content: str, look: str) -> None:
    rows = [row for row in TABLE if row[:2] == (content, look)]
    assert len(rows) == 54
    for _, _, system, device, volume, ledger in rows:
        copy = _copy(content, look, system, device, volume)
        verdict = guard.allowed(1, [copy], _gone(frozenset({(copy.volume, copy.path)} if ledger == "in it" else ())))
        expected = CONTENTS[content] and LOOKS[look] and SYSTEMS[system] and DEVICES[device] and VOLUMES[volume] and LEDGERS[ledger]
        assert verdict.allowed is expected, (content, look, system, device, volume, ledger, verdict.reason)
        assert bool(verdict.others) is not expected


def test_exactly_the_rows_that_should_count_do() -> None:
    good = [row for row in TABLE if guard.allowed(1, [_copy(*row[:5])], _gone(frozenset({_PLACES[row[4]]} if row[5] == "in it" else ()))).allowed]
    assert good == [("same", look, "other", "other", "independent", "not in it") for look in ("read", "fresh", "offline")]


@pytest.mark.parametrize("unknown", ["systems", "devices"])
def test_nothing_counts_if_the_volume_that_is_taken_from_is_unknown(unknown: str) -> None:
    good = _copy("same", "read", "other", "other", "independent")
    known = {"systems": frozenset({"system-a"}), "devices": frozenset({"device-a"})} | {unknown: frozenset[str]()}
    assert not guard.allowed(1, [good], guard.Gone("a", b"original", known["systems"], known["devices"], frozenset())).allowed


@pytest.mark.parametrize("floor", [1, 2, 3])
@pytest.mark.parametrize("states", list(itertools.product(["good", "stale", "retiring"], repeat=4)), ids="-".join)
def test_every_combination_of_four_copies_is_allowed_if_enough_are_good(states: tuple[str, ...], floor: int) -> None:
    copies = [Counted(f"v{at}", b"x", frozenset({f"s{at}"}), frozenset({f"d{at}"}), False, state != "stale") for at, state in enumerate(states)]
    ledger = frozenset((copy.volume, copy.path) for copy, state in zip(copies, states, strict=True) if state == "retiring")
    assert guard.allowed(floor, copies, _gone(ledger)).allowed is (states.count("good") >= floor)


def test_a_floor_of_nothing_is_a_floor_of_one() -> None:
    assert not guard.allowed(0, [], _gone()).allowed


# Which sets of copies are apart: systems, devices of each, and how many of them count together.
SETS = [
    ("one", ["s1/d1"], 1),
    ("two that are apart", ["s1/d1", "s2/d2"], 2),
    ("two of one system", ["s1/d1", "s1/d2"], 1),
    ("two of one device", ["s1/d1", "s2/d1"], 1),
    ("two files of one volume", ["s1/d1", "s1/d1"], 1),
    ("a volume over two systems, and each of them", ["s1 s2/d1", "s1/d2", "s2/d3"], 2),
    ("a chain of four, each with its neighbours", ["s1/d1", "s1/d2", "s2/d2", "s2/d3"], 2),
    ("a ring of five", ["s1 s2/d1", "s2 s3/d2", "s3 s4/d3", "s4 s5/d4", "s5 s1/d5"], 2),
    ("one that clashes with all the others", ["s1 s2 s3/d0", "s1/d1", "s2/d2", "s3/d3"], 3),
    ("two groups", ["s1/d1", "s1/d2", "s2/d3", "s2/d4", "s2/d5"], 2),
]


def _set(copies: list[str]) -> list[Counted]:
    return [
        Counted(f"v{at}", b"x", frozenset(text.split("/")[0].split()), frozenset(text.split("/")[1].split()), False, True) for at, text in enumerate(copies)
    ]


@pytest.mark.parametrize(("copies", "together"), [row[1:] for row in SETS], ids=[row[0] for row in SETS])
def test_copies_count_together_if_they_share_neither_system_nor_device(copies: list[str], together: int) -> None:
    assert len(guard.apart(_set(copies))) == together
    assert guard.allowed(together, _set(copies), _gone()).allowed
    assert not guard.allowed(together + 1, _set(copies), _gone()).allowed


_names = st.frozensets(st.integers(0, 7).map(str), min_size=1, max_size=3)


@given(st.lists(st.tuples(_names, _names), max_size=9))
def test_the_largest_set_is_exact(domains: list[tuple[frozenset[str], frozenset[str]]]) -> None:
    copies = [Counted(f"v{at}", b"x", systems, devices, False, True) for at, (systems, devices) in enumerate(domains)]
    found = guard.apart(copies)
    assert _pairwise_apart(found)
    sizes = [len(some) for size in range(len(copies) + 1) for some in itertools.combinations(copies, size) if _pairwise_apart(some)]
    assert len(found) == max(sizes)


def _pairwise_apart(copies: tuple[Counted, ...]) -> bool:
    return not any(one.systems & two.systems or one.devices & two.devices for one, two in itertools.combinations(copies, 2))


def test_sixty_volumes_with_a_thousand_copies_are_judged() -> None:
    copies = [Counted(f"v{at % 60}", b"%d" % at, frozenset({f"s{at % 60 // 2}"}), frozenset({f"d{at % 60}"}), False, True) for at in range(1000)]
    assert len(guard.apart(copies)) == 30


# Who follows whom: a volume's role and what it is `of`.
FOLLOWERS = [
    ("replica", ["a"], True),
    ("replica", None, True),
    ("replica", ["other"], False),
    ("backup", ["a"], True),
    ("backup", None, True),
    ("backup", ["other"], False),
    ("archive", ["a"], False),
    ("archive", None, False),
    ("primary", None, False),
]


@pytest.mark.parametrize(("role", "of", "expected"), FOLLOWERS)
def test_a_replica_or_backup_of_a_volume_follows_it(role: str, of: list[str] | None, expected: bool) -> None:
    given_volumes = {"a": {}, "other": {}, "b": {"role": role} | ({} if of is None else {"of": of})}
    assert ("b" in guard.followers(estate(given_volumes), ["a"])) is expected


def test_the_mirror_of_a_mirror_follows_too() -> None:
    config = estate({"a": {}, "near": {"role": "replica", "of": ["a"]}, "far": {"role": "replica", "of": ["near"]}, "vault": {"role": "archive"}})
    assert guard.followers(config, ["a"]) == {"near", "far"}
    assert guard.followers(config, ["near"]) == {"far"}
    assert not guard.followers(config, ["far"])


def test_a_refusal_says_how_many_count_and_why_the_others_do_not() -> None:
    copies = [_copy("same", look, "other", "other", "independent") for look in ("read", "stale", "gone", "changed", "unreachable")]
    reason = guard.allowed(2, copies, _gone()).reason
    assert reason == (
        "1 of at least 2 verified, independent copies would stay (not counted: b:x: it was verified too long ago; "
        "b:x: it is not there any more; b:x: it changed since it was verified; 1 more)"
    )
