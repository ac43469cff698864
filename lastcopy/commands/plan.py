"""`lastcopy plan`: what a policy would do, frozen; approved by somebody before a job may do it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lastcopy import exits, output, settings

if TYPE_CHECKING:
    from catalog.config import Policy
    from lifecycle.plan import Plan

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="What a policy would do, frozen and approved before it is done.")

Id = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id.", show_default=False)]


@app.command("create", cls=settings.Command)
def create(
    context: typer.Context,
    policy: Annotated[str | None, typer.Argument(metavar="POLICY", help="A policy of the configuration; or give --action.", show_default=False)] = None,
    action: Annotated[str | None, typer.Option(help="Plan this action without a policy: copy, archive, restore, recall, dedupe, delete, purge.")] = None,
    report: Annotated[str | None, typer.Option(help="The report whose rows are taken.")] = None,
    data_class: Annotated[str | None, typer.Option("--class", help="The data class whose assets are taken.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the report.")] = None,
    where: Annotated[str | None, typer.Option(metavar="EXPR", help="A condition over the report's columns.")] = None,
    to: Annotated[str | None, typer.Option(metavar="VOLUME", help="The volume that files go to.")] = None,
    to_dir: Annotated[str | None, typer.Option(metavar="FOLDER", help="The folder of it that they go to.")] = None,
    to_folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder outside of every volume that a restore goes to, in place of --to; it must be there.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="The most files to take.")] = None,
    max_bytes: Annotated[str | None, typer.Option(metavar="SIZE", help="The most bytes to take, as '2 TiB'.")] = None,
    quiet_time: Annotated[str | None, typer.Option(metavar="DURATION", help="Leave files alone that changed within it, as '24h'.")] = None,
    grace: Annotated[str | None, typer.Option(metavar="DURATION", help="How long what was taken away stays in quarantine, as '7d'.")] = None,
    min_copies: Annotated[int | None, typer.Option(help="Copies that must stay of what is taken away.")] = None,
    leave: Annotated[Literal["nothing", "stub", "symlink"] | None, typer.Option(help="What archive leaves at the file's name.")] = None,
    hard_links: Annotated[bool | None, typer.Option("--hard-links", help="Let dedupe make hard links where blocks cannot be shared.")] = None,
    effect: Annotated[bool, typer.Option(help="Say what it changes of coverage and cost; takes as long as the derivation after a scan.")] = True,
) -> None:
    """Plan what a policy, or an action with the options here, would do. Files are only looked at.

    What goes by options always needs an approval. Exit 5 if every file was refused.
    """
    from catalog import snapshot
    from lastcopy import journals, planned
    from lifecycle import people, plan

    chosen = settings.of(context)
    config = chosen.configuration()
    given: dict[str, object] = {"action": action, "report": report, "data_class": data_class, "where": where, "to": to, "to_dir": to_dir}
    given |= {"to_folder": None if to_folder is None else str(to_folder.absolute())}
    given |= {"max_steps": max_steps, "max_bytes": max_bytes, "quiet": quiet_time, "grace": grace, "min_copies": min_copies}
    given |= {"leave": leave, "hard_links": hard_links, "params": dict(_pair(text) for text in param) if param else None}
    wanted = _wanted(config.volumes, policy, {key: value for key, value in given.items() if value is not None})
    root, now_us = settings.root_of(config), _now_us()
    with journals.existing(config) as journal:
        of = snapshot.find(root, chosen.snapshot)
        made = plan.create(root, config, wanted, now_us=now_us, actor=people.actor(), of=of, journal=journal, with_effect=effect)
        if chosen.chosen_format == "json":
            output.made(chosen, "plan-create", planned.data(made, journal, now_us), complete=True, snapshot=made.header.snapshot_id)
        elif chosen.chosen_format == "table":
            output.text(chosen, planned.text(made, journal, now_us))
        else:
            output.rows(chosen, "plan-create", planned.rows(made))
    _say_next(chosen, made)
    if not made.steps_count and made.header.totals["refused"]:
        raise typer.Exit(exits.Exit.REFUSED)


@app.command("list", cls=settings.Command)
def list_plans(context: typer.Context) -> None:
    """List the plans, oldest first, each with its state."""
    from lastcopy import listing

    chosen = settings.of(context)
    output.rows(chosen, "plan-list", listing.plans(chosen.configuration(), _now_us()))


@app.command("show", cls=settings.Command)
def show(
    context: typer.Context,
    plan_id: Id,
    steps: Annotated[bool, typer.Option("--steps", help="List every step.")] = False,
    refusals: Annotated[bool, typer.Option("--refusals", help="List every file that was left out, and why.")] = False,
) -> None:
    """Show a plan: totals, effect, what was left out and why, the first steps. Exit 5 if it was altered."""
    from lastcopy import journals, planned
    from lifecycle import plan

    chosen = settings.of(context)
    config = chosen.configuration()
    found = plan.load(settings.root_of(config), plan_id)
    if steps or refusals:
        planned.listed(chosen, found, refusals=refusals)
        return
    with journals.existing(config) as journal:
        if chosen.chosen_format == "json":
            output.made(chosen, "plan-show", planned.data(found, journal, _now_us()), complete=True, snapshot=found.header.snapshot_id)
        elif chosen.chosen_format == "table":
            output.text(chosen, planned.text(found, journal, _now_us()))
        else:
            output.rows(chosen, "plan-show", planned.rows(found))


@app.command("approve", cls=settings.Command)
def approve(
    context: typer.Context,
    plan_id: Id,
    steps: Annotated[str | None, typer.Option(metavar="RANGES", help="Only these steps, as '1-100,205'.")] = None,
    where: Annotated[str | None, typer.Option(metavar="EXPR", help="Only the steps for which a condition over their columns holds.")] = None,
) -> None:
    """Approve a plan, or some of its steps, by its hash. Exit 5 if it expired, was cancelled or altered, or you may not.

    A plan that is empty, as no file was selected, needs no approval: exit 0, as when it is run.
    """
    from catalog.errors import ConfigError
    from lastcopy import planned
    from lifecycle import people, plan
    from lifecycle.journal import Journal

    chosen = settings.of(context)
    config = chosen.configuration()
    found = plan.load(settings.root_of(config), plan_id)
    if steps is not None and where is not None:
        raise ConfigError("give either --steps or --where, not both")
    spans = _ranges(steps) if steps is not None else plan.where(found, where) if where is not None else None
    with Journal.open(config, settings.root_of(config), create=True) as journal:
        plan.approve(found, journal, actor=people.actor(), at_us=_now_us(), steps=spans)
        done = (
            f"approved steps {planned.spans(found.approved(journal))} of plan {found.id}"
            if found.steps_count
            else f"plan {found.id} is empty: nothing to approve"
        )
        _say(chosen, "plan-approve", planned.data(found, journal, _now_us()), done)


@app.command("cancel", cls=settings.Command)
def cancel(context: typer.Context, plan_id: Id, reason: Annotated[str, typer.Option(help="Why it shall not be carried out.")]) -> None:
    """Cancel a plan: it can be neither approved nor run. Exit 5 once it has a job."""
    from lastcopy import planned
    from lifecycle import people, plan
    from lifecycle.journal import Journal

    chosen = settings.of(context)
    config = chosen.configuration()
    found = plan.load(settings.root_of(config), plan_id)
    with Journal.open(config, settings.root_of(config), create=True) as journal:
        plan.cancel(found, journal, actor=people.actor(), at_us=_now_us(), why=reason)
        _say(chosen, "plan-cancel", planned.data(found, journal, _now_us()), f"cancelled plan {found.id}")


def _wanted(volumes: Any, name: str | None, given: dict[str, object]) -> "str | Policy":  # noqa: ANN401  # a mapping whose type need not be imported for this
    from pydantic import ValidationError

    from catalog.config import Policy
    from catalog.errors import ConfigError

    if (name is None) == ("action" not in given):
        raise ConfigError("give either the name of a policy or --action")
    if name is not None:
        if given:
            raise ConfigError(f"policy {name} says all of it; {', '.join(sorted(given))} go with --action only")
        return name
    if given.get("to", next(iter(volumes), None)) not in volumes:
        raise ConfigError(f"--to: there is no volume {given['to']!r}; volumes are {', '.join(volumes)}")
    try:
        return Policy.model_validate(given)
    except ValidationError as error:
        told = [": ".join([*map(str, one["loc"]), str(one["msg"]).removeprefix("Value error, ")]) for one in error.errors()]
        raise ConfigError(f"--action {given['action']}: {'; '.join(told)}") from error


def _pair(text: str) -> tuple[str, str]:
    from catalog.errors import ConfigError

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--param {text!r}: write NAME=VALUE")
    return name, value


def _ranges(text: str) -> tuple[tuple[int, int], ...]:
    from catalog.errors import ConfigError

    found = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or int(last or first) < int(first):
            raise ConfigError(f"--steps {text!r}: write numbers and ranges, as in '1-100,205'")
        found.append((int(first), int(last or first)))
    return tuple(found)


def _say(chosen: settings.Settings, name: str, data: dict[str, object], words: str) -> None:
    from lastcopy import talk

    output.made(chosen, name, data, complete=True)
    if not chosen.quiet:
        talk.say(words)


def _say_next(chosen: settings.Settings, made: "Plan") -> None:
    """What to do with a new plan."""
    from lastcopy import talk

    if chosen.quiet:
        return
    totals = made.header.totals
    if made.steps_count:
        first = f"'lastcopy plan approve {made.id}', then " if made.header.policy.needs_approval else ""
        who = ", by another person" if first and made.header.policy.two_persons else ""
        talk.say(f"next{who}: {first}'lastcopy job run {made.id}'; nothing was changed yet")
    elif totals["refused"]:
        talk.say(f"there is nothing to run: every file was left out; 'lastcopy plan show {made.id} --refusals' says why for each")
    else:
        talk.say(f"there is nothing to run: {_nothing(made)}")


def _nothing(made: "Plan") -> str:
    """Why a plan takes no file and refused none."""
    if made.header.policy_name:
        return "the policy selects no file; 'lastcopy policy check' says what policies select"
    chosen = made.header.policy
    if chosen.report and chosen.where:
        return f"no row of report {chosen.report} meets the condition; 'lastcopy report {chosen.report} --where EXPR' prints those that meet another"
    return "the options select no file" + (f"; 'lastcopy report {chosen.report}' prints what can be selected" if chosen.report else "")


def _now_us() -> int:
    return time.time_ns() // 1000
