"""`lastcopy demo`: a small company's data, scanned and reported."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from lastcopy import exits, settings, talk

_SHOWN = ("coverage", "dormant-copies", "duplicates")


def demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where it is built; one that holds anything else is refused.")] = Path("demo"),
) -> None:
    """Build the sample estate, scan it, and print coverage, dormant copies and duplicates.

    What is known of it beforehand, some of it unreadable on purpose, is in sample_data/estate.csv.
    """
    import reports
    from lastcopy import asking, scanning
    from sample_data import demo, permissions

    chosen = settings.of(context)
    if (aside := demo.set_aside(folder)) is not None:
        talk.say(f"{folder / 'lastcopy.toml'} was edited: it is kept as {aside}, and a new one is written")
    path = demo.build(folder)
    its = dataclasses.replace(chosen, config=str(path), catalog=None, snapshot=None)
    with permissions.obeyed(path.parent):
        code = scanning.scan(its, scanning.Wish())
    if code not in (exits.Exit.DONE, exits.Exit.PARTLY):
        raise typer.Exit(code)
    if chosen.chosen_format == "json":
        return
    for name in _SHOWN:
        if not chosen.quiet:
            talk.say(f"\n$ lastcopy report {name}")
        asking.report(its, reports.load(name), {}, where=None, limit=None, against=None)
    if not chosen.quiet:
        talk.say(f"\nMore: cd {folder}; lastcopy report; lastcopy explain PATH; lastcopy simulate --lose site=paris")
