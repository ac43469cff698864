"""Single losses of estates by hand and by chance, against loops that take one volume after the other away and look at what is left."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.config import Config
from reports import alike, simulate
from reports.reach import AXES, Loss
from tests.protection.oracle import Verdict, _Court, judge
from tests.protection.places import Domains, domains
from tests.protection.plain import Estate
from tests.protection.requirement import three_and, three_or
from tests.protection.test_simulation import ESTATES, Judged, derived

_NOT = {"yes": "no", "no": "yes", "unknown": "unknown"}
_WORDS = {"yes": "survives", "no": "lost", "unknown": "unknown"}


_MOST_LOSSES = 40


@pytest.fixture(scope="module", params=[0, 3, len(ESTATES) - 2, len(ESTATES) - 1])
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    estate, root = ESTATES[request.param], tmp_path_factory.mktemp("estate")
    connection = derived(root, estate)
    alike.prepare(connection, estate.config)
    yield Judged(estate, connection, judge(estate))
    connection.close()


@pytest.mark.slow
def test_what_survives_every_single_loss_is_what_is_left_when_the_volumes_are_taken_away_one_by_one(judged: Judged) -> None:
    places = _domains(judged.estate)
    losses = list(_losses(judged.estate.config, places))
    of_keys = [loss for loss in losses if loss.lose[0][0] == "key" or any(loss.lose[0] == ("volume", one) for one in _key_places(judged.estate.config))]
    for loss in [*of_keys[:12], *random.Random(11).sample(losses, min(_MOST_LOSSES, len(losses)))]:
        found = {
            (row["volume"], row["path"]): (row["original"], row["copies"], row["outcome"])
            for row in simulate.outcomes(judged.connection, judged.estate.config, loss).to_pylist()
        }
        wanted = {where: _left(judged.estate, places, loss, where, verdict) for where, verdict in judged.truth.items()}
        assert found == wanted, loss


def _key_places(config: Config) -> set[str]:
    return {place for one in config.volumes.values() for place in one.key_on}


def _domains(estate: Estate) -> dict[str, Domains]:
    return domains(estate.config, {name: scan.device if (scan := estate.newest(name)) else None for name in estate.config.volumes})


def _losses(config: Config, places: dict[str, Domains]) -> Iterator[Loss]:
    for axis in AXES:
        for name in sorted(set().union(*(getattr(one, axis) for one in places.values()))):
            yield Loss(((axis, name),))
    for volume in config.volumes:
        yield Loss((("volume", volume),))
    for volume in (name for name, one in config.volumes.items() if one.key_on):
        yield Loss((("key", volume),))


def _left(estate: Estate, places: dict[str, Domains], loss: Loss, where: tuple[str, str], verdict: Verdict) -> tuple[str, str, str]:
    ward, path = where
    carried = next(file for file in estate.files(ward) if file.path == path).carried
    original = _NOT[_removed(estate, places, loss, ward, ward, verdict)]
    copies = three_or([three_and([usable, _NOT[_removed(estate, places, loss, volume, ward, verdict)]]) for volume, usable in verdict.usable.items()])
    if carried:  # nobody knows what it holds now
        original, copies = three_and([original, "unknown"]), "unknown"
    return original, copies, _WORDS[three_or([original, copies])]


def _removed(estate: Estate, places: dict[str, Domains], loss: Loss, volume: str, ward: str, verdict: Verdict) -> str:
    """Whether a volume is gone, or can be opened no more: all places of its key are gone, or cannot be opened."""
    keys = [_removed(estate, places, loss, place, ward, verdict) for place in estate.config.volumes[volume].key_on]
    return three_or([_gone(estate, places, loss, volume, ward, verdict), three_and(keys) if keys else "no"])


def _gone(estate: Estate, places: dict[str, Domains], loss: Loss, volume: str, ward: str, verdict: Verdict) -> str:
    [(kind, name)] = loss.lose
    if kind == "key":
        return "yes" if volume == name else "no"
    config = estate.config
    if kind == "volume":
        return "yes" if name in _below(config, volume) else "no"
    if kind != "admin":
        return _held(places, volume, kind, name)
    taken = _by_admin(estate, places, name, volume, ward, verdict)
    declared = config.volumes[volume]
    own = verdict.locks[volume][0] if volume in verdict.locks else None
    if declared.role == "replica" and volume != ward and declared.access != "offline" and (own or _mirror_is_locked(estate, volume, ward, verdict)) != "yes":
        taken = three_or([taken, _by_admin(estate, places, name, ward, ward, verdict)])
    return taken


def _held(places: dict[str, Domains], volume: str, kind: str, name: str) -> str:
    own: frozenset[str] = getattr(places[volume], kind)
    if name in own:
        return "yes"
    doubted = {
        one for other in places.values() if places[volume].perhaps & other.device or other.perhaps & places[volume].device for one in getattr(other, kind)
    }
    return "unknown" if not own or name in doubted else "no"


def _by_admin(estate: Estate, places: dict[str, Domains], name: str, volume: str, ward: str, verdict: Verdict) -> str:
    declared = estate.config.volumes[volume]
    in_use = declared.role == "primary"
    access, immutability = (declared.access or "online", declared.immutability or "none") if in_use else (declared.access, declared.immutability)
    if access == "offline":
        return "no"
    reached = "yes" if name in places[volume].admin else "no" if places[volume].admin else "unknown"
    if volume != ward and volume in verdict.locks:
        held_back = verdict.locks[volume][1]
    elif immutability is None:
        held_back = "unknown"
    elif immutability != "compliance" or not estate.config.data_class(verdict.data_class).accept_declared:
        held_back = "unknown" if immutability == "compliance" else "no"
    elif declared.immutable_until is None:
        held_back = "unknown"
    else:
        held_back = "yes" if str(declared.immutable_until) >= estate.as_of.isoformat() else "no"
    return three_and([reached, _NOT[held_back], "unknown" if access is None else "yes"])


def _mirror_is_locked(estate: Estate, volume: str, ward: str, verdict: Verdict) -> str:
    return _Court(estate, ()).immutable(volume, ward, estate.config.data_class(verdict.data_class))


def _below(config: Config, volume: str) -> set[str]:
    """The volumes that a volume is lost with: itself, what it lies on, and those whose root is above one of these."""
    chain = [volume]
    while config.volumes[chain[-1]].on:
        chain.append(str(config.volumes[chain[-1]].on))
    roots = {name: Path(one.url) for name, one in config.volumes.items()}
    above = {name for name, one in itertools.product(config.volumes, chain) if roots[name] in roots[one].parents or roots[name] == roots[one]}
    return {*chain, *above}
