"""`lastcopy simulate`: what a loss would leave."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lastcopy import asking, output, settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from reports.reach import Loss
    from reports.state import State

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
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="A plan: what the loss takes before it is carried out, and after.")] = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="TIME", help="Roll back to before this time, as 2026-11-20T14:00Z: which recovery points have what is lost."),
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Every site, region, system, device, admin, volume, key and threat by itself, the worst first.")] = False,
) -> None:
    """Show what is lost, what survives, where, and how it is brought back, if something happens to the estate as it is in the snapshot.

    As csv, jsonl, md or parquet: one row an asset; with --before one row a file that recovery points bring back, or that none does. With --each: one row a
    single loss.
    """
    from catalog.errors import ConfigError
    from reports import simulate as simulation

    chosen = settings.of(context)
    if each:
        if lose or threat or plan or before:
            raise ConfigError("--each takes every loss by itself: leave --lose, --threat, --plan and --before out")
        _each(chosen, mounted or ())
        return
    if plan and before:
        raise ConfigError("--plan and --before are two questions: ask one of them")
    loss = simulation.parse(lose or (), threat, mounted or ())
    if plan:
        _rehearse(chosen, plan, loss)
    elif before:
        _roll_back(chosen, before, loss)
    else:
        _simulate(chosen, loss)


def _simulate(chosen: settings.Settings, loss: "Loss") -> None:
    from reports import render, state
    from reports import simulate as simulation

    with asking.connected(chosen) as connection:
        config, known = chosen.stored()[1].config, state.read(connection.cursor())
        if chosen.chosen_format in ("table", "json"):
            found = simulation.simulate(connection, config, loss)
            output.text(chosen, found.text() if chosen.chosen_format == "table" else render.envelope("simulate", found.data(), known))
        else:
            _rows(chosen, "simulate", loss.title, simulation.outcomes(connection, config, loss), known)


def _rehearse(chosen: settings.Settings, plan_id: str, loss: "Loss") -> None:
    from catalog import snapshot
    from catalog.errors import ConfigError
    from lastcopy import rehearsal
    from lifecycle import plan as plans
    from reports import render, state

    root, named = chosen.stored()
    plan = plans.load(root, plan_id)
    if chosen.snapshot is not None and named.snapshot_id != plan.header.snapshot_id:
        raise ConfigError(f"plan {plan_id} is over snapshot {plan.header.snapshot_id}: leave --snapshot out")
    connection = asking.opened(root, snapshot.find(root, plan.header.snapshot_id))
    try:
        known = state.read(connection.cursor())
        if chosen.chosen_format in ("table", "json"):
            found = rehearsal.of(root, plan, connection, loss)
            output.text(chosen, found.text() if chosen.chosen_format == "table" else render.envelope("simulate-plan", found.data(), known))
        else:
            _rows(chosen, "simulate-plan", loss.title, rehearsal.outcomes(root, plan, connection, loss), known)
    finally:
        connection.close()


def _roll_back(chosen: settings.Settings, before: str, loss: "Loss") -> None:
    from reports import render, rollback, state

    moment = rollback.moment(before)
    with asking.connected(chosen) as connection:
        config, known = chosen.stored()[1].config, state.read(connection.cursor())
        if chosen.chosen_format in ("table", "json"):
            found = rollback.rollback(connection, config, loss, moment)
            output.text(chosen, found.text() if chosen.chosen_format == "table" else render.envelope("rollback", found.data(), known))
        else:
            _rows(chosen, "rollback", loss.title, rollback.files(connection, config, loss, moment), known, rollback.UNITS)


def _rows(chosen: settings.Settings, name: str, title: str, rows: "pa.Table", known: "State", units: "Mapping[str, str] | None" = None) -> None:
    from reports import Column, render

    columns = tuple(Column(column, column, (units or {}).get(column, "")) for column in rows.column_names)
    output.answer(chosen, render.Answer(name, title, "", columns, rows.to_reader(render.BATCH_ROWS), known))


def _each(chosen: settings.Settings, mounted: "Sequence[str]") -> None:
    from reports import single_losses, state

    with asking.connected(chosen) as connection:
        rows = single_losses.ranked(connection, chosen.stored()[1].config, mounted)
        _rows(chosen, "single-losses", "Single points of failure", rows, state.read(connection.cursor()), single_losses.UNITS)
