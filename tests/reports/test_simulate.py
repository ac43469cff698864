"""A loss: what survives where, and that a threat is `yes` exactly where a copy survives its simulation."""

import datetime
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import config, connect, derive
from catalog.errors import ConfigError, NotFoundError
from catalog.words import THREATS
from reports import alike, remedy, simulate
from reports.reach import Loss
from tests.catalog.estates import NOON, write_scan

TWO = ["one", "two", None]
VOLUME = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["replica", "backup", "archive"]),
        "system": st.sampled_from(TWO),
        "site": st.sampled_from(TWO),
        "admin": st.sampled_from(TWO),
        "device": st.sampled_from(["d1", "d2", None]),
        "access": st.sampled_from(["online", "offline", None]),
        "immutability": st.sampled_from(["none", "append_only", "governance", "compliance", None]),
        "immutable_until": st.sampled_from([None, datetime.date(2026, 3, 2), datetime.date(2026, 12, 1)]),
        "keeps_versions": st.sampled_from([None, "0d", "10d", "90d"]),
    }
)


def estate(folder: Path, volumes: dict[str, dict[str, Any]], files: dict[str, dict[str, dict[str, Any]]], **more: Any) -> tuple[Any, config.Config]:  # noqa: ANN401  # rows of TOML
    """A derived catalog: volumes as in the configuration, and of each scanned one its files."""
    for volume, paths in files.items():
        write_scan(folder, volume, paths)
    made = config.parse({"volumes": {n: {"url": f"/trees/{n}"} | {k: v for k, v in d.items() if v is not None} for n, d in volumes.items()}, **more})
    return connect.connect(folder, derive.derive(folder, made, NOON)), made


def results(connection: duckdb.DuckDBPyConnection, made: config.Config, loss: Loss) -> dict[str, tuple[str, str, str]]:
    return {row["path"]: (row["original"], row["copies"], row["outcome"]) for row in simulate.outcomes(connection, made, loss).to_pylist()}


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(primary=VOLUME, others=st.lists(VOLUME, min_size=1, max_size=4), accept=st.booleans(), seed=st.integers(0, 999))
def test_a_threat_is_yes_exactly_where_a_copy_survives_it(
    tmp_path_factory: pytest.TempPathFactory, primary: dict[str, Any], others: list[dict[str, Any]], accept: bool, seed: int
) -> None:
    chance = random.Random(seed)
    volumes = {"work": primary | {"role": "primary"}} | {f"v{n}": other | {"of": ["work"]} for n, other in enumerate(others)}
    names = [f"d/f{n}" for n in range(12)]
    files: dict[str, dict[str, dict[str, Any]]] = {"work": {name: {} for name in names}}
    for volume in list(volumes)[1:]:
        if chance.random() < 0.9:
            files[volume] = {name: {"size_bytes": chance.choice([10, 10, 11])} for name in names if chance.random() < 0.6}
    classes = {"default": {"accept_declared": accept, "retention": "30d", "min_verification_level": chance.choice([1, 2])}}
    connection, made = estate(tmp_path_factory.mktemp("estate"), volumes, {v: f for v, f in files.items() if f}, classes=classes)
    for threat in THREATS:
        derived = {(volume, path): value for volume, path, value in connection.execute(f"SELECT volume, path, {threat} FROM assets").fetchall()}
        rows = simulate.outcomes(connection, made, simulate.parse([], threat)).to_pylist()
        simulated = {(row["volume"], row["path"]): row["copies"] for row in rows}  # an archive may hold assets of the same path
        assert derived.keys() == simulated.keys()
        assert {path for path, value in derived.items() if value == "yes"} == {path for path, value in simulated.items() if value == "yes"}, threat
    connection.close()


@pytest.fixture
def paris(tmp_path: Path) -> tuple[Any, config.Config]:
    """A primary at Paris, its replica at Lyon by the same admin, an offline disk at Paris, an archive that nobody scanned."""
    return estate(
        tmp_path,
        {
            "work": {"role": "primary", "system": "nas", "site": "paris", "admin": "it", "device": "d1", "access": "online"},
            "mirror": {"role": "replica", "system": "nas-2", "site": "lyon", "admin": "other", "device": "d2", "access": "online", "immutability": "none"},
            "disk": {"role": "backup", "system": "usb", "site": "paris", "admin": "it", "device": "d3", "access": "offline"},
            "attic": {"role": "archive", "system": "tape", "site": "rome", "admin": "it", "of": ["disk"]},
        },
        {
            "work": {name: {"size_bytes": size} for name, size in (("both", 1), ("mirrored", 10), ("shelved", 100), ("alone", 1000), ("stale", 10000))},
            "mirror": {"both": {"size_bytes": 1}, "mirrored": {"size_bytes": 10}, "stale": {"size_bytes": 9999}},
            "disk": {"both": {"size_bytes": 1}, "shelved": {"size_bytes": 100}},
        },
    )


