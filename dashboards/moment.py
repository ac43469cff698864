"""Which snapshot a page looks at: the newest, or one of an earlier day, chosen on the left of every page and kept in its address."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from catalog import snapshot
from catalog.errors import NotFoundError
from catalog.snapshot import Snapshot
from dashboards import asking, marks, seam
from dashboards.seam import Viewer
from reports.state import age, day

_DAY, _AT = "snapshot", "at"  # in the address, and the keys of the choices, which keep them there from page to page
_NEXT = "next-snapshot"


def settle(page: Any) -> None:  # noqa: ANN401  # a page, whose type Streamlit does not name
    """Lead from an address that names a snapshot by an id, a time or an age to the one by its day that means the same."""
    given = st.query_params.get(_DAY)
    if given and not _is_day(given) and isinstance(found := _named(asking.snapshots(), given), Snapshot):
        others = {name: value for name, value in st.query_params.to_dict().items() if name not in (_DAY, _AT)}
        st.switch_page(page, query_params={**others, **address(found.snapshot_id)})


def choose(viewer: Viewer) -> None:
    """Draw the choice of a day, and of a time where the day has several snapshots, and remember what the page looks at. Raises NotFoundError."""
    known = asking.snapshots()  # newest first
    if wanted := st.session_state.pop(_NEXT, None):
        _set(address(wanted))
    wrong = _named(known, st.query_params[_DAY]) if st.query_params.get(_DAY) else None
    days = [one.as_of.date() for one in known]
    chosen = st.date_input(
        "As of the end of the day",
        value=None,
        min_value=min(days),
        max_value=max(days),
        key=_DAY,
        bind="query-params",
        format="YYYY-MM-DD",
        help="In UTC. Empty: as of the newest snapshot.",
    )
    if isinstance(wrong, NotFoundError):
        raise wrong
    found = known[0]
    if isinstance(chosen, datetime.date):
        found = snapshot.among(_oldest_first(known), chosen.isoformat())
        times = asking.moments(_of_day(known, found), "%H:%M:%S UTC") if found.as_of.date() == chosen else {}
        if len(times) > 1 and (at := st.selectbox("At", list(times), key=_AT, bind="query-params")):
            found = next(one for one in known if one.snapshot_id == times[at])
    st.session_state["view"] = asking.View(str(seam.current().root()), found.snapshot_id, viewer.limits)


def address(snapshot_id: str) -> dict[str, str]:
    """What names a snapshot in the address of a page: nothing where it is the newest."""
    known = asking.snapshots()
    found = next(one for one in known if one.snapshot_id == snapshot_id)
    if found is known[0]:
        return {}
    times = asking.moments(_of_day(known, found), "%H:%M:%S UTC")
    at = next(moment for moment, one in times.items() if one == snapshot_id)
    return {_DAY: found.as_of.date().isoformat()} | ({} if at == next(iter(times)) else {_AT: at})


def turn_to(snapshot_id: str) -> None:
    """Say which snapshot the next page looks at, in place of this one's."""
    st.session_state[_NEXT] = snapshot_id


def past() -> None:
    """Draw that the page shows the past, where it does, and the way back."""
    newest, seen = asking.snapshots()[0], asking.snapshot_of(asking.view())
    if seen.snapshot_id == newest.snapshot_id:
        return
    chosen = st.session_state.get(_DAY)
    gap = f" No snapshot was made on {chosen}: this is the newest one before." if chosen and chosen != seen.as_of.date() else ""
    text = f"As of {day(seen.as_of)} UTC, {age(seen.as_of, newest.as_of)} before the newest snapshot, which is of {day(newest.as_of)} UTC.{gap}"
    said, back = st.columns([5, 1], vertical_alignment="center")
    with said:
        st.warning(f"**You look at the past.** {marks.escaped(text)}", icon=":material/history:")
    with back:
        st.button("Show the newest", key="newest", icon=":material/update:", on_click=_forget, width="stretch")


def _named(known: Sequence[Snapshot], given: str) -> Snapshot | NotFoundError:
    try:
        return snapshot.among(_oldest_first(known), given)
    except NotFoundError as error:
        return error


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _of_day(known: Sequence[Snapshot], of: Snapshot) -> list[Snapshot]:
    """The snapshots of the day of one of them, first the one that the day alone names."""
    same = [one for one in known if one.as_of.date() == of.as_of.date()]
    named = snapshot.among(_oldest_first(known), of.as_of.date().isoformat())
    return sorted(same, key=lambda one: one.snapshot_id != named.snapshot_id)


def _oldest_first(known: Sequence[Snapshot]) -> list[Snapshot]:
    return sorted(known, key=lambda one: (one.as_of, one.snapshot_id))


def _set(wanted: Mapping[str, str]) -> None:
    st.session_state[_DAY] = datetime.date.fromisoformat(wanted[_DAY]) if wanted else None
    if _AT in wanted:
        st.session_state[_AT] = wanted[_AT]
    else:
        st.session_state.pop(_AT, None)


def _forget() -> None:
    _set({})
