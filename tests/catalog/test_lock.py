"""A lock dies with its process and says who holds it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from catalog import lock
from catalog.errors import CatalogError, LockedError
from sample_data import permissions

HOLD = """
import sys, time
from pathlib import Path
from catalog import lock
with lock.hold(Path(sys.argv[1]), "volume-a"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_until_its_block_ends_and_other_names_are_free(tmp_path: Path) -> None:
    with lock.hold(tmp_path, "volume-a"):
        with pytest.raises(LockedError, match=f"volume-a is locked by process {os.getpid()} on .* since 20"), lock.hold(tmp_path, "volume-a"):
            pass
        with lock.hold(tmp_path, "volume-b"):
            pass
    with lock.hold(tmp_path, "volume-a"):
        pass


def test_a_catalog_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with permissions.obeyed(), pytest.raises(CatalogError, match=r"the catalog cannot be written by user .* \(Permission denied\)"), lock.hold(tmp_path, "a"):
        pass
    tmp_path.chmod(0o700)


def test_a_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), lock.hold(tmp_path, "a"):
        raise ValueError("inside")
    with lock.hold(tmp_path, "a"):
        pass


def test_a_lock_dies_with_a_killed_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {holder.pid}"), lock.hold(tmp_path, "volume-a"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with lock.hold(tmp_path, "volume-a"):
        pass


def test_a_lock_that_is_not_signed_yet_is_held_all_the_same(tmp_path: Path) -> None:
    with lock.hold(tmp_path, "a"):
        (tmp_path / ".locks" / "a").write_bytes(b"{")
        with pytest.raises(LockedError, match="another process"), lock.hold(tmp_path, "a"):
            pass


def test_a_link_in_the_place_of_a_lock_is_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("content")
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / "volume-a").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"), lock.hold(tmp_path, "volume-a"):
        pass
    assert precious.read_text() == "content"


def test_who_asks_whether_a_lock_is_held_takes_none(tmp_path: Path) -> None:
    assert not lock.is_held(tmp_path, "volume-a")
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        assert lock.is_held(tmp_path, "volume-a")
        assert not lock.is_held(tmp_path, "volume-b")
        holder.kill()
        holder.wait()
    assert not lock.is_held(tmp_path, "volume-a")


def test_a_lock_of_another_machine_may_be_held(tmp_path: Path) -> None:
    with lock.hold(tmp_path, "volume-a"):
        pass
    assert not lock.is_held(tmp_path, "volume-a")
    signed = tmp_path / ".locks" / "volume-a"
    signed.write_text(signed.read_text().replace('"host": "', '"host": "not-'))
    assert lock.is_held(tmp_path, "volume-a")
    signed.write_text("")
    assert lock.is_held(tmp_path, "volume-a"), "taken, and not yet signed"


@pytest.mark.parametrize("namespace", ["pid:[1]", None])
def test_a_lock_of_another_container_on_a_host_of_the_same_name_may_be_held(namespace: str | None, tmp_path: Path) -> None:
    with lock.hold(tmp_path, "volume-a"):
        pass
    signed = tmp_path / ".locks" / "volume-a"
    holder = json.loads(signed.read_text()) | {"pid_namespace": namespace}
    signed.write_text(json.dumps({key: value for key, value in holder.items() if value}))
    assert lock.is_held(tmp_path, "volume-a")


def test_where_the_system_tells_no_pid_namespace_a_lock_is_held_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def untold(path: str) -> str:
        raise FileNotFoundError(2, "no such file", path)

    monkeypatch.setattr("os.readlink", untold)
    with lock.hold(tmp_path, "volume-a"):
        assert lock.is_held(tmp_path, "volume-a")
    assert not lock.is_held(tmp_path, "volume-a")
