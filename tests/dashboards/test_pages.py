"""What the pages say and where they lead, by Streamlit's own test client: no browser."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from catalog import config
from dashboards import asking, marks, options, seam
from lifecycle import plan
from reports.explain import Explanation
from reports.state import percent
from reports.terminal import human
from tests.dashboards.conftest import Shown
from tests.lastcopy.program import ask

VIEWS = sorted(path.stem for path in (options.SCRIPT.parent / "views").glob("*.py") if path.stem != "__init__")


@pytest.fixture
def served(shown: Shown) -> Iterator[Shown]:
    """The demo as an auditor sees it."""
    as_role(shown, "auditor")
    yield shown
    seam.use(seam.Served())


def as_role(shown: Shown, role: seam.Role, limits: str = "") -> None:
    _serve(shown.config, role, limits)


def _serve(path: Path, role: seam.Role, limits: str = "") -> None:
    loaded = config.load(path)
    seam.use(seam.Served(configuration=lambda: loaded, viewer=lambda: seam.Viewer("ana", role, limits)))
    st.cache_data.clear()
    st.cache_resource.clear()


def opened(view: str, **params: str) -> AppTest:
    """A page as it is drawn, without an error."""
    page = AppTest.from_file(str(options.SCRIPT), default_timeout=60)
    page.query_params.update(params)
    page.switch_page(f"views/{view}.py").run()
    assert not page.exception, page.exception
    assert not page.error, page.error
    return page


def metrics(page: AppTest) -> dict[str, str]:
    return {one.label: one.value for one in page.metric}


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_is_drawn_and_says_as_of_when(served: Shown, view: str) -> None:
    page = opened(view, volume="projects", path="contracts/2019-merger.pdf", q="merger")
    assert any("As of" in str(one.proto.body) for one in page.get("html"))


def test_the_tiles_say_what_the_overview_report_says(served: Shown) -> None:
    page, lines = opened("overview"), {row["name"]: row for row in served.report("overview")}
    found = metrics(page)
    assert found["Stored"] == human(lines["stored"]["bytes"], "bytes")
    assert found["Protected"] == f"{lines['protected']['files_pct']:.1f} %"
    assert found["Unprotected"] == str(lines["unprotected"]["files"])
    assert found["Last known copies"] == str(lines["last_copies"]["files"])
    assert found["Dormant for a year"] == human(lines["dormant"]["bytes"], "bytes")
    captions = [caption.value for caption in page.caption]
    assert f"{human(lines['unprotected']['bytes'], 'bytes')} · {lines['unknown']['files']} unknown" in captions
    read = percent(lines["last_copies_read"]["files"], lines["last_copies"]["files"])
    assert f"{human(lines['last_copies']['bytes'], 'bytes')} · {read} of them ever read" in captions
    moved = [row for row in served.report("dormant-copies") if row["role"] == "primary"]
    assert lines["dormant"]["files"] == len(moved)
    assert f"{len(moved)} files · {lines['dormant_elsewhere']['files']} files on other volumes" in captions
    assert found["Kept twice"] == human(lines["reclaimable"]["bytes"], "bytes")


@pytest.mark.slow
def test_the_overview_names_the_site_whose_loss_is_the_worst_as_simulate_does(served: Shown) -> None:
    page = opened("overview")
    [said] = [str(one.proto.body) for one in page.get("html") if "If one site burned" in str(one.proto.body)]
    each = json.loads(ask("simulate", "--each", "--format", "json", folder=served.folder).out)["data"]
    worst = next(row for row in each if row["kind"] == "site")
    told = {one["outcome"]: one for one in served.simulate("--lose", f"site={worst['name']}")["totals"]}
    assert f"<b>{worst['name']}</b>" in said
    for outcome, word in (("lost", "lost for good"), ("unknown", "unknown"), ("survives", "survive")):
        assert f"{told[outcome]['assets']} assets ({human(told[outcome]['bytes'], 'bytes')}) {word}" in said


def _headline(folder: Path, volumes: dict[str, str], files: dict[str, bytes]) -> str:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "lastcopy.toml").write_text(
        "".join(f'[volumes.{name}]\nurl = "{name}"\nsystem = "{name}"\ndevice = "{name}"\n{more}\n' for name, more in volumes.items())
    )
    ask("scan", folder=folder)
    _serve(folder / "lastcopy.toml", "auditor")
    [said] = [str(one.proto.body) for one in opened("overview").get("html") if "If one site burned" in str(one.proto.body)]
    seam.use(seam.Served())
    return said


@pytest.mark.slow
def test_the_first_page_names_beside_the_worst_site_the_one_that_may_take_more(tmp_path: Path) -> None:
    volumes = {"x": 'role = "primary"\nsite = "x"', "y": 'role = "primary"\nsite = "y"', "box": 'role = "backup"\nof = ["y"]'}
    said = _headline(tmp_path, volumes, {"x/note": b"1", "y/video": b"video" * 9, "box/video": b"video" * 9})
    assert "✗ If one site burned, the worst would be <b>x</b>: <b>1 asset (1 B) lost for good</b>, 0 assets (0 B) unknown" in said
    assert "<b>y</b> may take more: <b>0 assets (0 B) lost for good</b>, 1 asset (45 B) unknown" in said


@pytest.mark.slow
def test_the_first_page_has_no_tick_where_a_key_is_kept_nobody_says_where(tmp_path: Path) -> None:
    for place, sign in (("", "? "), ('\nkey_on = ["safe"]', "✓ ")):
        volumes = {
            "x": 'role = "primary"\nsite = "x"',
            "box": f'role = "backup"\nof = ["x"]\nsite = "y"\nencrypted = true{place}',
            "safe": 'role = "backup"\nof = []\nsite = "z"\nencrypted = false',
        }
        said = _headline(tmp_path, volumes, {"x/note": b"note", "box/note": b"note", "safe/key": b"the key"})
        assert f"{sign}If one site burned" in said
        assert ("of these 1 asset (4 B) only as long as a key is left" in said) == (not place)


def test_the_least_share_that_is_unknown_does_not_read_as_nothing(served: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    known, files = asking.report, {"unknown": 1, "assets": 50_000}

    def told(name: str, *given: Any, **more: Any) -> Any:  # noqa: ANN401  # whatever a page asks
        found = known(name, *given, **more)
        rows = [row | {"files": files.get(row["name"], row["files"])} for row in found.dicts()] if name == "overview" else []
        return SimpleNamespace(dicts=lambda: rows) if rows else found

    monkeypatch.setattr(asking, "report", told)
    assert any("< 0.1 % unknown" in caption.value for caption in opened("overview").caption)


@pytest.mark.slow
def test_the_loss_of_a_site_says_what_simulate_says_and_which_plan_mends_it(served: Shown) -> None:
    page = opened("loss")
    told = {one["outcome"]: one["assets"] for one in served.simulate("--lose", "site=paris")["totals"]}
    assert list(metrics(page).values()) == [str(told[outcome]) for outcome in ("lost", "unknown", "survives")]
    assert any(code.value.startswith("lastcopy plan create --action copy --report unprotected") and " --to lyon" in code.value for code in page.code)
    assert not [button for button in page.button if button.label == "Create this plan"]


@pytest.mark.slow
def test_a_link_carries_every_choice_of_the_simulator(served: Shown) -> None:
    page = opened("loss", happens="A threat strikes", **{"which-threat": "Ransomware"})
    told = {one["outcome"]: one["assets"] for one in served.simulate("--threat", "ransomware")["totals"]}
    assert list(metrics(page).values()) == [str(told[outcome]) for outcome in ("lost", "unknown", "survives")]


@pytest.mark.slow
def test_a_wrong_choice_in_a_link_is_dropped(served: Shown) -> None:
    assert list(metrics(opened("loss", happens="<script>"))) == list(metrics(opened("loss")))


def test_the_cell_that_a_link_names_shows_the_assets_behind_it(served: Shown) -> None:
    page = opened("coverage", name="default", threat="ransomware")
    [rows] = [frame.value for frame in page.dataframe if "reasons" in frame.value.columns]
    wanted = served.report("assets", "--where", "data_class = 'default' AND ransomware <> 'yes'")
    assert sorted(rows["path"]) == sorted(row["path"] for row in wanted)


@pytest.mark.parametrize("by", ["class", "volume", "owner", "folder"])
def test_every_cell_leads_to_as_many_assets_as_it_counts(served: Shown, by: str) -> None:
    from dashboards.matrix import Cell, condition

    for row in served.asked("coverage", by=by):
        behind = served.asked("assets", condition(by, Cell(row["name"], row["threat"])))
        assert len(behind) == row["assets"] - row["covered_assets"], row


@pytest.mark.slow
def test_the_threshold_of_dormancy_moves_the_files_and_what_they_cost(served: Shown) -> None:
    for days in ("365", "1825"):
        rows = served.report("dormant-copies", "--days", days)
        for among, wanted in (("every volume", rows), ("primary volumes", [row for row in rows if row["role"] == "primary"])):
            page = opened("dormant", days=days, on=among)
            [files] = [frame.value for frame in page.dataframe if "dormant_days" in frame.value.columns]
            assert sorted(files["path"]) == sorted(row["path"] for row in wanted)


def test_a_duplicate_group_shows_its_members(served: Shown) -> None:
    rows = served.report("duplicates")
    page = opened("duplicates", digest=rows[-1]["digest"])
    [members] = [frame.value for frame in page.dataframe if "link_count" in frame.value.columns]
    assert sorted(members["path"]) == sorted(row["path"] for row in rows if row["digest"] == rows[-1]["digest"])


def test_a_file_shows_every_copy_and_what_would_mend_it(served: Shown) -> None:
    page = opened("file", volume="projects", path="contracts/2019-merger.pdf")
    [copies] = [frame.value for frame in page.dataframe if "match" in frame.value.columns]
    assert sorted(copies["volume"]) == ["archive", "lyon", "mirror"]
    assert metrics(page)["Status"] == "? unknown"


def test_a_file_shows_what_objects_tell_of_locks_where_any_do(served: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    known = asking.explained
    for lock in (None, "locked (governance) until <tomorrow>"):

        def told(volume: str, path: str, *, lock: str | None = lock) -> list[Explanation]:
            return [replace(one, copies=tuple(replace(copy, lock=lock) for copy in one.copies)) for one in known(volume, path)]

        monkeypatch.setattr(asking, "explained", told)
        page = opened("file", volume="projects", path="contracts/2019-merger.pdf")
        [copies] = [frame.value for frame in page.dataframe if "match" in frame.value.columns]
        assert list(copies.get("lock", [])) == ([lock] * len(copies) if lock else [])


def test_the_page_of_a_file_shows_where_its_content_lies_and_counts_for_nothing(served: Shown) -> None:
    page = opened("file", volume="studio", path="exports/team.jpg")
    told = [one.value for one in page.code]
    assert any("lyon:media/team.jpg: its 'of' does not name studio\n" in text for text in told), told
    assert "Restore it with (from a file that counts for nothing):" in [one.value for one in page.caption]


def test_a_file_that_is_not_there_is_no_error(served: Shown) -> None:
    page = opened("file", volume="projects", path="';drop table files;--")
    assert "No volume holds such a file" in page.info[0].value


def test_the_search_finds_files_on_every_volume(served: Shown) -> None:
    page = opened("search", q="merger")
    assert sorted(page.dataframe[0].value["volume"]) == ["archive", "lyon", "mirror", "projects"]


def test_explore_walks_into_folders_by_its_address(served: Shown) -> None:
    page = opened("explore", volume="projects", folder="closed/")
    folders, files = (frame.value for frame in page.dataframe)
    assert sorted(folders["folder"]) == ["closed/2017-atlas/", "closed/2018-bridge/"]
    assert all(path.startswith("closed/") for path in files["path"])


def test_a_file_that_came_is_among_the_changes(served: Shown) -> None:
    page = opened("changes")
    rows = page.dataframe[0].value
    assert [(row["change"], row["path"]) for _, row in rows.iterrows()] == [(row["change"], row["path"]) for row in served.report("changes")]


def test_an_earlier_snapshot_is_told_as_one_however_it_is_named(served: Shown) -> None:
    first, last = served.report("growth", "--by", "all")
    day, at = first["as_of"][:10], first["as_of"][11:19]
    for params in ({"snapshot": day, "at": f"{at} UTC"}, {"snapshot": f"{day} {at} UTC"}, {"snapshot": first["snapshot_id"]}):
        page = opened("overview", **params)
        assert any("an earlier snapshot" in str(one.proto.body) for one in page.get("html"))
        assert f"the newest snapshot, which is of {marks.escaped(last['as_of'][:10])}" in page.warning[0].value
        assert (str(page.date_input[0].value), page.selectbox(key="at").value) == (day, f"{at} UTC")
        page.button(key="newest").click().run()
        assert not page.warning
        assert page.date_input[0].value is None
    page.session_state["next-snapshot"] = first["snapshot_id"]  # as a click on a file that is gone leaves it
    assert page.run().warning


def test_a_day_is_that_of_its_newest_snapshot_and_one_before_all_is_an_error(served: Shown) -> None:
    last = served.report("growth", "--by", "all")[-1]
    for day in (last["as_of"][:10], "2100-01-01", "latest"):
        assert not opened("overview", snapshot=day).warning
    page = AppTest.from_file(str(options.SCRIPT), default_timeout=60)
    page.query_params["snapshot"] = "1999-12-31"
    page.run()
    assert "no snapshot of 1999" in page.error[0].value.replace("\\", "")
    assert not page.metric


def test_a_wrong_condition_is_answered_with_what_is_accepted(served: Shown) -> None:
    page = AppTest.from_file(str(options.SCRIPT), default_timeout=60)
    page.query_params.update({"report": "largest", "where": "inode = 3"})
    page.switch_page("views/reports.py").run()
    assert "there is no column" in page.error[0].value


@pytest.mark.slow
def test_a_plan_is_made_over_the_newest_snapshot_only(shown: Shown) -> None:
    as_role(shown, "operator")
    first = shown.report("growth", "--by", "all")[0]["as_of"]
    page = opened("loss", snapshot=f"{first[:10]} {first[11:19]} UTC")
    assert not [button for button in page.button if button.label == "Create this plan"]
    assert not [code for code in page.code if "plan create" in code.value]


@pytest.mark.slow
def test_an_operator_makes_and_approves_a_plan_in_three_steps(shown: Shown) -> None:
    for volume in ("projects", "archive", "lyon"):
        ask("volume", "prepare", volume, folder=shown.folder)
    as_role(shown, "operator")
    page = opened("loss")
    press(page, "Create this plan")
    *_, made = plan.plans(shown.folder / "catalog")
    assert (made.header.action, made.header.actor, made.header.policy.to) == ("copy", "ana", "lyon")
    page = opened("plans", plan=made.id)
    press(page, "Approve this plan")
    assert any("approved by ana" in text.value for text in page.text)
    assert any(code.value == f"lastcopy job run {made.id}" for code in page.code)


def press(page: AppTest, label: str) -> None:
    [button] = [button for button in page.button if button.label == label]
    button.click().run()
    assert not page.exception, page.exception
    assert not page.error, page.error[0].value


@pytest.mark.slow
def test_the_audit_trail_says_who_made_and_approved_a_plan_and_which_head_to_write_down(shown: Shown) -> None:
    for volume in ("projects", "archive", "lyon"):
        ask("volume", "prepare", volume, folder=shown.folder)
    as_role(shown, "operator")
    press(opened("loss"), "Create this plan")
    *_, made = plan.plans(shown.folder / "catalog")
    press(opened("plans", plan=made.id), "Approve this plan")
    as_role(shown, "auditor")
    page, told = opened("trail"), ask("audit", "log", "--format", "json", folder=shown.folder).data
    rows = page.dataframe[0].value
    assert list(rows["hash"]) == [row["hash"] for row in reversed(told)]
    assert any(code.value.endswith(f"lastcopy audit verify --head {told[-1]['hash']}") for code in page.code)
    [button] = [button for button in page.button if button.label == "Is all of it whole?"]
    [said] = button.click().run().success
    assert said.value.startswith(f"It is: {len(told)} events")
    about = opened("trail", about=made.id).dataframe[0].value
    assert set(about["subject"]) == {made.id}
    assert set(about["actor"]) == {"ana"}


def test_a_download_is_what_the_command_line_gives(served: Shown) -> None:
    seen = asking.View(str(served.folder / "catalog"), asking.snapshots()[0].snapshot_id, "")
    given = asking.export(seen, "duplicates", "csv", {"scope": "primary"}, "size_bytes > 1")
    assert given == ask("report", "duplicates", "--where", "size_bytes > 1", "--format", "csv", folder=served.folder).out
