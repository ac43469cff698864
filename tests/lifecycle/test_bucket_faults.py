"""What a network does to requests of jobs at a bucket: nothing wrong is called done, nothing is lost, and a resume finishes."""

import os
from pathlib import Path
from subprocess import Popen

import pytest

from tests.lifecycle import buckets, waiting
from tests.lifecycle.buckets import Buckets
from tests.lifecycle.proxy import Fault, Kind, Proxy
from tests.scanners.stores import Server

CONTENT = b"content that matters\n" * 500
LARGE = os.urandom(1 << 20) * 9  # two parts


@pytest.fixture
def estate(server: Server, network: Proxy, tmp_path: Path) -> Buckets:
    """A versioned bucket behind a network, with nothing in the tree yet."""
    return buckets.made(tmp_path, server, endpoint=network.endpoint, versioned=True).prepared()


def versions(estate: Buckets, path: str) -> list[str]:
    """The versions and delete markers that there are of an object."""
    found = estate.server.client.list_object_versions(Bucket=estate.bucket, Prefix=f"kept/{path}")
    return [one["VersionId"] for one in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]]


def is_kept(estate: Buckets, path: str, content: bytes) -> None:
    """The object is there once, whole, and nothing is left over."""
    assert estate.object(path)["Body"] == content
    assert len(versions(estate, path)) == 1
    assert estate.under_way() == []


@pytest.mark.slow_but_first
@pytest.mark.parametrize("kind", ["lose_answer", "cut_request", "cut_answer", "refuse", "flip_up"])
def test_an_object_is_stored_once_whatever_becomes_of_its_request(estate: Buckets, network: Proxy, kind: Kind) -> None:
    estate.write("data", "f", CONTENT)
    estate.scanned()
    network.faults = [Fault("PUT", "/kept/f", kind)]
    came = estate.run("archive", to="vault")
    assert network.faults[0].times == 0
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    is_kept(estate, "f", CONTENT)


@pytest.mark.slow_but_first
@pytest.mark.parametrize(("method", "target", "kind"), [
    ("PUT", "partNumber=2", "lose_answer"),
    ("PUT", "partNumber=1", "cut_request"),
    ("POST", "uploads=", "lose_answer"),
    ("POST", "uploadId=", "lose_answer"),
    ("POST", "uploadId=", "refuse"),
])  # fmt: skip
def test_an_object_of_parts_is_stored_once_whatever_becomes_of_a_request(estate: Buckets, network: Proxy, method: str, target: str, kind: Kind) -> None:
    estate.write("data", "f", LARGE)
    estate.scanned()
    network.faults = [Fault(method, target, kind)]
    came = estate.run("copy", to="vault")
    if "DONE" not in came.counts:
        came = estate.resume(came.job_id)
    assert network.faults[0].times == 0
    assert came.counts == {"DONE": 1}, estate.reasons(came.job_id)
    assert estate.object("f")["Body"] == LARGE
    assert len(versions(estate, "f")) == 1


@pytest.mark.slow
def test_where_nobody_can_look_the_end_is_unknown_and_a_resume_looks(estate: Buckets, network: Proxy) -> None:
    estate.write("data", "f", CONTENT)
    estate.scanned()
    away = Fault("HEAD", "/kept/f", "refuse", times=5)
    network.faults = [Fault("PUT", "/kept/f", "lose_answer", first=lambda: network.faults.append(away))]
    came = estate.run("archive", to="vault")
    assert came.counts == {"UNKNOWN": 1}, estate.reasons(came.job_id)
    assert os.path.exists(estate.at("data", "f"))
    [stored] = versions(estate, "f")
    network.faults = []
    assert estate.resume(came.job_id).counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    is_kept(estate, "f", CONTENT)
    assert versions(estate, "f") == [stored]


@pytest.mark.slow_but_first
@pytest.mark.parametrize("kind", ["refuse", "lose_answer"])
def test_what_somebody_stores_at_that_instant_stays_and_is_what_the_name_shows(estate: Buckets, network: Proxy, kind: Kind) -> None:
    estate.write("data", "f", CONTENT)
    estate.scanned()
    theirs = b"x" * len(CONTENT)
    network.faults = [Fault("PUT", "/kept/f", kind, first=lambda: estate.server.client.put_object(Bucket=estate.bucket, Key="kept/f", Body=theirs))]
    came = estate.run("archive", to="vault")
    assert network.faults[0].times == 0
    assert came.counts == {"CONFLICT": 1}, estate.reasons(came.job_id)
    is_kept(estate, "f", theirs)
    assert os.path.exists(estate.at("data", "f"))


