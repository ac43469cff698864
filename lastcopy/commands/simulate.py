"""`lastcopy simulate`: what a loss would leave."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lastcopy import asking, output, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

Threat = Literal["user_error", "ransomware", "system_failure", "facility_outage"]


def simulate(
    context: typer.Context,
    *,
    lose: Annotated[
        list[str] | None,
        typer.Option(
            "--lose",
            metavar="KIND=NAME",
            help="What is lost: site=, region=, system=, device=, volume=, admin=, or key=, of an encrypted volume; may be repeated.",
        ),
    ] = None,
    threat: Annotated[Threat | None, typer.Option("--threat", help="A threat that strikes.")] = None,
    mounted: Annotated[list[str] | None, typer.Option("--mounted", metavar="VOLUME", help="An offline volume that is connected at that time.")] = None,
    each: Annotated[bool, typer.Option("--each", help="Every site, region, system, device, admin, volume, key and threat by itself, the worst first.")] = False,
) -> None:
    """Show what is lost, what survives, where, and how it is brought back, if something happens to the estate as it is in the snapshot.

    As csv, jsonl, md or parquet: one row an asset. With --each: one row a single loss.
    """
    from catalog.errors import ConfigError
    from reports import Column, render, state
    from reports import simulate as simulation

    chosen = settings.of(context)
    if each:
        if lose or threat:
            raise ConfigError("--each takes every loss by itself: leave --lose and --threat out")
        _each(chosen, mounted or ())
        return
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


def _each(chosen: settings.Settings, mounted: "Sequence[str]") -> None:
    from reports import Column, render, single_losses, state

    with asking.connected(chosen) as connection:
        rows = single_losses.ranked(connection, chosen.stored()[1].config, mounted)
        columns = tuple(Column(name, name, single_losses.UNITS.get(name, "")) for name in rows.column_names)
        known = state.read(connection.cursor())
        output.answer(chosen, render.Answer("single-losses", "Single points of failure", "", columns, rows.to_reader(render.BATCH_ROWS), known))
