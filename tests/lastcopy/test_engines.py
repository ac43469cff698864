"""What `--engine spark` needs, says and publishes."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from catalog import place
from catalog.errors import RefusedError
from lastcopy import engines
from tests import sail
from tests.lastcopy.conftest import HOSTILE, grow
from tests.lastcopy.program import ask, run


@pytest.mark.slow
def test_a_scan_on_the_cluster_says_what_stays_here_and_publishes_all(tmp_path: Path) -> None:
    grow(tmp_path)
    declared = tmp_path / "lastcopy.toml"
    shutil.make_archive(str(tmp_path / "packed"), "tar", tmp_path / "data")
    declared.write_text(declared.read_text() + '\n[volumes.packed]\nurl = "container:packed.tar"\n')
    with sail.running() as server:
        ended = run("scan", "--engine", "spark", "--format", "json", folder=tmp_path, SPARK_REMOTE=server.address)
    assert "packed: a volume of kind container is scanned by this machine, not on the cluster" in ended.err
    assert "data: a volume" not in ended.err
    found = {volume["volume"]: (volume["state"], volume.get("files")) for volume in ended.data["volumes"]}
    assert found["data"] == ("complete", len(HOSTILE) + 1)
    assert found["packed"][0] == "complete"


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None if name == "pyspark" else find(name, package))
    ended = ask("scan", "--engine", "spark", folder=tmp_path, code=2)
    assert "pyspark is not installed: pip install 'lastcopy[spark]'" in ended.err


def test_without_an_address_the_error_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(tmp_path)
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    assert "SPARK_REMOTE does not say where the cluster is" in ask("scan", "--engine", "spark", folder=tmp_path, code=2).err
    assert not (tmp_path / "catalog").exists()


def test_a_catalog_on_an_object_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_REMOTE", "sc://127.0.0.1")
    monkeypatch.setattr(place, "of", lambda _: "some bucket")
    with pytest.raises(RefusedError, match="lies on an object store"):
        engines.remote("spark", tmp_path)
    assert engines.remote("local", tmp_path) is None