@pytest.mark.slow_but_first
def test_an_equal_object_that_somebody_stores_at_that_instant_is_the_copy(estate: Buckets, network: Proxy) -> None:
    estate.write("data", "f", CONTENT)
    estate.scanned()
    network.faults = [Fault("PUT", "/kept/f", "lose_answer", first=lambda: estate.server.client.put_object(Bucket=estate.bucket, Key="kept/f", Body=CONTENT))]
    came = estate.run("archive", to="vault")
    assert network.faults[0].times == 0
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    is_kept(estate, "f", CONTENT)
    assert "lastcopy-op" not in estate.object("f")["Metadata"]


@pytest.mark.slow_but_first
def test_a_bit_that_turns_on_its_way_back_is_seen_before_the_source_goes(estate: Buckets, network: Proxy) -> None:
    estate.write("data", "f", CONTENT)
    estate.scanned()
    network.faults = [Fault("GET", "/kept/f", "flip_down")]
    came = estate.run("archive", to="vault")
    assert network.faults[0].times == 0
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    is_kept(estate, "f", CONTENT)
    assert sum(one.startswith("PUT /") and "/kept/f" in one for one in network.seen) == 2


@pytest.mark.slow_but_first
def test_a_recall_goes_on_where_a_connection_breaks_off_and_believes_no_turned_bit(estate: Buckets, network: Proxy) -> None:
    estate.write("data", "f", CONTENT)
    estate.scanned()
    assert estate.run("archive", to="vault").counts == {"QUARANTINED": 1}
    network.faults = [Fault("GET", "/kept/f", "flip_down")]
    came = estate.run("recall")
    assert came.counts == {"SOURCE_CHANGED": 1}, estate.reasons(came.job_id)
    assert not os.path.exists(estate.at("data", "f"))
    estate.now_us += 1
    network.faults = [Fault("GET", "/kept/f", "cut_answer", times=2)]
    came = estate.run("recall")
    assert came.counts == {"DONE": 1}, estate.reasons(came.job_id)
    assert Path(os.fsdecode(estate.at("data", "f"))).read_bytes() == CONTENT


@pytest.mark.slow_but_first
def test_a_source_that_changes_while_it_is_stored_stays(estate: Buckets, network: Proxy) -> None:
    where = estate.write("data", "f", CONTENT)
    estate.scanned()
    writers: list[Popen[bytes]] = []
    network.faults = [Fault("GET", "/kept/f", "cut_answer", first=lambda: writers.append(waiting.writer(where, "WRITTEN")))]
    came = estate.run("archive", to="vault")
    assert network.faults[0].times == 0
    assert writers[0].wait() == 0
    assert set(came.counts) <= {"SOURCE_CHANGED", "SOURCE_BUSY"}, estate.reasons(came.job_id)
    assert Path(os.fsdecode(where)).read_bytes() == b"WRITTEN" + CONTENT[7:]


@pytest.mark.slow
@pytest.mark.parametrize("server", ["weed"], indirect=True)
def test_a_source_that_the_kernel_lets_somebody_write_to_stays(estate: Buckets, network: Proxy) -> None:
    where = estate.write("data", "f", CONTENT)
    estate.scanned()

    def changed() -> None:  # he waits for the lease, and the engine for the proxy, in which he writes: the kernel ends that, after 45 seconds
        Path(os.fsdecode(where)).write_bytes(CONTENT + b"more")

    network.faults = [Fault("GET", "/kept/f", "cut_answer", first=changed)]
    came = estate.run("archive", to="vault")
    assert network.faults[0].times == 0
    assert set(came.counts) <= {"SOURCE_CHANGED", "SOURCE_BUSY"}, estate.reasons(came.job_id)
    assert Path(os.fsdecode(where)).read_bytes() == CONTENT + b"more"
