"""What holds for all tests."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.scanners import smbd, sshd

settings.register_profile("lastcopy", deadline=None)  # speed is judged in benchmarks/, not by a test on a busy machine
settings.load_profile("lastcopy")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore Ctrl-C, and so would every program that they start


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Server]:
    """A server of SSH on loopback."""
    started = sshd.start(tmp_path_factory.mktemp("server") / "sshd")
    yield started
    started.stop()


@pytest.fixture(scope="module")
def smb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[smbd.Server]:
    """A server of SMB on loopback."""
    started = smbd.start(tmp_path_factory.mktemp("server") / "smbd")
    yield started
    started.stop()
