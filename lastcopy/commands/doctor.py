"""`lastcopy doctor`: what is wrong with the installation, the configuration, the volumes, and how to mend it."""

import datetime
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from lastcopy import exits, output, settings, talk

if TYPE_CHECKING:
    from lastcopy.diagnosis import Remark


def doctor(context: typer.Context) -> None:
    """Check Python, libmagic, the catalog, the journal, every volume and what is declared of it, the links that jobs left; say how to mend what is wrong.

    Only reads. States: ok, unknown (a thing that is not declared or cannot be told), warning, error. Exit 0 if there is neither warning nor error, else 4.
    """
    from catalog import snapshot
    from catalog.errors import LastcopyError
    from lastcopy import diagnosis, markers, places

    chosen = settings.of(context)
    config = chosen.configuration()
    root, now = settings.root_of(config), datetime.datetime.now(datetime.UTC)
    found = [*diagnosis.program(config, now), *diagnosis.storage(root, config)]
    try:
        newest, failed, scans = snapshot.newest_scans(root), snapshot.failed_since(root), snapshot.scans(root)
    except LastcopyError:
        newest, failed, scans = {}, {}, []  # a damaged catalog is already among the remarks
    found += [*places.look(config, list(config.volumes), newest, now).remarks, *places.failed(list(config.volumes), failed)]
    found += [*places.lingering(config, scans, now), *diagnosis.declarations(config)]
    found += [*markers.journal(root, config), *markers.look(root, config, list(config.volumes))]
    report(chosen, found)


def report(chosen: settings.Settings, found: "Sequence[Remark]") -> None:
    """Print remarks; end with exit 4 if one is a warning or an error."""
    if show(chosen, "doctor", found):
        raise typer.Exit(exits.Exit.PARTLY)


def show(chosen: settings.Settings, name: str, found: "Sequence[Remark]") -> "list[Remark]":
    """Print remarks, in a table only those that are not ok unless more is asked for; gives the warnings and errors."""
    wrong = [remark for remark in found if remark.state in ("warning", "error")]
    shown = found if chosen.verbose or chosen.chosen_format != "table" else [remark for remark in found if remark.state != "ok"]
    if shown:
        output.rows(chosen, name, [vars(remark) for remark in shown], complete=not wrong)
    if not chosen.quiet:
        from reports.state import counted

        counts = Counter(remark.state for remark in found)
        talk.say(
            f"{counted(len(found), 'check')}: " + ", ".join(f"{counts[state]} {state}" for state in ("ok", "unknown", "warning", "error") if counts[state])
        )
    return wrong
