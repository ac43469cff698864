"""What lies in an archive of its store is asked back by a job, which waits; the archive is a fake before a real store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.stores._bucket import Bucket
from tests.lifecycle import buckets, icebox
from tests.lifecycle.buckets import Buckets
from tests.lifecycle.icebox import Icebox
from tests.scanners import stores

ASKS = 'restore_for = "36h"\nrestore_tier = "Bulk"\n'
COLD = 'storage_class = "GLACIER"\n'


@pytest.fixture
def box() -> Iterator[Icebox]:
    with icebox.running(stores.weed().endpoint) as found:
        yield found


def archived(folder: Path, box: Icebox, lines: str, **options: bool) -> Buckets:
    """An estate with two files that a job archived to the bucket, where they are in the archive of the store."""
    estate = buckets.made(folder, stores.weed(), lines, endpoint=box.endpoint, **options)
    box.gives = True
    for name in ("one", "two"):
        estate.write("data", name, name.encode())
    estate.prepared().scanned()
    came = estate.run("archive", to="vault")
    assert came.counts == {"QUARANTINED": 2}, estate.reasons(came.job_id)
    box.gives = False
    return estate


def at_home(estate: Buckets) -> dict[str, bytes]:
    found = {name: Path(os.fsdecode(estate.at("data", name))) for name in ("one", "two")}
    return {name: path.read_bytes() for name, path in found.items() if path.exists()}


@pytest.mark.slow
def test_a_recall_asks_for_what_is_in_the_archive_waits_and_goes_on_once_it_is_there(tmp_path: Path, box: Icebox) -> None:
    estate = archived(tmp_path, box, ASKS)
    came = estate.run("recall")
    assert (came.state, came.counts) == ("waiting", {"CLAIMED": 2})
    assert any("vault: files in an archive of its storage were asked back" in reason for reason in came.reasons)
    assert sorted(path.rpartition("/")[2] for path, _ in box.asked) == ["one", "two"]
    assert all(b"<Days>2</Days>" in body and b"<Tier>Bulk</Tier>" in body for _, body in box.asked)
    with estate.journal() as journal:
        assert [event.detail for event in journal.events(came.job_id, kinds=("files_awaited",))] == [{"steps": "1-2"}]
    again = estate.resume(came.job_id)
    assert (again.state, len(box.asked), at_home(estate)) == ("waiting", 2, {})  # nothing is asked for twice
    box.thawed = {next(path for path, _ in box.asked if path.endswith("/two"))}
    assert (estate.resume(came.job_id).state, at_home(estate)) == ("waiting", {"two": b"two"})
    box.thaw()
    assert estate.resume(came.job_id).counts == {"DONE": 2}
    assert at_home(estate) == {"one": b"one", "two": b"two"}


@pytest.mark.slow
def test_without_a_word_of_the_configuration_nothing_is_asked_for(tmp_path: Path, box: Icebox) -> None:
    estate = archived(tmp_path, box, "")
    came = estate.run("recall")
    assert (came.counts, box.asked, at_home(estate)) == ({"FAILED": 2}, [], {})
    assert estate.reasons(came.job_id).count("declare restore_for of volume vault") == 2
    estate.lines = ASKS
    estate.configure()
    assert estate.resume(came.job_id).state == "waiting"
    box.thaw()
    assert estate.resume(came.job_id).counts == {"DONE": 2}


def test_a_store_that_refuses_to_bring_back_ends_the_step_with_its_word(tmp_path: Path, box: Icebox) -> None:
    estate = archived(tmp_path, box, ASKS)
    box.refuses = b"GlacierExpeditedRetrievalNotAvailable"
    came = estate.run("recall")
    assert came.counts == {"FAILED": 2}
    assert estate.reasons(came.job_id).count("GlacierExpeditedRetrievalNotAvailable") == 2
    box.refuses = b"RestoreAlreadyInProgress"
    assert estate.resume(came.job_id).state == "waiting"


@pytest.mark.slow
def test_a_store_that_knows_the_class_and_gives_its_objects_is_asked_for_nothing(tmp_path: Path, box: Icebox) -> None:
    estate = archived(tmp_path, box, ASKS)
    box.gives = True
    assert estate.run("recall").counts == {"DONE": 2}
    assert box.asked == []


@pytest.mark.slow
def test_what_is_in_an_archive_is_never_told_to_be_there_at_once(tmp_path: Path, box: Icebox) -> None:
    estate = buckets.made(tmp_path, stores.weed(), COLD, endpoint=box.endpoint)
    box.gives = True
    estate.write("data", "one", b"one")
    estate.prepared().scanned()
    assert estate.run("copy", to="vault").counts == {"DONE": 1}
    estate.scanned()
    told = estate.ask("explain", "data:one").out.decode()
    assert "in an archive of its store (GLACIER): it must be asked back there before it can be read" in told
    [found] = estate.ask("simulate", "--lose", "volume=data", "--format", "json").data["recalls"]
    assert (found["volume"], found["recall"], found["hours"]) == ("vault", "nearline", None)


def test_what_was_given_up_again_is_asked_for_once_more_at_a_persons_word_alone(tmp_path: Path, box: Icebox) -> None:
    estate = archived(tmp_path, box, ASKS)
    came = estate.run("recall")
    box.thaw()
    box.freeze()
    for _ in range(2):
        assert (estate.resume(came.job_id).counts, len(box.asked)) == ({"FAILED": 2}, 2)
    assert estate.reasons(came.job_id).count(f"'lastcopy job resume {came.job_id} --ask-again' asks, and pays, once more") == 2
    assert (estate.resume(came.job_id, ask_again=True).state, len(box.asked)) == ("waiting", 4)
    box.freeze()
    assert (estate.resume(came.job_id).counts, len(box.asked)) == ({"FAILED": 2}, 4)  # the word was for one time
    estate.now_us += 1_000_000
    other = estate.run("recall")
    assert (other.state, len(box.asked)) == ("waiting", 6)  # the approval of a new plan is such a word, too
    box.thaw()
    assert estate.resume(other.job_id).counts == {"DONE": 2}


def test_what_is_asked_for_is_the_version_that_was_looked_at(tmp_path: Path, box: Icebox) -> None:
    estate = archived(tmp_path, box, ASKS, versioned=True)
    assert estate.run("recall").state == "waiting"
    listed = estate.server.client.list_object_versions(Bucket=estate.bucket)["Versions"]
    latest = {one["VersionId"] for one in listed if one["IsLatest"] and one["Key"].endswith(("/one", "/two"))}
    assert set(box.versions) == latest
    assert len(latest) == 2


def test_a_request_that_may_have_been_sent_counts_as_one(tmp_path: Path, box: Icebox, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = archived(tmp_path, box, ASKS)
    asks = Bucket.ask_back

    def dies(bucket: Bucket, key: bytes, version: str | None, days: int | None, tier: str) -> None:
        asks(bucket, key, version, days, tier)
        raise KeyboardInterrupt

    monkeypatch.setattr(Bucket, "ask_back", dies)
    made = estate.approved("recall")
    with pytest.raises(KeyboardInterrupt):
        estate.carried_out(made)
    monkeypatch.undo()
    box.freeze()
    came = estate.carried_out(made)
    assert (came.counts, len(box.asked)) == ({"FAILED": 2}, 1)


def test_no_copy_is_stored_where_it_could_not_be_read_back(tmp_path: Path, box: Icebox) -> None:
    estate = buckets.made(tmp_path, stores.weed(), endpoint=box.endpoint)
    estate.write("data", "one", b"one")
    estate.prepared().scanned()
    estate.lines = COLD
    estate.configure()
    came = estate.run("copy", to="vault")
    assert (came.counts, estate.keys()) == ({"REFUSED": 1}, [])
    assert "let a lifecycle rule of the bucket move the objects" in estate.reasons(came.job_id)
    assert "could be read back" in estate.ask("volume", "prepare", "vault", code=None).err
    assert (estate.resume(came.job_id).counts, estate.keys()) == ({"REFUSED": 1}, [])
    box.gives = True
    estate.prepared("vault")
    assert estate.resume(came.job_id).counts == {"DONE": 1}


def test_a_plan_tells_what_it_will_ask_back_of_what_scans_know_to_be_in_an_archive(tmp_path: Path, box: Icebox) -> None:
    estate = archived(tmp_path, box, ASKS + COLD)
    assert "asked_back" not in estate.plan("recall").header.totals  # no scan has seen it
    estate.ask("scan", "--accept-losses", code=4)  # it cannot read them
    made = estate.plan("recall")
    assert made.header.totals["asked_back"] == [{"volume": "vault", "files": 2, "bytes": 6, "days": 2, "tier": "Bulk"}]
    told = estate.ask("plan", "show", made.id).out.decode()
    assert "asks back 2 files, 6 B of vault in an archive of its store, by the newest scan: Bulk, for 2 days, which costs" in told
    estate.lines = COLD
    estate.configure()
    assert "restore_for of volume vault is not declared" in estate.ask("plan", "show", estate.plan("recall").id).out.decode()
