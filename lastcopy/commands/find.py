"""`lastcopy find`: where a file is, on every volume."""

from typing import Annotated

import typer

from lastcopy import asking, output, settings


def find(
    context: typer.Context,
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="A part of a name or path, in any case; or with * and ? the whole of it.", show_default=False)
    ],
    limit: Annotated[int | None, typer.Option("--limit", min=0, metavar="ROWS", help="The most rows to give; 0 = all.")] = None,
) -> None:
    """Find files by name on every volume, shelved media too: where, how they are protected, what else holds their content.

    Ends with 6 if there is none.
    """
    from catalog.errors import NotFoundError
    from reports import find, render, state

    chosen = settings.of(context)
    written = asking.written(pattern)[0]
    with asking.connected(chosen) as connection:
        found = find.find(connection, written, limit or None)
        if not found.project("1").limit(1).fetchall():
            raise NotFoundError(f"no volume has a file like {written}")
        output.answer(chosen, render.table_answer("find", f"Files like {written}", found, state.read(connection.cursor()), find.UNITS), limit)
