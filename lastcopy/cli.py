"""The command line: its commands, and how any error of theirs ends the program."""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
from typer.exceptions import Abort, Exit, TyperException

from lastcopy import exits, settings, talk

# In the order of the help. Each is a function, or a group `app`, in the module of its name.
_COMMANDS = (
    "init",
    "demo",
    "doctor",
    "volume",
    "scan",
    "fixity",
    "evidence",
    "report",
    "explain",
    "find",
    "simulate",
    "check",
    "sql",
    "hold",
    "audit",
    "catalog",
    "policy",
    "plan",
    "job",
    "dashboard",
    "serve",
    "schedule",
    "notify",
    "token",
    "version",
)


class _Shelf(Mapping[str, Any]):
    """The commands by name; one is imported and made when it is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(_COMMANDS)

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  typer ships no public name for a command's class
        if name not in _COMMANDS:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = _command(name)
        return self._made[name]


class Program(settings.Group):
    """The program, whose commands are made when they are asked for."""

    def __init__(self, **rest: Any) -> None:  # noqa: ANN401  typer's own arguments pass through
        super().__init__(**rest)
        self.commands = _Shelf()  # type: ignore[assignment]  # never added to


app = typer.Typer(
    name="lastcopy",
    cls=Program,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=exits.epilog(),
)


@app.callback()
def lastcopy() -> None:
    """Knows every copy of your data, and never lets the last one go."""


def _command(name: str) -> Any:  # noqa: ANN401  as above
    module = importlib.import_module(f"lastcopy.commands.{name}")
    alone = typer.Typer(rich_markup_mode=None, add_completion=False)
    alone.callback()(lastcopy)  # with it, typer makes a group of one command
    if hasattr(module, "app"):
        alone.add_typer(module.app, name=name)
    else:
        alone.command(name, cls=settings.Command)(getattr(module, name))
    group: Any = typer.main.get_command(alone)
    return group.commands[name]


_PIPE_CLOSED = 141  # as a shell says it of a program that SIGPIPE ended


def run(arguments: Sequence[str]) -> int:
    """Run one command line; gives the exit code. Every error ends here, as one line on stderr."""
    flags = settings.Settings()
    arguments = ["version"] if list(arguments) == ["--version"] else arguments
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
    except (Exception, SystemExit) as error:  # the end of the program: everything becomes a line and a code; typer's own exit is of a closed pipe
        if _is_of_a_closed_pipe(error):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _PIPE_CLOSED
        return talk.complain(error, as_json=_wants_json(arguments), verbose=flags.verbose)


def _is_of_a_closed_pipe(error: BaseException | None) -> bool:
    """Whether nobody reads stdout any more: also where the writer of a format failed because of that."""
    while error is not None:
        if isinstance(error, BrokenPipeError):
            return True
        error = error.__cause__ or error.__context__
    return False


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
