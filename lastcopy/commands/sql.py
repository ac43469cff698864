"""`lastcopy sql QUERY`: a question of one's own."""

from typing import Annotated

import typer

from lastcopy import asking, settings


def sql(
    context: typer.Context,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="One SELECT over the views of a snapshot; docs/architecture.md lists them.", show_default=False)
    ],
    limit: Annotated[int | None, typer.Option("--limit", min=0, metavar="ROWS", help="The most rows to give; 0 = all.")] = None,
) -> None:
    """Run one SELECT over the snapshot. It can read the views and nothing else, and change nothing."""
    asking.query(settings.of(context), query, limit)
