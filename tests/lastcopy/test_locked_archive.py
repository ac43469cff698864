"""A tree, its archive in a bucket that keeps and locks versions, and a second copy over SFTP: coverage is what downloading and asking everything shows."""

import base64
import datetime
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lastcopy.program import ask
from tests.scanners import sshd, stores
from tests.scanners.stores import Server

RETENTION = datetime.timedelta(days=30)
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DECLARED = """\
[classes.default]
retention = "30d"
min_verification_level = 2

[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"
access = "online"

[volumes.vault]
url = "s3://BUCKET/copies"
endpoint = "ENDPOINT"
credentials_file = "credentials"
versions = true
heads = true
role = "backup"
of = ["data"]
system = "store"
site = "lyon"
admin = "ADMIN"
device = "store"
access = "online"
keeps_versions = "30d"

[volumes.mirror]
url = "SFTP"
identity_file = "ssh/user_key"
known_hosts = "ssh/known_hosts"
role = "replica"
of = ["data"]
system = "nas-2"
site = "paris"
admin = "ops"
device = "disk-2"
access = "online"
immutability = "none"
"""
LOCKS: dict[str, dict[str, object]] = {
    "compliance": {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": NOW + datetime.timedelta(days=60)},
    "governance": {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": NOW + datetime.timedelta(days=60)},
    "short": {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": NOW + datetime.timedelta(days=3)},
    "held": {"ObjectLockLegalHoldStatus": "ON"},
    "unlocked": {},
}
COUNTING = {"compliance", "governance", "held"}  # where the bucket has another admin
Threats = tuple[str, str, str, str]


@dataclass
class Estate:
    """`folder`/data, a bucket, and the folder that a server of SSH shows."""

    folder: Path
    server: Server
    bucket: str
    ssh: sshd.Server
    files: dict[str, bytes] = field(default_factory=dict)

    def write(self, path: str, *, archived: str | None, mirrored: bool) -> None:
        """Make a file, with an archived object of that lock (None: without) and a copy over SFTP, or without."""
        content = self.files[path] = secrets.token_bytes(2000)
        for root in (self.folder / "data", *([self.folder / "mirror"] if mirrored else [])):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
            os.utime(root / path, (1_600_000_000, 1_600_000_000))
        if archived:
            self.put(path, content, **LOCKS[archived])

    def put(self, path: str, content: bytes, **lock: object) -> None:
        """Store a version in the bucket."""
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        self.server.client.put_object(Bucket=self.bucket, Key=f"copies/{path}", Body=content, ContentMD5=md5, **lock)

    def declare(self, admin: str = "records") -> None:
        """Write the configuration."""
        text = DECLARED.replace("BUCKET", self.bucket).replace("ENDPOINT", self.server.endpoint).replace("ADMIN", admin)
        text = text.replace("SFTP", self.ssh.declared(self.folder / "mirror")["url"])
        (self.folder / "lastcopy.toml").write_text(text)

    def covered(self) -> dict[str, Threats]:
        """What is said of each file, after a scan."""
        ask("scan", folder=self.folder)
        rows = ask("report", "assets", "--format", "json", folder=self.folder).data
        return {row["path"]: (row["user_error"], row["ransomware"], row["system_failure"], row["facility_outage"]) for row in rows}

    def truth(self, admin: str = "records") -> dict[str, Threats]:
        """The same, of what every version holds that the store gives, of what it says of each, and of what lies in the folder of the mirror."""
        client, held = self.server.client, dict[bytes, list[dict[str, Any]]]()
        for page in client.get_paginator("list_object_versions").paginate(Bucket=self.bucket):
            for one in page.get("Versions", []):
                got = client.get_object(Bucket=self.bucket, Key=one["Key"], VersionId=one["VersionId"])
                held.setdefault(got["Body"].read(), []).append(client.head_object(Bucket=self.bucket, Key=one["Key"], VersionId=one["VersionId"]))
        mirrored = {path.read_bytes() for path in (self.folder / "mirror").rglob("*") if path.is_file()}

        def word(*yes: bool) -> str:
            return "yes" if any(yes) else "no"

        found = {}
        for path, content in self.files.items():
            versions = held.get(content, [])
            is_locked = any(_counts(head, other_admin=admin != "it") for head in versions)
            found[path] = (word(bool(versions)), word(is_locked), word(bool(versions), content in mirrored), word(bool(versions)))
        return found


def _counts(head: dict[str, Any], *, other_admin: bool) -> bool:
    lasts = head.get("ObjectLockRetainUntilDate", NOW) >= datetime.datetime.now(datetime.UTC) + RETENTION
    by_admin = (head.get("ObjectLockMode") == "GOVERNANCE" and lasts) or head.get("ObjectLockLegalHoldStatus") == "ON"
    return bool((head.get("ObjectLockMode") == "COMPLIANCE" and lasts) or (by_admin and other_admin))


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Server]:
    server = sshd.start(tmp_path_factory.mktemp("server") / "ssh")
    yield server
    server.stop()


@pytest.fixture
def server() -> Server:
    return stores.ceph()


def estate(folder: Path, server: Server, ssh: sshd.Server, *, locked: bool) -> Estate:
    """An estate with files of each kind of lock, if the bucket locks any; some are in the bucket, some over SFTP, some nowhere else."""
    (folder / "mirror").mkdir()
    shutil.copytree(ssh.folder, folder / "ssh")
    bucket = server.bucket(versioned=not locked, locked=locked)
    shutil.copy(str(server.declared(bucket)["credentials_file"]), folder / "credentials")
    made = Estate(folder, server, bucket, ssh)
    for lock in LOCKS if locked else ["unlocked"]:
        for name in ("overwritten", "deleted", "kept"):
            made.write(f"{lock}/{name}", archived=lock, mirrored=name != "kept")
    made.write("only mirrored", archived=None, mirrored=True)
    made.write("nowhere", archived=None, mirrored=False)
    made.declare()
    return made


def attacked(made: Estate) -> None:
    """Overwrite and delete in the bucket, as who has its key for writing does."""
    for path in list(made.files):
        if path.endswith("/overwritten"):
            made.put(path, b"encrypted by an enemy, say")
        elif path.endswith("/deleted"):
            made.server.client.delete_object(Bucket=made.bucket, Key=f"copies/{path}")


@pytest.mark.slow
def test_what_is_locked_in_a_bucket_outlasts_ransomware_and_who_overwrites_and_deletes_there(tmp_path: Path, server: Server, ssh: sshd.Server) -> None:
    made = estate(tmp_path, server, ssh, locked=True)
    expected = {path: "yes" if path.split("/")[0] in COUNTING else "no" for path in made.files}
    before = made.covered()
    assert before == made.truth()
    assert {path: said[1] for path, said in before.items()} == expected
    attacked(made)
    after = made.covered()
    assert after == made.truth() == before
    shown = ask("sql", "SELECT count(*) AS n FROM entries WHERE volume = 'vault' AND is_latest AND type = 'object'", "--format", "json", folder=tmp_path).data
    assert shown == [{"n": 2 * len(LOCKS)}]
    ask("audit", "pack", "--output", "pack", folder=tmp_path)
    ask("audit", "verify", "pack", folder=tmp_path)
    made.declare("it")
    same_admin = made.covered()
    assert same_admin == made.truth("it")
    assert {path for path, said in same_admin.items() if said[1] == "yes"} == {f"compliance/{name}" for name in ("overwritten", "deleted", "kept")}


def test_a_bucket_that_keeps_versions_and_locks_none_does_not_outlast_ransomware(tmp_path: Path, server: Server, ssh: sshd.Server) -> None:
    made = estate(tmp_path, server, ssh, locked=False)
    attacked(made)
    found = made.covered()
    assert found == made.truth()
    assert {said[1] for said in found.values()} == {"no"}
    assert {path: said[0] for path, said in found.items()} == {path: "yes" if "/" in path else "no" for path in made.files}
