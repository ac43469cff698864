"""`lastcopy explain`: everything that is known of one file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from catalog.errors import LastcopyError
from lastcopy import asking, output, settings

if TYPE_CHECKING:
    from catalog.config import Config


def explain(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A path in a volume, VOLUME:PATH, or a path of this machine below a volume.", show_default=False)],
) -> None:
    """Explain a file: every copy with the evidence, each control met or not, what would mend it, the command that restores it.

    A path that several volumes have is explained for each.
    """
    from reports import render, state

    chosen = settings.of(context)
    config = _configuration(chosen)
    volume, inside = _below_a_volume(config, path)
    with asking.connected(chosen) as connection:
        explanations = asking.explain(connection, inside, volume, config.folder.absolute() if config else None)
        if chosen.chosen_format == "json":
            output.text(chosen, render.envelope("explain", [one.data() for one in explanations], state.read(connection.cursor())))
        elif chosen.chosen_format == "table":
            output.text(chosen, "\n".join(one.text() for one in explanations))
        else:
            output.rows(chosen, "explain", [_flat(one.data()) for one in explanations])


def _configuration(chosen: settings.Settings) -> "Config | None":
    try:
        return chosen.configuration()
    except LastcopyError:
        return None  # a catalog is enough to explain a path in a volume


def _below_a_volume(config: "Config | None", path: str) -> tuple[str | None, str]:
    """The volume and the path in it of a path of this machine, absolute or from `./`, where the configuration tells; else (None, path), without the `./`."""
    if path.startswith("./"):
        name, inside = _below_a_volume(config, os.path.abspath(path))
        return (name, inside) if name else (None, os.path.normpath(path))
    if config is None or not path.startswith("/"):
        return None, path
    above = {name: place for name in config.volumes if (place := config.root(name)) and Path(path).is_relative_to(place)}
    if not above:
        return None, path
    name = max(above, key=lambda one: len(str(above[one])))
    return name, str(Path(path).relative_to(above[name]))


def _flat(data: dict[str, object]) -> dict[str, object]:
    """One row: lists of words joined, lists of tables left to JSON."""
    return {key: ", ".join(map(str, value)) if key in ("mend", "copy_of") and isinstance(value, list) else value for key, value in data.items()}
