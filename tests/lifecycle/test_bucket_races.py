"""What others do to a name while a job stores there, or between its runs: no version of theirs is removed, and none lies hidden below ours."""

import base64
import datetime
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lifecycle import crew, job, plan
from lifecycle.stores import s3
from tests.lifecycle import buckets, proxy
from tests.lifecycle.buckets import Buckets
from tests.lifecycle.grounds import refusals
from tests.lifecycle.proxy import Fault, Proxy
from tests.scanners import stores
from tests.scanners.stores import Server

CONTENT = b"content that matters\n" * 500
THEIRS = b"x" * len(CONTENT)
LARGE = os.urandom(1 << 20) * 9  # two parts


@pytest.fixture
def overwriting() -> Iterator[Proxy]:
    """A network before the store that lets an object be put over another, in buckets with versions."""
    with proxy.running(stores.ceph().endpoint) as found:
        yield found


def made(folder: Path, network: Proxy, server: Server, *, versioned: bool = False, locked: bool = False) -> Buckets:
    estate = buckets.made(folder, server, endpoint=network.endpoint, versioned=versioned, locked=locked).prepared()
    estate.write("data", "f", CONTENT)
    estate.scanned()
    return estate


def put(estate: Buckets, content: bytes, path: str = "f", **more: object) -> Callable[[], object]:
    return lambda: estate.server.client.put_object(Bucket=estate.bucket, Key=f"kept/{path}", Body=content, **more)


def rewrite(estate: Buckets, content: bytes) -> None:
    """An edit by a program that keeps the metadata, as s3fs and goofys do."""
    told = estate.server.client.head_object(Bucket=estate.bucket, Key="kept/f")
    put(estate, content, Metadata=told["Metadata"])()


def once(network: Proxy, method: str, target: str, act: Callable[[], object]) -> list[str]:
    """Do something before the first request of a kind is sent on; gives the request, once it came."""
    came: list[str] = []

    def heard(_count: int) -> None:
        one = network.seen[-1]
        if not came and one.startswith(method) and target in one:
            came.append(one)
            act()

    network.heard = heard
    return came


def contents(estate: Buckets, path: str = "f") -> list[tuple[bytes, bool]]:
    """The content of every version of an object, and whether it is what the name shows."""
    client = estate.server.client
    listed = client.list_object_versions(Bucket=estate.bucket, Prefix=f"kept/{path}").get("Versions", [])
    return [(client.get_object(Bucket=estate.bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read(), one["IsLatest"]) for one in listed]


def versioning(estate: Buckets, status: str) -> None:
    estate.server.client.put_bucket_versioning(Bucket=estate.bucket, VersioningConfiguration={"Status": status})


def retain(estate: Buckets) -> None:
    """Give the bucket a default retention."""
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    estate.server.client.put_object_lock_configuration(Bucket=estate.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})


def planned_before(estate: Buckets, act: Callable[[], object]) -> job.Outcome:
    """An archive that was planned and approved before something happens, and is carried out then."""
    drawn = estate.plan("archive", to="vault")
    with estate.journal() as journal:
        plan.approve(drawn, journal, actor="bob", at_us=estate.now_us)
    act()
    return job.run(estate.root, estate.config, drawn.id, clock=lambda: estate.now_us, actor="ada")


@pytest.mark.slow_but_first
def test_what_somebody_made_of_our_object_between_two_runs_stays(tmp_path: Path, network: Proxy, server: Server) -> None:
    estate = made(tmp_path, network, server, versioned=True)
    stop = crew.kill_switch(estate.config, estate.root)
    came_by = once(network, "GET", "/kept/f", lambda: stop.write_text(""))
    came = estate.run("archive", to="vault")
    assert came_by
    stop.unlink()
    theirs = b"an edit by a user, the only copy of it" * 9
    rewrite(estate, theirs)
    again = estate.resume(came.job_id)
    assert again.counts == {"CONFLICT": 1}, estate.reasons(came.job_id)
    assert contents(estate)[0] == (theirs, True)
    assert os.path.exists(estate.at("data", "f"))


