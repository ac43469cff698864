"""What a bucket is found able to do, and what jobs keep there: locks, names, metadata, links, little memory, no secret."""

import datetime
import os
import resource
from pathlib import Path

import pytest

from catalog.errors import ConfigError, RefusedError
from lifecycle import job
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, connect
from tests.lifecycle import buckets
from tests.lifecycle.buckets import Buckets
from tests.lifecycle.grounds import details, paths, refusals
from tests.lifecycle.stores.contract import sha256
from tests.scanners import stores
from tests.scanners.stores import SECRET, Server

LOCKED = 'immutability = "governance"\nlock_for = "2d"\n'


def prepared(folder: Path, server: Server, lines: str = "", **options: bool) -> Buckets:
    return buckets.made(folder, server, lines, **options).prepared()  # type: ignore[arg-type]  # none of them is an endpoint


def able(found: Capabilities) -> tuple[object, ...]:
    return found.publish, found.parts, found.checksums, found.versions, found.removes_versions, found.locks


@pytest.mark.parametrize(("options", "weed", "ceph"), [
    ({}, ("create", "create", "sha256", False, False, False), ("create", "none", "md5", False, False, False)),
    ({"versioned": True}, ("create", "create", "sha256", True, True, False), ("versions", "versions", "md5", True, True, False)),
    ({"locked": True}, ("create", "create", "sha256", True, True, True), ("versions", "versions", "md5", True, True, True)),
])  # fmt: skip
def test_a_store_is_known_by_what_it_does(tmp_path: Path, server: Server, options: dict[str, bool], weed: tuple[object, ...], ceph: tuple[object, ...]) -> None:
    estate = prepared(tmp_path, server, "", **options)
    assert able(estate.found) == (weed if server.name == "weed" else ceph)
    assert estate.keys() == []


def test_one_place_of_a_bucket_is_one_volume_and_anothers_marker_stays(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server)
    twin = (estate.folder / "lastcopy.toml").read_text().partition("[volumes.vault]")[2].partition("[volumes.far]")[0]
    estate.configure(f"[volumes.twin]{twin}")
    with pytest.raises(RefusedError, match="is the same storage as volume vault"):
        connect(estate.config, "twin").prepare("another", at_us=1)
    estate.configure()
    with pytest.raises(RefusedError, match="made by another catalog"):
        estate.store().prepare("another", at_us=1)
    assert estate.store().identify().marker not in (None, "another")


@pytest.mark.slow
def test_locks_are_set_and_read_back_and_a_bucket_without_is_refused(tmp_path: Path, server: Server) -> None:
    (tmp_path / "one").mkdir()
    estate = prepared(tmp_path / "one", server, LOCKED, locked=True)
    large = os.urandom(1 << 20) * 9
    estate.write("data", "small", b"content")
    estate.write("data", "large", large)
    came = estate.scanned().run("archive", to="vault")
    assert came.counts == {"QUARANTINED": 2}, estate.reasons(came.job_id)
    for path in ("small", "large"):
        found = estate.object(path)
        assert found["ObjectLockMode"] == "GOVERNANCE"
        left = found["ObjectLockRetainUntilDate"] - datetime.datetime.now(datetime.UTC)
        assert datetime.timedelta(days=1.9) < left <= datetime.timedelta(days=2.1)
    (tmp_path / "two").mkdir()
    without = buckets.made(tmp_path / "two", server, LOCKED, versioned=True)
    with pytest.raises(EndError, match="keeps no locks"):
        without.store().prepare("marker", at_us=1)


@pytest.mark.slow_but_first
def test_an_equal_object_of_another_that_is_not_locked_rests_no_archive(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server, LOCKED, locked=True)
    estate.write("data", "f", b"content")
    estate.scanned()
    estate.server.client.put_object(Bucket=estate.bucket, Key="kept/f", Body=b"content")
    came = estate.run("archive", to="vault")
    assert came.counts == {"REFUSED": 1}, estate.reasons(came.job_id)
    assert "ObjectLockMode" not in estate.object("f")
    assert os.path.exists(estate.at("data", "f"))


@pytest.mark.slow
def test_names_go_there_and_back_to_the_byte_or_are_refused(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server)
    odd = [
        b"new\nline",
        b"tab\tand\x01",
        b" blank ",
        b"plus+percent%20&<>\"'",
        b"\xc3\xa9",
        b"e\xcc\x81",
        b"back\\slash",
        b"not \xff text",
        b"-dash",
        b"..dots..",
    ]
    for number, name in enumerate(odd):
        estate.write("data", b"in/" + name, b"content %d" % number)
    estate.scanned()
    made = estate.plan("copy", to="vault")
    refused = set(refusals(made).values())
    assert refused <= {"not_supported"}
    assert any("\\xff" in detail for detail in details(made))
    taken = paths(made)
    assert len(taken) == len(odd) - (2 if server.name == "weed" else 1)
    came = estate.run("copy", to="vault")
    assert came.counts == {"DONE": len(taken)}, estate.reasons(came.job_id)
    assert estate.keys() == sorted(taken)
    estate.scanned()
    content = {path: Path(os.fsdecode(estate.at("data", path))).read_bytes() for path in taken}
    for name in odd:
        os.unlink(estate.at("data", b"in/" + name))
    came = estate.run("restore", to="far")
    assert came.counts == {"DONE": len(taken)}, estate.reasons(came.job_id)
    assert {path: Path(os.fsdecode(estate.at("far", path))).read_bytes() for path in taken} == content


