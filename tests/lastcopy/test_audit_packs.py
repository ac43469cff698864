"""Audit packs of estates that change, that hold hostile names and secrets, or are backed up."""

import csv
import filecmp
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import table
from catalog.schema import SNAPSHOTS
from tests.lastcopy import conftest, test_backups
from tests.lastcopy.conftest import DECLARED
from tests.lastcopy.program import ask, environment, run
from tests.sample_data.packs import change_rows, copied, resum, wrong

CANARY = "CANARY-7f3a-do-not-tell"
SECRETS = """
[volumes.locked]
url = "restic:sftp:backup@nowhere.invalid:/repository"
role = "backup"
password_file = "{canary}-file"
password_command = "echo {canary}-command"

[notify.to.mail]
url_command = "echo mailto://user:{canary}-mail@example.org"

[api.tokens.grafana]
hash = "sha256:{hash}"
role = "viewer"

[dashboard.oidc]
issuer = "https://{canary}.example.org"
client_id = "{canary}-client"
client_secret_file = "{canary}-secret-file"
url = "https://lastcopy.example.org"
"""


def _same(one: Path, other: Path) -> bool:
    names = [str(path.relative_to(one)) for path in one.rglob("*") if path.is_file()]
    return len(names) > 100 and filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An estate of hostile names with a label table, scanned and packed, changed, and scanned again."""
    folder = tmp_path_factory.mktemp("changed")
    conftest.grow(folder)
    (folder / "labels.csv").write_text("path,owner,note\ndeep/,=legal(),the originals\n")
    (folder / "lastcopy.toml").write_text(DECLARED + '\n[[labels]]\ntable = "labels.csv"\n')
    run("scan", folder=folder)
    run("audit", "pack", "--output", "first", folder=folder)
    (folder / "data/deep/same").unlink()
    (folder / "data/deep/more").write_bytes(b"more")
    (folder / "labels.csv").write_text("path,owner,note\ndeep/,records,\n")
    run("scan", folder=folder)
    run("audit", "pack", "--output", "second", folder=folder)
    return folder


@pytest.mark.slow
def test_an_old_snapshot_gives_the_pack_that_it_gave_when_it_was_the_newest(changed: Path) -> None:
    told = json.loads((changed / "first/pack.json").read_text())["snapshot"]
    run("audit", "pack", "--output", "first-again", "--snapshot", told["as_of"], folder=changed)
    assert _same(changed / "first", changed / "first-again")
    assert not _same(changed / "first", changed / "second")


@pytest.mark.slow
def test_the_pack_of_a_snapshot_that_followed_another_verifies_with_what_changed(changed: Path, tmp_path: Path) -> None:
    told = json.loads((changed / "second/pack.json").read_text())
    assert told["snapshot"]["previous_snapshot_id"] == json.loads((changed / "first/pack.json").read_text())["snapshot"]["snapshot_id"]
    changes = {(row["path"], row["change"]) for row in pq.read_table(changed / "second/reports/changes.parquet").to_pylist()}
    assert {("deep/same", "gone"), ("deep/more", "new")} <= changes
    assert len(pq.read_table(changed / "second/reports/growth.by-all.parquet")) == 2
    assert pq.read_table(changed / "second/evidence/labels.parquet").column("owner").to_pylist() == ["records"]
    assert pq.read_table(changed / "second/evidence/first_seen.parquet").num_rows > 0
    assert not wrong(copied(changed / "second", tmp_path))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("file", ["first_seen", "history", "files_before", "labels"])
def test_what_an_earlier_snapshot_left_cannot_be_changed_where_a_figure_rests_on_it(changed: Path, tmp_path: Path, file: str) -> None:
    mine = copied(changed / "second", tmp_path)
    change_rows(mine / f"evidence/{file}.parquet", lambda rows: rows.pop(0))
    resum(mine)
    assert wrong(mine)


def test_no_cell_of_a_csv_is_a_formula_and_no_text_steers_a_terminal(changed: Path) -> None:
    for file in (changed / "first/reports").glob("*.csv"):
        text = file.read_text("utf-8")
        assert not any(ord(letter) < 32 and letter != "\n" for letter in text), file
        for row in csv.reader(text.splitlines()):
            assert not [cell for cell in row if cell.startswith(("=", "@", "+")) or (cell.startswith("-") and not cell[1:].replace(".", "").isdigit())], file
    assert "'=cmd" in (changed / "first/reports/assets.csv").read_text("utf-8")
    assert "'=legal()" in (changed / "first/reports/labels.csv").read_text("utf-8")


@pytest.mark.slow
def test_no_secret_gets_into_a_pack(tmp_path: Path) -> None:
    conftest.grow(tmp_path)
    secrets = SECRETS.format(canary=CANARY, hash=hashlib.sha256(CANARY.encode()).hexdigest())
    (tmp_path / "lastcopy.toml").write_text(DECLARED + secrets)
    run("scan", "data", "mirror", folder=tmp_path, RESTIC_PASSWORD=CANARY, LASTCOPY_SECRET=CANARY)
    run("audit", "pack", "--output", "pack", folder=tmp_path, RESTIC_PASSWORD=CANARY, LASTCOPY_SECRET=CANARY)
    told = 0
    for file in (path for path in (tmp_path / "pack").rglob("*") if path.is_file()):
        content = file.read_bytes()
        if file.suffix == ".parquet":
            whole = pq.read_table(file)
            content += repr(whole.to_pylist()).encode() + repr(whole.schema.metadata).encode()
        assert CANARY.encode() not in content, file
        assert hashlib.sha256(CANARY.encode()).hexdigest().encode() not in content, file
        told += b"nowhere.invalid" in content
    assert told  # the volume itself is there


def test_a_snapshot_whose_configuration_could_hold_a_secret_is_not_packed(tmp_path: Path) -> None:
    conftest.grow(tmp_path)
    run("scan", folder=tmp_path)
    [row] = table.read(tmp_path / "catalog", "snapshots").to_pylist()
    text = json.dumps(json.loads(row["config"]) | {"notify": {"to": {"mail": {"url": CANARY}}}})
    older = row | {"snapshot_id": "older", "config": text, "config_hash": hashlib.sha256(text.encode()).hexdigest()}
    forged = row | {"snapshot_id": "forged", "config_hash": "0" * 64}
    for one in (older, forged):
        table.append(tmp_path / "catalog", "snapshots", pa.Table.from_pylist([one], SNAPSHOTS), one["snapshot_id"])
    refused = ask("audit", "pack", "--output", "pack", "--snapshot", "older", folder=tmp_path, code=5)
    assert "notify" in refused.err
    assert CANARY not in refused.err
    assert "is not what its hash was made from" in ask("audit", "pack", "--output", "pack", "--snapshot", "forged", folder=tmp_path, code=1).err
    assert not list(tmp_path.glob("*pack*"))


@pytest.mark.slow
def test_stored_rows_that_the_evidence_does_not_give_make_no_pack(tmp_path: Path) -> None:
    conftest.grow(tmp_path)
    run("scan", folder=tmp_path)
    [stored] = table.files(tmp_path / "catalog", "verdicts")
    change_rows(Path(stored), lambda rows: rows[0].update(status="protected", user_error="yes"))
    ended = ask("audit", "pack", "--output", "pack", folder=tmp_path, code=1)
    assert "the pack does not verify, so it was not kept" in ended.err
    assert not list(tmp_path.glob("*pack*"))


@pytest.mark.slow
def test_a_backup_with_its_recovery_points_is_packed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = test_backups.folder.__wrapped__(tmp_path_factory)  # type: ignore[attr-defined]  # pytest keeps a fixture's function there
    run("audit", "pack", "--output", str(tmp_path / "made"), folder=folder)
    mine = copied(tmp_path / "made", tmp_path)
    assert pq.read_table(mine / "evidence/recovery_points.parquet").num_rows == 2
    change_rows(mine / "evidence/recovery_points.parquet", lambda rows: rows.pop(0))
    resum(mine)
    assert any(name.startswith("reports/") for name in wrong(mine))


@pytest.mark.slow
def test_a_pack_that_was_killed_does_not_lie_there(changed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lastcopy", "audit", "pack", "--output", str(tmp_path / "pack")]
    running = subprocess.Popen(command, cwd=changed, env=environment(changed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob(".pack.*.part/pack.json")) and running.poll() is None:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "pack").exists()
    run("audit", "pack", "--output", str(tmp_path / "pack"), folder=changed)
    assert _same(tmp_path / "pack", changed / "second")


def test_an_interrupted_pack_leaves_nothing_behind(changed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lastcopy", "audit", "pack", "--output", str(tmp_path / "pack")]
    running = subprocess.Popen(command, cwd=changed, env=environment(changed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob(".pack.*.part/evidence/entries.parquet")) and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130
    assert os.listdir(tmp_path) == []
