"""The command line: its commands, and how any error of theirs ends the program."""

import os
import sys
from collections.abc import Callable, Sequence

import typer
from typer.exceptions import Abort, Exit, TyperException

from lastcopy import exits, settings, talk
from lastcopy.commands import catalog, check, demo, doctor, explain, find, init, report, scan, simulate, sql, version, volume

app = typer.Typer(
    name="lastcopy",
    cls=settings.Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=exits.epilog(),
)


@app.callback()
def lastcopy() -> None:
    """Knows every copy of your data, and never lets the last one go."""


def _add(name: str, function: Callable[..., None], group: typer.Typer = app) -> None:
    group.command(name, cls=settings.Command)(function)


_add("init", init.init)
_add("demo", demo.demo)
_add("doctor", doctor.doctor)
app.add_typer(volume.app, name="volume")
_add("scan", scan.scan)
app.add_typer(report.app, name="report")
_add("explain", explain.explain)
_add("find", find.find)
_add("simulate", simulate.simulate)
_add("check", check.check)
_add("sql", sql.sql)
app.add_typer(catalog.app, name="catalog")
_add("version", version.version)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; gives the exit code. Every error ends here, as one line on stderr."""
    flags = settings.Settings()
    try:
        result = typer.main.get_command(app).main(list(arguments), prog_name="lastcopy", standalone_mode=False, obj=flags)
        sys.stdout.flush()
        return result if isinstance(result, int) else exits.Exit.DONE
    except Exit as ended:
        return ended.exit_code
    except TyperException as wrong:
        return _usage(wrong, arguments)
    except (Abort, KeyboardInterrupt):
        talk.report_error("interrupted", exits.Exit.INTERRUPTED, as_json=_wants_json(arguments))
        return exits.Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.Exit.FAILED
    except Exception as error:  # the end of the program: everything becomes a line and a code
        return talk.complain(error, as_json=_wants_json(arguments), verbose=flags.verbose)


def _usage(wrong: TyperException, arguments: Sequence[str]) -> int:
    if type(wrong).__name__ == "NoArgsIsHelpError":
        talk.say(wrong.format_message())
        return exits.Exit.USAGE
    context = getattr(wrong, "ctx", None)
    path = context.command_path if context else "lastcopy"
    text = wrong.format_message().replace("Value error, ", "").rstrip(".")
    talk.report_error(f"{text}; '{path} --help' says what is accepted", exits.Exit.USAGE, as_json=_wants_json(arguments))
    return exits.Exit.USAGE


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether JSON was asked for, also where the command line could not be parsed."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(first == "--format=json" or (first == "--format" and second == "json") for first, second in pairs)