@pytest.mark.slow
def test_what_somebody_made_of_our_object_stays_where_ours_reads_back_wrongly(tmp_path: Path, network: Proxy, server: Server) -> None:
    estate = made(tmp_path, network, server, versioned=True)
    theirs = b"an edit by a user" * 9
    network.faults = [Fault("GET", "/kept/f", "flip_down", first=lambda: rewrite(estate, theirs))]
    came = estate.run("archive", to="vault")
    assert network.faults[0].times == 0
    assert came.counts == {"CONFLICT": 1}, estate.reasons(came.job_id)
    assert (theirs, True) in contents(estate)
    assert os.path.exists(estate.at("data", "f"))


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True])
def test_what_is_stored_before_the_versions_are_looked_at_is_not_hidden(tmp_path: Path, overwriting: Proxy, *, lost: bool) -> None:
    estate = made(tmp_path, overwriting, stores.ceph(), versioned=True)
    came_by = once(overwriting, "GET", "kept%2Ff", put(estate, THEIRS))
    if lost:
        overwriting.faults = [Fault("PUT", "/kept/f", "lose_answer")]
    came = estate.run("archive", to="vault")
    assert "versions=" in came_by[0]
    assert came.counts == {"CONFLICT": 1}, estate.reasons(came.job_id)
    assert contents(estate) == [(THEIRS, True)]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "content"), [("f", CONTENT), ("large", LARGE)])
@pytest.mark.parametrize("lost", [False, True])
def test_what_is_stored_just_before_ours_is_what_the_name_shows(tmp_path: Path, overwriting: Proxy, path: str, content: bytes, *, lost: bool) -> None:
    estate = made(tmp_path, overwriting, stores.ceph(), versioned=True)
    estate.write("data", path, content)
    estate.scanned()
    method, target = ("PUT", "/kept/f") if path == "f" else ("POST", "/kept/large?uploadId=")
    came_by = once(overwriting, method, target, put(estate, THEIRS, path))
    if lost:
        overwriting.faults = [Fault(method, target, "lose_answer")]
    came = estate.run("archive", to="vault", where=f"path = '{path}'")
    assert came_by
    assert came.counts == {"CONFLICT": 1}, estate.reasons(came.job_id)
    assert contents(estate, path) == [(THEIRS, True)]
    assert os.path.exists(estate.at("data", path))


@pytest.mark.slow
def test_what_a_run_that_ended_there_had_stored_over_anothers_goes(tmp_path: Path, overwriting: Proxy) -> None:
    estate = made(tmp_path, overwriting, stores.ceph(), versioned=True)
    once(overwriting, "PUT", "/kept/f", put(estate, THEIRS))
    away = Fault("HEAD", "/kept/f", "refuse", times=9)
    overwriting.faults = [Fault("PUT", "/kept/f", "lose_answer", first=lambda: overwriting.faults.append(away))]
    came = estate.run("archive", to="vault")
    assert came.counts == {"UNKNOWN": 1}, estate.reasons(came.job_id)
    assert contents(estate) == [(CONTENT, True), (THEIRS, False)]
    overwriting.faults = []
    assert estate.resume(came.job_id).counts == {"CONFLICT": 1}, estate.reasons(came.job_id)
    assert contents(estate) == [(THEIRS, True)]


@pytest.mark.slow
def test_an_old_version_below_a_delete_marker_is_no_conflict(tmp_path: Path, overwriting: Proxy) -> None:
    estate = made(tmp_path, overwriting, stores.ceph(), versioned=True)
    put(estate, THEIRS)()
    estate.server.client.delete_object(Bucket=estate.bucket, Key="kept/f")
    came = estate.run("archive", to="vault")
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    assert contents(estate) == [(CONTENT, True), (THEIRS, False)]


@pytest.mark.slow
def test_a_bucket_that_keeps_every_version_and_overwrites_is_no_target(tmp_path: Path, overwriting: Proxy) -> None:
    estate = buckets.made(tmp_path, stores.ceph(), endpoint=overwriting.endpoint, locked=True)
    retain(estate)
    estate.prepared()
    assert (estate.found.publish, estate.found.removes_versions) == ("none", False)
    assert "Contents" not in estate.server.client.list_objects_v2(Bucket=estate.bucket, Prefix="kept/.lastcopy/canaries/")
    estate.write("data", "f", CONTENT)
    estate.scanned()
    came = estate.run("archive", to="vault")
    assert came.counts == {"REFUSED": 1}, estate.reasons(came.job_id)
    assert contents(estate) == []


