"""Every report with its parameters: looked at, and taken away as a file."""

import streamlit as st

import reports as questions
from catalog.errors import LastcopyError
from dashboards import asking, chrome, links, marks, tables
from reports import Parameter, Value

_FILES = {"volume", "path"}


def draw() -> None:
    """Draw the page."""
    chrome.title("Reports", "Every question that this catalog answers, as a table, a file and a command.")
    loaded = {name: questions.load(name) for name in questions.names()}
    name = str(st.selectbox("Report", list(loaded), index=list(loaded).index("coverage"), key="report", bind="query-params"))
    chosen = loaded[name]
    st.markdown(f"**{marks.escaped(chosen.title)}.** {marks.escaped(chosen.question)}")
    given: dict[str, Value] = {}
    for parameter, column in zip(chosen.params, st.columns(max(1, len(chosen.params))), strict=False):
        with column:
            given[parameter.name] = _asked(name, parameter)
    where = st.text_input("Only rows where", placeholder="a condition over its columns, as in size_bytes > 1000000", key="where", bind="query-params") or None
    try:
        answer = asking.report(name, given, where)
    except LastcopyError as error:
        st.error(chrome.failure(error), icon=":material/block:")
        return
    row = tables.draw(answer, f"report-{name}", tuple(column.name for column in answer.columns), click={column.name for column in answer.columns} >= _FILES)
    links.to_file(row)
    st.subheader("Take it away", anchor=False)
    tables.downloads(name, f"report-{name}", given, where)


def _asked(name: str, parameter: Parameter) -> Value:
    key = f"{name}-{parameter.name}"
    label = parameter.name.replace("_", " ")
    if parameter.choices:
        return str(
            st.selectbox(
                label, list(parameter.choices), index=list(parameter.choices).index(parameter.default), help=parameter.help, key=key, bind="query-params"
            )
        )
    if isinstance(parameter.default, int):
        return int(st.number_input(label, value=parameter.default, min_value=parameter.least, help=parameter.help, key=key, bind="query-params"))
    return str(st.text_input(label, value=str(parameter.default), help=parameter.help, key=key, bind="query-params"))


draw()
