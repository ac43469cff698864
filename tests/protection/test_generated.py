"""Generated estates: the derivation in SQL and the independent computation say the same of every file."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from catalog import connect, derive
from tests.protection import bare, generated
from tests.protection import estate as written
from tests.protection.compare import disagreeing_copies, disagreeing_duplicates, disagreeing_orphans, disagreements
from tests.protection.merged import merge, packs
from tests.protection.plain import Estate
from tests.protection.smallest import smallest
from tests.protection.strays import orphans

SEEDS = st.integers(0, 2**40)
QUICKLY = settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))  # a seed does not shrink; `smallest` does


class Judge:
    """Runs the derivation over estates and holds it against the independent computation."""

    def __init__(self, folder: Path) -> None:
        self.connection = bare.connect(folder)

    def differences(self, estate: Estate) -> list[str]:
        """All that is derived of an estate and is not so."""
        files = bare.files(self.connection, estate)
        found = disagreements(estate, files) + disagreeing_copies(estate, bare.rows_of(self.connection, "copies"))
        found += disagreeing_duplicates(estate, bare.rows_of(self.connection, "duplicate_groups"))
        return found + disagreeing_orphans(estate, bare.orphans(self.connection))

    def smallest(self, estates: list[Estate]) -> str:
        """The least of the faulty one of some estates, and what is wrong with it, for a person to read."""
        for estate in estates:
            if self.differences(estate):
                least = smallest(estate, lambda one: bool(self.differences(one)))
                return f"{least}\n" + "\n".join(self.differences(least))
        return "only together: " + "\n".join(self.differences(merge(estates)))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    found = Judge(tmp_path_factory.mktemp("generated"))
    yield found
    found.connection.close()


@pytest.mark.slow
@QUICKLY
@given(seed=SEEDS)
@example(seed=397)  # two files without a size, which are no copies of one another
def test_many_estates_side_by_side_are_derived_as_they_are_computed(judge: Judge, seed: int) -> None:
    chance = random.Random(seed)
    estates = packs([generated.estate(chance) for _ in range(20)])[0]
    assert not judge.differences(merge(estates)), judge.smallest(estates)


@QUICKLY
@given(seed=SEEDS)
def test_an_estate_by_itself_is_derived_as_it_is_computed(judge: Judge, seed: int) -> None:
    estate = generated.estate(random.Random(seed))
    assert not judge.differences(estate), judge.smallest([estate])


@pytest.mark.slow
def test_orphans_that_are_certain_are_derived_as_they_are_computed(judge: Judge) -> None:
    made = (generated.estate(random.Random(seed)) for seed in range(1000, 1400))
    sure = [estate for estate in made if any(certain == "yes" for _, certain in orphans(estate).values())]
    assert len(sure) > 20
    for estates in packs(sure):
        assert not judge.differences(merge(estates)), judge.smallest(estates)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_catalog_on_disk_shows_its_readers_what_is_computed(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    estate = merge(packs([generated.estate(chance) for _ in range(20)])[0])
    before = estate.before()
    written.write(tmp_path, before)
    derive.derive(tmp_path, before.config, estate.as_of - generated.HOUR)
    written.write(tmp_path, estate, skip=before)
    with connect.connect(tmp_path, derive.derive(tmp_path, estate.config, estate.as_of)) as connection:
        assert disagreements(estate, bare.select(connection, "SELECT * FROM files")) == []
        assert disagreeing_copies(estate, bare.select(connection, "SELECT * FROM copies")) == []
        assert disagreeing_duplicates(estate, bare.select(connection, "SELECT * FROM duplicate_groups")) == []
        assert disagreeing_orphans(estate, bare.select(connection, "SELECT * FROM orphans")) == []
