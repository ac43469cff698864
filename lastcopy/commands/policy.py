"""`lastcopy policy`: what the configuration says may be done with files, and what it covers."""

import time

import typer

from lastcopy import exits, output, settings

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="What the configuration says may be done with files.")


@app.command("list", cls=settings.Command)
def list_policies(context: typer.Context) -> None:
    """List the policies of the configuration."""
    chosen = settings.of(context)
    rows = [
        {
            "policy": name,
            "action": policy.action,
            "takes": f"class {policy.data_class}" if policy.data_class else policy.report,
            "where": policy.where,
            "to": policy.to,
            "needs_approval": policy.needs_approval,
            "two_persons": policy.two_persons,
        }
        for name, policy in chosen.configuration().policies.items()
    ]
    output.rows(chosen, "policy-list", rows)


@app.command("check", cls=settings.Command)
def check(context: typer.Context) -> None:
    """Say what each policy would select from the snapshot, which select nothing, and what no policy covers. No file is looked at.

    Exit 2 where a policy cannot be planned.
    """
    from catalog import snapshot
    from lastcopy import journals, talk
    from lifecycle import policies

    chosen = settings.of(context)
    config = chosen.configuration()
    root = settings.root_of(config)
    of = snapshot.find(root, chosen.snapshot)
    with journals.existing(config) as journal:
        found = policies.check(root, config, of, journal, time.time_ns() // 1000)
    selected = [vars(one) for one in found.selected]
    uncovered = [vars(one) for one in found.uncovered]
    if chosen.chosen_format == "json":
        output.made(chosen, "policy-check", {"policies": selected, "uncovered": uncovered}, complete=of.complete, snapshot=of.snapshot_id)
    else:
        output.rows(chosen, "policy-check", [_row(f"policy {one['policy']}", one) for one in selected] + [_row("no policy", one) for one in uncovered])
    for one in found.selected:
        if not one.problem and not one.files and not chosen.quiet:
            talk.say(f"policy {one.policy} selects nothing")
    if any(one.problem for one in found.selected):
        raise typer.Exit(exits.Exit.USAGE)


def _row(by: str, found: dict[str, object]) -> dict[str, object]:
    return {"by": by} | {key: found.get(key) for key in ("action", "data_class", "volume", "files", "bytes", "problem")}
