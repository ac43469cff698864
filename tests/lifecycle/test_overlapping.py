"""Over a network the requests of a plan and of a job are on their way together, and are no more than are needed."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from catalog.bucket import WritableStore
from catalog.store import Query
from lifecycle.stores import _uploads
from tests.lifecycle import buckets
from tests.lifecycle.buckets import Buckets
from tests.lifecycle.proxy import Fault, Proxy
from tests.scanners.stores import Server

FILES = 24
_ON_ITS_WAY_SECONDS = 0.02


class Traffic:
    """What is on its way through a proxy, each answer for a moment longer: the most requests at once, and all of them by their method."""

    def __init__(self, network: Proxy) -> None:
        self.most, self._now, self._lock, self._network = 0, 0, threading.Lock(), network
        self._before = len(network.seen)
        network.heard, network.answered = self._heard, self._answered

    def _heard(self, _count: int) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def _answered(self, _count: int) -> None:
        time.sleep(_ON_ITS_WAY_SECONDS)
        with self._lock:
            self._now -= 1

    def methods(self, target: str) -> Counter[str]:
        """How many requests there were of each method, of those for a target."""
        return Counter(one.split(" ")[0] for one in self._network.seen[self._before :] if target in one)


@pytest.fixture
def estate(server: Server, network: Proxy, tmp_path: Path) -> Buckets:
    """A bucket without versions behind a network, and files that are not in it yet."""
    found = buckets.made(tmp_path, server, endpoint=network.endpoint, versioned=False).prepared()
    for number in range(FILES):
        found.write("data", f"d/f{number}", b"%d" % number * 500)
    return found.scanned()


@pytest.mark.slow_but_first
@pytest.mark.parametrize("server", ["weed"], indirect=True)
def test_a_plan_and_its_job_wait_for_many_answers_at_once(estate: Buckets, network: Proxy) -> None:
    for action, policy in (("archive", {"to": "vault"}), ("recall", {})):
        planning = Traffic(network)
        made = estate.approved(action, **policy)
        assert planning.most >= 4, action
        working = Traffic(network)
        came = estate.carried_out(made)
        assert came.counts == {"QUARANTINED" if action == "archive" else "DONE": FILES}, estate.reasons(came.job_id)
        assert working.most >= 4, action
        if action == "archive":
            assert working.methods("/kept/d/") == {"PUT": FILES, "GET": FILES, "HEAD": 3 * FILES}  # named, and looked at before and after the guard
        else:
            assert working.methods("/kept/d/") == {"HEAD": 2 * FILES, "GET": FILES}
    assert {Path(str(estate.folder), "data", "d", f"f{number}").read_bytes() for number in range(FILES)} == {b"%d" % number * 500 for number in range(FILES)}


@pytest.mark.slow_but_first
@pytest.mark.parametrize("server", ["weed"], indirect=True)
@pytest.mark.parametrize("room", [64 << 20, 0])
def test_what_is_there_already_is_told_by_the_store_and_not_touched(room: int, estate: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_uploads, "_WAITING_BYTES", room)
    made = estate.approved("archive", to="vault", where="path IN ('d/f1', 'd/f2')")
    client = estate.server.client
    client.put_object(Bucket=estate.bucket, Key="kept/d/f1", Body=b"another")
    client.put_object(Bucket=estate.bucket, Key="kept/d/f2", Body=b"2" * 500)
    came = estate.carried_out(made)
    assert came.counts == {"QUARANTINED": 1, "CONFLICT": 1}, estate.reasons(came.job_id)
    assert estate.object("d/f1")["Body"] == b"another"
    assert "lastcopy-op" not in estate.object("d/f2")["Metadata"]
    assert Path(str(estate.folder), "data", "d", "f1").read_bytes() == b"1" * 500


@pytest.mark.slow_but_first
@pytest.mark.parametrize("server", ["weed"], indirect=True)
def test_a_store_that_does_not_refuse_any_more_what_it_refused_is_no_target(estate: Buckets, network: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    made = estate.approved("archive", to="vault")
    real = WritableStore.put

    def heedless(store: WritableStore, key: bytes, body: bytes, headers: Mapping[str, str] | None = None, query: Query | None = None) -> Mapping[str, str]:
        return real(store, key, body, {name: value for name, value in (headers or {}).items() if name != "If-None-Match"}, query)

    monkeypatch.setattr(WritableStore, "put", heedless)
    working = Traffic(network)
    came = estate.carried_out(made)
    assert working.methods("/kept/d/")["PUT"] == 0
    assert any("does not keep an object from overwriting another any more" in reason for reason in came.reasons), came


@pytest.mark.slow_but_first
@pytest.mark.parametrize("server", ["weed"], indirect=True)
def test_the_note_of_an_upload_goes_though_the_request_for_that_is_lost(estate: Buckets, network: Proxy) -> None:
    estate.write("data", "large", bytes(range(256)) * (9 << 12))
    estate.scanned()
    network.faults = [Fault("DELETE", "/.lastcopy/uploads/", "refuse", times=2)]
    came = estate.run("copy", to="vault", where="path = 'large'")
    assert network.faults[0].times == 0
    assert came.counts == {"DONE": 1}, estate.reasons(came.job_id)
    assert estate.under_way() == []
