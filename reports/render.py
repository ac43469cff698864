"""Answers in every format: table, csv, json, jsonl, md, parquet, xlsx, html and pdf, in batches, so that no answer has to fit into memory."""

import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from catalog import table
from catalog.errors import ConfigError
from reports import Column, Report, cells, terminal
from reports.state import State

FORMATS = ("table", "csv", "json", "jsonl", "md", "parquet", "xlsx", "html", "pdf")
BATCH_ROWS = 50_000
_BARE = ("csv", "jsonl")  # they have no place for the snapshot
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


@dataclass(frozen=True)
class Answer:
    """Rows that are computed while they are read (once), and what they are. `state` is what is known of the snapshot, `table` what a table shows."""

    name: str
    title: str
    question: str
    columns: tuple[Column, ...]
    batches: pa.RecordBatchReader
    state: State
    warnings: tuple[str, ...] = ()
    table: tuple[str, ...] = ()

    def meta(self) -> dict[str, Any]:
        """Schema, snapshot and warnings: what files carry beside the rows."""
        meta = self.state.meta()
        return {"schema": f"{self.name}/1", **meta, "warnings": [*meta["warnings"], *self.warnings]}


def answer(report: Report, relation: Any, state: State, warnings: Sequence[str] = ()) -> Answer:  # noqa: ANN401  # a DuckDB relation, which need not be imported for this
    """The answer to a report: `relation` is what its `run` gave."""
    return Answer(report.name, report.title, report.question, report.columns, relation.to_arrow_reader(BATCH_ROWS), state, tuple(warnings), report.table)


def table_answer(name: str, title: str, relation: Any, state: State, units: Mapping[str, str] | None = None) -> Answer:  # noqa: ANN401  # as above
    """The answer to something that is no report: a user's query, a search. `units` are those of the columns that have one."""
    columns = tuple(Column(column, column, (units or {}).get(column, "")) for column in relation.columns)
    return Answer(name, title, "", columns, relation.to_arrow_reader(BATCH_ROWS), state)


def write(found: Answer, form: str, out: IO[bytes], talk: IO[str], look: terminal.Look | None = None) -> int:
    """Write an answer to an open stream and give the number of rows; what CSV and JSON lines cannot say of themselves goes to `talk`, as one line.

    A table shows as many rows as its look allows. Raises ConfigError for an unknown format.
    """
    with found.batches:  # a reader left open would keep its connection busy
        rows = _writer(form)(found, out, look or terminal.Look())
    if form in _BARE:
        talk.write(json.dumps(found.meta(), ensure_ascii=False) + "\n")
    return rows


