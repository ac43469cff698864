"""A threat of an asset is `yes` exactly where a usable copy survives the simulation of that loss."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from catalog import connect, derive
from reports import simulate
from reports.reach import Loss
from tests.protection import bare, generated
from tests.protection import estate as written
from tests.protection.merged import merge, packs
from tests.protection.oracle import Verdict, judge
from tests.protection.plain import Estate
from tests.protection.requirement import THREATS
from tests.protection.table import rows


def _estates() -> list[Estate]:
    """All estates of the truth table and some generated ones, many as one."""
    chance = random.Random(7)
    return [merge(pack) for pack in packs([row.estate for row in rows()]) + packs([generated.estate(chance) for _ in range(40)])[:2]]


@dataclass(frozen=True)
class Judged:
    """An estate as a catalog that was derived, and the independent verdicts on it."""

    estate: Estate
    connection: duckdb.DuckDBPyConnection
    truth: dict[tuple[str, str], Verdict]

    def survivors(self, loss: Loss) -> dict[tuple[str, str], str]:
        """Whether a copy of each asset survives a loss: yes, no or unknown."""
        found = simulate.outcomes(self.connection, self.estate.config, loss).to_pylist()
        return {(row["volume"], row["path"]): row["copies"] for row in found}


ESTATES = _estates()


_QUICK = {0, len(ESTATES) // 2, len(ESTATES) - 1}  # two of the table, and one by chance


@pytest.fixture(scope="module", params=[pytest.param(place, marks=[] if place in _QUICK else [pytest.mark.slow]) for place in range(len(ESTATES))])
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    estate, root = ESTATES[request.param], tmp_path_factory.mktemp("estate")
    connection = derived(root, estate)
    yield Judged(estate, connection, judge(estate))
    connection.close()


def derived(root: Path, estate: Estate) -> duckdb.DuckDBPyConnection:
    """An estate written as a catalog and derived, in two snapshots where volumes were scanned twice."""
    before = estate.before()
    if any(before.scans.values()):
        written.write(root, before)
        derive.derive(root, before.config, estate.as_of - generated.HOUR)
        written.write(root, estate, skip=before)
    else:
        written.write(root, estate)
    return connect.connect(root, derive.derive(root, estate.config, estate.as_of))


def test_a_threat_is_yes_exactly_where_a_copy_survives_it(judged: Judged) -> None:
    for threat in THREATS:
        copies = judged.survivors(Loss(threat=threat))
        covered = {where for where, verdict in judged.truth.items() if verdict.threats[threat][0] == "yes"}
        assert {where for where, survives in copies.items() if survives == "yes"} == covered
        assert copies.keys() == judged.truth.keys()


def test_what_survives_the_loss_of_all_places_of_its_volume_is_not_said_to_be_lost_with_them(judged: Judged) -> None:
    for volume in bare.select(
        judged.connection, "SELECT volume, systems, sites, devices FROM volumes WHERE role = 'primary' AND len(systems) > 0 ORDER BY position LIMIT 4"
    ):
        for threat, places in (("system_failure", ("system", "device")), ("facility_outage", ("site",))):
            lost = tuple((place, name) for place in places for name in volume[f"{place}s"])
            if not lost:
                continue
            survivors = judged.survivors(Loss(lose=lost))
            for where, verdict in judged.truth.items():
                if where[0] == volume["volume"] and survivors[where] == "yes":
                    assert verdict.threats[threat][0] == "yes", where
