"""What the documentation says is there: links, commands, make targets, configuration."""

import re
import tomllib
from pathlib import Path

import pytest
import typer

import reports
from catalog import config
from lastcopy import cli

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not broken


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    reached = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", index.read_text("utf-8"))}
    assert [_name(page) for page in PAGES if (ROOT / "docs") in page.parents and page != index and page.resolve() not in reached] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\bmake ([a-z]+)(?=[`\s]*(?:$|[#;|&,.:]|SLOW|PYTHON|`))", page.read_text("utf-8"), re.MULTILINE))
    assert [target for target in named if not re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "operating.md"], ids=_name)
def test_every_command_of_an_example_exists(page: Path) -> None:
    known = set(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]  # the root is a group
    named = {found for block in _blocks(page.read_text("utf-8"), "(?:sh|ini)") for found in re.findall(r"\blastcopy ([a-z]+)", block)}
    assert named
    assert named - known == set()


def test_the_configurations_in_the_readme_are_accepted() -> None:
    examples = _blocks((ROOT / "README.md").read_text("utf-8"), "toml")
    assert examples
    for example in examples:
        assert config.parse(tomllib.loads(example)).volumes


def test_the_readme_sets_up_and_tests_with_two_commands() -> None:
    first, second = _blocks((ROOT / "README.md").read_text("utf-8"), "sh")[0].strip().splitlines()
    assert first.endswith("make demo")
    assert all(package in first for package in ("make", "python3-venv", "libmagic1"))
    assert second == "make check"


def test_the_readme_lists_every_report_with_its_question() -> None:
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE))
    assert listed == {name: reports.load(name).question for name in reports.names()}


def test_no_help_is_cut_on_a_terminal_of_eighty_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    groups = [[], *([name] for name, command in typer.main.get_command(cli.app).commands.items() if getattr(command, "commands", None))]  # type: ignore[attr-defined]  # the root is a group
    cut = []
    for group in groups:
        assert cli.run([*group, "--help"]) == 0
        cut += [line for line in capsys.readouterr().out.splitlines() if line.endswith("...") and not line.startswith("Usage: ")]
    assert cut == []
