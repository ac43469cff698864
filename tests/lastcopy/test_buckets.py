"""A bucket that holds copies, from the scan to the answers."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.lastcopy.program import ask, run
from tests.scanners import stores
from tests.scanners.stores import Server

DECLARED = """\
[classes.default]
min_verification_level = 1
retention = "10d"

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
role = "backup"
of = ["data"]
system = "store"
site = "lyon"
admin = "records"
device = "store"
access = "online"
keeps_versions = "30d"
immutability = "none"
"""
FILES = {"kept.odt": b"the report", "deleted.odt": b"of which the bucket shows nothing", "replaced.odt": b"of which the bucket shows another", "lost.odt": b"?"}


@pytest.fixture(params=["weed", "ceph"])
def server(request: pytest.FixtureRequest) -> Server:
    return stores.weed() if request.param == "weed" else stores.ceph()


@pytest.fixture
def folder(server: Server, tmp_path: Path) -> Path:
    bucket, client = server.bucket(versioned=True), server.client
    (tmp_path / "data").mkdir()
    for name, content in FILES.items():
        (tmp_path / "data" / name).write_bytes(content)
        os.utime(tmp_path / "data" / name, (1_600_000_000, 1_600_000_000))
        if name != "lost.odt":
            client.put_object(Bucket=bucket, Key=f"copies/{name}", Body=content)
    client.put_object(Bucket=bucket, Key="copies/replaced.odt", Body=b"encrypted by an enemy, say")
    client.delete_object(Bucket=bucket, Key="copies/deleted.odt")
    credentials = Path(str(server.declared(bucket)["credentials_file"])).read_text()
    (tmp_path / "credentials").write_text(credentials)
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("BUCKET", bucket).replace("ENDPOINT", server.endpoint))
    return tmp_path


def threats(folder: Path) -> dict[str, tuple[str, str, str, int | None]]:
    rows = ask("report", "assets", "--format", "json", folder=folder).data
    return {row["path"]: (row["user_error"], row["ransomware"], row["facility_outage"], row["verification_level"]) for row in rows}


@pytest.mark.slow_but_first
def test_a_version_below_a_delete_marker_or_another_version_counts_once_it_was_read(folder: Path) -> None:
    run("scan", folder=folder)
    held = ("yes", "no", "yes", 3)
    assert threats(folder) == {"kept.odt": held, "deleted.odt": held, "replaced.odt": held, "lost.odt": ("no", "no", "no", None)}
    copies = ask(
        "sql", "SELECT type, is_latest, count(*) AS n FROM entries WHERE volume = 'vault' GROUP BY ALL ORDER BY ALL", "--format", "json", folder=folder
    )
    found = {(row["type"], row["is_latest"]): row["n"] for row in copies.data}
    assert found == {("delete_marker", True): 1, ("object", False): 2, ("object", True): 2}


def test_what_is_only_listed_in_a_bucket_proves_nothing(folder: Path) -> None:
    run("scan", "--digest", "off", folder=folder)
    assert not [path for path, (*said, _) in threats(folder).items() if "yes" in said]


@pytest.mark.slow_but_first
def test_a_digest_that_was_read_is_of_the_very_version(folder: Path) -> None:
    run("scan", folder=folder)
    query = "SELECT DISTINCT name, lower(to_hex(digest)) AS sha256 FROM digests WHERE volume = 'vault' ORDER BY ALL"
    found = {row["sha256"] for row in ask("sql", query, "--format", "json", folder=folder).data}
    assert {hashlib.sha256(content).hexdigest() for name, content in FILES.items() if name != "lost.odt"} <= found


def test_volume_check_tells_what_the_bucket_says_of_itself(folder: Path, server: Server) -> None:
    found = {row["check"]: (row["state"], row["text"]) for row in ask("volume", "check", "vault", "--format", "json", folder=folder, code=None).data}
    assert found["versioning"] == ("ok", "versions are kept: what is overwritten or deleted stays below")
    bucket = server.bucket()
    server.client.put_object(Bucket=bucket, Key="copies/a", Body=b"x")
    (folder / "lastcopy.toml").write_text(DECLARED.replace("BUCKET", bucket).replace("ENDPOINT", server.endpoint))
    found = {row["check"]: (row["state"], row["text"]) for row in ask("volume", "check", "vault", "--format", "json", folder=folder, code=None).data}
    assert found["versioning"][0] == "warning"
    assert found["versioning"][1].startswith("keeps_versions is declared")


@pytest.mark.slow
def test_no_key_of_an_account_is_written_or_told_anywhere(folder: Path, server: Server) -> None:
    told = [
        run("--verbose", *words, folder=folder, code=None) for words in (("scan",), ("volume", "check"), ("doctor",), ("audit", "pack", "--output", "pack"))
    ]
    (folder / "credentials").write_text("[default]\naws_access_key_id = canary-key\naws_secret_access_key = canary-secret\n")
    told += [run("--verbose", "scan", folder=folder, code=None)]
    assert told[-1].code != 0
    said = b"".join(one.out + one.err.encode() for one in told)
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "credentials"]
    assert len(written) > 20
    for secret in (stores.SECRET.encode(), b"canary-secret"):
        assert secret not in said
        assert not any(secret in content for content in written)