def save(found: Answer, form: str, path: Path, look: terminal.Look | None = None) -> int:
    """Write an answer to a file, which appears only when it is whole, and give the number of rows; CSV and JSON lines get `PATH.meta.json` beside it."""
    writer = _writer(form)
    with replaced(path) as out, found.batches:
        rows = writer(found, out, look or terminal.Look())
        if form in _BARE:
            with replaced(path.with_name(path.name + ".meta.json")) as meta:
                meta.write((json.dumps(found.meta(), indent=2, ensure_ascii=False) + "\n").encode())
    return rows


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when the block ends well, with the permissions of what was there. A link stays, and leads to it."""
    path = path.resolve()
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    with unfinished.open("xb") as out:
        try:
            if path.exists():
                os.fchmod(out.fileno(), stat.S_IMODE(path.stat().st_mode))
            yield out
            out.flush()
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def envelope(name: str, data: object, state: State, warnings: Sequence[str] = ()) -> str:
    """The JSON envelope around data that a command made: schema, snapshot, as of, complete, data, warnings."""
    head = {"schema": f"{name}/1", "snapshot": state.snapshot_id, "as_of": state.meta()["as_of"], "complete": state.complete}
    return json.dumps(_clean_json({**head, "data": data, "warnings": [*state.warnings, *warnings]}), indent=2, ensure_ascii=False, allow_nan=False)


def _writer(form: str) -> Callable[[Answer, IO[bytes], terminal.Look], int]:
    writers = {"table": _table, "csv": _csv, "json": _json, "jsonl": _jsonl, "md": _markdown, "parquet": _parquet}
    writers |= {"xlsx": _xlsx, "html": _html, "pdf": _pdf}
    if form not in writers:
        raise ConfigError(f"there is no format {form!r}; formats are {', '.join(FORMATS)}")
    return writers[form]


def _table(found: Answer, out: IO[bytes], look: terminal.Look) -> int:
    rows: list[dict[str, Any]] = []
    for batch in found.batches:
        rows += cells.safe(batch).slice(0, look.rows + 1 - len(rows)).to_pylist()
        if len(rows) > look.rows:
            break
    warnings = [*found.state.warnings, *found.warnings]
    columns = [column for column in found.columns if column.name in (found.table or [column.name])]
    drawing = terminal.Drawing(found.title, found.question, tuple(columns), len(found.columns) - len(columns), tuple(rows[: look.rows]), len(rows) > look.rows)
    out.write(terminal.draw(drawing, found.state, warnings, look).encode())
    return min(len(rows), look.rows)


def _csv(found: Answer, out: IO[bytes], _look: terminal.Look) -> int:
    import pyarrow.csv

    out.write((",".join(f'"{column.name.replace(chr(34), chr(34) * 2)}"' for column in found.columns) + "\n").encode())
    rows = 0
    for batch in found.batches:
        safe = cells.without_formulas(cells.plain(batch))
        pyarrow.csv.write_csv(safe, out, pyarrow.csv.WriteOptions(include_header=False))
        rows += batch.num_rows
    return rows


def _json(found: Answer, out: IO[bytes], _look: terminal.Look) -> int:
    head, tail = json.loads(envelope(found.name, [], found.state, found.warnings)), {}
    tail["warnings"] = head.pop("warnings")
    del head["data"]
    out.write((json.dumps(head, ensure_ascii=False)[:-1] + ', "data": [').encode())
    rows = 0
    for line in _lines(found):
        out.write((",\n" if rows else "\n").encode() + line)
        rows += 1
    out.write(("\n], " + json.dumps(tail, ensure_ascii=False)[1:] + "\n").encode())
    return rows


def _jsonl(found: Answer, out: IO[bytes], _look: terminal.Look) -> int:
    rows = 0
    for line in _lines(found):
        out.write(line + b"\n")
        rows += 1
    return rows


def _lines(found: Answer) -> Iterator[bytes]:
    for batch in found.batches:
        for row in cells.plain(batch).to_pylist():
            yield json.dumps(row, ensure_ascii=False, allow_nan=False).encode()


def _markdown(found: Answer, out: IO[bytes], _look: terminal.Look) -> int:
    out.write(f"## {marked(found.title)}\n\n{marked(found.question)}\n\n".encode())
    right = [column.unit in terminal.RIGHT for column in found.columns]
    out.write(("| " + " | ".join(marked(column.name) for column in found.columns) + " |\n").encode())
    out.write(("| " + " | ".join("---:" if numeric else "---" for numeric in right) + " |\n").encode())
    rows = 0
    for batch in found.batches:
        for row in cells.plain(batch).to_pylist():
            out.write(("| " + " | ".join("" if value is None else marked(_word(value)) for value in row.values()) + " |\n").encode())
            rows += 1
    notes = [*terminal.footer(found.state), *found.state.warnings, *found.warnings]
    out.write(("\n" + "".join(f"* {marked(cells.clean(note))}\n" for note in notes)).encode())
    return rows


def _in_utc(column: pa.Field) -> pa.Field:
    """A column whose times say that they are UTC, as those of the catalog are."""
    return column.with_type(pa.timestamp(column.type.unit, "UTC")) if pa.types.is_timestamp(column.type) and column.type.tz is None else column


def _parquet(found: Answer, out: IO[bytes], _look: terminal.Look) -> int:
    import pyarrow.parquet

    plain = cells.safe(pa.RecordBatch.from_pylist([], found.batches.schema)).schema
    columns = pa.schema(map(_in_utc, plain), {"lastcopy": json.dumps(found.meta(), ensure_ascii=False)})
    rows = 0
    with pyarrow.parquet.ParquetWriter(out, columns, compression="zstd", compression_level=1) as writer:
        for group in table.groups(map(cells.safe, found.batches)):
            writer.write_table(group.cast(columns))
            rows += group.num_rows
    return rows


def _xlsx(found: Answer, out: IO[bytes], _look: terminal.Look) -> int:
    from reports import sheets

    return sheets.write(found, out)


def _html(found: Answer, out: IO[bytes], _look: terminal.Look) -> int:
    from reports import paper

    return paper.html(found, out)


def _pdf(found: Answer, out: IO[bytes], look: terminal.Look) -> int:
    from reports import paper

    return paper.pdf(found, out, look.rows)


def _word(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def marked(text: str) -> str:
    """Text for Markdown: nothing of it is a mark, a link or HTML."""
    # Entities first: a backslash before '<' would leave it HTML in some renderers.
    return _MARKDOWN.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _clean_json(value: Any) -> Any:  # noqa: ANN401  # any JSON value, and the same without control characters
    if isinstance(value, str):
        return cells.clean(value)
    if isinstance(value, dict):
        return {cells.clean(str(key)): _clean_json(part) for key, part in value.items()}
    return [_clean_json(part) for part in value] if isinstance(value, list | tuple) else value
