"""Notifications: once when it comes to be so, many in one message, and again where it could not be sent."""

import base64
import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import config
from catalog.config import Config
from catalog.errors import ConfigError
from catalog.services import Event
from lastcopy import settings
from lastcopy.service import alerts, schedule
from lastcopy.service.alerts import Alert, Message
from tests.lastcopy.conftest import DECLARED, Estate
from tests.lastcopy.program import run
from tests.lastcopy.service.receivers import Inbox, Mailbox

PLAIN = Message("a", "b")


def told_to(estate: Estate, inbox: Inbox | Mailbox, tmp_path: Path, more: str = "") -> Config:
    (tmp_path / "address").write_text(inbox.url)
    path = tmp_path / "lastcopy.toml"
    path.write_text(DECLARED.replace('path = "catalog"', f'path = "{estate.folder}/catalog"') + f'\n[notify.to.ops]\nurl_file = "address"\n{more}')
    return config.load(path)


@pytest.fixture(autouse=True)
def forgets(estate: Estate) -> Iterator[None]:
    yield
    for file in (estate.folder / "catalog" / ".service").glob("told-*"):
        file.unlink()


def in_days(days: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


def test_what_comes_to_be_so_is_told_once_and_together(estate: Estate, inbox: Inbox, tmp_path: Path) -> None:
    declared = told_to(estate, inbox, tmp_path)
    root = settings.root_of(declared)
    assert alerts.tell(declared, root, in_days(0), {}) == 0
    assert alerts.tell(declared, root, in_days(10), {}) == 1
    assert alerts.tell(declared, root, in_days(11), {}) == 0
    [message] = inbox.messages
    assert message["title"] == "Lastcopy: 2 things to look at"
    assert "volume data: its newest good scan is 10 d old" in message["message"]
    assert "volume mirror" in message["message"]
    assert alerts.tell(declared, root, in_days(0), {}) == 0
    assert alerts.tell(declared, root, in_days(10), {}) == 1, "it became stale anew"


def test_what_could_not_be_sent_is_sent_with_the_next(estate: Estate, inbox: Inbox, tmp_path: Path) -> None:
    declared = told_to(estate, inbox, tmp_path)
    root = settings.root_of(declared)
    inbox.status = 500
    assert alerts.tell(declared, root, in_days(10), {}) == 0
    inbox.status = 200
    assert alerts.tell(declared, root, in_days(10), {}) == 1


def test_one_receiver_who_cannot_be_told_keeps_nobody_else_from_it(estate: Estate, inbox: Inbox, tmp_path: Path) -> None:
    declared = told_to(estate, inbox, tmp_path, '[notify.to.all]\nurl_file = "nowhere"\n[notify.to.zoe]\nurl_file = "address"\n')
    assert alerts.tell(declared, settings.root_of(declared), in_days(10), {}) == 2
    assert len(inbox.messages) == 2


@pytest.mark.slow
def test_a_scheduled_report_is_a_file_and_a_mail(estate: Estate, inbox: Inbox, tmp_path: Path) -> None:
    task = '[schedule.paper]\ncron = "@monthly"\nrun = "report coverage --output coverage-{day}.html"\nto = ["ops"]\n'
    declared = told_to(estate, inbox, tmp_path, task)
    runner = schedule.Runner(lambda: declared, ["--config", str(declared.path)])
    assert runner.run("paper") == 0
    [written] = tmp_path.glob("coverage-*.html")
    [message] = inbox.messages
    [attached] = message["attachments"]
    assert message["title"] == "Lastcopy: paper"
    assert attached["filename"] == written.name
    assert base64.b64decode(attached["base64"]) == written.read_bytes()
    inbox.status = 500
    assert runner.run("paper") == 8


def test_a_receiver_is_told_what_he_asked_for(estate: Estate, inbox: Inbox, tmp_path: Path) -> None:
    ends = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=5)).date()
    more = f'on = ["exception"]\n[[exceptions]]\nwhere = "path = \'x\'"\nreason = "agreed"\nowner = "legal"\nuntil = {ends}\n'
    declared = told_to(estate, inbox, tmp_path, more)
    assert alerts.tell(declared, settings.root_of(declared), in_days(30), {}) == 1
    [message] = inbox.messages
    assert "exception 1, of legal, ended on" in message["message"]
    assert "stale" not in message["message"]


def test_a_token_that_expires_is_told_before_and_when_it_has(estate: Estate, inbox: Inbox, tmp_path: Path) -> None:
    ends = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=20)).replace(microsecond=0)
    tokens = f'[api.tokens.grafana]\nhash = "sha256:{"0" * 64}"\nexpires_at = {ends.isoformat()}\n[api.tokens.ever]\nhash = "sha256:{"1" * 64}"\n'
    declared = told_to(estate, inbox, tmp_path, f'on = ["token"]\n{tokens}')
    root = settings.root_of(declared)
    assert [alerts.tell(declared, root, in_days(days), {}) for days in (1, 10, 11, 21, 22)] == [0, 1, 0, 1, 0]
    assert [message["message"] for message in inbox.messages] == [f"* API token grafana {says} at {ends:%Y-%m-%d %H:%M} UTC" for says in ("expires", "expired")]