@pytest.mark.slow
def test_an_object_whose_key_is_no_path_of_a_file_is_refused_and_others_come(tmp_path: Path) -> None:
    estate = prepared(tmp_path, stores.ceph())
    bad = ["a//b", "a/../b", "./c", "/d"]
    for key in ["good", *bad]:
        estate.server.client.put_object(Bucket=estate.bucket, Key=f"kept/{key}", Body=b"content")
    estate.scanned()
    came = estate.run("restore", to="far")
    assert came.counts == {"DONE": 1}, estate.reasons(came.job_id)
    assert Path(os.fsdecode(estate.at("far", "good"))).read_bytes() == b"content"
    assert sorted(os.listdir(estate.at("far"))) == [b".lastcopy", b"a folder", b"good"]
    assert len(estate.keys()) == 5


@pytest.mark.slow_but_first
def test_attributes_that_do_not_fit_are_losses_and_the_others_come_back(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server)
    where = estate.write("data", "f", b"content")
    os.setxattr(where, "user.small", b"kept")
    os.setxattr(where, "user.large", b"x" * 2500)
    came = estate.scanned().run("archive", to="vault")
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    assert estate.losses(came.job_id) == ["extended attribute user.large: does not fit into the metadata of an object"]
    estate.run("recall")
    assert os.getxattr(where, "user.small") == b"kept"
    assert "user.large" not in os.listxattr(where)


@pytest.mark.slow
def test_folders_that_are_gone_come_back_as_they_were_and_what_they_lose_is_told(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server)
    estate.write("data", "one/two/f", b"content")
    os.chmod(estate.at("data", "one"), 0o751)
    os.chmod(estate.at("data", "one/two"), 0o700)
    os.setxattr(estate.at("data", "one"), "user.note", b"of the folder")
    came = estate.scanned().run("archive", to="vault")
    assert estate.losses(came.job_id) == ["extended attributes and access control lists of its folders: an object has none of these"]
    os.rmdir(estate.at("data", "one/two"))
    os.rmdir(estate.at("data", "one"))
    assert estate.run("recall").counts == {"DONE": 1}
    assert [os.stat(estate.at("data", path)).st_mode & 0o777 for path in ("one", "one/two")] == [0o751, 0o700]


def test_a_rebuild_tells_of_an_upload_that_was_never_finished_and_leaves_it(tmp_path: Path, server: Server) -> None:
    from lifecycle import rebuilding

    estate = prepared(tmp_path, server, "", versioned=True)
    store = estate.store()
    staged = store.stage(b"f", "jgone-1-1")
    for _ in range(20):
        staged.write(memoryview(bytes(1 << 20)))
    staged.close()
    (estate.root / "journal.json").unlink()
    told = rebuilding.rebuild(estate.root, estate.config, at_us=estate.now_us, actor="ada", take_over=True)
    assert [(one.volume, one.path, one.came) for one in told] == [("vault", ".lastcopy/uploads/jgone-1-1", "unfinished")]
    [upload] = estate.server.client.list_multipart_uploads(Bucket=estate.bucket)["Uploads"]
    assert upload["Key"] == "kept/f"
    store.discard(b"f", "jgone-1-1")
    assert "Uploads" not in estate.server.client.list_multipart_uploads(Bucket=estate.bucket)


def test_a_symbolic_link_is_copied_as_its_text_and_restored_as_a_link(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server)
    os.symlink(b"else\xffwhere", estate.at("data", "link"))
    estate.write("data", "f", b"content")
    store, tree = estate.store(), connect(estate.config, "data")
    found = tree.look(b"link")
    assert found is not None
    source = tree.open(b"link", found)
    staged = store.stage(b"link", "jtest-1-1", link_target=source.metadata().link_target, source=source)
    for block in source.blocks():
        staged.write(block)
    assert staged.finish(source.metadata()) == []
    staged.sync()
    assert staged.digest() == (sha256(b"else\xffwhere"), 10)
    published = store.publish(b"link", "jtest-1-1", None, read_back=staged.read_back)
    assert store.open(b"link", published).metadata().link_target == b"else\xffwhere"


@pytest.mark.slow
def test_no_link_is_left_that_would_lead_into_a_bucket(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server)
    estate.write("data", "f", b"content")
    estate.scanned()
    with pytest.raises(ConfigError, match="leave a 'stub'"):
        estate.plan("archive", to="vault", leave="symlink")
    assert estate.run("archive", to="vault", leave="stub").counts == {"QUARANTINED": 1}
    assert estate.run("recall").counts == {"DONE": 1}
    assert Path(os.fsdecode(estate.at("data", "f"))).read_bytes() == b"content"


