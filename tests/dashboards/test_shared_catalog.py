"""The pages over a catalog that lies in a bucket, on two hosts: all are drawn, and say what they say over the same catalog in a folder."""

import re
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from catalog import config, log
from catalog.schema import TABLES
from dashboards import seam
from tests.catalog.hosts import Shared
from tests.dashboards.conftest import Shown
from tests.dashboards.test_pages import VIEWS, metrics, opened
from tests.scanners import stores

OF_JOBS = ("plans", "trail")  # what the journal tells, which does not lie in the catalog


@pytest.fixture(scope="module")
def hosts(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The configurations of two hosts, which know nothing yet, of a bucket into which the catalog of the demo was put."""
    server = stores.weed()
    shared = Shared(server, tmp_path_factory.mktemp("hosts"), server.bucket())
    for name in TABLES:
        for file in sorted((shown.folder / "catalog" / name).rglob("*")):
            if file.is_file() and (log.FOLDER not in file.parts or log.order(file.name)):
                shared.put(str(file.relative_to(shown.folder / "catalog")), file.read_bytes())
    found = []
    for host in ("one", "two"):
        declared = "\n".join(f'{key} = "{value}"' for key, value in shared.declared(host).items())
        text = re.sub(r'(?m)^path = "catalog"$', declared, shown.config.read_text("utf-8"))
        assert declared in text
        path = shown.folder / f"{host}.toml"
        path.write_text(text)
        found.append(path)
    return found


def drawn(path: Path, view: str) -> list[Any]:
    """What a page says over the catalog of a configuration: figures, tables and all that is text."""
    loaded = config.load(path)
    seam.use(seam.Served(configuration=lambda: loaded, viewer=lambda: seam.Viewer("ana", "auditor")))
    st.cache_data.clear()
    st.cache_resource.clear()
    try:
        page = opened(view, volume="projects", path="contracts/2019-merger.pdf", q="merger")
    finally:
        seam.use(seam.Served())
    return [metrics(page), [one.value.to_csv() for one in page.dataframe], [one.value for one in (*page.markdown, *page.caption, *page.text)]]


@pytest.mark.slow
@pytest.mark.parametrize("view", [view for view in VIEWS if view not in OF_JOBS])
def test_every_page_says_on_every_host_what_it_says_over_a_folder(shown: Shown, hosts: list[Path], view: str) -> None:
    wanted = drawn(shown.config, view)
    assert any(wanted)
    for path in hosts:
        assert drawn(path, view) == wanted