def test_a_burst_is_one_message_of_some_lines() -> None:
    told = alerts.message([Alert(f"k{number}", "failed", f"job \x1b[31m{number}") for number in range(500)])
    assert told.title == "Lastcopy: 500 things to look at"
    assert len(told.body.splitlines()) == 41
    assert "and 460 more" in told.body
    assert "\x1b" not in told.body


@pytest.mark.parametrize(
    ("events", "kind"), [(["plan"], "info"), (["plan", "stale"], "warning"), (["unprotected", "failed", "plan"], "failure"), (["exception"], "warning")]
)
def test_a_message_is_of_the_worst_kind_that_it_tells_of(estate: Estate, inbox: Inbox, tmp_path: Path, events: list[Event], kind: str) -> None:
    declared = told_to(estate, inbox, tmp_path)
    assert alerts.send(declared, "ops", declared.notify.to["ops"], alerts.message([Alert(event, event, event) for event in events]))
    assert [message["type"] for message in inbox.messages] == [kind]


def test_an_address_that_cannot_be_had_is_said_without_it(estate: Estate, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = told_to(estate, inbox, tmp_path)
    (tmp_path / "address").write_text("nothing-of-the-kind secret")
    receiver = declared.notify.to["ops"]
    with pytest.raises(ConfigError, match="no address of Apprise") as error:
        alerts.send(declared, "ops", receiver, PLAIN)
    assert "secret" not in str(error.value)
    (tmp_path / "address").unlink()
    with pytest.raises(ConfigError, match="cannot be had"):
        alerts.send(declared, "ops", receiver, PLAIN)
    monkeypatch.setenv("TOLD_AT", inbox.url)
    by_environment = config.parse({"notify": {"to": {"ops": {"url_env": "TOLD_AT"}}}})
    assert alerts.send(by_environment, "ops", by_environment.notify.to["ops"], PLAIN)
    by_command = config.parse({"notify": {"to": {"ops": {"url_command": f"echo {inbox.url}"}}}})
    assert alerts.send(by_command, "ops", by_command.notify.to["ops"], PLAIN)


@pytest.mark.slow
def test_the_test_command_says_who_can_be_told(estate: Estate, inbox: Inbox, tmp_path: Path) -> None:
    told_to(estate, inbox, tmp_path)
    assert run("notify", "test", "--format", "json", folder=tmp_path).data == [{"receiver": "ops", "state": "ok", "error": None}]
    assert [message["title"] for message in inbox.messages] == ["Lastcopy: test"]
    inbox.status = 500
    run("notify", "test", folder=tmp_path, code=8)
    with (tmp_path / "lastcopy.toml").open("a") as file:
        file.write('\n[notify.to.gone]\nurl_env = "NO_SUCH_VARIABLE"\n')
    inbox.status = 200
    rows = run("notify", "test", "--format", "json", folder=tmp_path, code=8).data
    assert {row["receiver"]: row["state"] for row in rows} == {"ops": "ok", "gone": "failed"}
    assert "no variable NO_SUCH_VARIABLE" in rows[1]["error"]
    assert "no receiver 'x'; receivers are ops" in run("notify", "test", "x", folder=tmp_path, code=6).err


@pytest.mark.slow
def test_a_mail_has_the_report_as_it_was_written(estate: Estate, mailbox: Mailbox, tmp_path: Path) -> None:
    task = '[schedule.paper]\ncron = "@monthly"\nrun = "report assets --output assets.xlsx"\nto = ["ops"]\n'
    declared = told_to(estate, mailbox, tmp_path, task)
    assert run("notify", "test", "--format", "json", folder=tmp_path).data == [{"receiver": "ops", "state": "ok", "error": None}]
    assert schedule.Runner(lambda: declared, ["--config", str(declared.path)]).run("paper") == 0
    [test, mail] = mailbox.mails
    assert (test["Subject"], test["To"]) == ("Lastcopy: test", "ana@example.org")
    assert mail["Subject"] == "Lastcopy: paper"
    [attached] = mail.iter_attachments()
    assert attached.get_filename() == "assets.xlsx"
    assert attached.get_content() == (tmp_path / "assets.xlsx").read_bytes()


def test_a_mail_of_hostile_words_has_one_subject_and_plain_text(estate: Estate, mailbox: Mailbox, tmp_path: Path) -> None:
    declared = told_to(estate, mailbox, tmp_path)
    told = alerts.message([Alert("k", "failed", "volume x: \x1b[31m\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>\u202e")])
    assert alerts.send(declared, "ops", declared.notify.to["ops"], told)
    [mail] = mailbox.mails
    assert mail["Bcc"] is None
    assert [part.get_content_type() for part in mail.walk()] == ["text/plain"]
    assert "<script>alert(1)</script>" in mail.get_content()
    assert not set("\x1b\u202e") & set(mail["Subject"] + mail.get_content())
