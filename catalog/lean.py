"""Programs that pandas has no place in: pyarrow imports it at its first array wherever it is installed, and that takes longer than most questions."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn


class _Absent:
    """Finds pandas, and fails to load it."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == "pandas" else None  # type: ignore[arg-type]  # it loads nothing

    def create_module(self, spec: ModuleSpec) -> NoReturn:
        raise ModuleNotFoundError(f"{spec.name} is left out of this program", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Never called: there is no module."""


def without_pandas() -> None:
    """Let this process be one where pandas is not installed. For programs only: who imports us may want it."""
    sys.meta_path.insert(0, _Absent())


def with_pandas() -> None:
    """Take that back, for a library that cannot be imported without it. What pyarrow knows stays: its tables have no way to pandas."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Absent)]
