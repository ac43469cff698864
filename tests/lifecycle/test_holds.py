"""Holds and retention: what they stop, who ends them, and that what is not known holds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ConfigError, NotFoundError, RefusedError
from lifecycle import audit
from lifecycle.holds import Hold, Holds, Scope
from lifecycle.journal import Journal
from tests.lifecycle.journals import CONTENT, NOW, TO_PUBLISHED, TO_QUARANTINE, copy, estate, job, move, opened, step, walk, wish

DAY = 86_400_000_000
OTHER = bytes(32)


def _on(volume: str, path: bytes) -> Scope:
    return Scope("path", volume=volume, path=path)


def _place(journal: Journal, scope: Scope, *, until_us: int | None = None, at_us: int = NOW, actor: str = "ada") -> Hold:
    return journal.place_hold(scope, reason="a court asked", until_us=until_us, at_us=at_us, actor=actor)


def _refused(journal: Journal, **given_wish: object) -> str | None:
    end = journal.retire([wish(**given_wish)], "j1", NOW, "ada")[1]  # type: ignore[arg-type]  # the fields of a wish
    return end.reason if end else None


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal with a step whose copy is published."""
    with opened(tmp_path) as found:
        found.create_job(job(), [step()])
        walk(found, *TO_PUBLISHED)
        yield found


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        (Scope("digest", digest=CONTENT), True),
        (Scope("digest", digest=OTHER), False),
        (Scope("owner", owner="ada"), True),
        (Scope("owner", owner="bob"), False),
        (_on("a", b""), True),
        (_on("b", b""), False),
        (_on("a", b"file 1"), True),
        (_on("a", b"file 1/below"), False),
        (_on("a", b"file"), False),
        (_on("a", b"FILE 1"), True),  # on a storage that ignores case it is the same file
    ],
    ids=str,
)
def test_a_hold_that_is_placed_after_the_plan_stops_the_removal(journal: Journal, scope: Scope, held: bool) -> None:
    number = _place(journal, scope).number
    reason = _refused(journal)
    assert (reason is not None) is held
    assert reason is None or reason.startswith(f"hold {number} by ada")
    assert journal.record("j1", 1).state == ("PUBLISHED" if held else "RETIRING")


def test_a_hold_between_the_plan_and_the_purge_stops_the_purge(journal: Journal) -> None:
    walk(journal, "RETIRING", "GUARDED", "QUARANTINED")
    journal.create_job(job("p1", "purge"), [step(of=("j1", 1))])
    move(journal, "CLAIMED", job_id="p1")
    _place(journal, _on("a", b"file 1"))
    end = journal.retire([wish()], "p1", NOW, "ada")[1]
    assert end is not None
    assert end.state == "REFUSED"
    assert journal.record("j1", 1).state == "QUARANTINED"
    assert journal.record("p1", 1).state == "CLAIMED"


def test_content_that_was_moved_from_a_held_place_is_held_where_it_went(journal: Journal) -> None:
    walk(journal, "RETIRING", "GUARDED", "QUARANTINED")
    _place(journal, _on("a", b"file 1"))
    journal.create_job(job("j2"), [step(volume="b", target=None)])
    move(journal, "CLAIMED", job_id="j2")
    end = journal.retire([wish(volume="b", copies=[copy("c"), copy("d")])], "j2", NOW, "ada")[1]
    assert end is not None
    assert "a:file 1" in end.reason


@pytest.mark.parametrize(
    ("owner", "held"),
    [
        pytest.param(None, True, id="unknown"),
        pytest.param("bob", False, id="another"),
        pytest.param("legal", True, id="the-held-one"),
        pytest.param(frozenset({"bob", "legal"}), True, id="the-held-one-among-two"),
        pytest.param(frozenset({"bob"}), False, id="only-another"),
    ],
)
def test_a_file_whose_owner_is_not_known_is_held_by_any_hold_on_an_owner(journal: Journal, owner: str | None, held: bool) -> None:
    _place(journal, Scope("owner", owner="legal"))
    assert (_refused(journal, owner=owner) is not None) is held


def test_a_content_that_was_never_read_is_held_by_any_hold_on_a_content() -> None:
    holds = Holds((Hold(1, Scope("digest", digest=OTHER), "ada", NOW, "why", None),))
    assert holds.blocking(None, "a", b"x", "ada", NOW) == "hold 1 by ada: its digest is not known"
    assert holds.blocking(CONTENT, "a", b"x", "ada", NOW) is None


@pytest.mark.parametrize(
    "detail", [{}, {"scope": "moon"}, {"scope": "digest", "digest": "zz"}, {"scope": "path", "path": "00"}, {"scope": "path", "volume": "a"}]
)
def test_a_hold_that_cannot_be_read_holds_everything(journal: Journal, detail: dict[str, object]) -> None:
    with journal._database.writing() as connection:
        audit.append(connection, NOW, "eve", "hold_placed", "?", detail)
    assert "cannot be read" in (_refused(journal) or "")


def test_a_retention_whose_date_cannot_be_read_has_no_end(journal: Journal) -> None:
    with journal._database.writing() as connection:
        audit.append(connection, NOW - DAY, "eve", "hold_placed", "?", {"scope": "owner", "owner": "bob", "until_us": "yesterday"})
    assert "cannot be read" in (_refused(journal) or "")


def test_another_person_releases_a_hold_and_then_it_stops_nothing(journal: Journal) -> None:
    number = _place(journal, _on("a", b"")).number
    with pytest.raises(RefusedError, match="another person"):
        journal.release_hold(number, reason="done", at_us=NOW, actor="ada")
    assert _refused(journal)
    assert journal.release_hold(number, reason="done", at_us=NOW, actor="bob").released_by == "bob"
    assert _refused(journal) is None


