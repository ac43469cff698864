"""Packages that only some commands need."""

import importlib.util

from catalog.errors import MissingExtraError


def need(extra: str, *modules: str) -> None:
    """Raise MissingExtraError that says what to install where one of the modules is not there. Imports none."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtraError(f"{', '.join(missing)} is not installed: pip install 'lastcopy[{extra}]'")