def test_the_loss_of_a_site_spares_what_lies_elsewhere(paris: tuple[Any, config.Config]) -> None:
    found = simulate.simulate(*paris, simulate.parse(["site=paris"]))
    assert [(s.outcome, s.assets, s.bytes) for s in found.totals] == [("lost", 3, 11100), ("unknown", 0, 0), ("survives", 2, 11)]
    assert [(s.name, s.outcome, s.assets) for s in found.survivors] == [("mirror", "survives", 2)]
    assert [(hit.path, hit.older) for hit in found.worst] == [("stale", True), ("alone", False), ("shelved", False)]
    assert found.as_of == NOON


def test_an_admin_reaches_the_replica_of_another_but_not_the_disk_on_the_shelf(paris: tuple[Any, config.Config]) -> None:
    outcomes = {path: outcome for path, (_, _, outcome) in results(*paris, simulate.parse(["admin=it"])).items()}
    assert outcomes == {"both": "survives", "shelved": "survives", "mirrored": "lost", "alone": "lost", "stale": "lost"}
    mounted = {path: outcome for path, (_, _, outcome) in results(*paris, simulate.parse(["admin=it"], mounted=["disk"])).items()}
    assert mounted["both"] == mounted["shelved"] == "unknown", "nobody declared whether the disk can be written"


def test_ransomware_takes_everything_within_reach(paris: tuple[Any, config.Config]) -> None:
    outcomes = {path: outcome for path, (_, _, outcome) in results(*paris, simulate.parse([], "ransomware")).items()}
    assert outcomes == {"both": "survives", "shelved": "survives", "mirrored": "lost", "alone": "lost", "stale": "lost"}


def test_the_loss_of_a_volume_leaves_the_originals_or_the_copies(paris: tuple[Any, config.Config]) -> None:
    assert all(outcome == "survives" for _, _, outcome in results(*paris, simulate.parse(["volume=disk"])).values())
    both = results(*paris, simulate.parse(["volume=work", "volume=mirror"]))
    assert {path for path, (_, _, outcome) in both.items() if outcome == "survives"} == {"both", "shelved"}


def test_a_volume_that_was_never_scanned_leaves_the_loss_unknown(tmp_path: Path) -> None:
    connection, made = estate(
        tmp_path,
        {
            "work": {"site": "paris", "system": "a"},
            "vault": {"role": "backup", "site": "lyon", "system": "b"},
            "near": {"role": "backup", "site": "paris", "system": "c"},
        },
        {"work": {"a": {}}, "near": {"a": {}}},
    )
    assert results(connection, made, simulate.parse(["site=paris"])) == {"a": ("no", "unknown", "unknown")}
    assert results(connection, made, simulate.parse(["site=paris", "site=lyon"])) == {"a": ("no", "no", "lost")}


def test_a_volume_without_a_site_may_or_may_not_be_lost(tmp_path: Path) -> None:
    connection, made = estate(
        tmp_path, {"work": {"site": "paris"}, "somewhere": {"role": "backup", "device": "d9"}}, {"work": {"a": {}}, "somewhere": {"a": {}}}
    )
    assert results(connection, made, simulate.parse(["site=paris"])) == {"a": ("no", "unknown", "unknown")}


def test_an_older_version_that_survives_is_said_to_be_one_and_a_conflict_to_be_a_conflict(tmp_path: Path) -> None:
    changed = NOON - datetime.timedelta(hours=1)
    read = {"digest": b"r" * 32}
    connection, made = estate(
        tmp_path,
        {"work": {"site": "paris"}, "vault": {"role": "backup", "site": "lyon"}},
        {
            "work": {"young": {"modified_at": changed, "changed_at": changed}, "damaged": read, "same": {}},
            "vault": {"young": {"modified_at": NOON - datetime.timedelta(hours=20)}, "damaged": {"digest": b"x" * 32}, "same": {}},
        },
        classes={"default": {"max_copy_age": "24h"}},
    )
    loss = simulate.parse(["site=paris"])
    found = simulate.simulate(connection, made, loss)
    assert "of what survives, 1 asset (10 B) only as an older version, not its current content\n" in found.text()
    assert "work:damaged  (what survives is in conflict: other content)\n" in found.text()
    rows = simulate.outcomes(connection, made, loss).to_pylist()
    assert {row["path"]: (row["outcome"], row["only_older"]) for row in rows} == {
        "damaged": ("lost", False),
        "same": ("survives", False),
        "young": ("survives", True),
    }


