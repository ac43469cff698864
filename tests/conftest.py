"""What holds for all tests."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.scanners import smbd, sshd

_LONG_SECONDS = 20.0

settings.register_profile("lastcopy", deadline=None)  # speed is judged in benchmarks/, not by a test on a busy machine
settings.load_profile("lastcopy")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore Ctrl-C, and so would every program that they start


@pytest.hookimpl(tryfirst=True)  # before slow ones are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of `slow_but_first` that are slow: all but the first one of each test."""
    seen: set[str] = set()
    for item in items:
        test = item.nodeid.partition("[")[0]
        if item.get_closest_marker("slow_but_first") and test in seen:
            item.add_marker(pytest.mark.slow)
        seen.add(test)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that take long, and are run by everybody for all that: nothing fails by it, for the machine may have been busy."""
    calls = (found for outcome in ("passed", "failed") for found in terminalreporter.stats.get(outcome, ()) if found.when == "call")
    long = sorted(((found.duration, found.nodeid) for found in calls if found.duration > _LONG_SECONDS and "slow" not in found.keywords), reverse=True)
    if long:
        terminalreporter.section(f"took more than {_LONG_SECONDS:.0f} seconds and are not marked as slow (CONTRIBUTING.md)")
        for seconds, name in long:
            terminalreporter.write_line(f"{seconds:6.1f} s  {name}")


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
