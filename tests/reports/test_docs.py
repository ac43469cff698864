"""The reference page of reports is what their headers say now."""

import reports
from reports import docs


def test_the_page_is_fresh() -> None:
    assert docs.PAGE.read_text("utf-8") == docs.page(), "run: python -m reports.docs"


def test_the_page_names_every_report_parameter_and_column() -> None:
    page = docs.page()
    for name in reports.names():
        report = reports.load(name)
        assert f"## {name}\n" in page
        assert all(f"`--{parameter.name.replace('_', '-')}`" in page for parameter in report.params)
        assert all(f"| `{column.name}` |" in page for column in report.columns)