@pytest.mark.slow
def test_an_archive_is_undone_and_nothing_is_taken_out_of_a_bucket(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server)
    estate.write("data", "f", b"content")
    came = estate.scanned().run("archive", to="vault")
    assert job.undo(estate.root, estate.config, came.job_id, clock=lambda: estate.now_us, actor="ada").complete
    assert Path(os.fsdecode(estate.at("data", "f"))).read_bytes() == b"content"
    assert estate.object("f")["Body"] == b"content"
    os.unlink(estate.at("data", "f"))
    estate.write("data", "other", b"other")
    made = estate.scanned().plan("archive", to="far", where="volume = 'vault'")
    assert (paths(made), refusals(made)) == ([], {"f": "not_supported"})
    assert estate.run("copy", to="far", where="volume = 'vault'").counts == {"DONE": 1}


@pytest.mark.slow
def test_a_copy_in_a_bucket_rests_a_floor_until_it_is_another(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server, "versions = true\n", versioned=True)
    for name in ("kept", "replaced"):
        estate.write("data", name, b"content of " + name.encode())
    assert estate.scanned().run("copy", to="vault").counts == {"DONE": 2}
    estate.scanned()
    estate.server.client.put_object(Bucket=estate.bucket, Key="kept/replaced", Body=b"Content of replaced")
    came = estate.run("archive", to="far", min_copies=2)
    assert came.counts == {"QUARANTINED": 1, "REFUSED": 1}, estate.reasons(came.job_id)
    assert "vault:replaced: it changed since it was verified" in estate.reasons(came.job_id)
    assert os.path.exists(estate.at("data", "replaced"))


@pytest.mark.slow
def test_what_a_key_shows_is_restored_and_no_older_version(tmp_path: Path, server: Server) -> None:
    estate = prepared(tmp_path, server, "versions = true\n", versioned=True)
    for content in (b"one", b"two!", b"three"):
        estate.server.client.put_object(Bucket=estate.bucket, Key="kept/f", Body=content)
    came = estate.scanned().run("restore", to="far")
    assert came.counts == {"DONE": 1}, estate.reasons(came.job_id)
    assert Path(os.fsdecode(estate.at("far", "f"))).read_bytes() == b"three"


def test_a_copy_below_a_version_with_another_content_is_not_restored_from_its_key(tmp_path: Path) -> None:
    estate = prepared(tmp_path, stores.weed(), "versions = true\n", versioned=True)
    where = estate.write("data", "f", b"precious")
    for content in (b"precious", b"encrypted"):
        estate.server.client.put_object(Bucket=estate.bucket, Key="kept/f", Body=content)
    estate.scanned()
    copies = estate.ask("sql", "SELECT match, usable FROM copies WHERE copy_volume = 'vault'", "--format", "json").data
    assert [(one["match"], one["usable"]) for one in copies] == [("content", "yes")]
    os.unlink(where)
    made = estate.plan("restore", to="data", where="volume = 'data'")
    assert refusals(made) == {"f": "changed_since_scan"}
    assert details(made) == ["it is gone; vault:f: it holds another content now, as it was read last; look for its older versions"]
    estate.write("data", "f", b"precious")
    estate.write("data", "same", b"precious")
    estate.scanned()
    os.unlink(where)
    made = estate.approved("restore", to="data", where="volume = 'data' AND path = 'f'")
    [reason] = [row["reason"] for batch in made.rows("steps.parquet", 1) for row in batch]
    assert "from another file with its content, not from vault:f: it holds another content now" in reason
    came = estate.carried_out(made)
    assert came.counts == {"DONE": 1}, estate.reasons(came.job_id)
    assert Path(os.fsdecode(where)).read_bytes() == b"precious"


@pytest.mark.slow
def test_objects_are_stored_in_the_class_that_is_configured(tmp_path: Path) -> None:
    estate = prepared(tmp_path, stores.weed(), 'storage_class = "STANDARD_IA"\n')
    estate.write("data", "f", b"content")
    estate.scanned().run("copy", to="vault")
    assert estate.object("f")["StorageClass"] == "STANDARD_IA"


@pytest.mark.slow
def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    estate = prepared(tmp_path, stores.weed())
    where = estate.write("data", "f", b"")
    block = os.urandom(1 << 20)
    with open(where, "wb") as file:
        for _ in range(300):
            file.write(block)
    estate.scanned()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert estate.run("copy", to="vault").counts == {"DONE": 1}
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10 < 200  # MiB


@pytest.mark.slow
def test_no_secret_of_the_store_is_kept_or_told(tmp_path: Path) -> None:
    estate = prepared(tmp_path, stores.weed())
    estate.write("data", "f", b"content")
    estate.scanned().run("archive", to="vault")
    told = estate.ask("volume", "check", "vault")
    assert SECRET.encode() not in told.out + told.err.encode()
    held = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert held == []
    listed = estate.server.client.list_objects_v2(Bucket=estate.bucket)["Contents"]
    assert all(SECRET.encode() not in estate.server.client.get_object(Bucket=estate.bucket, Key=one["Key"])["Body"].read() for one in listed)
