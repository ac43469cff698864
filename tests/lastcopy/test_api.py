"""The Python API gives frames and answers of one snapshot."""

from pathlib import Path

import polars as pl
import pytest

import lastcopy
from catalog.errors import ConfigError, NotFoundError
from tests.lastcopy.conftest import HOSTILE, Estate


def test_a_catalog_is_opened_by_its_folder_or_its_configuration(estate: Estate) -> None:
    frames = []
    for path in (estate.folder / "catalog", estate.folder / "lastcopy.toml"):
        with lastcopy.open(path) as catalog:
            frames.append(catalog.report("assets"))
    assert frames[0].equals(frames[1])
    assert frames[0].height == len(HOSTILE) + 1


def test_reports_take_parameters_conditions_and_limits(estate: Estate) -> None:
    with lastcopy.open(str(estate.folder / "catalog")) as catalog:
        assert catalog.report("coverage", by="volume")["by"].unique().to_list() == ["volume"]
        assert catalog.report("assets", where="path = 'deep/same'").height == 1
        assert catalog.report("assets", limit=2).height == 2
        with pytest.raises(ConfigError, match="days"):
            catalog.report("dormant-copies", days="many")
        with pytest.raises(NotFoundError, match="coverage"):
            catalog.report("nope")


def test_queries_explanations_and_losses_answer_one_after_the_other(estate: Estate) -> None:
    with lastcopy.open(str(estate.folder / "catalog")) as catalog:
        frame = catalog.sql("SELECT path FROM files ORDER BY path")
        assert frame.schema == {"path": pl.String}
        assert catalog.explain("deep/same")[0].volume == "data"
        assert sum(total.assets for total in catalog.simulate(lose="site=paris").totals) == len(HOSTILE) + 1
        assert catalog.simulate(threat="ransomware").totals
        assert catalog.snapshots()[-1].snapshot_id == catalog.snapshot.snapshot_id
        with pytest.raises(ConfigError):
            catalog.sql("DROP TABLE classes")


def test_a_catalog_without_a_snapshot_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="lastcopy scan"):
        lastcopy.open(str(tmp_path))
    with pytest.raises(ConfigError):
        lastcopy.open(str(tmp_path / "lastcopy.toml"))
