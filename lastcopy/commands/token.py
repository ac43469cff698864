"""`lastcopy token`: makes a token for a program that asks the API."""

from typing import Annotated

import typer

from lastcopy import output, settings, talk


def token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it.", show_default=False)],
    *,
    see: Annotated[list[str] | None, typer.Option("--see", metavar="PLACE", help="A volume, or VOLUME:FOLDER; nothing else is there for it.")] = None,
) -> None:
    """Make a token, and the lines for lastcopy.toml that let it in. It is printed once and kept nowhere: the lines have its hash."""
    from catalog import fields
    from catalog.errors import ConfigError, NotFoundError
    from catalog.services import Token
    from catalog.sight import Sight
    from lastcopy.service import identity

    chosen = settings.of(context)
    try:
        fields.name(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    parts = Sight.of(see).parts if see else None
    if parts:
        volumes = chosen.configuration().volumes
        if unknown := [place for place in parts if place.partition(":")[0] not in volumes]:
            raise NotFoundError(f"--see {unknown[0]}: there is no such volume; volumes are {', '.join(volumes)}")
    made, hashed = identity.new_token()
    Token(hash=hashed, see=parts)
    if chosen.chosen_format == "json":
        output.made(chosen, "token", {"name": name, "token": made, "hash": hashed, "see": list(parts) if parts is not None else None}, complete=True)
        return
    output.text(chosen, made)
    lines = [f"[api.tokens.{name}]", f'hash = "{hashed}"', *([f"see = {list(parts)!r}"] if parts is not None else [])]
    talk.say("add to lastcopy.toml:\n" + "\n".join(lines))
