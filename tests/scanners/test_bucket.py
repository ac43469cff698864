"""What buckets of real stores say that protects them: three-valued."""

import json
from typing import Any

import pytest

import scanners
from tests.scanners import stores
from tests.scanners.contract import settings_of
from tests.scanners.stores import Server


@pytest.fixture(params=["weed", "ceph"])
def server(request: pytest.FixtureRequest) -> Server:
    return stores.weed() if request.param == "weed" else stores.ceph()


def told(declared: dict[str, Any]) -> dict[str, tuple[str, str]]:
    scanner = scanners.connect(settings_of(declared), "v")
    found: dict[str, tuple[str, str]] = {one.name: (one.value, one.text) for one in scanner.protections()}
    scanner.close()
    return found


def test_a_plain_bucket_says_no_where_its_store_knows_the_question_and_nothing_elsewhere(server: Server) -> None:
    found = {name: value for name, (value, _) in told(server.declared(server.bucket())).items()}
    known = {"versioning": "no", "object lock": "no", "lifecycle": "no"}
    # SeaweedFS answers publicAccessBlock with 501, RGW 16 encryption with an answer to another question.
    known |= {"replication": "no", "encryption": "no", "public access": "unknown"} if server.name == "weed" else {"replication": "no", "encryption": "unknown"}
    assert {name: found[name] for name in known} == known


def test_versioning_suspended_is_told_apart(server: Server) -> None:
    bucket = server.bucket(versioned=True)
    assert told(server.declared(bucket))["versioning"][0] == "yes"
    server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    value, text = told(server.declared(bucket))["versioning"]
    assert value == "no"
    assert text.startswith("suspended")


def test_the_default_of_a_lock_is_told_and_said_to_be_no_proof(server: Server) -> None:
    bucket = server.bucket(locked=True)
    assert told(server.declared(bucket))["object lock"][0] == "yes"
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    server.client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})
    value, text = told(server.declared(bucket))["object lock"]
    assert value == "yes"
    assert "30 days, mode compliance" in text
    assert "by what an object itself says" in text


def test_what_credentials_may_not_ask_for_is_unknown() -> None:
    server = stores.ceph()
    bucket = server.bucket(versioned=True)
    granted = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/reader"]}, "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{bucket}"]}
    server.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [granted]}))
    found = told(server.declared(bucket, reader=True))
    assert {value for value, _ in found.values()} == {"unknown"}
    assert "may not ask" in found["versioning"][1]
