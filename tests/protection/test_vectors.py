"""The cases that a report of what is protected must not get wrong: each on real repositories of restic and borg, or real stores, through the command.

| case | where it is shown |
|---|---|
| T1 a byte flipped in a data pack, of restic | `test_fixity_reads_all_of_a_repository_and_a_flipped_byte_…` (tests/lastcopy/test_repository_contents.py) |
| T1 likewise, of borg | `test_a_flipped_byte_takes_its_level_…` (tests/lastcopy/test_borg_contents.py) |
| T2 to T13, T16 to T19, T21, T22, T24 | here |
| T14 snapshots of hard links | here, by rsnapshot |
| T15 a delete marker of S3 | `test_a_version_below_a_delete_marker_…` (tests/lastcopy/test_buckets.py) |
| T20 excluded by the backup, of restic | `test_what_recovery_points_hold_and_leave_out_…` (tests/lastcopy/test_backups.py) |
| T20 excluded by the backup, of borg | `test_what_archives_hold_and_leave_out_…` (tests/lastcopy/test_borg_backups.py) |
| T23 a tape on its shelf, listed long ago | `test_a_tape_on_the_shelf_counts_by_its_index_of_long_ago_…` (tests/lastcopy/test_told.py) |
"""

import base64
import datetime
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lastcopy.program import ask
from tests.protection.products import BORG, DATA, LONG_AGO, RESTIC, UNPRIVILEGED, Estate, Product, estate
from tests.scanners import stores
from tests.scanners.borgs import borg

COVERED = ("protected", "")
SHELF = """
[volumes.shelf]
url = "{url}"
role = "{role}"
of = ["data"]
system = "nas-2"
site = "lyon"
admin = "it"
device = "disk-2"
access = "online"
immutability = "none"
"""


LOCKED = """
[volumes.vault]
url = "s3://{bucket}"
endpoint = "{endpoint}"
credentials_file = "{credentials_file}"
versions = true
heads = true
role = "backup"
of = ["data"]
system = "store"
site = "lyon"
admin = "{admin}"
device = "store"
access = "online"
keeps_versions = "1y"
"""


@pytest.fixture(params=[RESTIC, BORG], ids=lambda product: product.name)
def product(request: pytest.FixtureRequest) -> Product:
    found: Product = request.param
    return found


@pytest.mark.slow_but_first
def test_a_touched_file_is_current_by_its_content_and_another_version_where_none_is_known(tmp_path: Path, product: Product) -> None:
    """T3: touch."""
    made = estate(tmp_path, product, {"touched": b"the report", "kept": b"as it was"})
    made.back_up("first")
    os.utime(made.data / "touched", (LONG_AGO + 60, LONG_AGO + 60))
    made.scan()
    assert made.told() == {"touched": COVERED if product is RESTIC else ("unprotected", "changed_since_copy"), "kept": COVERED}


@pytest.mark.slow_but_first
def test_a_renamed_file_is_current_by_its_content_and_missing_where_none_is_known(tmp_path: Path, product: Product) -> None:
    """T4: rename."""
    made = estate(tmp_path, product, {"before": b"the report"})
    made.back_up("first")
    os.rename(made.data / "before", made.data / "after")
    made.scan()
    assert made.told() == {"after": COVERED if product is RESTIC else ("unprotected", "never_copied")}


@pytest.mark.slow_but_first
def test_every_name_of_a_hard_linked_file_is_current(tmp_path: Path, product: Product) -> None:
    """T5: hard-linked names, of which borg stores no size."""
    made = estate(tmp_path, product, {"one": b"the report"})
    for name in ("two", "three"):
        os.link(made.data / "one", made.data / name)
    made.back_up("first")
    made.scan()
    assert made.told() == dict.fromkeys(("one", "two", "three"), COVERED)


@pytest.mark.slow_but_first
def test_two_equal_files_of_one_volume_are_no_copies_of_each_other(tmp_path: Path, product: Product) -> None:
    """T6: duplicates in production."""
    made = estate(tmp_path, product, {"kept": b"backed up"})
    made.back_up("first")
    for name in ("one", "two"):
        made.write(name, b"nowhere else")
    made.scan()
    assert {path: (row["status"], row["copies"]) for path, row in made.assets().items()} == {
        "kept": ("protected", 2),  # with the original
        "one": ("unprotected", 1),
        "two": ("unprotected", 1),
    }