def test_what_is_perhaps_on_the_lost_device_is_perhaps_lost(tmp_path: Path) -> None:
    for volume in ("work", "mirror"):
        write_scan(tmp_path, volume, {"a": {}}, device="sda")
    given = {"work": {"site": "paris", "system": "one"}, "mirror": {"role": "replica", "site": "lyon", "system": "two", "device": "disk-2"}}
    made = config.parse({"volumes": {name: {"url": f"/{name}"} | volume for name, volume in given.items()}})
    connection = connect.connect(tmp_path, derive.derive(tmp_path, made, NOON))
    for lost in ("device=sda", "system=one", "site=paris"):
        assert results(connection, made, simulate.parse([lost])) == {"a": ("no", "unknown", "unknown")}
    assert results(connection, made, simulate.parse(["device=disk-2"])) == {"a": ("unknown", "no", "unknown")}


@pytest.mark.slow
def test_each_of_many_volumes_is_told_from_the_others_before_and_after_the_sets_were_prepared(tmp_path: Path) -> None:
    backups = {f"v{n:02}": {"role": "backup", "site": f"s{n}", "system": f"s{n}"} for n in range(23)}
    names = {name: f"only-on-{name}" for name in backups}
    files = {"work": {name: {"size_bytes": n} for n, name in enumerate([*names.values(), "nowhere"], 1)}} | {
        volume: {name: {"size_bytes": n}} for n, (volume, name) in enumerate(names.items(), 1)
    }
    connection, made = estate(tmp_path, {"work": {"site": "paris", "system": "nas"}} | backups, files)
    for kept in ("v00", "v09", "v10", "v19", "v20", "v22"):
        loss = simulate.parse(["volume=work", *(f"volume={name}" for name in backups if name != kept)])
        for one in (connection, connection.cursor()):
            assert {path for path, (_, _, outcome) in results(one, made, loss).items() if outcome == "survives"} == {names[kept]}
            found = simulate.simulate(one, made, loss, worst=30)
            assert [(s.name, s.assets) for s in found.survivors] == [(kept, 1)]
            assert [hit.path for hit in found.worst] == ["nowhere", *reversed([name for volume, name in names.items() if volume != kept])]
        alike.prepare(connection, made)


def test_the_greatest_losses_are_found_below_thousands_that_survive_with_the_same_verdict(tmp_path: Path) -> None:
    many = {f"f{n:04}": {"size_bytes": 9000 - n} for n in range(3000)}
    lost = ("f2500", "f2999")
    connection, made = estate(
        tmp_path,
        {"work": {"site": "paris"}, "near": {"role": "backup", "site": "paris"}, "far": {"role": "backup", "site": "lyon"}},
        {"work": many, "near": {name: many[name] for name in lost}, "far": {name: many[name] for name in many if name not in lost}},
    )
    connection.execute("CREATE TEMP TABLE stored_files AS SELECT * REPLACE (1 AS signature_no) FROM stored_files")
    found = simulate.simulate(connection, made, simulate.parse(["site=paris"]), worst=1)
    assert [hit.path for hit in found.worst] == ["f2500"]


def test_the_result_reads_as_text_and_as_data(paris: tuple[Any, config.Config]) -> None:
    found = simulate.simulate(*paris, simulate.parse(["site=paris"]))
    assert "Loss of site paris, as of 2026-03-01 12:00 UTC" in found.text()
    assert "(an older copy survives)" in found.text()
    assert found.data()["totals"][0] == {"name": "all", "outcome": "lost", "assets": 3, "bytes": 11100}


@pytest.mark.parametrize(
    ("lose", "threat", "title"),
    [
        (["site=paris"], None, "Loss of site paris"),
        ([], "ransomware", "Loss by ransomware"),
        (["site=paris", "system=nas"], "user_error", "Loss of site paris and system nas by user error"),
    ],
)
def test_a_loss_is_of_something_or_by_something(lose: list[str], threat: str | None, title: str) -> None:
    assert simulate.parse(lose, threat).title == title


