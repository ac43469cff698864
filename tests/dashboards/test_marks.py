"""Names where Markdown is read, commands, and names of downloads."""

import shlex

import pytest

from dashboards import marks, matrix, tables
from reports import Column

HOSTILE = [
    "<script>alert(1)</script>",
    "**bold**",
    "[link](http://x)",
    ":smile:",
    ":material/home:",
    ":red[x]",
    "$x$",
    "a & b",
    "`code`",
    "_x_",
    "# head",
    "\u202egpj",
    "1. x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_name_is_a_mark_where_markdown_is_read(text: str) -> None:
    escaped = marks.escaped(text)
    assert "<" not in escaped
    assert "\u202e" not in escaped
    for place, letter in enumerate(escaped):
        if letter in "*[]()`_#$:!|~":
            assert escaped[place - 1] == "\\", escaped


def test_no_shortcode_of_an_icon_is_left() -> None:
    assert ":smile:" not in marks.escaped(":smile:").replace("\\", "")
    assert ":material/home:" not in marks.escaped(":material/home:").replace("\\", "")


@pytest.mark.parametrize("word", ["plain", "two words", "it's", "a\"b'c", "$(touch x)'", "back\\slash'", "volume = 'projects'", "!history'"])
def test_a_command_means_just_its_words_to_a_shell(word: str) -> None:
    assert shlex.split(marks.command("report", word)) == ["lastcopy", "report", word]


def test_a_condition_stays_readable_in_a_command() -> None:
    assert marks.command("report", "--where", "volume = 'projects'") == "lastcopy report --where \"volume = 'projects'\""


@pytest.mark.parametrize(
    ("parts", "name"), [(("largest", "2026"), "largest-2026"), (("../../etc/passwd",), "etc-passwd"), (("=cmd()", "<x>"), "cmd-x"), (("",), "lastcopy")]
)
def test_a_download_is_named_by_letters_digits_dots_and_dashes(parts: tuple[str, ...], name: str) -> None:
    assert marks.file_name(*parts) == name


def test_a_result_is_told_by_a_sign_too() -> None:
    assert [marks.signed(word) for word in ("yes", "no", "unknown", "never_scanned", None)] == ["✓ yes", "✗ no", "? unknown", "✗ never scanned", "–"]  # noqa: RUF001  # a dash stands for: nothing


def test_a_share_of_nothing_is_told_from_a_little_and_from_half_by_sign_and_colour() -> None:
    covered = {0: 0.0, 1: 0.0, 476: 47.6, 523: 52.3, 999: 99.9, 1000: 100.0}
    rows = [{"waived": None, "covered_pct": share, "covered_assets": assets, "unknown_assets": 0} for assets, share in covered.items()]
    assert [matrix._said(row) for row in rows] == ["○ 0.0 %", "◔ 0.0 %", "◔ 47.6 %", "◑ 52.3 %", "◕ 99.9 %", "● 100.0 %"]
    assert len({matrix._colour(row) for row in rows}) == 5


def test_what_a_user_wrote_keeps_its_low_lines_and_our_own_words_have_none() -> None:
    columns, row = [Column("reason", "why"), Column("reasons", "why not")], {"reason": "see_ticket_7", "reasons": "never_copied"}
    shown = tables._styled([row], columns, tables._WORDS).to_html()
    assert ("see_ticket_7" in shown, "never copied" in shown) == (True, True)
    assert "see ticket 7" in tables._styled([row], columns, {*tables._WORDS, "reason"}).to_html()
