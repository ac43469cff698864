"""`lastcopy simulate`: what a loss would leave."""

from typing import Annotated, Literal

import typer

from lastcopy import asking, output, settings

Threat = Literal["user_error", "ransomware", "system_failure", "facility_outage"]


def simulate(
    context: typer.Context,
    *,
    lose: Annotated[
        list[str] | None, typer.Option("--lose", metavar="KIND=NAME", help="What is lost: site=, system=, device=, volume= or admin=; may be repeated.")
    ] = None,
    threat: Annotated[Threat | None, typer.Option("--threat", help="A threat that strikes.")] = None,
    mounted: Annotated[list[str] | None, typer.Option("--mounted", metavar="VOLUME", help="An offline volume that is connected at that time.")] = None,
) -> None:
    """Show what is lost, what survives and where, if something happens to the estate as it is in the snapshot.

    As csv, jsonl, md or parquet: one row an asset.
    """
    from reports import Column, render, state
    from reports import simulate as simulation

    chosen = settings.of(context)
    loss = simulation.parse(lose or (), threat, mounted or ())
    with asking.connected(chosen) as connection:
        config, known = chosen.stored()[1].config, state.read(connection.cursor())
        if chosen.chosen_format in ("table", "json"):
            found = simulation.simulate(connection, config, loss)
            output.text(chosen, found.text() if chosen.chosen_format == "table" else render.envelope("simulate", found.data(), known))
        else:
            rows = simulation.outcomes(connection, config, loss)
            columns = tuple(Column(name, name) for name in rows.column_names)
            output.answer(chosen, render.Answer("simulate", loss.title, "", columns, rows.to_reader(render.BATCH_ROWS), known))
