"""Answers for pages: reports over one locked connection a snapshot and set of limits, kept until the snapshot or the limits change."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import streamlit as st

import reports
from catalog import snapshot
from catalog.errors import NotFoundError
from catalog.snapshot import Snapshot
from dashboards import losses, seam
from reports import Column, Value, alike, explain, find, render, simulate, state
from reports import single_losses as singles
from reports.reach import Loss
from reports.state import State

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS = 1000  # the most rows that a table of a page shows; files have all
_KNOWN_SECONDS = 5  # for which a list of snapshots holds
_asked: "set[DuckDBPyConnection]" = set()  # what answers right now, in any thread


@dataclass(frozen=True)
class View:
    """What a page looks at: one snapshot, perhaps an earlier one to compare with, and whose limits hold."""

    root: str
    snapshot_id: str
    limits: str
    against: str = ""


@dataclass(frozen=True)
class Answer:
    """Rows of a report, or of something like one, and what its columns mean. `more` says that there are rows which were not asked for."""

    name: str
    columns: tuple[Column, ...]
    table: tuple[str, ...]
    rows: pa.Table
    more: bool = False

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        found: list[dict[str, Any]] = self.rows.to_pylist()
        return found

    def first(self) -> dict[str, Any]:
        """The first row; every column null where there is none."""
        return next(iter(self.dicts()), dict.fromkeys(self.rows.column_names))


def columns(**said: str | tuple[str, str]) -> tuple[Column, ...]:
    """Columns out of their names and meanings, or meanings and units."""
    return tuple(Column(name, *((one,) if isinstance(one, str) else one)) for name, one in said.items())


def answer(name: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Rows that a page has from something that is no report."""
    names = [column.name for column in columns]
    return Answer(name, tuple(columns), (), pa.table({one: pa.array([row[one] for row in rows]) for one in names}))


def snapshots() -> list[Snapshot]:
    """All snapshots of the catalog that is served, newest first. Raises NotFoundError where there is none yet."""
    found: list[Snapshot] = _snapshots(str(seam.current().root()))
    if not found:
        raise NotFoundError("there is no snapshot yet; run 'lastcopy scan'")
    return found


def moments(known: Sequence[Snapshot], form: str = "%Y-%m-%d %H:%M:%S UTC") -> dict[str, str]:
    """The ids of snapshots by their times, as people choose them and addresses name them."""
    found: dict[str, str] = {}
    for one in known:
        moment = one.as_of.strftime(form)
        found[f"{moment}, {one.snapshot_id}" if moment in found else moment] = one.snapshot_id
    return found


def view(against: str = "") -> View:
    """What the page that is being drawn looks at, as the sidebar says, perhaps with an earlier snapshot to compare with."""
    found: View = st.session_state["view"]
    return replace(found, against=against)


def known() -> State:
    """What is known of the snapshot."""
    found: State = _state(view())
    return found


def snapshot_of(seen: View) -> Snapshot:
    """The snapshot of a view, with the configuration that held."""
    return next(one for one in snapshots() if one.snapshot_id == seen.snapshot_id)


def report(name: str, params: Mapping[str, Value] | None = None, where: str | None = None, limit: int | None = ROWS, against: str = "") -> Answer:
    """The answer of a report. Raises ConfigError, CatalogError."""
    found: Answer = _report(view(against), name, tuple(sorted((params or {}).items())), where, limit)
    return found


def table_of(name: str) -> tuple[str, ...]:
    """The columns that a table of a report shows."""
    return reports.load(name).table


def found(pattern: str, limit: int = 200) -> Answer:
    """Files by name on every volume."""
    answer: Answer = _found(view(), pattern, limit)
    return answer


def simulated(loss: Loss) -> simulate.Simulation:
    """What a loss would leave. Raises NotFoundError."""
    result: simulate.Simulation = _simulated(view(), loss)
    return result


def single_losses(mounted: Sequence[str]) -> list[dict[str, Any]]:
    """What every single loss would take, the worst first."""
    result: list[dict[str, Any]] = _single_losses(view(), tuple(mounted))
    return result


def lost_sites() -> list[dict[str, Any]]:
    """What the loss of each site would take, as rows of `single_losses`, the worst first; none where no volume says its site."""
    found: list[dict[str, Any]] = _lost_sites(view())
    return found


def explained(volume: str, path: str) -> list[explain.Explanation]:
    """What is known of a file; nothing where the snapshot has none there."""
    result: list[explain.Explanation] = _explained(view(), volume, path)
    return result


def warm(seen: View, asked: Sequence[tuple[str, Mapping[str, Value], str | None, int | None]]) -> None:
    """Keep the answers of some reports (name, parameters, condition, most rows), of the first loss and each site's. Needs no page that is being drawn."""
    _state(seen)
    for name, params, where, limit in asked:
        _report(seen, name, tuple(sorted(params.items())), where, limit)
    if loss := losses.first(_report(seen, "volumes", (), None, None).dicts()):
        _simulated(seen, loss)
        _lost_sites(seen)


