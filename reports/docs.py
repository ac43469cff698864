"""The reference page of all reports, made from their headers: `python -m reports.docs` writes docs/reference/reports.md."""

import sys
from pathlib import Path

import reports

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "reports.md"
_HEAD = """\
# Reports

Made by `python -m reports.docs` from the headers of `reports/*.sql`; do not edit.

`lastcopy report NAME` answers one question over the newest snapshot. Parameters are options (`--days 90`), `--where` takes a
condition over the report's columns, and `--sql` prints the query. Columns keep their names; new ones may be added. In files bytes
are integers, times are ISO 8601 in UTC, digests lower-case hexadecimal, paths in the escaped form; percentages are rounded down.
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *(_section(reports.load(name)) for name in reports.names())])


def _section(report: reports.Report) -> str:
    lines = [f"## {report.name}", "", f"**{report.title}.** {report.question}", ""]
    for parameter in report.params:
        choices = f"; one of {', '.join(f'`{choice}`' for choice in parameter.choices)}" if parameter.choices else ""
        least = "" if parameter.least is None else f"; at least {parameter.least}"
        lines.append(f"* `--{parameter.name.replace('_', '-')}` (default `{parameter.default}`): {parameter.help}{choices}{least}")
    if report.compares:
        lines.append("* `--against WHEN`: the earlier snapshot that it compares with, by id, day or time; else the one before")
    lines += [""] if report.params or report.compares else []
    lines += ["| column | unit | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{column.name}` | {column.unit} | {column.meaning.replace('|', chr(92) + '|')} |" for column in report.columns]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), "utf-8")
    sys.stderr.write(f"{PAGE}: written\n")
