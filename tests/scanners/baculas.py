"""Bacula at work: its three daemons on loopback, with a catalog in SQLite and media that are files."""

import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

# Unpacked there by .ci/run: installed packages would start daemons of their own.
ROOT = Path(__file__).parents[2] / ".bacula/root"
_LIBRARIES = ("usr/lib/bacula", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
_DIRECTOR = """
Director {{ Name = d; DIRport = {d}; DirAddress = 127.0.0.1; QueryFile = "/dev/null"; WorkingDirectory = {work}; PidDirectory = {work}
  Password = p; Messages = m
  FD Connect Timeout = 3
  Maximum Concurrent Jobs = 4 }}
Job {{ Name = nightly; Type = Backup; Level = Full; Client = nas; FileSet = f; Storage = s; Messages = m; Pool = P; Accurate = {accurate} }}
FileSet {{ Name = f; Include {{ Options {{ signature = {signature} }}; File = {data} }} }}
Client {{ Name = nas; Address = 127.0.0.1; FDPort = {f}; Catalog = k; Password = p; Maximum Concurrent Jobs = 4 }}
Storage {{ Name = s; Address = 127.0.0.1; SDPort = {s}; Password = p; Device = v; Media Type = File; Maximum Concurrent Jobs = 4 }}
Catalog {{ Name = k; dbname = bacula; dbuser = ""; dbpassword = "" }}
Messages {{ Name = m; catalog = all }}
Pool {{ Name = P; Pool Type = Backup; Label Format = "Tape-"; Maximum Volume Jobs = 1 }}
"""
_FILES = """
Director {{ Name = d; Password = p }}
FileDaemon {{ Name = nas; FDport = {f}; FDAddress = 127.0.0.1; WorkingDirectory = {work}; PidDirectory = {work} }}
Messages {{ Name = m; director = d = all }}
"""
_STORAGE = """
Storage {{ Name = s; SDPort = {s}; SDAddress = 127.0.0.1; WorkingDirectory = {work}; PidDirectory = {work} }}
Director {{ Name = d; Password = p }}
Device {{ Name = v; Media Type = File; Archive Device = {tapes}; LabelMedia = yes
  Random Access = yes; AutomaticMount = yes; RemovableMedia = no; AlwaysOpen = no }}
Messages {{ Name = m; director = d = all }}
"""
_CONSOLE = "Director {{ Name = d; DIRport = {d}; address = 127.0.0.1; Password = p }}\n"
_TEXTS = {"bacula-sd": _STORAGE, "bacula-fd": _FILES, "bacula-dir": _DIRECTOR, "bconsole": _CONSOLE}


def need() -> None:
    """Skip where Bacula is not there, unless the tests must not be skipped."""
    if not (ROOT / "usr/sbin/bacula-dir").is_file():
        assert not os.environ.get("REQUIRE_SERVERS"), "Bacula is not unpacked: see .ci/run"
        pytest.skip("Bacula is not unpacked: see .ci/run")


def new(path: Path) -> Path:
    """An empty catalog, by Bacula's own script."""
    need()
    text = (ROOT / "usr/share/bacula-director/make_sqlite3_tables").read_text()
    with sqlite3.connect(path) as connection:
        connection.executescript(text.partition("<<END-OF-DATA\n")[2].partition("\nEND-OF-DATA")[0])
    connection.close()
    return path


class Bacula:
    """The daemons, from the beginning of a block to its end; `folder`/data is what they back up."""

    def __init__(self, folder: Path, *, signature: str = "SHA256", accurate: bool = False) -> None:
        self.data, self._work = folder / "data", folder / "work"
        self.catalog = self._work / "bacula.db"
        for path in (self.data, self._work, folder / "tapes"):
            path.mkdir(parents=True, exist_ok=True)
        new(self.catalog)
        own = {"data": self.data, "work": self._work, "tapes": folder / "tapes", "signature": signature, "accurate": "yes" if accurate else "no"}
        self._ports = dict(zip("dfs", _free_ports(3), strict=True))
        for name, text in _TEXTS.items():
            (self._work / f"{name}.conf").write_text(text.format(**own, **self._ports))
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for name, port in (("bacula-sd", "s"), ("bacula-fd", "f"), ("bacula-dir", "d")):
            self._running[name] = subprocess.Popen(self._words(name, "-f"), env=self._environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                _wait(self._ports[port], self._running[name])
            except BaseException:
                self.__exit__(None, None, None)
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in list(self._running):
            self.kill(name)

    def kill(self, name: str) -> None:
        """End one of the daemons."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def console(self, *lines: str) -> str:
        """Have the director do something; gives what it says."""
        told = "".join(f"{line}\n" for line in [*lines, "quit"])
        done = subprocess.run(self._words("bconsole"), env=self._environment(), input=told.encode(), capture_output=True, check=True, timeout=60)
        return done.stdout.decode()

    def back_up(self, level: str = "Full") -> None:
        """Run the job to its end."""
        self.console(f"run job=nightly level={level} yes", "wait")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the catalog says."""
        with sqlite3.connect(f"file:{self.catalog}?mode=ro", uri=True) as connection:
            found = connection.execute(query).fetchall()
        connection.close()
        return found

    def _words(self, name: str, *words: str) -> list[str]:
        return [str(ROOT / "usr/sbin" / name), *words, "-c", str(self._work / f"{name}.conf")]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "TZ": "Asia/Kathmandu", "LD_LIBRARY_PATH": ":".join(str(ROOT / path) for path in _LIBRARIES)}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return found


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until somebody listens there."""
    for _ in range(600):
        assert process.poll() is None, process.args
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(process.args)


def filled(path: Path, items: Iterable[tuple[bytes, str, bytes, int]]) -> Path:
    """A catalog of one full job in Bacula's own tables: paths (of folders with a slash at the end), LStat, digits of the checksum, and number of the file."""
    new(path)
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    connection.execute("INSERT INTO Client VALUES (1, 'nas', '', 1, 0, 0)")
    connection.execute("INSERT INTO FileSet VALUES (1, 'f', '', '')")
    connection.execute("INSERT INTO Media (MediaId, VolumeName, MediaType, VolStatus) VALUES (1, 'Tape-1', 'File', 'Full')")
    times = ("2023-11-14 22:13:00", "2023-11-14 22:13:00", "2023-11-14 22:13:20", 1_700_000_000)
    connection.execute(
        "INSERT INTO Job (JobId, Job, Name, Type, Level, ClientId, JobStatus, SchedTime, StartTime, EndTime, JobTDate, FileSetId)"
        " VALUES (1, 'nightly.1', 'nightly', 'B', 'F', 1, 'T', ?, ?, ?, ?, 1)",
        times,
    )
    connection.execute("INSERT INTO JobMedia (JobId, MediaId, FirstIndex, LastIndex) VALUES (1, 1, 1, 1000000)")
    for number, (full, told, digits, index) in enumerate(items, 1):
        folder, _, name = full.rpartition(b"/")
        connection.execute("INSERT INTO Path VALUES (?, CAST(? AS TEXT))", (number, folder + b"/"))
        connection.execute("INSERT INTO Filename VALUES (?, CAST(? AS TEXT))", (number, name))
        row = (number, index, number, number, told, digits.decode())
        connection.execute("INSERT INTO File (FileId, FileIndex, JobId, PathId, FilenameId, LStat, MD5) VALUES (?, ?, 1, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    return path
