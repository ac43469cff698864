"""Where data goes: stdout or a file, in every format. Answers about a snapshot, and lists that have none."""

import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from catalog.errors import ConfigError
from lastcopy import talk
from lastcopy.settings import Settings

if TYPE_CHECKING:
    from reports.render import Answer
    from reports.terminal import Look

_ALL_ROWS = 2**62  # an offset into an answer is a signed number of 64 bits
_TABLE_ROWS = 1000
_BINARY = ("parquet", "xlsx", "pdf")
_DOCUMENTS = ("xlsx", "html", "pdf")


def answer(chosen: Settings, found: "Answer", limit: int | None = None) -> None:
    """Print an answer about a snapshot. `limit` is the most rows that a table shows: None = a thousand, 0 = all."""
    from reports import render
    from reports.state import counted

    look, form = _look(chosen, limit), chosen.chosen_format
    if _is_file(chosen):
        assert chosen.output is not None  # noqa: S101  # _is_file says so
        rows = render.save(found, form, chosen.output, look)
        if not chosen.quiet:
            most = "; a PDF takes no more unless --limit says so" if form == "pdf" and rows == look.rows else ""
            talk.say(f"wrote {counted(rows, 'row')} to {chosen.output}{most}")
        return
    with _stream(chosen) as out:
        render.write(found, form, out, io.StringIO() if chosen.quiet else sys.stderr, look)


def rows(chosen: Settings, name: str, found: Sequence[Mapping[str, object]], *, complete: bool = True) -> None:
    """Print a list that rests on no snapshot: rows of equal keys."""
    import pyarrow as pa

    from reports import cells

    batch = cells.plain(pa.RecordBatch.from_pylist([dict(row) for row in found]))
    plain, form = batch.to_pylist(), chosen.chosen_format
    if form in _DOCUMENTS:
        raise ConfigError(f"--format {form}: only an answer about a snapshot is a document; give table, csv, json, jsonl, md or parquet")
    out: IO[bytes] = io.BytesIO()
    if form == "json":
        out.write(envelope(name, plain, complete=complete).encode() + b"\n")
    elif form == "jsonl":
        out.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in plain)
    elif form == "csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(cells.without_formulas(batch), out)
    elif form == "parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_batches([batch]), out)
    else:
        out.write(_drawn(plain, _look(chosen, 0), markdown=form == "md").encode())
    _put(chosen, out.getvalue() if isinstance(out, io.BytesIO) else b"")


def made(chosen: Settings, name: str, data: object, *, complete: bool, snapshot: str | None = None, as_of: str | None = None) -> None:
    """Print, where JSON was asked for, an object of what a command made."""
    if chosen.chosen_format == "json":
        _put(chosen, envelope(name, data, complete=complete, snapshot=snapshot, as_of=as_of).encode() + b"\n")


def text(chosen: Settings, words: str) -> None:
    """Print text that was made safe where it was made."""
    _put(chosen, words.rstrip("\n").encode("utf-8", "backslashreplace") + b"\n")


def envelope(name: str, data: object, *, complete: bool, snapshot: str | None = None, as_of: str | None = None) -> str:
    """The JSON envelope of what rests on no snapshot, or makes one."""
    head = {"schema": f"{name}/1", "snapshot": snapshot, "as_of": as_of, "complete": complete, "data": data, "warnings": []}
    return json.dumps(head, ensure_ascii=False, indent=2)


def _put(chosen: Settings, content: bytes) -> None:
    if _is_file(chosen):
        assert chosen.output is not None  # noqa: S101  # _is_file says so
        from reports import render

        with render.replaced(chosen.output) as file:
            file.write(content)
        return
    with _stream(chosen) as out:
        out.write(content)


@contextmanager
def _stream(chosen: Settings) -> Iterator[IO[bytes]]:
    """Standard output, or the pipe or device that was named: such a thing is written to and never replaced."""
    if not _is_stdout(chosen):
        assert chosen.output is not None  # noqa: S101  # _is_stdout says so
        with chosen.output.open("wb") as out:
            yield out
        return
    if chosen.chosen_format in _BINARY and sys.stdout.isatty():
        raise ConfigError(f"{chosen.chosen_format} is not for a terminal; give --output FILE")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def _is_stdout(chosen: Settings) -> bool:
    return chosen.output is None or str(chosen.output) == "-"


def _is_file(chosen: Settings) -> bool:
    return chosen.output is not None and not _is_stdout(chosen) and (chosen.output.is_file() or not chosen.output.exists())


def _look(chosen: Settings, limit: int | None) -> "Look":
    from reports.terminal import Look

    shown = sys.stdout.isatty() and _is_stdout(chosen)
    color = shown and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    most = _TABLE_ROWS if limit is None else limit or _ALL_ROWS
    return Look(width=shutil.get_terminal_size().columns if shown else 100_000, color=color, rows=most)


def _drawn(found: Sequence[Mapping[str, Any]], look: "Look", *, markdown: bool) -> str:
    """Rows as a table, for people or in Markdown."""
    if not found and not markdown:
        return "No rows.\n"
    names = list(found[0]) if found else []
    cells = [[_word(name, value, markdown) for name, value in row.items()] for row in found]
    if markdown:
        from reports.render import marked

        lines = [[marked(name) for name in names], ["---"] * len(names), *([marked(cell) for cell in line] for line in cells)]
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        drawn.add_column(Text(name.replace("_", " ")), overflow="fold")
    for line in cells:
        drawn.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in line))
    paper = io.StringIO()
    console = Console(file=paper, width=look.width, force_terminal=look.color, no_color=not look.color, highlight=False, markup=False, emoji=False)
    console.print(drawn)
    return "".join(line.rstrip() + "\n" for line in paper.getvalue().splitlines())


def _word(name: str, value: object, markdown: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if type(value) is not int:
        return str(value)
    if (name == "bytes" or name.endswith("_bytes")) and not markdown:
        from reports.terminal import size

        return size(value)
    return f"{value:,}"


_STYLES = {"error": "red", "failed": "red", "warning": "yellow", "incomplete": "yellow", "unknown": "yellow", "never_scanned": "yellow", "ok": "green"}
