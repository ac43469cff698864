"""Objects are taken out of buckets that keep versions, on real servers: a delete marker hides the version that was verified, and nothing else."""

import base64
import datetime
import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from catalog import hashes, ours, store
from catalog.errors import UnreachableError
from catalog.store import StoreError
from lifecycle import job
from lifecycle.stores import _bucket
from lifecycle.stores._object_quarantine import Hidden
from tests.lifecycle import buckets
from tests.lifecycle.buckets import Buckets
from tests.lifecycle.grounds import DAY_US, details, refusals
from tests.lifecycle.proxy import Fault, Kind, Proxy
from tests.scanners.stores import Server

pytestmark = pytest.mark.slow_but_first  # each makes, scans and works on an estate
BODY = b"content that matters\n" * 100
LINES = "versions = true\n"
AT_MOST = 1  # of the requests of an act at which a process ends; more by hand


class KilledError(BaseException):
    """A process ends there."""


def holding(folder: Path, server: Server, *paths: str, endpoint: str | None = None, **options: bool) -> Buckets:
    """With objects in the bucket alone."""
    estate = buckets.made(folder, server, LINES, endpoint=endpoint, **({"versioned": True} | options))
    for path in paths:
        stored(estate, path, BODY + path.encode())
    return estate.prepared().scanned()


def stored(estate: Buckets, path: str, body: bytes) -> str:
    """Store an object as anybody does; gives its version."""
    return str(estate.server.client.put_object(Bucket=estate.bucket, Key=f"kept/{path}", Body=body).get("VersionId", ""))


def versions(estate: Buckets, path: str = "") -> dict[str, str]:
    """All versions and delete markers below a path but those of ours, and what each is."""
    found = estate.server.client.list_object_versions(Bucket=estate.bucket, Prefix=f"kept/{path}")
    told = {one["VersionId"]: "object" for one in found.get("Versions", []) if "/.lastcopy/" not in one["Key"]}
    return told | {one["VersionId"]: "marker" for one in found.get("DeleteMarkers", []) if "/.lastcopy/" not in one["Key"]}


def notes(estate: Buckets) -> list[str]:
    found = estate.server.client.list_object_versions(Bucket=estate.bucket, Prefix="kept/.lastcopy/quarantine/")
    return [one["Key"] for one in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]]


def archived(estate: Buckets) -> job.Outcome:
    return estate.run("archive", to="far", where="volume = 'vault'")


@contextmanager
def requests(act: Callable[[int], bool]) -> Iterator[None]:
    """Has something happen at each request to the store, by its number, before it is sent; and, where that says so, once it is answered."""
    really, numbers = store.Store._sent, itertools.count()

    def sent(of: store.Store, *given: Any) -> Any:  # noqa: ANN401  # as it takes
        after = act(next(numbers))
        answer = really(of, *given)
        if after:
            answer.close()
            raise KilledError
        return answer

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store.Store, "_sent", sent)
        yield


def killed(at: int, *, before: bool) -> AbstractContextManager[None]:
    """The process ends at a request: before the store has it, or once the store has done it."""

    def act(number: int) -> bool:
        if number >= at and before:
            raise KilledError
        return number >= at

    return requests(act)


def counted(act: Callable[[], object]) -> int:
    """How many requests something takes."""
    last = -1

    def count(number: int) -> bool:
        nonlocal last
        last = number
        return False

    with requests(count):
        act()
    return last + 1


def _killed_and_resumed(estate: Buckets, act: str, path: str, at: int, *, before: bool) -> None:
    """An act whose process ends: the version is there, or, once it is purged, the copy; and all is as it is to be once the act is gone on with."""
    shown, body = f"{act} killed at {at}, {'before' if before else 'after'}", BODY + path.encode()
    [version], was = versions(estate, path), len(notes(estate))
    carry_out = estate.begun(act, path)
    with killed(at, before=before), pytest.raises(KilledError):
        carry_out()
    there = versions(estate, path)
    assert there.get(version) == "object" or act == "purge", f"{shown}: it is gone"
    came = carry_out()
    assert came.complete, f"{shown}: {came}, {estate.reasons(came.job_id)}"
    told = {"archive": ["marker", "object"], "undo": ["object"], "purge": []}[act]
    assert sorted(versions(estate, path).values()) == told, shown
    if act == "archive":
        assert estate.undone(came.job_id).complete, shown
    if act != "purge":
        assert list(versions(estate, path)) == [version], shown
        assert estate.object(path)["Body"] == body, shown
    else:
        assert Path(os.fsdecode(estate.at("far", path))).read_bytes() == body, shown
    assert len(notes(estate)) == was, f"{shown}: {notes(estate)}"


