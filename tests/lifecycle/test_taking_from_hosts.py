"""Files are taken out of folders of other hosts, by SFTP and by SMB, on real servers: read back first, looked at once they were moved, and given back."""

import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from catalog import names
from catalog.errors import UnreachableError
from lifecycle import retiring, stores
from lifecycle.ends import EndError
from lifecycle.stores import _line, _share_tree
from tests.lifecycle import wires
from tests.lifecycle.grounds import DAY_US, details, paths, refusals
from tests.lifecycle.hosts import Hosts
from tests.scanners import smbd, sshd

pytestmark = pytest.mark.slow_but_first  # each makes, scans and works on an estate
AT_MOST = 1  # of the requests of an act at which a connection is lost; more by hand


class KilledError(BaseException):
    """A process ends there."""


BODY = b"content that matters\n" * 1000


@pytest.fixture(params=["ssh_server", "smb_server"])
def either(tmp_path: Path, request: pytest.FixtureRequest) -> Hosts:
    """An estate whose vault is reached by SFTP, or by SMB."""
    return made(tmp_path, request.getfixturevalue(request.param))


@pytest.fixture
def estate(tmp_path: Path, ssh_server: sshd.Server) -> Hosts:
    return made(tmp_path, ssh_server)


def made(folder: Path, server: sshd.Server | smbd.Server) -> Hosts:
    where = server.share / folder.name if isinstance(server, smbd.Server) else folder
    where.mkdir(exist_ok=True)
    return Hosts(where, server=server)


def holding(estate: Hosts, *paths_: str) -> Hosts:
    """With files on the host alone."""
    for path in paths_:
        estate.write("vault", path, BODY + path.encode())
    return estate.ready()


def states(estate: Hosts, job_id: str) -> list[str]:
    with estate.journal() as journal:
        return [record.state for record in journal.records(job_id)]


def ours(estate: Hosts) -> list[str]:
    """What lies in the host's quarantine."""
    place = Path(os.fsdecode(estate.at("vault", ".lastcopy/quarantine")))
    return sorted(os.listdir(place)) if place.exists() else []


def _cut_and_resumed(estate: Hosts, act: str, path: str, at: int, *, before: bool) -> None:
    """An act whose connection is lost: the content is somewhere at once, and where it is to be once the act is gone on with."""
    shown, body = f"{act} cut at {at}, {'before' if before else 'after'}", BODY + path.encode()
    was = ours(estate)
    carry_out = estate.begun(act, path)
    with wires.cut(estate.server, at, before=before), suppress(UnreachableError):
        came = carry_out()
        assert not came.complete, f"{shown}: {came}"
    there = [estate.at("vault", path), *(estate.at("vault", f".lastcopy/quarantine/{name}") for name in ours(estate))]
    if act == "purge":  # the copy is what it rests on
        there.append(estate.at("far", path))
    assert body in [Path(os.fsdecode(where)).read_bytes() for where in there if os.path.exists(where)], f"{shown}: it is gone"
    came = carry_out()  # a plan that has its job goes on with it
    assert came.complete, f"{shown}: {came}, {estate.reasons(came.job_id)}"
    assert estate.kept().get(path.encode()) == (body if act == "undo" else None), shown
    if act == "archive":
        assert len(ours(estate)) == len(was) + 2, shown
        assert estate.undone(came.job_id).complete
        assert estate.kept()[path.encode()] == body, shown
    assert ours(estate) == was, shown


def test_what_was_archived_rests_in_quarantine_comes_back_and_is_purged_and_recalled(either: Hosts) -> None:
    holding(either, "a/f", "g")
    was = os.stat(either.at("vault", "a/f"))
    came = either.run("archive", to="far", where="volume = 'vault'")
    assert came.counts == {"QUARANTINED": 2}, either.reasons(came.job_id)
    assert either.kept() == {}
    assert Path(os.fsdecode(either.at("far", "a/f"))).read_bytes() == BODY + b"a/f"
    assert len(ours(either)) == 4
    either.scanned()
    assert either.ask("sql", "SELECT path FROM entries WHERE volume = 'vault' AND type = 'file'", "--format", "json").data == []
    assert either.undone(came.job_id).complete
    assert either.kept() == {b"a/f": BODY + b"a/f", b"g": BODY + b"g"}
    assert os.stat(either.at("vault", "a/f")).st_mtime_ns == was.st_mtime_ns
    assert ours(either) == []
    either.scanned()
    again = either.run("archive", to="far", where="volume = 'vault'")
    assert again.counts == {"QUARANTINED": 2}, either.reasons(again.job_id)
    either.now_us += 40 * DAY_US
    purged = either.run("purge")
    assert purged.counts == {"DONE": 2}, either.reasons(purged.job_id)
    assert ours(either) == []
    assert states(either, again.job_id) == ["DONE", "DONE"]
    back = either.undone(again.job_id)
    assert back.complete, back.reasons
    assert either.kept() == {b"a/f": BODY + b"a/f", b"g": BODY + b"g"}
    assert either.ask("audit", "verify").code == 0