@pytest.mark.slow_but_first
def test_an_empty_file_elsewhere_protects_no_empty_file(tmp_path: Path, product: Product) -> None:
    """T7: an empty file that lies elsewhere only."""
    made = estate(tmp_path, product, {"empty": b""})
    made.back_up("first")
    made.write("another", b"")
    made.scan()
    assert made.told() == {"empty": COVERED, "another": ("unprotected", "never_copied")}


@pytest.mark.slow_but_first
def test_times_that_a_backup_cannot_keep_are_compared_by_nothing(tmp_path: Path, product: Product) -> None:
    """T9: modified in 1969 and 2300."""
    made = estate(tmp_path, product, {})
    for name, at in (("early", -86_400), ("late", 10_413_792_000), ("usual", LONG_AGO)):
        made.write(name, name.encode(), at * 10**9)
    made.back_up("first")
    made.scan()
    odd = COVERED if product is RESTIC else ("unknown", "metadata_match_only")
    assert made.told() == {"early": odd, "late": odd, "usual": COVERED}


@pytest.mark.slow
@pytest.mark.parametrize("only_listed", [False, True])
def test_the_time_zones_of_who_backs_up_and_of_who_scans_change_nothing(
    tmp_path: Path, product: Product, only_listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T10: TZ is not UTC."""
    made = estate(tmp_path, product, {"file": b"the report"})
    made.back_up("first", before=("env", "TZ=Asia/Kathmandu"))
    if only_listed:
        monkeypatch.setattr("scanners.restic._can_decrypt", lambda: False)
        monkeypatch.setattr("scanners._borg._python", lambda program: None)
        made.only_listed_counts()
    for zone in ("UTC", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        made.scan()
        assert made.told() == {"file": COVERED}


@pytest.mark.slow_but_first
def test_what_a_backup_could_not_read_is_not_protected_though_its_recovery_point_is_there(tmp_path: Path, product: Product) -> None:
    """T11: a partial run of a user who may not read everything."""
    made = estate(tmp_path, product, {"open": b"anybody may", "closed": b"nobody may", "folder/inside": b"nor what is below", "changed": b"before"})
    made.back_up("first", "--exclude", "*closed", "--exclude", "*folder")
    made.write("changed", b"and after")
    shut = [made.data / name for name in ("closed", "folder", "changed")]
    for path in shut:
        path.chmod(0)
    made.back_up("second", before=UNPRIVILEGED, code=product.partial)
    for path in shut:
        path.chmod(0o700)
    made.scan()
    assert made.told() == {
        "open": COVERED,
        "closed": ("unprotected", "never_copied"),
        "folder/inside": ("unprotected", "never_copied"),
        "changed": ("unprotected", "changed_since_copy"),
    }
    assert len(ask("report", "recovery-points", "--format", "json", folder=made.folder).data) == 2


@pytest.mark.slow
def test_a_content_that_another_repository_shows_to_differ_takes_what_is_known_by_size_and_time_too(tmp_path: Path) -> None:
    """T2: changed with the same size and time."""
    made = estate(tmp_path, BORG, {"tampered": b"the report", "kept": b"as it was"})
    made.back_up("first")
    made.write("tampered", b"the rep0rt")
    made.scan()
    assert made.told()["tampered"] == COVERED, "nothing tells"
    (tmp_path / "other").mkdir()
    other = Estate(tmp_path / "other", RESTIC)
    RESTIC.new(other.folder)
    other.data.symlink_to(made.data)
    made.write("tampered", b"the report")
    subprocess.run([*RESTIC.words, str(made.data)], env=RESTIC.environment(other.repository), check=True)
    made.write("tampered", b"the rep0rt")
    made.declare(made.nightly("shelf", "other/repository", "restic").replace('"password"', '"other/password"'))
    made.scan()
    assert made.told() == {"tampered": ("unprotected", "conflict"), "kept": COVERED}


@pytest.mark.slow
def test_a_name_that_a_listing_cannot_tell_is_unknown_and_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T8: a name that is not UTF-8, by restic's own listing."""
    made = estate(tmp_path, RESTIC, {"kept": b"the report"})
    made.write(os.fsdecode(b"sub/latin-\xe9"), b"its name is no UTF-8")
    made.back_up("first")
    monkeypatch.setattr("scanners.restic._can_decrypt", lambda: False)
    made.only_listed_counts()
    ask("scan", folder=made.folder, code=4)
    assert made.told() == {"kept": COVERED, "sub/latin-\\xe9": ("unknown", "scan_incomplete")}


@pytest.mark.slow
def test_what_an_interrupted_backup_left_counts_for_nothing(tmp_path: Path) -> None:
    """T12: an archive that is a checkpoint of borg's."""
    made = estate(tmp_path, BORG, {"before": b"in the first"})
    made.back_up("first")
    made.write("new", b"in the checkpoint")
    os.mkfifo(made.data / "slow")
    words = [*BORG.words, "--checkpoint-interval", "1", "--read-special", "::second", str(made.data / "new"), str(made.data / "slow")]
    with made.running(*words) as backup:
        with open(made.data / "slow", "wb", buffering=0) as feed:  # waits until borg has come to it
            before = set(made.repository.glob("index.*[0-9]"))
            while set(made.repository.glob("index.*[0-9]")) == before:  # until a checkpoint is stored: where the signal interrupts its reading, borg makes none
                feed.write(os.urandom(1 << 20))
                time.sleep(0.02)
            backup.send_signal(signal.SIGINT)
        backup.wait(60)
    (made.data / "slow").unlink()
    held = json.loads(borg(made.repository, "list", "--consider-checkpoints", "--json"))["archives"]
    assert [one["name"] for one in held] == ["first", "second.checkpoint"]
    assert "new" in borg(made.repository, "list", "::second.checkpoint")
    made.scan(code=4)
    assert made.told() == {"before": COVERED, "new": ("unknown", "scan_incomplete")}
    assert made.problems() == ["archive second.checkpoint is left out: an interrupted backup left it"]


@pytest.mark.slow
def test_who_works_on_the_repository_meanwhile_hinders_no_scan_and_what_is_not_finished_counts_for_nothing(tmp_path: Path, product: Product) -> None:
    """T17: lock held. The scan takes none and waits for none, so it is no failure; what it may not see yet is not there."""
    made = estate(tmp_path, product, {"before": b"in the first", "large": os.urandom(1 << 20)})
    made.back_up("first")
    made.write("new", b"in what is being made")
    slow = tmp_path / "slow"
    os.mkfifo(slow)
    working = {
        RESTIC: (("restic", "--no-cache", "check", "--read-data", "--limit-download", "1"), ("restic", "--no-cache", "check")),
        BORG: ((*BORG.words, "--read-special", "::second", str(made.data), str(slow)), (*BORG.words, "::third", str(made.data))),
    }
    at_work, refused = working[product]
    with made.running(*at_work) as holder:
        while not [*made.repository.glob("locks/*"), *made.repository.glob("lock.exclusive/*")]:
            assert holder.poll() is None
        done = subprocess.run(refused, env=product.environment(made.repository), capture_output=True, check=False)
        assert b"lock" in done.stderr
        made.scan()
        assert holder.poll() is None
    assert made.told() == {"before": COVERED, "large": COVERED, "new": ("unprotected", "never_copied")}


@pytest.mark.slow
def test_a_repository_on_the_device_of_what_it_is_of_survives_no_loss_of_it(tmp_path: Path, product: Product) -> None:
    """T13: repository on the same device, and on the same system."""
    made = estate(tmp_path, product, {"file": b"the report"})
    made.back_up("first")
    made.declare(device='"disk-1"')
    made.scan()
    assert outcomes(made) == {"user_error": "yes", "system_failure": "no", "facility_outage": "no"}
    made.declare(system='"nas-1"')
    made.scan()
    assert outcomes(made) == {"user_error": "yes", "system_failure": "no", "facility_outage": "yes"}
    made.declare()
    made.scan()
    assert set(outcomes(made).values()) == {"yes"}


def outcomes(made: Estate) -> dict[str, str]:
    """What is said of the one asset."""
    [row] = made.assets().values()
    return {threat: row[threat] for threat in ("user_error", "system_failure", "facility_outage")}


@pytest.mark.slow
def test_a_wrong_password_leaves_what_was_known_with_its_age_and_the_rest_unknown(tmp_path: Path, product: Product) -> None:
    """T18: wrong password."""
    made = estate(tmp_path, product, {"file": b"the report"})
    made.back_up("first")
    made.scan()
    [before] = [row for row in ask("report", "volumes", "--format", "json", folder=made.folder).data if row["volume"] == "nightly"]
    made.write("new", b"of today", time.time_ns())
    made.back_up("second")
    (made.folder / "password").write_text("wrong\n")
    assert "password is wrong" in made.scan(code=8).replace("passphrase", "password")
    [after] = [row for row in ask("report", "volumes", "--format", "json", folder=made.folder).data if row["volume"] == "nightly"]
    assert made.told() == {"file": COVERED, "new": ("unknown", "volume_not_scanned")}
    assert after["scanned_at"] == before["scanned_at"]


@pytest.mark.slow
def test_a_repository_that_was_not_scanned_since_a_file_changed_says_nothing_of_it(tmp_path: Path, product: Product) -> None:
    """T24: crawl older than the asset's change."""
    made = estate(tmp_path, product, {"kept": b"the report", "changed": b"before"})
    made.back_up("first")
    made.scan()
    made.write("changed", b"and after", time.time_ns())
    made.write("new", b"of today", time.time_ns())
    made.back_up("second")
    made.scan("data")
    assert made.told() == {"kept": COVERED, "changed": ("unknown", "volume_not_scanned"), "new": ("unknown", "volume_not_scanned")}
    made.scan()
    assert set(made.told().values()) == {COVERED}


@pytest.mark.slow
def test_of_replicas_with_one_id_each_is_seen_as_it_is(tmp_path: Path, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """T19: replica with the same id. Restic can list from the cache of whoever used the other one, borg takes the older one for an attack."""
    made = estate(tmp_path, product, {"old": b"in both"})
    made.back_up("first")
    second = Path(shutil.copytree(made.repository, tmp_path / "second"))
    made.write("new", b"in one", time.time_ns())
    made.back_up("second")
    made.declare(made.nightly("replica", "second"))
    for _ in range(2):
        made.scan()
        assert {path: row["copies"] for path, row in made.assets().items()} == {"old": 3, "new": 2}
    if product is RESTIC:
        monkeypatch.setenv("RESTIC_CACHE_DIR", str(tmp_path / "cache"))
        listing = ["restic", "--no-lock", "ls", "latest"]
        subprocess.run(listing, env=product.environment(second), check=True, capture_output=True)
        shutil.rmtree(second / "data")
        subprocess.run(listing, env=product.environment(second), check=True, capture_output=True)
        made.scan("replica", code=8)


@pytest.mark.slow
def test_a_time_beyond_64_bits_of_nanoseconds_is_one_that_cannot_be_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T21: modified in 2300, which restic keeps. Its content is known; where it is not, a time of the future proves nothing."""
    made = estate(tmp_path, RESTIC, {"usual": b"a report"})
    made.write("late", b"the report", 10_413_792_000 * 10**9)
    made.back_up("first")
    made.scan()
    assert made.told() == {"usual": COVERED, "late": COVERED}
    query = "SELECT modified_at FROM files WHERE name = 'late' AND volume = 'nightly'"
    assert ask("sql", query, "--format", "json", folder=tmp_path).data == [{"modified_at": "2300-01-01T00:00:00Z"}]
    monkeypatch.setattr("scanners.restic._can_decrypt", lambda: False)
    made.only_listed_counts()
    made.scan()
    assert made.told() == {"usual": COVERED, "late": ("unknown", "metadata_match_only")}


def test_a_mirror_survives_neither_its_users_nor_ransomware(tmp_path: Path) -> None:
    """T22: a mirror that propagates deletions, made by rsync."""
    made = Estate(tmp_path, RESTIC)
    made.write("file", b"the report")
    subprocess.run(["rsync", "--archive", "--delete", f"{made.data}/", tmp_path / "mirror"], check=True)
    (tmp_path / "lastcopy.toml").write_text(DATA + SHELF.format(url="mirror", role="replica"))
    made.scan()
    [row] = made.assets().values()
    assert [row[threat] for threat in ("user_error", "ransomware", "system_failure", "facility_outage")] == ["no", "no", "yes", "yes"]
    assert row["reasons"].startswith("mirror_only")


@pytest.mark.slow
def test_snapshots_that_share_files_by_hard_links_are_one_copy_of_several_versions(tmp_path: Path) -> None:
    """T14: three snapshots of rsnapshot."""
    if not shutil.which("rsnapshot"):
        assert not os.environ.get("REQUIRE_SERVERS"), "rsnapshot is not installed"
        pytest.skip("rsnapshot is not installed")
    made = Estate(tmp_path, RESTIC)
    made.write("kept", b"the same in all")
    made.write("gone", b"in the first only")
    settings = {"config_version": "1.2", "snapshot_root": f"{tmp_path}/shelf/", "no_create_root": "0", "cmd_rm": "/bin/rm", "cmd_rsync": "/usr/bin/rsync"}
    lines = [*settings.items(), ("retain", "daily\t3"), ("backup", f"{made.data}/\tnas/")]
    (tmp_path / "rsnapshot.conf").write_text("".join(f"{key}\t{value}\n" for key, value in lines))
    for day, content in enumerate((b"first", b"second one", b"the third")):
        made.write("changed", content, (LONG_AGO + day) * 10**9)
        subprocess.run(["rsnapshot", "-c", tmp_path / "rsnapshot.conf", "daily"], check=True)
        (made.data / "gone").unlink(missing_ok=True)
    made.write("back again", b"first")
    (tmp_path / "lastcopy.toml").write_text(DATA + SHELF.format(url="shelf", role="backup") + 'keeps_versions = "90d"\n')
    made.scan()
    assert {path: (row["status"], row["copies"]) for path, row in made.assets().items()} == dict.fromkeys(("kept", "changed", "back again"), ("protected", 2))
    query = (
        "SELECT name, count(*) AS names, count(DISTINCT size_bytes) AS versions, sum(counted_bytes) AS bytes FROM files WHERE volume = 'shelf' GROUP BY name"
    )
    found = {row["name"]: (row["names"], row["versions"], row["bytes"]) for row in ask("sql", query, "--format", "json", folder=tmp_path).data}
    assert found == {"kept": (3, 1, 15), "changed": (3, 3, 24), "gone": (1, 1, 17)}


@pytest.mark.slow
@pytest.mark.parametrize("store", ["weed", "ceph"])
def test_governance_holds_back_everybody_but_the_admin_and_compliance_him_too(tmp_path: Path, store: str) -> None:
    """T16: governance against compliance, of versions that an enemy with the key of the bucket tries to delete."""
    server = stores.weed() if store == "weed" else stores.ceph()
    made, bucket, client = Estate(tmp_path, RESTIC), server.bucket(locked=True), server.client
    until = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=60)
    versions = {}
    for mode in ("GOVERNANCE", "COMPLIANCE"):
        content = f"the report, {mode}".encode()
        made.write(mode, content)
        lock = {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until, "ContentMD5": base64.b64encode(hashlib.md5(content).digest()).decode()}
        versions[mode] = {"Bucket": bucket, "Key": mode, "VersionId": client.put_object(Bucket=bucket, Key=mode, Body=content, **lock)["VersionId"]}
    declared = {"bucket": bucket, "endpoint": server.endpoint, "credentials_file": server.declared(bucket)["credentials_file"]}

    def out_of_reach(admin: str) -> dict[str, str]:
        (tmp_path / "lastcopy.toml").write_text(DATA + LOCKED.format(admin=admin, **declared))
        made.scan()
        return {path: row["ransomware"] for path, row in made.assets().items()}

    assert out_of_reach("records") == {"GOVERNANCE": "yes", "COMPLIANCE": "yes"}
    assert out_of_reach("it") == {"GOVERNANCE": "no", "COMPLIANCE": "yes"}
    for version in versions.values():
        with pytest.raises(client.exceptions.ClientError):
            client.delete_object(**version)
    with pytest.raises(client.exceptions.ClientError):
        client.delete_object(**versions["COMPLIANCE"], BypassGovernanceRetention=True)
    client.delete_object(**versions["GOVERNANCE"], BypassGovernanceRetention=True)
    assert out_of_reach("records") == {"GOVERNANCE": "no", "COMPLIANCE": "yes"}