def test_what_was_archived_is_hidden_shown_again_and_purged_and_recalled(tmp_path: Path, server: Server) -> None:
    estate = holding(tmp_path, server, "a/f", "g")
    first = versions(estate)
    came = archived(estate)
    assert came.counts == {"QUARANTINED": 2}, estate.reasons(came.job_id)
    assert estate.keys() == []
    assert first.items() <= versions(estate).items()
    assert sorted(versions(estate).values()) == ["marker", "marker", "object", "object"]
    assert Path(os.fsdecode(estate.at("far", "a/f"))).read_bytes() == BODY + b"a/f"
    estate.scanned()
    assert estate.ask("sql", "SELECT path FROM entries WHERE volume = 'vault' AND type = 'object'", "--format", "json").data == []
    assert estate.ask("sql", "SELECT count(*) AS n FROM copies WHERE copy_volume = 'vault'", "--format", "json").data == [{"n": 0}]
    assert estate.undone(came.job_id).complete
    assert estate.object("a/f")["Body"] == BODY + b"a/f"
    assert versions(estate) == first
    assert notes(estate) == []
    estate.scanned()
    again = archived(estate)
    assert again.counts == {"QUARANTINED": 2}, estate.reasons(again.job_id)
    estate.now_us += 40 * DAY_US
    purged = estate.run("purge")
    assert purged.counts == {"DONE": 2}, estate.reasons(purged.job_id)
    assert (versions(estate), notes(estate)) == ({}, [])
    assert estate.undone(again.job_id).complete
    assert estate.object("a/f")["Body"] == BODY + b"a/f"
    assert estate.ask("audit", "verify").code == 0


def test_what_is_hidden_is_no_copy_through_another_volume_of_the_bucket_either(tmp_path: Path, server: Server) -> None:
    estate = holding(tmp_path, server, "f")
    whole = estate.server.declared(estate.bucket)
    estate.configure(
        f"""
        [volumes.whole]
        url = "{whole["url"]}"
        endpoint = "{whole["endpoint"]}"
        credentials_file = "{whole["credentials_file"]}"
        role = "backup"
        of = ["far"]
        versions = true
        """
    )
    asked = ("sql", "SELECT path FROM entries WHERE volume = 'whole' AND type = 'object' AND path NOT LIKE '%.lastcopy/%'", "--format", "json")
    estate.scanned()
    assert estate.ask(*asked).data == [{"path": "kept/f"}]
    came = archived(estate)
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    estate.scanned()
    assert estate.ask(*asked).data == []
    assert estate.ask("sql", "SELECT count(*) AS n FROM copies WHERE copy_volume = 'whole'", "--format", "json").data == [{"n": 0}]


def test_older_versions_stay_hidden_when_the_one_above_them_is_purged(tmp_path: Path, server: Server) -> None:
    estate = holding(tmp_path, server)
    older, newer = stored(estate, "f", b"older"), stored(estate, "f", BODY)
    estate.scanned()
    came = archived(estate)
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    estate.now_us += 40 * DAY_US
    assert estate.run("purge").counts == {"DONE": 1}
    left = versions(estate)
    assert left.pop(older) == "object"
    assert newer not in left
    assert list(left.values()) == ["marker"]
    assert estate.keys() == []


def at_the_last_moment(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], then: Callable[[], object] = lambda: None) -> None:
    """Has something happen just before the first delete marker is put, and just after."""
    really, turns = _bucket.Bucket.hide, [act]

    def hide(bucket: _bucket.Bucket, *given: Any) -> Any:  # noqa: ANN401  # as it takes
        if turns:
            turns.pop()()
            came = really(bucket, *given)
            then()
            return came
        return really(bucket, *given)

    monkeypatch.setattr(_bucket.Bucket, "hide", hide)


