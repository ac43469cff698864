"""Extensions: a file is an extension and its stem is its name, in every package that an entry-point group names."""

import functools
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from catalog.errors import ConfigError, NotFoundError

GROUPS = ("scanners", "reports", "stores", "actions")


def names(group: str, suffix: str = ".py", defines: str | None = None) -> list[str]:
    """The sorted names of a group's extensions ('scanners', 'reports', 'stores', 'actions'), found without importing any of them.

    `defines` limits them to files with a line that starts so, as in 'class Scanner': a package may hold other modules too.
    Raises ConfigError if two packages bring one name.
    """
    return sorted(_found(group, suffix, defines))


def path(group: str, name: str, suffix: str, defines: str | None = None) -> Path:
    """The file of an extension. Raises NotFoundError that lists the known names."""
    return _one(group, name, suffix, defines)[1]


def load(group: str, name: str, defines: str | None = None) -> ModuleType:
    """The module of an extension, the only one of its group that is imported. Raises NotFoundError that lists the known names."""
    package, _ = _one(group, name, ".py", defines)
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")


def _one(group: str, name: str, suffix: str, defines: str | None) -> tuple[str, Path]:
    found = _found(group, suffix, defines)
    if name not in found:
        raise NotFoundError(f"there is no {group.removesuffix('s')} {name!r}; known are {', '.join(sorted(found)) or 'none'}")
    return found[name]


@functools.cache  # what is installed stays for as long as a program runs
def _found(group: str, suffix: str, defines: str | None) -> Mapping[str, tuple[str, Path]]:
    found: dict[str, tuple[str, Path]] = {}
    for package in _packages(group):
        for file in _files(package, suffix):
            if defines and not any(line.startswith(defines) for line in file.read_text("utf-8").splitlines()):
                continue
            name = file.stem.replace("_", "-")
            if name in found and found[name][1] != file:
                raise ConfigError(f"two {group} are named {name!r}: {found[name][1]} and {file}; remove or rename one of them")
            found[name] = (package, file)
    return found


def _packages(group: str) -> list[str]:
    return sorted({entry.value for entry in importlib.metadata.entry_points(group=f"lastcopy.{group}")})


def _files(package: str, suffix: str) -> Iterator[Path]:
    for folder in _folders(package):
        yield from sorted(file for file in folder.glob(f"*{suffix}") if not file.name.startswith("_"))


def _folders(package: str) -> list[Path]:
    top, *below = package.split(".")
    spec = importlib.util.find_spec(top)  # finding a package below another would import that one
    if spec is None or spec.submodule_search_locations is None:
        raise ConfigError(f"the package {package!r} is named by an installed extension, but cannot be found; install it again")
    return [Path(place, *below) for place in spec.submodule_search_locations]