def test_what_cannot_be_lost_is_refused(paris: tuple[Any, config.Config]) -> None:
    with pytest.raises(NotFoundError, match="there is no site 'pari'; known are lyon, paris, rome"):
        simulate.simulate(*paris, simulate.parse(["site=pari"]))
    for lose, threat in ((["paris"], None), (["rack=1"], None), (["site="], None), ([], None), ([], "fire")):
        with pytest.raises(ConfigError):
            simulate.parse(lose, threat)


def test_a_simulation_leaves_nothing_behind(paris: tuple[Any, config.Config]) -> None:
    simulate.simulate(*paris, simulate.parse(["site=paris"]))
    tables = paris[0].execute("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'loss%'").fetchall()
    assert tables == []


def test_the_loss_of_a_volume_takes_what_lies_on_it_and_in_it(tmp_path: Path) -> None:
    connection, made = estate(
        tmp_path,
        {
            "work": {"url": "/work"},
            "nas": {"url": "/nas"},
            "repository": {"role": "backup", "on": "nas"},
            "inside": {"role": "backup", "url": "/nas/shared", "of": ["work"]},
            "disk": {"role": "backup", "of": ["work"]},
        },
        {"work": {"a": {}, "b": {}, "c": {}}, "nas": {}, "repository": {"a": {}}, "inside": {"b": {}}, "disk": {"c": {}}},
    )
    lost = {path: outcome for path, (_, _, outcome) in results(connection, made, simulate.parse(["volume=work", "volume=nas"])).items()}
    assert lost == {"a": "lost", "b": "lost", "c": "survives"}
    kept = {path: outcome for path, (_, _, outcome) in results(connection, made, simulate.parse(["volume=work", "volume=inside"])).items()}
    assert kept == {"a": "survives", "b": "lost", "c": "survives"}, "a volume is not lost with what lies in it"


def test_one_device_is_lost_with_its_site_though_nobody_named_that(tmp_path: Path) -> None:
    connection, made = estate(tmp_path, {"work": {"device": "d1"}, "near": {"role": "backup", "device": "d1"}}, {"work": {"a": {}}, "near": {"a": {}}})
    assert results(connection, made, simulate.parse([], "facility_outage")) == {"a": ("no", "no", "lost")}


def test_copies_go_where_the_loss_surely_does_not_reach_and_what_is_connected_comes_first(tmp_path: Path) -> None:
    volumes = {
        "work": {"role": "primary", "system": "s1", "site": "paris", "device": "d1"},
        "shelf": {"role": "backup", "system": "s2", "site": "lyon", "device": "d2", "access": "offline"},
        "cloud": {"role": "backup", "system": "s3", "site": "lyon", "device": "d3", "access": "online"},
        "near": {"role": "backup", "system": "s4", "site": "paris", "device": "d4", "access": "online"},
        "somewhere": {"role": "backup", "system": "s5", "device": "d5", "access": "online"},
        "mirror": {"role": "replica", "system": "s6", "site": "lyon", "device": "d6", "access": "online"},
    }
    connection, made = estate(tmp_path, volumes, {"work": {"a": {}}, "cloud": {}})
    found = simulate.simulate(connection, made, simulate.parse(["site=paris"]))
    assert [(one.volume, one.protects) for one in found.targets] == [("cloud", ("work",)), ("shelf", ("work",))]
    assert [(one.name, one.assets) for one in found.by_owner] == [("", 1)]


def test_nothing_needs_a_target_where_nothing_is_lost(tmp_path: Path) -> None:
    volumes = {"work": {"role": "primary", "site": "paris"}, "cloud": {"role": "backup", "site": "lyon"}}
    connection, made = estate(tmp_path, volumes, {"work": {"a": {}}, "cloud": {"a": {}}})
    assert simulate.simulate(connection, made, simulate.parse(["site=lyon"])).targets == ()


@pytest.mark.parametrize(
    ("kinds", "threat", "asked"),
    [(["site"], None, "facility_outage"), (["volume"], None, "system_failure"), (["admin"], None, "ransomware"), ([], "user_error", "user_error")],
)
def test_a_plan_against_a_loss_asks_for_the_threat_that_covers_it(kinds: list[str], threat: str | None, asked: str) -> None:
    assert remedy.threat_of(kinds, threat) == asked
    assert remedy.condition(asked, ["a", "b"]) == f"volume IN ('a', 'b') AND {asked} <> 'yes' AND status <> 'excepted'"
