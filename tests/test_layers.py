"""Rules that hold for the whole tree of code: names, reasons, and who may import whom."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("catalog", "scanners", "reports", "lifecycle", "dashboards", "lastcopy", "sample_data", "tests", "benchmarks")
MODULES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if "build" not in file.parts)
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


def _name(module: Path) -> str:
    return str(module.relative_to(ROOT))


def _imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_modules_are_named_by_what_they_are() -> None:
    assert [_name(module) for module in MODULES if module.stem in ("utils", "helpers", "common", "manager", "base")] == []


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_an_ignored_check_carries_its_reason(module: Path) -> None:
    bare = re.compile(r"#\s*(?:noqa(?:: [A-Z0-9, ]+)?|type: ignore(?:\[[a-z, -]+\])?)\s*$")
    assert [line for line in module.read_text("utf-8").splitlines() if bare.search(line)] == []


def test_every_dependency_has_its_reason_beside_it() -> None:
    declared = tomllib.loads(PYPROJECT)
    for dependency in [*declared["project"]["dependencies"], *declared["dependency-groups"]["dev"]]:
        assert re.search(rf'^ *"{re.escape(dependency)}", *# \w', PYPROJECT, re.MULTILINE), dependency


def test_the_layers_are_a_contract_over_every_package() -> None:
    contract = tomllib.loads(PYPROJECT)["tool"]["importlinter"]
    layers = {name.strip() for layer in contract["contracts"][0]["layers"] for name in layer.split("|")}
    shipped = set(tomllib.loads(PYPROJECT)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert set(contract["root_packages"]) == layers == shipped


def test_only_lifecycle_may_write_to_a_users_storage() -> None:
    reachable = [module for module in MODULES if _name(module).startswith(("scanners/", "reports/", "catalog/", "dashboards/"))]
    assert reachable
    assert [_name(module) for module in reachable if any(name.startswith("lifecycle.actions") for name in _imports(module))] == []
