"""The configuration: what is accepted, and errors that say where and what to write."""

from pathlib import Path
from typing import Any

import pytest

from catalog import config, fields
from catalog.errors import ConfigError

VOLUME = {"volumes": {"nas": {"url": "/srv"}}}


@pytest.mark.parametrize(("text", "seconds"), [("90d", 90 * 86400), ("24h", 86400), ("1.5h", 5400), ("0s", 0), ("2w", 14 * 86400)])
def test_durations_are_read_as_seconds(text: str, seconds: float) -> None:
    assert fields.duration(text) == seconds


@pytest.mark.parametrize(("text", "size_bytes"), [("2 TiB", 2 << 40), ("500MB", 500_000_000), ("7", 7), ("1.5 KiB", 1536)])
def test_sizes_are_read_as_bytes(text: str, size_bytes: int) -> None:
    assert fields.size(text) == size_bytes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"volumes": {"Nas": {"url": "/srv"}}}, "volumes.Nas"),
        ({"volumes": {"nas": {"url": "/srv", "rol": "primary"}}}, "^configuration: volumes.nas.rol: there is no such key"),
        ({"volumes": {"nas": {"url": "/srv", "role": "main"}}}, "volumes.nas.role: Input should be 'primary'"),
        ({"volumes": {"nas": {"url": "/srv", "keeps_versions": "30 moons"}}}, "volumes.nas.keeps_versions: not a duration"),
        ({"volumes": {"nas": {"url": "/srv", "of": ["x"]}}}, "^configuration: volumes.nas.of: there is no volume 'x'"),
        ({"volumes": {"a": {"url": "/a", "on": "b"}, "b": {"url": "/b", "on": "a"}}}, "a circle"),
        ({"volumes": {"nas": {"url": "/srv", "exclude": ["*.tmp", "[z-a]*"]}}}, r"volumes.nas.exclude.1: '[z-a]\*': [z-a] names no characters"),
        (
            {"volumes": {"a": {"url": "/a", "key_on": ["b"]}, "b": {"url": "/b", "key_on": ["a"]}}},
            "volumes.a.key_on: a circle, a needs a key on b needs a key on a",
        ),
        ({"volumes": {"a": {"url": "/a", "key_on": ["a"]}}}, "volumes.a.key_on: a circle"),
        ({"volumes": {"a": {"url": "/a"}, "b": {"url": "/b", "encrypted": False, "key_on": ["a"]}}}, "volumes.b.key_on: encrypted = false"),
        ({"volumes": {"nas": {"url": "/srv", "path_map": {"x": "y"}}}}, "not VOLUME:PATH"),
        (VOLUME | {"labels": [{"owner": "x"}]}, "labels.0: give either 'where'"),
        (VOLUME | {"exceptions": [{"where": "TRUE", "owner": "x", "until": "2027-01-01"}]}, "exceptions.0.reason: Field required"),
    ],
)
def test_an_error_names_the_table_and_the_key(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        config.parse(data)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"requires": "ndsa-2", "copies": 2}, "^configuration: classes.core.copies: ndsa-2 asks for 3 at least, and this is less strict"),
        ({"requires": ["ndsa-1", "3-2-1-1-0"], "max_verification_age": "2y"}, "classes.core.max_verification_age: 3-2-1-1-0 asks for 365 days at most"),
        ({"requires": "ndsa-9"}, "^configuration: classes.core.requires.0: Input should be '3-2-1-1-0', 'ndsa-1'"),
    ],
)
def test_a_key_beside_a_named_set_that_asks_for_less_is_an_error(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.parse({"classes": {"core": given}})


def test_a_named_set_is_written_out_and_a_snapshot_keeps_what_it_asked_for_then() -> None:
    read = config.parse({"classes": {"core": {"requires": ["ndsa-2", "3-2-1-1-0"], "copies": 4, "max_verification_age": "30d", "retention": "1y"}}})
    asked = {"copies": 4, "sites": 2, "media": 2, "offline_or_immutable": 1, "min_verification_level": 3, "max_verification_age": 2592000.0}
    given = {"requires": ("ndsa-2", "3-2-1-1-0"), "retention": 31536000.0, "accept_declared": False, "waive": ()}
    assert read.classes["core"].model_dump(exclude_none=True) == given | asked
    stored = read.stored()
    assert config.restore(stored).stored() == stored
    of_that_day = stored.replace('"media": 2', '"media": 1')  # as an earlier version asked
    assert config.restore(of_that_day).classes["core"].media == 1


def test_a_repository_of_restic_needs_a_key_and_of_borg_may_need_one() -> None:
    urls = {"r": "restic:/r", "b": "borg:/b", "p": "/p", "open": "borg:/c", "vault": "/v", "kept": "/k"}
    more: dict[str, dict[str, Any]] = {"open": {"encrypted": False}, "vault": {"encrypted": True}, "kept": {"key_on": ["p"]}}
    read = config.parse({"volumes": {name: {"url": url, **more.get(name, {})} for name, url in urls.items()}})
    assert {name: one.needs_key for name, one in read.volumes.items()} == {"r": True, "b": None, "p": False, "open": False, "vault": True, "kept": True}


def test_a_missing_file_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LASTCOPY_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="lastcopy init"):
        config.find(None)


