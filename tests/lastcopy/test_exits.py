"""Errors end in one documented exit code."""

import itertools
import re

from catalog import errors
from lastcopy import exits, talk
from lastcopy.exits import Exit


def test_every_error_has_the_code_that_its_docstring_draws() -> None:
    drawn = dict(re.findall(r"(\w+Error) .*exit (\d+)", errors.__doc__ or ""))
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LastcopyError)} - {errors.LastcopyError}
    assert {kind.__name__: str(exits.code_of(kind("x")).value) for kind in kinds} == drawn


def test_an_error_nobody_foresaw_is_a_failure() -> None:
    assert exits.code_of(ZeroDivisionError()) is Exit.FAILED
    assert exits.code_of(KeyboardInterrupt()) is Exit.INTERRUPTED


def test_what_duckdb_makes_of_ctrl_c_is_an_interruption() -> None:
    assert exits.code_of(RuntimeError("Query interrupted")) is Exit.INTERRUPTED
    assert exits.code_of(RuntimeError("another")) is Exit.FAILED


def test_every_code_has_a_meaning_and_a_rank() -> None:
    assert set(exits.MEANINGS) == set(Exit) == set(exits.HARM)


def test_of_several_codes_the_greatest_harm_decides() -> None:
    order = [Exit.DONE, Exit.PARTLY, Exit.LOCKED, Exit.UNREACHABLE, Exit.REFUSED, Exit.FAILED, Exit.INTERRUPTED]
    assert all(exits.worst([less, more]) is more for less, more in itertools.combinations(order, 2))
    assert exits.worst([]) is Exit.DONE


def test_a_message_cannot_steer_a_terminal() -> None:
    assert talk.printable("a\x1b[31m\r\u202e\udc80b\\x0a") == "a\\x1b[31m\\x0d\\xe2\\x80\\xae\\x80b\\x0a"