def test_a_redundant_copy_on_a_host_is_deleted_and_only_where_another_stays(either: Hosts) -> None:
    for volume in ("data", "vault"):
        either.write(volume, "twice", BODY)
    either.ready()
    came = either.run("delete", report="largest", where="volume = 'vault'")
    assert came.counts == {"QUARANTINED": 1}, either.reasons(came.job_id)
    os.unlink(either.at("data", "twice"))
    either.now_us += 40 * DAY_US
    purged = either.run("purge")
    assert purged.counts == {"REFUSED": 1}, either.reasons(purged.job_id)
    assert either.undone(came.job_id).complete
    assert either.kept() == {b"twice": BODY}


def between(monkeypatch: pytest.MonkeyPatch, estate: Hosts, act: Callable[[], None]) -> None:
    """Has something happen between the last look at a file and its move."""
    if isinstance(estate.server, sshd.Server):
        really = _line.Files.look

        def look(files: _line.Files, path: bytes) -> Any:  # noqa: ANN401  # as it gives
            found = really(files, path)
            if "take" in _callers():
                act()
            return found

        monkeypatch.setattr(_line.Files, "look", look)
        return
    renamed = _share_tree.Tree.take

    def take(tree: _share_tree.Tree, *given: Any) -> None:  # noqa: ANN401  # as it takes
        act()
        renamed(tree, *given)

    monkeypatch.setattr(_share_tree.Tree, "take", take)


def _callers() -> set[str]:
    import sys

    frame, found = sys._getframe(2), set()
    while frame is not None:
        found.add(frame.f_code.co_name)
        frame = frame.f_back  # type: ignore[assignment]  # None at the end
    return found


