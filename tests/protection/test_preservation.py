"""Levels of preservation, held against the independent computation: an asset has a level if a class that requires it would find all of its lines met."""

from dataclasses import replace
from pathlib import Path

import pytest

from catalog.config import DataClass
from tests.protection.merged import merge, packs
from tests.protection.oracle import judge
from tests.protection.plain import Estate
from tests.protection.requirement import NAMED
from tests.protection.table import rows
from tests.reports.estates import many, opened
from tests.reports.estates import rows as answer

LADDER = ("ndsa-1", "ndsa-2", "ndsa-3", "ndsa-4")
COUNTED = {"copies", "systems", "sites", "regions", "admins", "media"}
ESTATES = [
    many(3),
    many(4),
    *[merge(pack) for pack in packs([row.estate for row in rows()])[-5:]],
]  # of the table those with the named sets, and with what programs found
Key = tuple[str, str]


def _asked(estate: Estate, **keys: object) -> dict[Key, dict[str, str]]:
    """The controls of every asset, were each class to ask for these keys and nothing else."""

    def asking(rule: DataClass) -> DataClass:
        return DataClass(select=rule.select, max_copy_age=rule.max_copy_age).model_copy(update=keys)

    classes = {name: asking(rule) for name, rule in {"default": DataClass(), **estate.config.classes}.items()}
    config = estate.config.model_copy(update={"classes": classes})
    return {where: verdict.controls for where, verdict in judge(replace(estate, config=config)).items()}


def _reached(results: list[dict[str, str]], only: list[set[str]], *, enough: set[str]) -> int:
    """The highest level up to which all its lines have a result that is enough."""
    level = 0
    for controls, wanted in zip(results, only, strict=True):
        if not all(controls[control] in enough for control in wanted):
            break
        level += 1
    return level


@pytest.mark.slow
@pytest.mark.parametrize("estate", ESTATES, ids=["generated", "generated too", *[f"table {place}" for place in range(len(ESTATES) - 2)]])
def test_a_level_is_what_a_class_that_requires_it_would_find_met(estate: Estate, tmp_path: Path) -> None:
    whole = [_asked(estate, **NAMED[name]) for name in LADDER]
    stored = [_asked(estate, **{key: value for key, value in NAMED[name].items() if key in COUNTED}) for name in LADDER]
    with opened(tmp_path, estate) as connection:
        found = {(row["volume"], row["path"]): row for row in answer(connection, "preservation")}
        summed = answer(connection, "preservation-levels")
    assert found.keys() == whole[0].keys()
    of_all, counts = [set(NAMED[name]) for name in LADDER], [set(NAMED[name]) & COUNTED for name in LADDER]
    checks = [of - COUNTED for of in of_all]
    seen = set()
    for where, row in found.items():
        asked = [one[where] for one in whole]
        level = _reached(asked, of_all, enough={"met"})
        assert row["level"] == level, where
        assert row["storage_level"] == _reached([one[where] for one in stored], counts, enough={"met"}), where
        assert row["integrity_level"] == _reached(asked, checks, enough={"met"}), where
        assert row["possible_level"] >= _reached(asked, of_all, enough={"met", "unknown"}), where
        lacking = set() if level == 4 else {control for control in of_all[level] if asked[level][control] != "met"}
        assert set(filter(None, row["missing"].split(","))) == lacking, where
        seen.add((level, row["possible_level"]))
    assert len(seen) > 1, "all the same shows nothing"
    assert sum(row["assets"] for row in summed) == len(found)


def test_the_table_shows_every_level(tmp_path: Path) -> None:
    levels = set()
    for place, estate in enumerate(ESTATES[2:]):
        with opened(tmp_path / str(place), estate) as connection:
            levels |= {(row["level"], row["possible_level"]) for row in answer(connection, "preservation")}
    assert {level for level, _ in levels} == {0, 1, 2, 3, 4}
    assert len(levels) > 6, levels
