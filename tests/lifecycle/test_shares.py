"""Files go to a share by SMB and come back, on a real server: contents, times and names, over nothing that was there."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import UnreachableError
from catalog.ours import TEMPORARY
from lifecycle import stores
from lifecycle.ends import EndError
from lifecycle.stores import smb
from lifecycle.stores._share import EVERYBODY, WRITE, Share
from lifecycle.stores._share_files import StagedFile
from scanners import _smb
from tests.lifecycle import wires
from tests.lifecycle.chaos.line import Break
from tests.lifecycle.chaos.sweeps import network
from tests.lifecycle.grounds import details, paths, refusals
from tests.lifecycle.hosts import Hosts
from tests.scanners import smbd
from tests.scanners.smbd import Server

STRIDE = 16  # of the requests at which a connection is lost; the long sweeps break the line itself
MODIFIED_NS, ACCESSED_NS = 1_577_836_800_123_456_700, 1_577_836_801_000_000_000
KEY = "jtest-1-1"


@pytest.fixture
def estate(tmp_path: Path, smb_server: Server) -> Hosts:
    folder = smb_server.share / tmp_path.name
    folder.mkdir()
    return Hosts(folder, server=smb_server)


@pytest.fixture
def store(estate: Hosts) -> Iterator[smb.Store]:
    estate.ready()
    with closing(stores.connect(estate.config, "vault")) as found:
        assert isinstance(found, smb.Store)
        yield found


@pytest.mark.slow
def test_files_are_archived_and_recalled_to_the_bit(estate: Hosts) -> None:
    content = {
        b"a/small": b"small",
        b"a/hole": b"x" + bytes(3 << 20) + b"y",
        "d/\u202egnp.exe".encode(): os.urandom(5 << 20),
        b" lead/=cmd()'; DROP TABLE x": b"1",
    }
    for path, body in content.items():
        where = estate.write("data", path, body)
        os.chown(where, 1234, 2345)
        os.chmod(where, 0o640)
        os.utime(where, ns=(ACCESSED_NS, MODIFIED_NS))
    os.setxattr(estate.at("data", b"a/small"), "user.note", b"lost")
    estate.ready()
    came = estate.run("archive", to="vault", where="path LIKE 'a/%' OR path LIKE 'd/%' OR path LIKE ' lead%'")
    assert came.counts == {"QUARANTINED": len(content)}, estate.reasons(came.job_id)
    assert {path: body for path, body in estate.kept().items() if path in content} == content
    told = {loss for loss in estate.losses(came.job_id) if not loss.startswith("folder ")}
    assert told == {"owner 1234:2345 (a share keeps none)", "mode 0640 (a share keeps none)", "extended attribute user.note"}
    assert {os.stat(estate.at("vault", path)).st_mtime_ns for path in content} == {MODIFIED_NS}
    back = estate.run("recall")
    assert back.counts == {"DONE": len(content)}, estate.reasons(back.job_id)
    for path, body in content.items():
        assert Path(os.fsdecode(estate.at("data", path))).read_bytes() == body
        assert os.stat(estate.at("data", path)).st_mtime_ns == MODIFIED_NS
    assert set(estate.losses(back.job_id)) == {"owner and mode: a share does not tell them"}
    assert estate.ask("audit", "verify").code == 0


@pytest.mark.slow
def test_what_was_copied_is_found_by_the_next_scan_with_the_number_that_it_had(estate: Hosts) -> None:
    estate.write("data", "f", b"content of it")
    estate.ready()
    came = estate.run("copy", to="vault")
    assert came.counts == {"DONE": 1}, estate.reasons(came.job_id)
    estate.scanned()
    [row] = estate.ask("sql", "SELECT copy_volume, match, verification_level FROM copies WHERE volume = 'data' AND path = 'f'", "--format", "json").data
    assert (row["copy_volume"], row["match"], row["verification_level"]) == ("vault", "content", 3)
    with estate.journal() as journal:
        [found] = [record.target_fingerprint for record in journal.records(came.job_id)]
    assert found is not None
    [row] = estate.ask("sql", "SELECT fs_id, inode FROM entries WHERE volume = 'vault' AND path = 'f'", "--format", "json").data
    assert (row["fs_id"], row["inode"]) == (found.fs_id, found.inode)


@pytest.mark.slow
def test_names_that_no_share_has_are_refused_and_never_changed(estate: Hosts) -> None:
    odd = [b"a:stream", b"back\\slash", b"what?", b"new\nline", b"dot.", b"trail ", b"CON", b"nul.txt", "é".encode() + b"\xff", b"d./f"]
    for path in (*odd, b"plain"):
        estate.write("data", path, path)
    estate.ready()
    made = estate.plan("archive", to="vault")
    assert paths(made) == [b"plain"]
    assert len(refusals(made)) == len(odd), refusals(made)
    assert any("takes the point or the space" in told for told in details(made))
    assert estate.kept() == {}


def test_a_name_that_is_another_in_other_case_is_refused_and_hurts_nothing(estate: Hosts, store: smb.Store) -> None:
    estate.write("vault", "Name", b"somebody's")
    estate.write("vault", "Folder/x", b"somebody's")
    for path in (b"NAME", b"folder/y"):
        with pytest.raises(EndError, match=r"REFUSED.*for one"):
            store.stage(path, KEY)
        with pytest.raises(EndError, match=r"REFUSED.*for one"):
            store.look(path)
    staged = store.stage(b"new", KEY)
    staged.close()
    store.publish(b"new", KEY, staged.inode)
    assert estate.kept() == {b"Name": b"somebody's", b"Folder/x": b"somebody's", b"new": b""}
    able = store.capabilities
    assert able is not None
    assert (able.folds_case, able.stable_inodes, able.sync_directories, able.time_step_ns) == (True, True, True, 100)


@pytest.mark.slow
def test_of_two_files_whose_names_differ_by_case_alone_one_is_refused(estate: Hosts) -> None:
    estate.write("data", "Name", b"one")
    estate.write("data", "name", b"another")
    estate.ready()
    made = estate.plan("archive", to="vault")
    assert (len(paths(made)), len(refusals(made))) == (1, 1)


def test_nobody_writes_through_the_server_to_what_was_read_back_until_it_has_its_name(estate: Hosts, store: smb.Store) -> None:
    staged = store.stage(b"f", KEY)
    staged.write(memoryview(b"content"))
    staged.sync()
    staged.digest()
    with closing(stores.connect(estate.config, "vault")) as other:
        assert isinstance(other, smb.Store)
        place = other._files.at(b".lastcopy~jtest-1-1~.part")
        with pytest.raises(other._files.refused), other._files.opened(place, WRITE):
            pass
        found = store.publish(b"f", KEY, staged.inode, read_back=staged.read_back)
        with pytest.raises(other._files.refused), other._files.opened(b"f", WRITE):
            pass
        staged.close()
        with other._files.opened(b"f", WRITE) as opened:
            other._files.share.write(opened, 0, memoryview(b"another"))
            with pytest.raises(EndError, match="SOURCE_BUSY"):
                store.open(b"f", found)


def _read_back(estate: Hosts, store: smb.Store) -> tuple[StagedFile, Path]:
    """A copy that was read back and let go of, and where it lies on the server."""
    staged = store.stage(b"f", KEY)
    staged.write(memoryview(b"content"))
    staged.sync()
    staged.digest()
    staged.close()
    temporary = Path(os.fsdecode(estate.at("vault", ".lastcopy~jtest-1-1~.part")))
    return staged, temporary


def test_what_is_renamed_is_what_was_read_back_whatever_has_its_name(estate: Hosts, store: smb.Store) -> None:
    staged, temporary = _read_back(estate, store)
    temporary.rename(temporary.with_name("aside"))
    temporary.write_bytes(b"evil it")
    with pytest.raises(EndError, match="FAILED"):
        store.publish(b"f", KEY, staged.inode, read_back=staged.read_back)
    with pytest.raises(EndError, match="CONFLICT"):
        store.discard(b"f", KEY, staged.inode)
    assert store.look(b"f") is None


def test_a_file_with_the_number_of_ours_and_other_content_is_not_taken_for_it(estate: Hosts, store: smb.Store) -> None:
    staged, temporary = _read_back(estate, store)
    temporary.rename(temporary.with_name("f"))
    assert store.publish(b"f", KEY, staged.inode, read_back=staged.read_back) == store.look(b"f")
    temporary.with_name("f").write_bytes(b"another's, longer")
    with pytest.raises(EndError, match=r"CONFLICT.*something else is there"):
        store.publish(b"f", KEY, staged.inode, read_back=staged.read_back)


@pytest.mark.parametrize("text", ["elsewhere", "deep/elsewhere"])
def test_a_link_in_the_place_of_a_folder_leads_nowhere(estate: Hosts, store: smb.Store, text: str) -> None:
    estate.write("vault", f"{text}/x", b"theirs")
    os.symlink(text, estate.at("vault", "d"))
    with pytest.raises(EndError, match="REFUSED"):
        store.stage(b"d/f", KEY)
    assert store.look(b"d/x") is None
    assert os.listdir(estate.at("vault", text)) == [b"x"]


@pytest.mark.slow
def test_a_copy_whose_rename_was_not_heard_of_is_known_by_its_number(estate: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    estate.write("data", "f", b"content")
    estate.ready()
    made, really = estate.approved("archive", to="vault"), Share.rename

    def rename(share: Share, *given: Any) -> None:  # noqa: ANN401  # what it is given
        really(share, *given)
        share._gone = UnreachableError("cut by the test")
        raise share._gone

    with monkeypatch.context() as patched:
        patched.setattr(Share, "rename", rename)
        came = estate.carried_out(made)
    assert came.counts == {"VERIFIED": 1}, estate.reasons(came.job_id)
    with estate.journal() as journal:
        assert [record.temp_inode for record in journal.records(came.job_id)] == [os.stat(estate.at("vault", "f")).st_ino]
    monkeypatch.setattr(Share, "write", None)  # it is not made again
    assert estate.resume(came.job_id).counts == {"QUARANTINED": 1}


def test_a_share_that_is_declared_twice_is_refused(estate: Hosts) -> None:
    vault = (estate.folder / "lastcopy.toml").read_text().partition("[volumes.vault]")[2].partition("[volumes.far]")[0]
    estate.configure(again=f"[volumes.again]{vault}")
    assert "same storage" in estate.ask("volume", "prepare", "vault", code=5).err


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False], ids=["request lost", "answer lost"])
def test_a_connection_that_is_lost_at_any_request_loses_nothing_and_resume_finishes(estate: Hosts, before: bool) -> None:
    body = os.urandom(1 << 20)
    everyone = [f"d{number:03d}/f" for number in range(12)]
    for path in everyone:
        estate.write("data", path, body)
    estate.ready()
    total, names = wires.requests_of(estate, everyone.pop()), iter(everyone)
    assert total // STRIDE < len(everyone)
    for at in range(0 if before else STRIDE // 2, total, STRIDE):
        estate.archive_and_resume(next(names), wires.cut(estate.server, at, before=before), f"at {at}")
    assert not [path for path in estate.kept() if TEMPORARY in path]
    assert estate.ask("audit", "verify").code == 0


@pytest.mark.slow_but_first
@pytest.mark.parametrize("way", ["write", "block"])
def test_a_bit_that_is_other_than_it_was_written_is_found_and_nothing_is_taken_away(estate: Hosts, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    estate.write("data", "f", b"content of the file")
    estate.ready()
    made = estate.approved("archive", to="vault")
    write, block = Share.write, Share.block
    if way == "write":
        monkeypatch.setattr(Share, way, lambda share, opened, at, sent: write(share, opened, at, memoryview(bytes(sent).replace(b"content of", b"content oF"))))
    else:
        monkeypatch.setattr(Share, way, lambda *given: block(*given).replace(b"content of", b"content oF"))
    came = estate.carried_out(made)
    assert came.counts == {"FAILED": 1}, estate.reasons(came.job_id)
    assert "gave back other content" in estate.reasons(came.job_id)
    assert Path(os.fsdecode(estate.at("data", "f"))).read_bytes() == b"content of the file"
    assert b"f" not in estate.kept()


@pytest.mark.slow
@pytest.mark.parametrize("broken", [Break("cut", up=True, at=20_000), Break("lost reply", up=True, at=30_000), Break("stall", up=True, at=25_000)], ids=str)
def test_of_a_line_that_breaks_in_the_middle_of_a_file_resume_makes_the_best(
    tmp_path: Path, smb_server: Server, broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_smb, "_SILENT_SECONDS", 2)
    with network.share(smb_server, tmp_path.name) as far:
        far.written(1)
        made = far.estate.approved("archive", to="vault")
        far.line.fresh(broken)
        came = far.estate.carried_out(made)
        assert far.line.fired
        assert came.counts.get("QUARANTINED", 0) < 2
        far.line.fresh()
        came = far.estate.resume(came.job_id)
        assert came.counts == {"QUARANTINED": 2}, far.estate.reasons(came.job_id)
        assert far.left() == []


@pytest.mark.slow
def test_a_password_is_nowhere_but_in_its_file(tmp_path: Path, estate: Hosts) -> None:
    secret = tmp_path / "secret"
    secret.write_text(smbd.PASSWORD)
    text = (estate.folder / "lastcopy.toml").read_text()
    (estate.folder / "lastcopy.toml").write_text(text.replace(estate.declared()["password_file"], str(secret)))
    estate.write("data", "f", b"content")
    estate.write("data", "g", b"content of another")
    estate.ready()
    told = estate.reasons(estate.run("archive", to="vault", where="path = 'f'").job_id)
    made = estate.approved("archive", to="vault", where="path = 'g'")
    secret.write_text("canary-7f3a")  # with which nobody is let in
    came = estate.carried_out(made)
    assert came.counts == {"PLANNED": 1}
    said = [estate.ask(*command, code=None) for command in (("volume", "prepare", "vault"), ("audit", "log", "--format", "json"), ("doctor",))]
    told += f"{came} {estate.reasons(came.job_id)} {said}"
    assert "does not let" in told
    everything = [told.encode(), *(file.read_bytes() for file in estate.folder.rglob("*") if file.is_file())]
    assert not [one for one in everything if smbd.PASSWORD.encode() in one or b"canary-7f3a" in one]


def test_a_file_that_somebody_writes_to_is_not_read(estate: Hosts, store: smb.Store) -> None:
    estate.write("vault", "f", b"content")
    found = store.look(b"f")
    assert found is not None
    with closing(stores.connect(estate.config, "vault")) as other:
        assert isinstance(other, smb.Store)
        with other._files.opened(b"f", WRITE, share=EVERYBODY), pytest.raises(EndError, match="SOURCE_BUSY"):
            store.open(b"f", found)
        with closing(store.open(b"f", found)), pytest.raises(other._files.refused), other._files.opened(b"f", WRITE, share=EVERYBODY):
            pass
    assert store.digest(b"f", found) == hashlib.sha256(b"content").digest()


def test_a_link_that_leads_nowhere_is_not_taken_for_a_free_name(estate: Hosts, store: smb.Store) -> None:
    os.symlink("nowhere", estate.at("vault", "f"))
    staged = store.stage(b"f", KEY)
    staged.close()
    with pytest.raises(EndError, match=r"CONFLICT|FAILED"):
        store.publish(b"f", KEY, staged.inode)
    assert os.path.islink(estate.at("vault", "f"))
