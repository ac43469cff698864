"""Help and version are quick because nothing heavy is imported for them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lastcopy.conftest import grow
from tests.lastcopy.program import run

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


@pytest.mark.slow_but_first
@pytest.mark.parametrize("arguments", [["report", "volumes"], ["scan", "--digest", "off"], ["check"]])
def test_no_program_imports_pandas_or_the_client_of_a_cluster_but_those_that_use_them(tmp_path: Path, arguments: list[str]) -> None:
    grow(tmp_path)
    run("scan", "--digest", "off", folder=tmp_path)
    program = (
        "import sys\n"
        "from lastcopy import __main__\n"
        f"sys.argv[1:] = {['--config', str(tmp_path / 'lastcopy.toml'), *arguments]!r}\n"
        "try:\n"
        "    __main__.main()\n"
        "finally:\n"
        "    print(sorted({'pandas', 'pyarrow', 'pyspark', 'grpc', 'catalog.portable'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "['pyarrow']"


def test_importing_the_package_imports_none_of_the_engine() -> None:
    program = "import sys; import lastcopy; print(sorted(name for name in sys.modules if name.startswith(('lastcopy', 'catalog', 'typer'))))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['lastcopy']"