def test_a_file_that_is_replaced_by_one_like_it_at_the_last_moment_goes_back(either: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    holding(either, "f")
    made_of = either.approved("archive", to="far", where="volume = 'vault'")
    newer = BODY[:-1] + b"!f"
    between(monkeypatch, either, lambda: _replace(either, newer))
    came = either.carried_out(made_of)
    monkeypatch.undo()
    assert came.counts == {"SOURCE_CHANGED": 1}, either.reasons(came.job_id)
    assert either.kept() == {b"f": newer}
    assert [name for name in ours(either) if not name.endswith(".json")] == []


def test_a_run_that_is_killed_before_it_read_what_it_moved_leaves_that_to_the_next(estate: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    holding(estate, "f")
    made_of = estate.approved("archive", to="far", where="volume = 'vault'")
    newer = BODY[:-1] + b"!f"

    def killed(*_: object) -> None:
        raise KilledError

    monkeypatch.setattr(retiring, "is_the_one", killed)
    between(monkeypatch, estate, lambda: _replace(estate, newer))
    with pytest.raises(KilledError):
        estate.carried_out(made_of)
    monkeypatch.undo()
    assert estate.kept() == {}
    came = estate.carried_out(made_of)
    assert came.counts == {"SOURCE_CHANGED": 1}, estate.reasons(came.job_id)
    assert estate.kept() == {b"f": newer}


def _replace(estate: Hosts, content: bytes) -> None:
    """Save a file of the same size and time, as an editor does that keeps times."""
    estate.write("vault", "f.new", content)
    os.rename(estate.at("vault", "f.new"), estate.at("vault", "f"))


def test_a_file_that_came_to_its_name_meanwhile_keeps_it(either: Hosts) -> None:
    holding(either, "f")
    came = either.run("archive", to="far", where="volume = 'vault'")
    either.write("vault", "f", b"saved since")
    back = either.undone(came.job_id)
    assert not back.complete
    assert either.kept() == {b"f": b"saved since"}
    os.unlink(either.at("vault", "f"))
    assert either.resume(back.job_id).complete
    assert either.kept() == {b"f": BODY + b"f"}


def test_what_somebody_writes_to_a_file_in_quarantine_is_not_purged_and_comes_back(either: Hosts) -> None:
    holding(either, "f")
    with open(either.at("vault", "f"), "r+b") as late:  # who works on the host itself is not held off
        came = either.run("archive", to="far", where="volume = 'vault'")
        assert came.counts == {"QUARANTINED": 1}, either.reasons(came.job_id)
        late.write(b"late!")
    either.now_us += 40 * DAY_US
    made_of = either.plan("purge")
    assert refusals(made_of) == {"f": "changed_since_scan"} or either.run("purge").counts.keys() <= {"SOURCE_CHANGED", "STALE"}
    assert either.undone(came.job_id).complete
    assert either.kept()[b"f"][:5] == b"late!"


def test_a_copy_that_is_the_very_file_is_noticed_as_it_goes(estate: Hosts) -> None:
    """Another volume shows the same file, and no number of the host tells."""
    config = estate.folder / "lastcopy.toml"
    config.write_text(config.read_text().replace('url = "far"', 'url = "."'))
    holding(estate, "f")
    came = estate.run("archive", to="far", to_dir="vault", where="volume = 'vault'")
    assert came.counts == {"CONFLICT": 1}, estate.reasons(came.job_id)
    assert "may be this very file" in estate.reasons(came.job_id)
    assert estate.kept() == {b"f": BODY + b"f"}


@pytest.mark.parametrize("text", ["../real", "{folder}/real"], ids=["relative", "absolute"])
def test_a_link_of_the_servers_own_that_a_share_shows_as_a_file_costs_no_content(tmp_path: Path, smb_server: smbd.Server, text: str) -> None:
    """Samba renames the link itself, and would show nothing of one that leads nowhere from the quarantine."""
    estate = made(tmp_path, smb_server)
    holding(estate, "real", "d/other")
    link, leads = Path(os.fsdecode(estate.at("vault", "d/link"))), text.format(folder=estate.folder / "vault")
    link.symlink_to(leads)
    with closing(stores.connect(estate.config, "vault")) as store:
        found = store.look(b"d/link")
        assert found is not None
        if text.startswith(".."):
            with pytest.raises(EndError, match="leads to it"):
                store.quarantine(b"d/link", "jtest-1-1", found)
        else:  # nothing tells
            store.put_back("jtest-1-1", b"d/link", store.quarantine(b"d/link", "jtest-1-1", found))
            assert os.readlink(link) == leads
            store.remove("jtest-1-2", store.quarantine(b"d/link", "jtest-1-2", found))
    assert os.path.lexists(link) == text.startswith("..")
    assert Path(os.fsdecode(estate.at("vault", "real"))).read_bytes() == BODY + b"real"


def test_a_host_that_was_prepared_before_is_to_be_prepared_again_and_leaves_nothing_behind(either: Hosts) -> None:
    holding(either, "f")
    made_of = either.plan("archive", to="far", where="volume = 'vault'", leave="stub")
    assert refusals(made_of) == {"f": "not_supported"}
    assert "leave" in next(iter(details(made_of)))
    either.able("vault", quarantine=False)
    made_of = either.plan("archive", to="far", where="volume = 'vault'")
    assert refusals(made_of) == {"f": "not_supported"}
    assert "volume prepare vault" in next(iter(details(made_of)))
    either.prepared("vault")
    assert paths(either.plan("archive", to="far", where="volume = 'vault'")) == [b"f"]


def test_a_lost_journal_is_made_anew_and_what_lies_on_the_host_goes_back(either: Hosts) -> None:
    path = names.unescape("d/\\xff") if isinstance(either.server, sshd.Server) else b"d/f"
    either.write("vault", path, BODY)
    either.ready()
    came = either.run("archive", to="far", where="volume = 'vault'")
    assert came.counts == {"QUARANTINED": 1}, either.reasons(came.job_id)
    for found in (either.root / "journal").iterdir():
        found.unlink()
    either.ask("job", "rebuild")
    assert either.kept() == {path: BODY}
    assert ours(either) == []


@pytest.mark.slow  # dozens of jobs
def test_a_connection_that_is_lost_at_any_request_of_taking_loses_nothing_and_resume_finishes(either: Hosts) -> None:
    everyone = [f"d{number:03d}/f" for number in range(3 * (AT_MOST + 1))]
    holding(either, *everyone)
    names_of = iter(everyone)
    for turn, act in enumerate(("archive", "undo", "purge")):
        total = wires.counted(either.server, either.begun(act, next(names_of)))
        for at in range(total // (2 * AT_MOST), total, max(1, total // AT_MOST))[:AT_MOST]:
            _cut_and_resumed(either, act, next(names_of), at, before=turn == 1)
    assert either.ask("audit", "verify").code == 0
