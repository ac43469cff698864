"""Who acts."""

import os
import pwd

import pytest

from lifecycle import people


def test_the_actor_is_the_login_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert people.actor() == pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(
    ("uid", "sudo", "expected"),
    [
        (0, "1", "daemon"),  # under sudo: who called it
        (0, "", "root"),
        (0, "-1", "root"),
        (0, "1; x", "root"),
        (0, "\u0661", "root"),  # a digit, but not one of a user's number
        (0, "4294967294", "uid-4294967294"),
        (0, "9999999999", "uid-9999999999"),
        (1, "0", "daemon"),  # only the superuser is believed
        (54321, "", "uid-54321"),
    ],
)
def test_sudo_is_believed_only_of_the_superuser(monkeypatch: pytest.MonkeyPatch, uid: int, sudo: str, expected: str) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setenv("SUDO_UID", sudo)
    assert people.actor() == expected
