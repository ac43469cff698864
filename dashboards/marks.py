"""Values and names as pages may show them: a file's name is text wherever it stands."""

import html
import re
import shlex

import streamlit as st

from catalog import printable
from catalog.derive import expressions
from reports import terminal

human = terminal.human
money = terminal.money
literal = expressions.quoted
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$^=@\"'/:])")
_SHORTCODE = re.compile(r":(?=[\w+/-]+:)")
SIGNS = {
    **dict.fromkeys(("yes", "protected", "survives", "complete", "met"), "✓"),
    **dict.fromkeys(("no", "unprotected", "lost", "failed", "never_scanned", "not_met"), "✗"),
    **dict.fromkeys(("unknown", "incomplete"), "?"),
    "partly": "◐",
    "excepted": "○",
}
THREATS = {"user_error": "User error", "ransomware": "Ransomware", "system_failure": "System failure", "facility_outage": "Facility outage"}


def escaped(text: str) -> str:
    """Text for a place that reads Markdown: nothing of it is a mark, a link, an icon or HTML."""
    plain = _SHORTCODE.sub(":\u2060", printable.clean(text))
    return _MARKDOWN.sub(r"\\\1", plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def heading(text: str) -> None:
    """Draw a name as a heading that can be selected and copied."""
    st.html(f'<h3 style="margin:0;padding:0;overflow-wrap:anywhere">{html.escape(printable.clean(text))}</h3>')


def signed(value: str | None) -> str:
    """A result with its sign, so that its colour is never all that tells it."""
    return "–" if value is None else f"{SIGNS[value]} {value.replace('_', ' ')}" if value in SIGNS else value  # noqa: RUF001  # as above


def command(*words: str) -> str:
    """A command line that means just these words to a shell."""
    return " ".join(["lastcopy", *map(_word, words)])


def _word(word: str) -> str:
    # Conditions are full of apostrophes: in double quotes they can be read, where nothing in them means something to the shell.
    return f'"{word}"' if "'" in word and not re.search(r'["$`\\!]', word) else shlex.quote(word)


def file_name(*parts: str) -> str:
    """The name of a file to download, out of letters, digits, dots and dashes alone."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(part for part in parts if part))[:120].strip("-.") or "lastcopy"
