"""`python -m lastcopy.docs` writes docs/reference/commands.md and configuration.md from the code."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import typer
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from catalog import config, fields, services, volumes
from lastcopy import cli, exits, keys, settings

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
_GENERATED = "<!-- Written by `make docs` from the code; edit that. -->\n"
MODELS: dict[str, type[BaseModel]] = {
    "[catalog]": config.Catalog,
    "[volumes.NAME]": volumes.Volume,
    "[classes.NAME]": config.DataClass,
    "[[labels]]": config.Label,
    "[[exceptions]]": config.AcceptedFinding,
    "[policies.NAME]": config.Policy,
    "[lifecycle]": config.Lifecycle,
    "[dashboard]": services.Dashboard,
    "[dashboard.people.NAME]": services.Grant,
    "[dashboard.oidc]": services.Oidc,
    "[api.tokens.NAME]": services.Token,
    "[schedule.NAME]": services.Task,
    "[notify]": services.Notify,
    "[notify.to.NAME]": services.Receiver,
}
_COMMON = {"config", "catalog", "snapshot", "format", "output", "quiet", "verbose", "no_input"}
_SHOWN_ELSEWHERE = {"help", "install_completion", "show_completion"}


def commands() -> str:
    """The page of every command, its arguments and options."""
    root = typer.main.get_command(cli.app)
    context = typer.Context(root, info_name="lastcopy", obj=settings.Settings())
    lines = ["# Commands", "", _GENERATED, "stdout is data, stderr is talk. These flags work before and after every command's name:", ""]
    lines += _table(context, [p for p in root.params if p.name in _COMMON])
    lines += ["", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code.value} | {meaning} |" for code, meaning in exits.MEANINGS.items()]
    order = ", ".join(str(code.value) for code in exits.HARM)
    lines += ["", f"Where one command meets several, as a scan of many volumes may, the first of these decides: {order}.", ""]
    for path, command, inner in _walk(root, context):
        lines += [f"## {path}", "", _prose(command.help or ""), "", f"    {' '.join([path, *command.collect_usage_pieces(inner)])}", ""]
        table = _table(inner, [p for p in command.params if p.name not in _COMMON | _SHOWN_ELSEWHERE])
        lines += [*table, ""] if table else []
    return "\n".join(lines).rstrip() + "\n"


def configuration() -> str:
    """The page of every table and key of lastcopy.toml."""
    lines = ["# lastcopy.toml", "", _GENERATED, keys.PREFACE, ""]
    for title, model in MODELS.items():
        lines += [f"## `{title}`", "", _capital((model.__doc__ or "").partition(": ")[2]), ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{key}` | {_cell(_type(field.annotation, field))} | {_cell(_default(field))} | {_cell(keys.MEANINGS[f'{title} {key}'])} |"
            for key, field in model.model_fields.items()
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    return {FOLDER / "commands.md": commands(), FOLDER / "configuration.md": configuration()}


def _walk(group: Any, context: typer.Context) -> Iterator[tuple[str, Any, typer.Context]]:  # noqa: ANN401  typer ships no public name for a command's class
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = typer.Context(command, info_name=name, parent=context)
        if getattr(command, "documented_elsewhere", False):
            continue
        yield inner.command_path, command, inner
        if hasattr(command, "list_commands"):
            yield from _walk(command, inner)


def _table(context: typer.Context, parameters: list[Any]) -> list[str]:
    records = [record for p in parameters if (record := p.get_help_record(context))]
    return ["| option | meaning |", "|---|---|", *(f"| `{_cell(names)}` | {_cell(' '.join(help.split()))} |" for names, help in records)] if records else []


def _prose(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.replace("\b", "").split("\n\n"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _type(annotation: object, field: FieldInfo | None = None) -> str:  # noqa: PLR0911  one answer a kind of annotation
    """What may be written, in words: the annotation of a model's key."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    metadata = [*(field.metadata if field else ()), *(inner[1:] if origin is typing.Annotated else ())]
    validators = [m.func for m in metadata if isinstance(m, BeforeValidator)]
    if fields.duration in validators:
        return 'duration, as `"90d"`'
    if fields.size in validators:
        return 'size, as `"2 TiB"`'
    if origin is typing.Annotated:
        return _type(inner[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(one) for one in inner if one is not type(None))
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return "tables" if isinstance(inner[1], type) and issubclass(inner[1], BaseModel) else "table of text"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    words = {
        "str": "text",
        "int": "number",
        "float": "number",
        "bool": "true or false",
        "date": "day, as `2027-06-30`",
        "AwareDatetime": "time, as `2027-06-30T12:00:00Z`",
    }
    return words[getattr(annotation, "__name__", "")]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    if field.default is None:
        return ""
    if isinstance(field.default, tuple | dict):
        return ", ".join(f"`{one}`" for one in field.default) or "none"
    if field.default == "":
        return ""
    if any(isinstance(m, BeforeValidator) and m.func is fields.duration for m in field.metadata):
        days = field.default / 86400
        return f'`"{days:g}d"`' if days == int(days) else f'`"{field.default / 3600:g}h"`'
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
