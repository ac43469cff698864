"""The flags that every command takes, before or after its name, and what they lead to."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import OptionInfo

from catalog.errors import ConfigError

if TYPE_CHECKING:
    from catalog.config import Config
    from catalog.snapshot import Snapshot

Mode = Literal["off", "match", "all"]
Engine = Literal["local", "spark"]
Changes = Literal["paths", "btrfs"]
Format = Literal["table", "csv", "json", "jsonl", "md", "parquet", "xlsx", "html", "pdf"]
_ENDINGS: dict[str, Format] = {f".{form}": form for form in ("csv", "json", "jsonl", "md", "parquet", "xlsx", "html", "pdf")} | {".txt": "table"}
_PANEL = "Everywhere"
_PARAGRAPH = "\n\n"


@dataclass
class Settings:
    """The flags as given. None = not given."""

    config: str | None = None
    catalog: str | None = None
    snapshot: str | None = None
    format: Format | None = None
    output: Path | None = None
    quiet: bool = False
    verbose: bool = False
    no_input: bool = False

    @property
    def chosen_format(self) -> Format:
        """The format of the data: `--format`, else by the ending of `--output`, else table."""
        return self.format or _ENDINGS.get(self.output.suffix.lower() if self.output else "", "table")

    def configuration(self) -> "Config":
        """The configuration file, with the catalog's folder replaced by `--catalog`. Raises ConfigError."""
        from catalog import config

        loaded = config.load(config.find(self.config))
        if self.catalog is None:
            return loaded
        return loaded.model_copy(update={"catalog": loaded.catalog.model_copy(update={"path": written_out(self.catalog)})})

    def root(self) -> Path:
        """The catalog's folder: `--catalog`, else the configuration's. Raises ConfigError."""
        from catalog import place

        return Path(self.catalog).absolute() if self.catalog is not None and not place.is_url(self.catalog) else place.root_of(self.configuration())

    def stored(self) -> "tuple[Path, Snapshot]":
        """The catalog's folder and the snapshot asked for. Raises ConfigError, NotFoundError."""
        from catalog import snapshot

        root = self.root()
        return root, snapshot.find(root, self.snapshot)


def root_of(config: "Config") -> Path:
    """The folder of a configuration's catalog; of one on an object store what this host has of it. Raises ConfigError."""
    from catalog import place

    return place.root_of(config)


def written_out(catalog: str) -> str:
    """A place that `--catalog` names, wherever one stands."""
    from catalog import place

    return catalog if place.is_url(catalog) else str(Path(catalog).absolute())


def of(context: typer.Context) -> Settings:
    """The flags of the running command."""
    return context.find_root().ensure_object(Settings)


def _keep(context: typer.Context, parameter: typer.CallbackParam, value: object) -> object:
    if value not in (None, False) and parameter.name:
        setattr(of(context), parameter.name, value)
    return value


def _existing_folder(context: typer.Context, parameter: typer.CallbackParam, value: Path | None) -> object:
    if value is not None and not value.absolute().parent.is_dir():
        raise ConfigError(f"--output {value}: there is no folder {value.absolute().parent}")
    if value is not None and value.is_dir():
        raise ConfigError(f"--output {value}: is a folder; name a file")
    return _keep(context, parameter, value)


def _flag(*names: str, help: str, metavar: str | None = None, callback: Callable[..., object] = _keep) -> OptionInfo:
    option: OptionInfo = typer.Option(*names, help=help, metavar=metavar, callback=callback, expose_value=False, rich_help_panel=_PANEL)
    return option


def _everywhere(
    *,
    config: Annotated[str | None, _flag("--config", metavar="FILE", help="The configuration; else $LASTCOPY_CONFIG, ./lastcopy.toml, XDG.")] = None,
    catalog: Annotated[str | None, _flag("--catalog", metavar="FOLDER", help="The catalog, in place of the configuration's.")] = None,
    snapshot: Annotated[
        str | None,
        _flag(
            "--snapshot",
            metavar="WHEN",
            help="An id, 'latest', or the newest by a day's end in UTC (2026-10-31), by a time (2026-10-31T14:00Z), or 24h before the newest.",
        ),
    ] = None,
    format: Annotated[Format | None, _flag("--format", help="How data is printed.")] = None,
    output: Annotated[Path | None, _flag("--output", metavar="FILE", help="Where data goes; its ending chooses the format.", callback=_existing_folder)] = None,
    quiet: Annotated[bool, _flag("--quiet", "-q", help="Say nothing on stderr but errors.")] = False,
    verbose: Annotated[bool, _flag("--verbose", "-v", help="Say more, and where an error came from.")] = False,
    no_input: Annotated[bool, _flag("--no-input", help="Never ask; what would need an answer is refused.")] = False,
) -> None: ...


@functools.cache
def _parameters() -> list[Any]:
    flags = typer.Typer(add_completion=False)
    flags.command()(_everywhere)
    return list(typer.main.get_command(flags).params)


def _in_short(text: str, limit: int) -> str | None:
    """The first sentence of a help, or its clauses that fit in so many characters; None where none does."""
    [sentence, *_] = f"{' '.join(text.strip().partition(_PARAGRAPH)[0].split())} ".split(". ")
    sentence = sentence.strip().rstrip(".")
    if len(sentence) < limit:
        return f"{sentence}."
    parts, clauses = ([found.start() for found in re.finditer(f"[{marks}] ", sentence) if found.start() < limit] for marks in (":;", ","))
    ends = [*parts[:1], *clauses[-1:]]
    return f"{sentence[: ends[0]]}." if ends else None


class Command(TyperCommand):
    """A command that takes the flags of every command, but for those that mean something else to it."""

    def __init__(self, name: str | None, *, params: Sequence[Any] | None = None, **rest: Any) -> None:  # noqa: ANN401  typer's own arguments pass through
        own = {option for parameter in params or () for option in parameter.opts}
        super().__init__(name, params=[*(params or ()), *(flag for flag in _parameters() if own.isdisjoint(flag.opts))], **rest)

    def get_short_help_str(self, limit: int = 45) -> str:
        """What a list of commands says of it, whole words and clauses."""
        return _in_short(self.help or "", limit) or super().get_short_help_str(limit)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  typer brings its own click
        """Run the command. Raises ConfigError, before anything is done, where an ending says no format and `--format` does not either."""
        chosen = of(ctx)
        if chosen.output and chosen.format is None and chosen.output.suffix and chosen.output.suffix.lower() not in _ENDINGS:
            raise ConfigError(f"--output {chosen.output}: no format has this ending; known are {', '.join(_ENDINGS)}, or give --format")
        return super().invoke(ctx)


class Group(TyperGroup):
    """A group of commands that takes the flags of every command."""

    def __init__(self, *, params: Sequence[Any] | None = None, **rest: Any) -> None:  # noqa: ANN401  typer's own arguments pass through
        super().__init__(params=[*(params or ()), *_parameters()], **rest)

    def get_short_help_str(self, limit: int = 45) -> str:
        """What a list of commands says of it, whole words and clauses."""
        return _in_short(self.help or "", limit) or super().get_short_help_str(limit)
