"""Files go to another host by SFTP and come back, on a real server: contents, metadata and names, over nothing that was there."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from asyncssh import sftp

from catalog.ours import TEMPORARY
from lifecycle import job, plan, stores
from lifecycle.ends import EndError
from lifecycle.stores._host_files import StagedFile
from tests.lifecycle import wires
from tests.lifecycle.chaos.line import Break
from tests.lifecycle.chaos.sweeps import network
from tests.lifecycle.grounds import paths, refusals
from tests.lifecycle.hosts import Hosts
from tests.lifecycle.wires import Asked
from tests.scanners import smbd, sshd

_READ, _WRITE = 5, 6  # SSH_FXP_READ, SSH_FXP_WRITE
STRIDE = 6  # of the requests at which a connection is lost; the long sweeps break the line itself
MODIFIED_NS, ACCESSED_NS = 1_577_836_800_000_000_000, 1_577_836_801_000_000_000


@pytest.fixture
def estate(tmp_path: Path, ssh_server: sshd.Server) -> Hosts:
    return Hosts(tmp_path, server=ssh_server)


@pytest.fixture(params=["ssh_server", "smb_server"])
def either(tmp_path: Path, request: pytest.FixtureRequest) -> Hosts:
    """An estate whose vault is reached by SFTP, or by SMB."""
    server = request.getfixturevalue(request.param)
    folder = server.share / tmp_path.name if isinstance(server, smbd.Server) else tmp_path
    folder.mkdir(exist_ok=True)
    return Hosts(folder, server=server)


@pytest.mark.slow
def test_files_are_archived_and_recalled_to_the_bit(estate: Hosts) -> None:
    content = {b"a/small": b"small", b"a/hole": b"x" + bytes(3 << 20) + b"y", b"b\n/=cmd()\xff": os.urandom(5 << 20)}
    for path, body in content.items():
        where = estate.write("data", path, body)
        os.chown(where, 1234, 2345)
        os.chmod(where, 0o640)
        os.utime(where, ns=(ACCESSED_NS, MODIFIED_NS))
    os.chmod(estate.at("data", "a"), 0o710)
    before = {path: os.stat(estate.at("data", path)) for path in content}
    estate.ready()
    came = estate.run("archive", to="vault")
    assert came.counts == {"QUARANTINED": len(content)}, estate.reasons(came.job_id)
    assert estate.losses(came.job_id) == []
    assert {path: body for path, body in estate.kept().items() if path in content} == content
    assert stat.S_IMODE(os.stat(estate.at("vault", "a")).st_mode) == 0o710
    assert not any(os.path.exists(estate.at("data", path)) for path in content)
    back = estate.run("recall")
    assert back.counts == {"DONE": len(content)}, estate.reasons(back.job_id)
    for path, body in content.items():
        found = os.stat(estate.at("data", path))
        assert Path(os.fsdecode(estate.at("data", path))).read_bytes() == body
        assert (found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns) == (
            before[path].st_mode,
            before[path].st_uid,
            before[path].st_gid,
            before[path].st_mtime_ns,
        )


@pytest.mark.slow
def test_what_was_copied_is_found_by_the_next_scan(estate: Hosts) -> None:
    where = estate.write("data", "f", b"content of it")
    os.utime(where, ns=(ACCESSED_NS, MODIFIED_NS + 123_456_789))
    os.setxattr(where, "user.note", b"lost")
    estate.ready()
    came = estate.run("copy", to="vault")
    assert came.counts == {"DONE": 1}, estate.reasons(came.job_id)
    assert estate.losses(came.job_id) == ["extended attribute user.note", "modified time 1577836800.123456789 s (is 1577836800.000000000 s)"]
    estate.scanned()
    [row] = estate.ask("sql", "SELECT copy_volume, match, verification_level FROM copies WHERE volume = 'data' AND path = 'f'", "--format", "json").data
    assert (row["copy_volume"], row["match"], row["verification_level"]) == ("vault", "content", 3)


@pytest.mark.slow_but_first
def test_what_is_there_is_never_overwritten_and_what_is_equal_is_taken_for_the_copy(either: Hosts) -> None:
    for name in ("planned", "late", "equal"):
        either.write("data", name, b"ours")
    either.ready()
    either.write("vault", "planned", b"someone else's")
    made = either.plan("archive", to="vault")
    assert (paths(made), refusals(made)) == ([b"equal", b"late"], {"planned": "target_exists_differs"})
    either.write("vault", "late", b"else")
    either.write("vault", "equal", b"ours")
    with either.journal() as journal:
        plan.approve(made, journal, actor="bob", at_us=either.now_us)
    came = either.carried_out(made)
    assert came.counts == {"CONFLICT": 1, "QUARANTINED": 1}, either.reasons(came.job_id)
    assert either.kept() == {b"planned": b"someone else's", b"late": b"else", b"equal": b"ours"}
    assert Path(os.fsdecode(either.at("data", "late"))).read_bytes() == b"ours"
    assert job.undo(either.root, either.config, came.job_id, clock=lambda: either.now_us, actor="ada").complete
    assert Path(os.fsdecode(either.at("data", "equal"))).read_bytes() == b"ours"


@pytest.mark.slow
def test_a_link_in_the_place_of_a_folder_leads_nothing_outside(estate: Hosts, tmp_path: Path) -> None:
    estate.write("data", "d/f", b"ours")
    estate.ready()
    made = estate.approved("archive", to="vault")
    (tmp_path / "outside").mkdir()
    (tmp_path / "vault" / "d").symlink_to(tmp_path / "outside")
    came = estate.carried_out(made)
    assert came.counts == {"REFUSED": 1}, estate.reasons(came.job_id)
    assert list((tmp_path / "outside").iterdir()) == []
    assert os.path.exists(estate.at("data", "d/f"))


def test_a_folder_without_a_preparation_is_not_written_to(either: Hosts) -> None:
    either.write("data", "f", b"content")
    either.prepared("data", "far").scanned()
    made = either.plan("archive", to="vault")
    assert set(refusals(made)) == {"f"}
    assert either.kept() == {}


def test_a_folder_that_is_declared_twice_is_refused(estate: Hosts) -> None:
    vault = (estate.folder / "lastcopy.toml").read_text().partition("[volumes.vault]")[2].partition("[volumes.far]")[0]
    estate.configure(again=f"[volumes.again]{vault}")
    assert "same storage" in estate.ask("volume", "prepare", "vault", code=5).err


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False], ids=["request lost", "answer lost"])
def test_a_connection_that_is_lost_at_any_request_loses_nothing_and_resume_finishes(estate: Hosts, before: bool) -> None:
    body = os.urandom(3 << 20)
    everyone = [f"d{number:03d}/f" for number in range(90)]
    for path in everyone:
        estate.write("data", path, body)
    estate.ready()
    total, names = wires.requests_of(estate, everyone.pop()), iter(everyone)
    assert total < len(everyone)
    for at in range(0, total, STRIDE):
        estate.archive_and_resume(next(names), wires.cut(estate.server, at, before=before), f"at {at}")
    assert not [path for path in estate.kept() if TEMPORARY in path]
    assert estate.ask("audit", "verify").code == 0


@pytest.mark.slow
def test_of_a_connection_that_is_cut_in_the_middle_of_a_file_its_step_tells_and_nobody_else(
    tmp_path: Path, ssh_server: sshd.Server, caplog: pytest.LogCaptureFixture
) -> None:
    with network.host(ssh_server, tmp_path / "estate") as far:
        far.written(1)
        made = far.estate.approved("archive", to="vault")
        far.line.fresh(Break("cut", up=True, at=20_000))
        came = far.estate.carried_out(made)
        assert far.line.fired
        assert "QUARANTINED" not in came.counts or sum(came.counts.values()) > came.counts["QUARANTINED"]
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.slow_but_first
@pytest.mark.parametrize("kind", [_WRITE, _READ], ids=["up", "down"])
def test_a_bit_that_flips_on_the_way_is_found_and_nothing_is_taken_away(estate: Hosts, kind: int) -> None:
    estate.write("data", "f", b"content of the file")
    estate.ready()

    def make(_: int, really: Asked) -> Asked:
        async def flipped(handler: Any, asked: Any, *arguments: Any) -> Any:  # noqa: ANN401  # as above
            if asked != kind:
                return await really(handler, asked, *arguments)
            if kind == _WRITE:
                return await really(handler, asked, *arguments[:-1], arguments[-1].replace(b"content of", b"content oF"))
            data, *rest = await really(handler, asked, *arguments)
            return (data.replace(b"content of", b"content oF"), *rest)

        return flipped

    made = estate.approved("archive", to="vault")
    with wires.ssh(make):
        came = estate.carried_out(made)
    assert came.counts == {"FAILED": 1}, estate.reasons(came.job_id)
    assert "gave back other content" in estate.reasons(came.job_id)
    assert Path(os.fsdecode(estate.at("data", "f"))).read_bytes() == b"content of the file"
    assert b"f" not in estate.kept()


@pytest.mark.slow
def test_a_time_that_the_protocol_cannot_tell_is_a_loss_of_its_file_alone(estate: Hosts) -> None:
    os.utime(estate.write("data", "odd", b"1"), (-1, -1))  # 1969
    estate.write("data", "plain", b"2")
    estate.ready()
    came = estate.run("copy", to="vault")
    assert came.counts == {"DONE": 2}, estate.reasons(came.job_id)
    assert [loss for loss in estate.losses(came.job_id) if loss.startswith("modified time")]


def test_what_lies_in_the_place_of_the_canaries_stays(estate: Hosts, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"1")
    (tmp_path / "vault" / ".lastcopy").mkdir(mode=0o700)
    (tmp_path / "vault" / ".lastcopy" / "canaries-").symlink_to(tmp_path / "precious")
    estate.prepared("vault")
    assert (tmp_path / "precious" / "file").read_bytes() == b"1"
    assert sorted(path.name for path in (tmp_path / "vault" / ".lastcopy").iterdir()) == ["canaries-", "volume.json"]


def test_a_host_that_takes_names_and_texts_of_links_the_other_way_round_makes_none(estate: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    os.symlink(b"somewhere", estate.at("data", "link"))
    estate.write("data", "f", b"1")
    really = sftp.SFTPClient.symlink

    async def turned(client: sftp.SFTPClient, text: bytes, name: bytes) -> None:
        await really(client, name, text)

    monkeypatch.setattr(sftp.SFTPClient, "symlink", turned)
    estate.prepared("data", "vault", "far").scanned()
    able = stores.connect(estate.config, "vault").capabilities
    assert able is not None
    assert not able.symlinks
    with pytest.raises(EndError, match="does not make symbolic links"):
        stores.connect(estate.config, "vault").stage(b"link", "k-0-1", link_target=b"somewhere")
    assert not os.path.lexists(os.path.expanduser("~/somewhere"))


@pytest.mark.slow
def test_what_is_out_of_all_bounds_ends_its_own_step_alone(estate: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("odd", "plain"):
        estate.write("data", name, name.encode())
    estate.ready()
    really = StagedFile.write

    def write(staged: StagedFile, block: memoryview | int) -> None:
        if not isinstance(block, int) and bytes(block) == b"odd":
            raise OverflowError("no number holds it")
        really(staged, block)

    monkeypatch.setattr(StagedFile, "write", write)
    came = estate.run("copy", to="vault")
    assert came.counts == {"DONE": 1, "FAILED": 1}
    assert "no number holds it" in estate.reasons(came.job_id)
    assert estate.kept() == {b"plain": b"plain"}