def interrupt() -> bool:
    """End what is being asked, with an error for who waits, because the process is to end; whether anything was."""
    found = list(_asked)
    for connection in found:
        connection.interrupt()
    return bool(found)


def export(seen: View, name: str, form: str, params: Mapping[str, Value] | None = None, where: str | None = None) -> bytes:
    """All rows of a report as a file of that format. Needs no page that is being drawn."""
    chosen = reports.load(name)
    with _cursor(seen) as connection:
        relation = chosen.run(connection, params, where=where)
        with _cursor(seen) as other:
            answer = render.answer(chosen, relation, state.read(other))
        out = io.BytesIO()
        render.write(answer, form, out, io.StringIO())
    return out.getvalue()


@st.cache_data(ttl=_KNOWN_SECONDS, max_entries=4, show_spinner=False)
def _snapshots(root: str) -> list[Snapshot]:
    published = snapshot.snapshots(Path(root))
    newest = snapshot.newest(published) if published else None
    return sorted(published, key=lambda one: (one is newest, one.as_of, one.snapshot_id), reverse=True)


@st.cache_resource(max_entries=8, show_spinner="Opening the catalog …", on_release=lambda connection: connection.close())
def _connection(seen: View) -> "DuckDBPyConnection":
    root = Path(seen.root)
    earlier = snapshot.find(root, seen.against) if seen.against else None
    anybody = seam.Viewer("", "viewer", seen.limits)  # a connection is shared by all whose limits are these
    return seam.current().opened(root, snapshot.find(root, seen.snapshot_id), earlier, anybody)


@contextmanager
def _cursor(seen: View) -> Iterator["DuckDBPyConnection"]:
    connection: DuckDBPyConnection = _connection(seen).cursor()
    _asked.add(connection)
    try:
        yield connection
    finally:
        _asked.discard(connection)
        connection.close()


@st.cache_data(max_entries=64, show_spinner=False)
def _state(seen: View) -> State:
    with _cursor(seen) as connection:
        return state.read(connection)


@st.cache_data(max_entries=256, show_spinner=False)
def _report(seen: View, name: str, params: tuple[tuple[str, Value], ...], where: str | None, limit: int | None) -> Answer:
    chosen = reports.load(name)
    with _cursor(seen) as connection:
        rows = chosen.run(connection, dict(params), where=where, limit=None if limit is None else limit + 1).to_arrow_table()
    more = limit is not None and rows.num_rows > limit
    return Answer(name, chosen.columns, chosen.table, rows.slice(0, limit) if more else rows, more)


@st.cache_data(max_entries=64, show_spinner="Searching …")
def _found(seen: View, pattern: str, limit: int) -> Answer:
    with _cursor(seen) as connection:
        rows = find.find(connection, pattern, limit + 1).to_arrow_table()
    columns = tuple(Column(name, name, find.UNITS.get(name, "")) for name in rows.column_names)
    return Answer("find", columns, (), rows.slice(0, limit), rows.num_rows > limit)


@st.cache_data(max_entries=64, show_spinner="Burning …")
def _simulated(seen: View, loss: Loss) -> simulate.Simulation:
    _prepare_losses(seen)
    with _cursor(seen) as connection:
        return simulate.simulate(connection, snapshot_of(seen).config, loss)


@st.cache_data(max_entries=16, show_spinner="Burning one after the other …")
def _single_losses(seen: View, mounted: tuple[str, ...]) -> list[dict[str, Any]]:
    _prepare_losses(seen)
    with _cursor(seen) as connection:
        rows: list[dict[str, Any]] = singles.ranked(connection, snapshot_of(seen).config, mounted).to_pylist()
    return rows


@st.cache_data(max_entries=16, show_spinner="Burning one site after the other …")
def _lost_sites(seen: View) -> list[dict[str, Any]]:
    _prepare_losses(seen)
    with _cursor(seen) as connection:
        rows: list[dict[str, Any]] = singles.ranked(connection, snapshot_of(seen).config, kinds=("site",)).to_pylist()
    return rows


@st.cache_resource(max_entries=8, show_spinner=False)
def _prepare_losses(seen: View) -> None:
    with _cursor(seen) as connection:
        alike.prepare(connection, snapshot_of(seen).config)


@st.cache_data(max_entries=256, show_spinner=False)
def _explained(seen: View, volume: str, path: str) -> list[explain.Explanation]:
    try:
        with _cursor(seen) as connection:
            return explain.explain(connection, volume, path, seam.current().configuration().folder)
    except NotFoundError:
        return []
