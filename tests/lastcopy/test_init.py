"""`lastcopy init` writes a file that loads, and never overwrites one."""

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import config
from catalog.errors import ConfigError
from lastcopy.commands import init
from tests.lastcopy.program import run


def test_the_written_file_loads_and_has_the_volumes_that_were_given(tmp_path: Path) -> None:
    run("init", "--volume", "projects=/srv/projects", "--replica", "mirror=mnt", "--backup", "nightly=/b", "--archive", "vault=/v", folder=tmp_path)
    written = config.load(tmp_path / "lastcopy.toml")
    assert {name: volume.role for name, volume in written.volumes.items()} == {
        "projects": "primary",
        "mirror": "replica",
        "nightly": "backup",
        "vault": "archive",
    }
    assert written.volumes["mirror"].url == str(tmp_path / "mnt")


def test_a_folder_that_is_told_from_here_is_written_without_detours(tmp_path: Path) -> None:
    for name in ("here", "e/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "e" / "deep")
    run("init", "--volume", "data=./here/", "--replica", "plain=../e/replica", "--backup", "linked=link/../other", folder=tmp_path / "here")
    written = tomllib.loads((tmp_path / "here" / "lastcopy.toml").read_text())["volumes"]
    assert {name: volume["url"] for name, volume in written.items()} == {
        "data": str(tmp_path / "here" / "here"),
        "plain": str(tmp_path / "e" / "replica"),
        "linked": os.path.realpath(tmp_path / "e" / "other"),
    }


def test_without_volumes_the_written_file_loads_too(tmp_path: Path) -> None:
    ended = run("init", folder=tmp_path)
    assert config.load(tmp_path / "lastcopy.toml").volumes == {}
    assert ended.out == b""
    assert "lastcopy.toml" in ended.err


def test_what_the_comments_propose_loads_when_it_is_uncommented() -> None:
    text = init.compose([("primary", "projects", "/srv/projects"), ("replica", "mirror", "/m"), ("backup", "nightly", "/b"), ("archive", "vault", "/v")])
    proposed = [line.removeprefix("# ") if line.startswith(("# [", '# "')) or " = " in line else line for line in text.splitlines()]
    loaded = config.parse(tomllib.loads("\n".join(proposed)))
    assert loaded.volumes["nightly"].keeps_versions == 30 * 86400
    assert loaded.volumes["projects"].system == "nas-1"
    assert loaded.classes["core"].copies == 3
    assert loaded.labels[0].owner == "legal"
    assert loaded.exceptions[0].reason == "can be recomputed"
    assert {name: (policy.action, policy.to) for name, policy in loaded.policies.items()} == {
        "archive-dormant": ("archive", "vault"),
        "protect": ("copy", "nightly"),
        "dedupe": ("dedupe", None),
        "purge": ("purge", None),
    }
    assert loaded.lifecycle.min_copies == 2


def test_what_volumes_of_a_kind_need_is_proposed_and_loads(tmp_path: Path) -> None:
    urls = {"old": "restic:/b/restic", "older": "borg:/b/borg", "tape": "listing:/i/tape.csv", "shelf": "manifest:/m"}
    urls |= {"away": "sftp://nas-2/srv/mirror", "office": "smb://nas-3/projects"}
    text = init.compose([("primary", "projects", "/srv/projects"), *(("backup", name, url) for name, url in urls.items())])
    kept = ("# password_file", "# path_map", "# hosts", "# key_on", "# columns", "# times", "# read_in_place", "# identity_file", "# known_hosts")
    lines = [line.removeprefix("# ") if line.startswith(kept) else line for line in text.splitlines()]
    loaded = config.parse(tomllib.loads("\n".join(lines)), tmp_path / "lastcopy.toml").volumes
    for name in ("old", "older"):
        assert (loaded[name].password_file, loaded[name].path_map) == (f"/etc/lastcopy/{name}.pw", {"/srv/projects": "projects:"})
        assert (loaded[name].hosts, loaded[name].key_on) == (("nas-1",), ("projects",))
    assert (sorted(loaded["tape"].columns), loaded["tape"].read_in_place) == (["modified_at", "path", "size_bytes"], True)
    assert (loaded["shelf"].read_in_place, loaded["shelf"].password_file) == (True, None)
    assert (loaded["away"].identity_file, loaded["away"].known_hosts) == ("/etc/lastcopy/away", "/etc/lastcopy/known_hosts")
    assert loaded["office"].password_file == "/etc/lastcopy/office.pw"
    assert loaded["projects"].password_file is None


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "lastcopy.toml").write_text("# mine\n")
    ended = run("init", folder=tmp_path, code=5)
    assert (tmp_path / "lastcopy.toml").read_text() == "# mine\n"
    assert ended.err.startswith("error: ")


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "lastcopy.toml").symlink_to(tmp_path / "elsewhere")
    run("init", folder=tmp_path, code=5)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("entry", ["projects", "=x", "Projects=/x", "projects=", "a b=/x"])
def test_a_volume_that_is_not_name_and_folder_is_a_usage_error(tmp_path: Path, entry: str) -> None:
    run("init", "--volume", entry, folder=tmp_path, code=2)
    assert not (tmp_path / "lastcopy.toml").exists()


def test_a_volume_given_twice_is_a_usage_error(tmp_path: Path) -> None:
    run("init", "--volume", "a=/x", "--replica", "a=/y", folder=tmp_path, code=2)


@given(st.text(min_size=1))
def test_any_folder_name_survives_the_file(name: str) -> None:
    try:
        text = init.compose([("primary", "a", name)])
    except ConfigError:
        assert any("\ud800" <= letter <= "\udfff" for letter in name)
    else:
        assert tomllib.loads(text)["volumes"]["a"]["url"] == name
