"""What is said on stderr: notices and errors. Data never passes here."""

import json
import sys
import traceback

from catalog.printable import clean
from lastcopy import exits


def printable(text: str) -> str:
    """The text without anything that could steer a terminal or forge a line; text that is already escaped stays as it is."""
    return "\n".join(map(clean, text.split("\n")))


def say(text: str) -> None:
    """One notice on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def complain(error: BaseException, *, as_json: bool, verbose: bool) -> exits.Exit:
    """Print an error on stderr, one line `error: …` or a JSON object; gives the exit code."""
    code = exits.code_of(error)
    foreseen = code is not exits.Exit.FAILED or type(error).__module__ == "catalog.errors"
    text = str(error) if foreseen else f"{type(error).__name__}: {' '.join(str(error).split())}"
    if verbose:
        say("".join(traceback.format_exception(error)).rstrip())
    hint = "" if foreseen or verbose else "; --verbose shows where"
    report_error(text + hint, code, as_json=as_json)
    return code


def report_error(text: str, code: exits.Exit, *, as_json: bool) -> None:
    """Print an error text of a known exit code."""
    if as_json:
        print(json.dumps({"schema": "error/1", "code": code.name, "exit": code.value, "message": printable(text)}), file=sys.stderr, flush=True)
    else:
        for line in text.splitlines() or [code.name.lower()]:
            say(f"error: {line}")