def test_a_release_that_the_same_person_forged_releases_nothing(journal: Journal) -> None:
    number = _place(journal, _on("a", b"")).number
    with journal._database.writing() as connection:
        audit.append(connection, NOW, "ada", "hold_released", str(number), {"hold": number, "reason": "mine"})
    assert _refused(journal)


def test_a_release_of_one_hold_leaves_the_others(journal: Journal) -> None:
    first, _second = _place(journal, _on("a", b"")), _place(journal, _on("a", b"file 1"))
    journal.release_hold(first.number, reason="done", at_us=NOW, actor="bob")
    assert _refused(journal)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda journal: journal.release_hold(99, reason="x", at_us=NOW, actor="bob"), NotFoundError),
        (lambda journal: journal.release_hold(_place(journal, _on("a", b"")).number, reason=" ", at_us=NOW, actor="bob"), ConfigError),
        (lambda journal: journal.place_hold(_on("a", b""), reason=" ", until_us=None, at_us=NOW, actor="ada"), ConfigError),
        (lambda journal: _place(journal, _on("a", b""), until_us=NOW), ConfigError),
    ],
)
def test_a_hold_needs_a_reason_a_future_and_a_number_that_exists(journal: Journal, act: Callable[[Journal], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        act(journal)


def test_a_hold_is_released_once(journal: Journal) -> None:
    number = _place(journal, _on("a", b"")).number
    journal.release_hold(number, reason="done", at_us=NOW, actor="bob")
    with pytest.raises(RefusedError, match="was released by bob"):
        journal.release_hold(number, reason="done", at_us=NOW, actor="eve")


def test_a_retention_is_never_released_and_only_moved_later(journal: Journal) -> None:
    scope = _on("a", b"")
    number = _place(journal, scope, until_us=NOW + 10 * DAY).number
    with pytest.raises(RefusedError, match="retention"):
        journal.release_hold(number, reason="done", at_us=NOW, actor="bob")
    with pytest.raises(RefusedError, match="only be moved later"):
        _place(journal, scope, until_us=NOW + 9 * DAY, actor="bob")
    _place(journal, scope, until_us=NOW + 20 * DAY)
    with pytest.raises(RefusedError, match="only be moved later"):
        _place(journal, scope, until_us=NOW + 19 * DAY)


@given(dates=st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_retention_ends_at_the_latest_date_that_was_ever_accepted(dates: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    with opened(tmp_path_factory.mktemp("journal")) as journal:
        latest = 0
        for day in dates:
            if day >= latest:
                _place(journal, _on("a", b""), until_us=NOW + day * DAY)
                latest = day
            else:
                with pytest.raises(RefusedError):
                    _place(journal, _on("a", b""), until_us=NOW + day * DAY)
        holds = journal.holds()
    assert holds.blocking(CONTENT, "a", b"x", "ada", NOW + latest * DAY - 1)
    assert holds.blocking(CONTENT, "a", b"x", "ada", NOW + latest * DAY) is None


def test_a_clock_behind_the_audit_trail_refuses_every_removal(journal: Journal) -> None:
    _place(journal, _on("d", b"elsewhere"), at_us=NOW + DAY)
    assert "the clock stands 86400 s before" in (_refused(journal) or "")


def test_a_clock_that_once_stood_ahead_is_set_right_by_a_person(journal: Journal) -> None:
    _place(journal, _on("d", b"elsewhere"), at_us=NOW + 3650 * DAY)
    journal.place_hold(_on("d", b"later"), reason="x", until_us=None, at_us=NOW, actor="ada")
    assert _refused(journal)
    journal.trust_clock(NOW, "ada", "the battery was empty")
    assert _refused(journal) is None
    assert journal.events(kinds=("clock_trusted",))[0].detail == {"why": "the battery was empty"}


def test_a_caller_that_waited_for_the_journal_is_not_taken_for_a_wrong_clock(journal: Journal) -> None:
    _place(journal, _on("d", b"elsewhere"), at_us=NOW + 60_000_000)
    assert _refused(journal) is None


@given(path=st.binary(min_size=1, max_size=30))
def test_any_bytes_are_a_path_that_can_be_held(path: bytes) -> None:
    holds = Holds((Hold(1, _on("a", path), "ada", NOW, "why", None),))
    assert holds.blocking(CONTENT, "a", path, "ada", NOW)
    assert holds.blocking(CONTENT, "a", path + b"/below", "ada", NOW)
    assert holds.blocking(CONTENT, "b", path, "ada", NOW) is None


def test_a_held_path_comes_back_as_the_bytes_that_were_given(tmp_path: Path) -> None:
    with opened(tmp_path, estate("a")) as journal:
        _place(journal, _on("a", b"bad \xff\n name"))
        scope = journal.holds().every[0].scope
    assert scope == _on("a", b"bad \xff\n name")
    assert str(scope) == r"a:bad \xff\x0a name"


def test_one_accent_is_written_in_two_ways_and_held_in_both() -> None:
    holds = Holds((Hold(1, _on("a", "Vertr\u00e4ge".encode()), "ada", NOW, "why", None),))
    assert holds.blocking(CONTENT, "a", "Vertra\u0308ge/x".encode(), "ada", NOW)


def test_a_whole_journey_is_in_the_trail(journal: Journal) -> None:
    walk(journal, *TO_QUARANTINE[len(TO_PUBLISHED) :])
    kinds = [event.kind for event in journal.events("j1")]
    assert kinds == ["job_created", "steps_moved", "steps_moved", "steps_moved", "steps_moved", "guard_asked", "steps_moved", "steps_moved"]
    assert journal.verify(journal.head()).bad_seq is None
