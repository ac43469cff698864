"""Repositories of borg that somebody forged who knows their passphrase: each is a problem that names it, or a scan that fails, and never a wrong entry."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import scanners
from catalog import config, names, table
from catalog.errors import UnreachableError
from scanners._borg import Borg
from scanners._borg_contents import ALIVE, RECORD
from tests.scanners import borgs
from tests.scanners.borgs import PASSPHRASE, content, declared_of
from tests.scanners.contract import entries, problems, scan

STRANGE = [
    b"new\nline",
    b"\x1b[2Jesc",
    b"\xff\xfe",
    "\u202egnp.exe".encode(),
    b"back\\slash",
    b"\\x00",
    b"\\\\n",
    b'"quoted"',
    b"what?",
    b"'; DROP TABLE x; --",
]
# Run by borg's own interpreter: an archive of items as they are told, by borg's own code, which looks at nothing.
FORGE = """
import json, os, sys
from borg.archive import Archive
from borg.cache import Cache
from borg.helpers import Manifest
from borg.item import Item
from borg.logger import setup_logging
from borg.repository import Repository
setup_logging(level="warning")
told = json.load(sys.stdin)
with Repository(sys.argv[1], exclusive=True, lock=False) as repository:
    manifest, key = Manifest.load(repository, Manifest.NO_OPERATION_CHECK)
    with Cache(repository, key, manifest) as cache:
        archive = Archive(repository, key, manifest, "forged", cache=cache, create=True)
        for one in told["items"]:
            usual = {"mode": 0o100644, "uid": 0, "gid": 0, "user": "", "group": "", "mtime": 1577836800 * 10**9}
            archive.add_item(Item(**{**usual, **one, "path": os.fsdecode(bytes.fromhex(one["path"]))}))
        sys.argv = told["words"]
        archive.save()
"""


def forged(folder: Path, items: list[dict[str, Any]], words: list[str] | None = None) -> Path:
    """A repository with an archive of such items."""
    repository = borgs.new(folder)
    told = {"items": [{**one, "path": one["path"].hex()} for one in items], "words": words or ["borg", "create", "::forged", "."]}
    own = {"BORG_PASSPHRASE": PASSPHRASE, "BORG_BASE_DIR": str(folder / "base"), "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
    command = [borgs.python(), "-c", FORGE, str(repository)]
    ran = subprocess.run(command, input=json.dumps(told).encode(), env={**os.environ, **own}, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")
    return repository


@pytest.fixture(params=["inside", "listed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a repository is read."""
    if request.param == "listed":
        monkeypatch.setattr("scanners._borg._python", lambda program: None)
    return str(request.param)


def found(folder: Path, repository: Path) -> tuple[dict[bytes, dict[str, Any]], list[tuple[str, str]]]:
    """Entries by raw path and problems of a repository, which stays as it was."""
    before = content(repository)
    result = scan(folder / "catalog", declared_of(repository))
    assert content(repository) == before
    rows = entries(folder / "catalog", result)
    wrong = problems(folder / "catalog", result)
    assert all(row["error"].isprintable() and row["path"].isprintable() for row in wrong)
    return {names.unescape(row["dir"] + row["name"]): row for row in rows}, [(row["path"], row["stage"]) for row in wrong]


@pytest.mark.usefixtures("way")
def test_no_name_steers_leads_out_or_hides(tmp_path: Path) -> None:
    bad = [b"..", b"", b"d/", b"d//a", b"/etc/passwd", b"../../etc/passwd", b"d/../../x", b"d/./x", b"./x"]
    good = [b"d/" + name for name in STRANGE]
    paths, wrong = found(tmp_path, forged(tmp_path, [{"path": path} for path in [*bad, *good, b"."]]))
    assert set(paths) == set(good)
    assert sorted(wrong) == sorted((names.escape(path), "name") for path in bad)


def test_a_name_with_a_nul_is_a_problem(tmp_path: Path) -> None:
    paths, wrong = found(tmp_path, forged(tmp_path, [{"path": b"d/nul\0l"}, {"path": b"good"}]))
    assert (set(paths), [stage for _, stage in wrong]) == ({b"good"}, ["name"])


def test_a_name_with_a_nul_makes_no_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanners._borg._python", lambda program: None)
    with pytest.raises(UnreachableError, match="record"):
        found(tmp_path, forged(tmp_path, [{"path": b"d/nul\0l"}, {"path": b"good"}]))


@pytest.mark.slow_but_first
@pytest.mark.usefixtures("way")
def test_sizes_times_and_modes_that_no_file_has_do_no_harm(tmp_path: Path) -> None:
    items: list[dict[str, Any]] = [
        {"path": b"late", "mtime": 2**62},
        {"path": b"kind", "mode": 0o170644},
        {"path": b"link", "source": "nowhere", "mode": 0o100644},
        {"path": b"owner", "uid": 2**40, "gid": 2**63},
        {"path": b"good"},
    ]
    paths, wrong = found(tmp_path, forged(tmp_path, items))
    assert wrong == [("link", "name")]
    assert (paths[b"late"]["time_flags"] & 3 != 0, paths[b"kind"]["type"]) == (True, "special")
    assert (paths[b"owner"]["uid"], paths[b"owner"]["gid"], paths[b"good"]["size_bytes"]) == (2**40, None, 0)


def test_what_an_archive_says_of_itself_is_kept_within_bounds(tmp_path: Path) -> None:
    patterns = ["(((", "*a" + "?" * 200, "re:(a+)+$", "\x1b[2J", "x" * 100_000, *(f"*.{number}" for number in range(2_000))]
    words = ["borg", "create", *(f"--exclude={pattern}" for pattern in patterns), "::forged", "/p\x1b[2J", *["/p"] * 2_000]
    found(tmp_path, forged(tmp_path, [{"path": b"good"}], words))
    [row] = table.read(tmp_path / "catalog", "recovery_points").to_pylist()
    assert max(len(row[name]) for name in ("paths", "excludes", "left_out")) < 200_000
    assert all(text.isprintable() for name in ("paths", "excludes") for text in json.loads(row[name]))


def test_borgs_code_tells_that_it_is_alive_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it goes through archives, which may take longer than what is silent is waited for: with each of them, and with each piece of their lists."""
    repository = forged(tmp_path, [{"path": b"folder/%d" % number} for number in range(20_000)])
    archives = borgs.borg(repository, "list", "--format", "{id}{NL}").split()
    settings = scanners.settings(config.parse({"volumes": {"v": declared_of(repository)}}), "v")
    monkeypatch.setattr("scanners._program._SILENT_SECONDS", 30.0)
    said = b""
    with Borg(settings, tmp_path).contents(archives) as (blocks, _):
        while len(said) < 4 * RECORD.size:
            said += next(blocks)
    assert {state for state, *_ in RECORD.iter_unpack(said[: 4 * RECORD.size])} == {ALIVE}