def test_what_a_snapshot_stores_holds_no_secret_and_gives_the_same_configuration_back() -> None:
    data = {
        "volumes": {"b": {"url": "/b", "password_file": "/secret/file", "password_command": "pass show"}, "a": {"url": "/a", "keeps_versions": "30d"}},
        "classes": {"z": {"select": "TRUE"}, "a": {"copies": 2}},
        "notify": {"to": {"ops": {"url_command": "print https://token@host"}}},
        "api": {"tokens": {"grafana": {"hash": f"sha256:{'5ec2e7' * 10}abcd", "see": ["a"]}}},
        "dashboard": {"user_header": "X-User", "people": {"ana@secret.example": {"role": "operator"}}},
        "schedule": {"nightly": {"cron": "0 2 * * *", "run": "scan"}},
    }
    stored = config.parse(data).stored()
    assert not any(secret in stored for secret in ("/secret", "pass show", "token", "5ec2e7", "ana@", "nightly"))
    again = config.restore(stored)
    assert list(again.volumes) == ["b", "a"]
    assert list(again.classes) == ["z", "a"]
    assert again.stored() == stored


def test_the_scheme_of_the_url_gives_the_kind() -> None:
    volumes = config.parse({"volumes": {"a": {"url": "/srv"}, "b": {"url": "s3://bucket"}, "c": {"url": "restic:/repo"}, "d": {"url": "file:///srv"}}}).volumes
    assert [volumes[name].kind for name in "abcd"] == ["posix", "s3", "restic", "posix"]


def test_an_exception_that_names_no_control_is_refused_for_it_would_accept_all() -> None:
    accepted = {"where": "TRUE", "reason": "moved soon", "owner": "it", "until": "2027-01-01"}
    assert config.parse({"exceptions": [accepted]}).exceptions[0].controls is None
    with pytest.raises(ConfigError, match=r"exceptions\.0\.controls"):
        config.parse({"exceptions": [accepted | {"controls": []}]})


@pytest.mark.parametrize(
    ("table", "wrong", "told"),
    [
        ("schedule", {"a": {"cron": "0 2 * * *", "run": "plan approve x"}}, r"schedule\.a\.run: .*scheduled can be scan"),
        ("schedule", {"a": {"cron": "0 2 * * *", "run": "scan --accept-losses"}}, "--accept-losses is for a person"),
        ("schedule", {"a": {"cron": "0 2 * * *", "run": "job undo x"}}, "scheduled can be"),
        ("schedule", {"a": {"cron": "@daily", "run": "report coverage", "to": ["ops"]}}, "writes none"),
        ("schedule", {"a": {"cron": "@daily", "run": "report coverage --output=a.pdf", "to": ["ops"]}}, "no receiver 'ops'"),
        ("notify", {"to": {"a": {"url_env": "A", "url_file": "b"}}}, "give one of"),
        ("api", {"tokens": {"a": {"hash": "secret"}}}, r"api\.tokens\.a\.hash"),
        ("api", {"tokens": {"a": {"hash": "sha256:" + "0" * 64, "see": ["nowhere"]}}}, "no volume 'nowhere'"),
        ("dashboard", {"people": {"a": {"see": ["../x"]}}}, "write VOLUME"),
        ("dashboard", {"listen": "example.org"}, r"dashboard\.listen"),
    ],
)
def test_a_service_that_could_do_or_show_too_much_is_refused(table: str, wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        config.parse({"volumes": {"work": {"url": "/srv"}}, table: wrong})


def test_a_snapshot_of_an_older_version_is_read_whatever_it_says_of_the_service() -> None:
    assert config.restore('{"schedule": {"any": 1}, "dashboard": {"old": true}}').schedule == {}
