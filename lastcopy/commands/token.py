"""`lastcopy token`: the tokens of programs that ask the API."""

import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from catalog.services import Role
from lastcopy import output, settings, talk

if TYPE_CHECKING:
    from catalog.config import Config

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="The tokens of programs that ask the API.")

_NEVER = "never"


@app.command("create", cls=settings.Command)
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it.", show_default=False)],
    *,
    expires: Annotated[str, typer.Option("--expires", metavar="TIME", help="How long it lets in: 90d, 1y, or never.")] = "1y",
    role: Annotated[Role, typer.Option("--role", help="What it may read: an auditor also plans, jobs and the audit trail.")] = "viewer",
    see: Annotated[list[str] | None, typer.Option("--see", metavar="PLACE", help="A volume, or VOLUME:FOLDER; nothing else is there for it.")] = None,
) -> None:
    """Make a token, and the lines for lastcopy.toml that let it in. It is printed once and kept nowhere: the lines have its hash."""
    from catalog import fields
    from catalog.errors import ConfigError
    from lastcopy.service import identity

    chosen = settings.of(context)
    try:
        fields.name(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    ends = _ends(expires)
    parts = _places(chosen.configuration(), see) if see else None
    made, hashed = identity.new_token()
    if chosen.chosen_format == "json":
        row = {"name": name, "token": made, "hash": hashed, "role": role, "see": None if parts is None else list(parts), "expires_at": ends}
        output.made(chosen, "token", row, complete=True)
        return
    output.text(chosen, made)
    lines = [f"[api.tokens.{name}]", f'hash = "{hashed}"', *([f'role = "{role}"'] if role != "viewer" else [])]
    lines += [*([f"see = {list(parts)!r}"] if parts is not None else []), *([f"expires_at = {ends}"] if ends else [])]
    talk.say("# add to lastcopy.toml:\n" + "\n".join(lines))


@app.command("list", cls=settings.Command)
def list_tokens(context: typer.Context) -> None:
    """List the tokens of the configuration, what each may see, and when it expires."""
    chosen, now = settings.of(context), datetime.datetime.now(datetime.UTC)
    rows = [
        {
            "token": name,
            "state": "valid" if token.holds(now) else "expired",
            "expires_at": token.expires_at and token.expires_at.astimezone(datetime.UTC).replace(tzinfo=None),
            "role": token.role,
            "see": "everything" if token.see is None else ", ".join(token.see),
        }
        for name, token in chosen.configuration().api.tokens.items()
    ]
    output.rows(chosen, "token-list", rows)


def _ends(expires: str) -> str | None:
    """When a new token expires, as TOML has times; None = never. Raises ConfigError."""
    from catalog import fields
    from catalog.errors import ConfigError

    if expires == _NEVER:
        return None
    try:
        seconds = float(str(fields.duration(expires)))
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        if seconds <= 0:
            raise ValueError(expires)  # noqa: TRY301  # told as what cannot be read is
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--expires {expires}: write how long it lets in, as 90d or 1y, or {_NEVER}") from error
    return f"{ends:%Y-%m-%dT%H:%M:%SZ}"


def _places(config: "Config", see: list[str]) -> tuple[str, ...]:
    """The places that a token may see. Raises ConfigError, NotFoundError where there is no such volume."""
    from catalog.errors import NotFoundError
    from catalog.sight import Sight

    parts = Sight.of(see).parts
    if unknown := [place for place in parts if place.partition(":")[0] not in config.volumes]:
        raise NotFoundError(f"--see {unknown[0]}: there is no such volume; volumes are {', '.join(config.volumes)}")
    return parts