def test_a_newer_version_that_comes_at_the_last_moment_shows(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = holding(tmp_path, server, "f")
    at_the_last_moment(monkeypatch, lambda: stored(estate, "f", b"newer"))
    came = archived(estate)
    assert came.counts == {"SOURCE_CHANGED": 1}, estate.reasons(came.job_id)
    assert estate.object("f")["Body"] == b"newer"
    assert list(versions(estate).values()) == ["object", "object"]
    assert notes(estate) == []


def test_a_newer_version_that_a_killed_run_hid_is_shown_by_the_next(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store lets no marker depend on what shows, or does not heed it."""
    estate = holding(tmp_path, server, "f")
    really = _bucket.Bucket._written

    def written(bucket: _bucket.Bucket, method: str, key: bytes, query: Any, headers: Any, body: bytes) -> Any:  # noqa: ANN401  # as it takes
        return really(bucket, method, key, query, {} if method == "DELETE" else headers, body)

    def ended() -> None:
        raise KilledError

    monkeypatch.setattr(_bucket.Bucket, "_written", written)
    at_the_last_moment(monkeypatch, lambda: stored(estate, "f", b"newer"), ended)
    made = estate.approved("archive", to="far", where="volume = 'vault'")
    with pytest.raises(KilledError):
        estate.carried_out(made)
    assert estate.keys() == []
    came = estate.carried_out(made)
    assert came.counts == {"SOURCE_CHANGED": 1}, estate.reasons(came.job_id)
    assert estate.object("f")["Body"] == b"newer"
    assert list(versions(estate).values()) == ["object", "object"]


@pytest.mark.parametrize("kind", ["lose_answer", "cut_request"])
def test_a_marker_is_put_once_whatever_becomes_of_its_request(tmp_path: Path, server: Server, network: Proxy, kind: Kind) -> None:
    estate = holding(tmp_path, server, "f", endpoint=network.endpoint)
    network.faults = [Fault("DELETE", "/kept/f", kind)]
    made = estate.approved("archive", to="far", where="volume = 'vault'")
    with suppress(UnreachableError):
        estate.carried_out(made)
    assert network.faults[0].times == 0
    came = estate.carried_out(made)
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    assert sorted(versions(estate).values()) == ["marker", "object"]
    network.faults = [Fault("DELETE", "/kept/f", kind)]
    with suppress(UnreachableError):
        estate.undone(came.job_id)
    assert estate.undone(came.job_id).complete
    assert list(versions(estate).values()) == ["object"]
    assert estate.object("f")["Body"] == BODY + b"f"


@pytest.mark.parametrize("act", ["stored", "deleted"])
def test_what_somebody_did_to_the_name_since_stays(tmp_path: Path, server: Server, act: str) -> None:
    estate = holding(tmp_path, server, "f")
    [version] = versions(estate)
    came = archived(estate)
    theirs = stored(estate, "f", b"since") if act == "stored" else ""
    if act == "deleted":
        theirs = estate.server.client.delete_object(Bucket=estate.bucket, Key="kept/f").get("VersionId", "")
    back = estate.undone(came.job_id)
    if not theirs:  # Ceph puts no marker over another
        assert back.complete
        return
    assert back.counts == {"CONFLICT": 1}
    assert version in estate.reasons(back.job_id)
    assert {version, theirs} <= versions(estate).keys()
    estate.server.client.delete_object(Bucket=estate.bucket, Key="kept/f", VersionId=theirs)
    assert estate.undone(came.job_id).complete
    assert estate.object("f")["Body"] == BODY + b"f"


def test_what_somebody_deletes_at_the_last_moment_stays_deleted(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = holding(tmp_path, server, "f")
    at_the_last_moment(monkeypatch, lambda: estate.server.client.delete_object(Bucket=estate.bucket, Key="kept/f"))
    came = archived(estate)
    assert came.counts.keys() <= {"SOURCE_CHANGED", "QUARANTINED"}, estate.reasons(came.job_id)  # nobody can tell whose marker it is
    assert estate.keys() == []
    assert sorted(versions(estate).values()) == ["marker", "object"]


def forged(estate: Buckets, key: str, path: str, version: str, marker: str) -> None:
    """Write notes as jobs have them; whoever may store objects can."""
    raw = path.encode()
    text = json.dumps({"path": base64.b64encode(raw).decode(), "version": version, "before": []}).encode()
    for name, body in ((ours.hidden(hashes.of_path(raw), version).decode(), text), (f"marker/{marker}", b"")):
        estate.server.client.put_object(Bucket=estate.bucket, Key=f"kept/.lastcopy/quarantine/{key}/{name}", Body=body)


def test_notes_that_somebody_wrote_make_a_job_remove_no_version(tmp_path: Path, server: Server) -> None:
    estate = holding(tmp_path, server)
    older, newer = stored(estate, "f", b"older"), stored(estate, "f", b"newer")
    forged(estate, "j0123456789-1-1", "f", older, newer)
    estate.ask("job", "rebuild")
    assert versions(estate) == {older: "object", newer: "object"}
    assert estate.object("f")["Body"] == b"newer"


def test_notes_under_the_key_of_a_step_to_come_make_it_remove_no_version(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = holding(tmp_path, server, "f")
    [version] = versions(estate)
    really = Hidden.hide

    def hide(hidden: Hidden, path: bytes, key: str, expected: Any) -> Any:  # noqa: ANN401  # as it takes
        forged(estate, key, "f", "unknown", version)
        return really(hidden, path, key, expected)

    monkeypatch.setattr(Hidden, "hide", hide)
    came = archived(estate)
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    assert versions(estate)[version] == "object"
    assert estate.undone(came.job_id).complete
    assert list(versions(estate)) == [version]


def test_a_marker_whose_request_was_sent_twice_is_known_as_ours(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As who passes requests on may do; a store that heeds the condition refuses the second one."""
    estate = holding(tmp_path, server, "f")
    really = _bucket.Bucket.hide

    def hide(bucket: _bucket.Bucket, *given: Any) -> Any:  # noqa: ANN401  # as it takes
        with suppress(StoreError):
            really(bucket, *given)
        return really(bucket, *given)

    monkeypatch.setattr(_bucket.Bucket, "hide", hide)
    came = archived(estate)
    monkeypatch.undo()
    estate.ask("job", "rebuild")
    if came.counts == {"QUARANTINED": 1}:
        assert estate.undone(came.job_id).complete
    assert [told for told in versions(estate).values() if told == "object"] == ["object"]
    assert estate.object("f")["Body"] == BODY + b"f"


def test_who_stores_and_deletes_after_a_killed_run_keeps_what_he_did(tmp_path: Path, server: Server) -> None:
    estate = holding(tmp_path, server, "f")
    made = estate.approved("archive", to="far", where="volume = 'vault'")
    at_the_end = counted(lambda: estate.carried_out(made))
    assert at_the_end
    came = estate.carried_out(made)
    ours_put = next(version for version, told in versions(estate).items() if told == "marker")
    for note in notes(estate):
        if "/marker/" in note:
            estate.server.client.delete_object(Bucket=estate.bucket, Key=note)  # as where the run was killed before it wrote that down
    estate.server.client.delete_object(Bucket=estate.bucket, Key="kept/f", VersionId=ours_put)
    stored(estate, "f", b"theirs")
    estate.server.client.delete_object(Bucket=estate.bucket, Key="kept/f")
    assert estate.undone(came.job_id).counts == {"CONFLICT": 1}
    assert estate.keys() == []


def test_a_locked_version_is_hidden_and_not_purged_before_its_time(tmp_path: Path, server: Server) -> None:
    estate = holding(tmp_path, server, locked=True)
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=90)
    lock: dict[str, Any] = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    version = estate.server.client.put_object(Bucket=estate.bucket, Key="kept/f", Body=BODY, **lock)["VersionId"]
    came = archived(estate.scanned())
    assert came.counts == {"QUARANTINED": 1}, estate.reasons(came.job_id)
    estate.now_us += 40 * DAY_US
    purged = estate.run("purge")
    assert purged.counts == {"REFUSED": 1}, estate.reasons(purged.job_id)
    assert "a lock keeps its version until" in estate.reasons(purged.job_id)
    assert versions(estate)[version] == "object"
    assert estate.undone(came.job_id).complete


@pytest.mark.slow  # dozens of jobs
def test_a_run_that_is_killed_at_any_request_loses_nothing_and_the_next_finishes(tmp_path: Path, server: Server) -> None:
    everyone = [f"d{number:03d}" for number in range(3 * (AT_MOST + 1))]
    estate, names = holding(tmp_path, server, *everyone), iter(everyone)
    for turn, act in enumerate(("archive", "undo", "purge")):
        total = counted(estate.begun(act, next(names)))
        for at in range(total // (2 * AT_MOST), total, max(1, total // AT_MOST))[:AT_MOST]:
            _killed_and_resumed(estate, act, next(names), at, before=turn == 1)
    assert len(notes(estate)) == 2  # of what was archived to count
    assert estate.ask("audit", "verify").code == 0


def test_a_bucket_without_versions_is_refused_and_so_is_an_object_from_before_it_had_any(tmp_path: Path, server: Server) -> None:
    estate = holding(tmp_path, server, "f", "below", versioned=False)
    made = estate.plan("archive", to="far", where="volume = 'vault'")
    assert refusals(made) == {"f": "not_supported", "below": "not_supported"}
    assert "keeps no versions" in next(iter(details(made)))
    estate.server.client.put_bucket_versioning(Bucket=estate.bucket, VersioningConfiguration={"Status": "Enabled"})
    stored(estate, "below", b"over one from before")
    came = archived(estate.prepared("vault").scanned())
    assert came.counts == {"REFUSED": 2}, estate.reasons(came.job_id)
    assert "from before its bucket kept versions" in estate.reasons(came.job_id)
    assert estate.object("f")["Body"] == BODY + b"f"


def test_a_lost_journal_is_made_anew_and_what_is_hidden_shows_again(tmp_path: Path, server: Server) -> None:
    estate = holding(tmp_path, server, "d/f")
    assert archived(estate).counts == {"QUARANTINED": 1}
    for found in (estate.root / "journal").iterdir():
        found.unlink()
    estate.ask("job", "rebuild")
    assert estate.object("d/f")["Body"] == BODY + b"d/f"
    assert (list(versions(estate).values()), notes(estate)) == (["object"], [])