@pytest.mark.slow
def test_ours_that_cannot_be_taken_away_from_over_anothers_is_no_copy(tmp_path: Path, overwriting: Proxy) -> None:
    """The bucket is given a default retention after it was prepared."""
    estate = made(tmp_path, overwriting, stores.ceph(), locked=True)
    retain(estate)
    once(overwriting, "PUT", "/kept/f", put(estate, THEIRS))
    came = estate.run("archive", to="vault")
    assert came.counts == {"FAILED": 1}, estate.reasons(came.job_id)
    assert "ours hides it" in estate.reasons(came.job_id)
    assert estate.resume(came.job_id).counts == {"FAILED": 1}, estate.reasons(came.job_id)
    assert os.path.exists(estate.at("data", "f"))


@pytest.mark.slow
@pytest.mark.parametrize(("was", "then"), [(False, ["Enabled"]), (False, ["Enabled", "Suspended"]), (True, ["Suspended"])])
def test_a_bucket_whose_versioning_changed_is_to_be_prepared_again(tmp_path: Path, network: Proxy, server: Server, was: bool, then: list[str]) -> None:
    estate = made(tmp_path, network, server, versioned=was)

    def act() -> None:
        for status in then:
            versioning(estate, status)
        put(estate, THEIRS)()

    came = planned_before(estate, act)
    assert came.counts.keys() <= {"REFUSED", "PLANNED"}, estate.reasons(came.job_id)
    assert contents(estate) == [(THEIRS, True)]
    assert estate.store().capabilities is None
    estate.now_us += 1
    assert refusals(estate.plan("archive", to="vault")) == {"f": "not_prepared"}
    estate.prepared("vault")
    estate.now_us += 1
    assert refusals(estate.plan("archive", to="vault")) != {"f": "not_prepared"}


@pytest.mark.slow
def test_an_answer_with_a_version_where_none_was_kept_takes_ours_away(tmp_path: Path, overwriting: Proxy) -> None:
    """Versions are enabled, and somebody stores an object, between the look at the bucket and our request."""
    estate = made(tmp_path, overwriting, stores.ceph())

    def act() -> None:
        versioning(estate, "Enabled")
        put(estate, THEIRS)()

    came_by = once(overwriting, "PUT", "/kept/f", act)
    came = estate.run("archive", to="vault")
    assert came_by
    assert came.counts == {"REFUSED": 1}, estate.reasons(came.job_id)
    assert contents(estate) == [(THEIRS, True)]
    assert os.path.exists(estate.at("data", "f"))


@pytest.mark.slow
def test_nothing_is_sent_where_versions_end_while_the_job_runs(tmp_path: Path, overwriting: Proxy) -> None:
    estate = made(tmp_path, overwriting, stores.ceph(), versioned=True)
    came_by = once(overwriting, "GET", "kept%2Ff", lambda: versioning(estate, "Suspended"))
    came = estate.run("archive", to="vault")
    assert "versions=" in came_by[0]
    assert came.counts == {"REFUSED": 1}, estate.reasons(came.job_id)
    assert contents(estate) == []


@pytest.mark.slow_but_first
def test_an_object_that_is_there_is_seen_before_anything_large_is_sent(tmp_path: Path, network: Proxy, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 0)
    estate = made(tmp_path, network, server)
    network.seen.clear()
    came = planned_before(estate, put(estate, THEIRS))
    assert came.counts == {"CONFLICT": 1}, estate.reasons(came.job_id)
    assert not any(one.startswith("PUT") and "/kept/f" in one for one in network.seen)


@pytest.mark.slow
def test_a_lock_that_is_over_is_none(tmp_path: Path, server: Server) -> None:
    estate = buckets.made(tmp_path, server, 'immutability = "compliance"\n', locked=True).prepared()
    estate.write("data", "f", b"content")
    estate.scanned()
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3)
    md5 = base64.b64encode(hashlib.md5(b"content", usedforsecurity=False).digest()).decode()
    put(estate, b"content", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until, ContentMD5=md5)()
    time.sleep(5)
    came = estate.run("archive", to="vault")
    assert came.counts == {"REFUSED": 1}, estate.reasons(came.job_id)
    assert os.path.exists(estate.at("data", "f"))
