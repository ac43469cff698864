"""`lastcopy report NAME`: each report is a command, made from the header of its file."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lastcopy import asking, output, settings

if TYPE_CHECKING:
    import reports

_COMMON: dict[str, tuple[Any, Any]] = {
    "where": (str | None, typer.Option("--where", metavar="CONDITION", help="Only rows for which a condition over the columns holds.")),
    "limit": (int | None, typer.Option("--limit", min=0, metavar="ROWS", help="The most rows to give; 0 = all.")),
    "against": (
        str | None,
        typer.Option("--against", metavar="WHEN", help="The earlier snapshot that it compares with, as of --snapshot; else the one before."),
    ),
    "engine": (settings.Engine, typer.Option("--engine", help="What computes the answer: this machine, or the cluster of $SPARK_REMOTE.")),
    "sql": (bool, typer.Option("--sql", help="Print the query in place of the answer.")),
}
_DEFAULTS: dict[str, object] = {"engine": "local", "sql": False}  # of the others: not given


class Reports(settings.Group):
    """The group of all reports. A report is read when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401  typer ships no public name for a context's class here
        """The names of all reports."""
        import reports

        return reports.names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401  as above
        """The command of a report. Raises NotFoundError, ConfigError where its header is broken."""
        return _command(cmd_name)


app = typer.Typer(cls=Reports, invoke_without_command=True, rich_markup_mode=None, help="Answer a question; without a name, list the questions.")


@app.callback()
def report(context: typer.Context) -> None:
    """Answer a question; without a name, list the questions."""
    if context.invoked_subcommand is None:
        import reports

        found = [reports.load(name) for name in reports.names()]
        rows = [{"report": one.name, "question": one.question, "parameters": ", ".join(parameter.name for parameter in one.params)} for one in found]
        output.rows(settings.of(context), "reports", rows)


def _command(name: str) -> Any:  # noqa: ANN401  as above
    import reports

    found = reports.load(name)
    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command(name, cls=Command, help=f"{found.title}. {found.question}", short_help=found.question)(_function(found))
    return typer.main.get_command(single)


class Command(settings.Command):
    """A report's command: documented in the page of reports."""

    documented_elsewhere = True


def _function(found: "reports.Report") -> Callable[..., None]:
    """A function whose parameters are the report's, and the common ones, for typer to read."""

    def answer(context: typer.Context, **given: Any) -> None:  # noqa: ANN401  each report has its own
        common = {key: given.pop(key, None) for key in _COMMON}
        if common["sql"]:
            typer.echo(found.sql.rstrip())
            return
        asking.report(settings.of(context), found, given, where=common["where"], limit=common["limit"], against=common["against"], engine=common["engine"])

    options = {parameter.name: _option(parameter) for parameter in found.params}
    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    common = {key: (*two, _DEFAULTS.get(key)) for key, two in _COMMON.items() if found.compares or key != "against"}
    for key, (kind, option, default) in {**options, **common}.items():
        parameters.append(inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]))
    answer.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions take any attribute
    answer.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return answer


def _option(parameter: "reports.Parameter") -> tuple[Any, Any, object]:
    kind: Any = Literal[parameter.choices] if parameter.choices else type(parameter.default)
    return kind, typer.Option(f"--{parameter.name.replace('_', '-')}", help=parameter.help, show_default=True), parameter.default
