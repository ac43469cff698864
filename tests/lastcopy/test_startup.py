"""Help and version are quick because nothing heavy is imported for them."""

import json
import subprocess
import sys

import pytest

SERVICE = {"fastapi", "uvicorn", "starlette", "streamlit", "apscheduler", "apprise", "structlog", "prometheus_client", "weasyprint", "jinja2", "xlsxwriter"}
HEAVY = {"duckdb", "pyarrow", "deltalake", "polars", "numpy", "sqlglot", "magic", "scanners", "reports", *SERVICE}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["version"],
        ["scan", "--help"],
        ["doctor", "--help"],
        ["serve", "--help"],
        ["dashboard", "--help"],
        ["schedule", "--help"],
        ["notify", "--help"],
    ],
)
def test_help_and_version_import_no_heavy_library(arguments: list[str]) -> None:
    program = (
        "import json, sys\n"
        "from lastcopy import cli\n"
        f"code = cli.run({arguments!r})\n"
        "print(json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules})]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    assert not HEAVY & set(modules)


def test_importing_the_package_imports_none_of_the_engine() -> None:
    program = "import sys; import lastcopy; print(sorted(name for name in sys.modules if name.startswith(('lastcopy', 'catalog', 'typer'))))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['lastcopy']"
