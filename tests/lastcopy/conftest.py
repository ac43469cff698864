"""A small estate with hostile names that the real program scanned once, for all tests that only read."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lastcopy.program import Ended, run

DECLARED = """\
[catalog]
path = "catalog"

[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"
media = "disk"

[volumes.mirror]
url = "mirror"
role = "replica"
of = ["data"]
system = "nas-2"
site = "lyon"
admin = "it"
device = "disk-2"
media = "disk"
access = "online"
immutability = "none"

[volumes.vault]
url = "vault"
role = "archive"
access = "offline"
"""

# Bytes that steer a terminal, forge a line, turn text around, start a formula, or are no UTF-8.
HOSTILE = (
    b"red\x1b[31m\x1b]0;title\x07",
    b"line\nerror: forged",
    b"cr\rback\x08\x08",
    "right\u202eleft\u2066".encode(),
    "separator\u2028\u2029zero\u200b".encode(),
    "c1\u009b31m\u0085".encode(),
    b"=cmd|'calc'!A0",
    b"@SUM(1)",
    b"-1+1",
    b"no-utf8\xff\xfe",
    b"pipe|and`tick`<b>&",
    b"[bold red]markup",
    b'quote"and,comma',
    b"back\\slash\\x0a",
    b"tab\tin",
)


@dataclass(frozen=True)
class Estate:
    """A folder with a configuration, and how its scan ended."""

    folder: Path
    scanned: Ended


def grow(folder: Path) -> None:
    """Make the estate: `data` with hostile and plain names, `mirror` with some of it."""
    for volume, names in (("data", HOSTILE), ("mirror", HOSTILE[:3])):
        place = os.fsencode(folder / volume)
        os.makedirs(place + b"/deep")
        for number, name in enumerate(names):
            with open(place + b"/" + name, "wb") as file:
                file.write(b"content %d" % number)
            os.utime(place + b"/" + name, (1_700_000_000 + number, 1_700_000_000 + number))
        with open(place + b"/deep/same", "wb") as file:
            file.write(b"content 0")
    (folder / "lastcopy.toml").write_text(DECLARED)


@pytest.fixture(scope="session")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    folder = tmp_path_factory.mktemp("estate")
    grow(folder)
    return Estate(folder, run("scan", "--format", "json", folder=folder))
