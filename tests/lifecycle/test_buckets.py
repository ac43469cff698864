"""Files go to a bucket and come back, on real stores: contents, metadata and names to the bit, over nothing that was there."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from tests.lifecycle import buckets
from tests.lifecycle.buckets import Buckets
from tests.lifecycle.grounds import paths, refusals
from tests.scanners.stores import Server

LARGE = os.urandom(1 << 20) * 20  # of several parts
MODIFIED_NS, ACCESSED_NS = 1_577_836_800_123_456_789, 1_577_836_801_987_654_321


@pytest.fixture(params=["versioned", "plain"])
def estate(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Buckets:
    if server.name == "ceph" and request.param == "plain":
        return buckets.made(tmp_path, server)
    return buckets.made(tmp_path, server, versioned=request.param == "versioned")


def dressed(estate: Buckets, path: str, content: bytes) -> os.stat_result:
    """A file with a mode, an owner, times and attributes that nothing gives by itself."""
    where = estate.write("data", path, content)
    os.setxattr(where, "user.note", b"\xff\x00bytes")
    if os.geteuid() == 0:
        os.chown(where, 1234, 2345)
    os.chmod(where, 0o640)
    os.utime(where, ns=(ACCESSED_NS, MODIFIED_NS))
    return os.stat(where)


@pytest.mark.slow
def test_files_are_archived_and_recalled_to_the_bit(estate: Buckets) -> None:
    content = {"a/small": b"small", "a/large": LARGE if estate.server.name == "weed" else LARGE[: 9 << 20]}
    before = {path: dressed(estate, path, body) for path, body in content.items()}
    estate.prepared().scanned()
    came = estate.run("archive", to="vault")
    assert came.counts == {"QUARANTINED": 2}, estate.reasons(came.job_id)
    assert estate.losses(came.job_id) == []
    assert estate.keys() == sorted(path.encode() for path in content)
    assert {path: estate.object(path)["Body"] for path in content} == content
    assert not any(os.path.exists(estate.at("data", path)) for path in content)
    back = estate.run("recall")
    assert back.counts == {"DONE": 2}, estate.reasons(back.job_id)
    assert estate.losses(back.job_id) == []
    for path, body in content.items():
        where = estate.at("data", path)
        found = os.stat(where)
        assert Path(os.fsdecode(where)).read_bytes() == body
        assert (found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns) == (*before[path][:1], found.st_uid, found.st_gid, MODIFIED_NS)
        assert (found.st_uid, found.st_gid) == (before[path].st_uid, before[path].st_gid)
        assert os.getxattr(where, "user.note") == b"\xff\x00bytes"
        assert stat.S_IMODE(found.st_mode) == 0o640


@pytest.mark.slow
def test_what_was_archived_is_found_by_the_next_scan_as_a_copy(estate: Buckets) -> None:
    estate.write("data", "f", b"content of it")
    estate.prepared().scanned()
    assert estate.run("copy", to="vault").counts == {"DONE": 1}
    estate.scanned()
    [row] = estate.ask("sql", "SELECT copy_volume, match, verification_level FROM copies WHERE volume = 'data' AND path = 'f'", "--format", "json").data
    assert (row["copy_volume"], row["match"], row["verification_level"]) == ("vault", "content", 3)
    [entry] = estate.ask("sql", "SELECT lower(hex(digest)) AS d FROM digests WHERE volume = 'vault' AND name = 'f'", "--format", "json").data
    assert entry["d"] == hashlib.sha256(b"content of it").hexdigest()


@pytest.mark.slow_but_first
def test_an_object_that_is_there_is_never_overwritten(estate: Buckets) -> None:
    estate.write("data", "f", b"ours")
    estate.prepared().scanned()
    estate.server.client.put_object(Bucket=estate.bucket, Key="kept/f", Body=b"someone else's")
    made = estate.plan("archive", to="vault")
    assert (paths(made), refusals(made)) == ([], {"f": "target_exists_differs"})
    assert estate.object("f")["Body"] == b"someone else's"
