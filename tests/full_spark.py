"""Apache Spark itself, with two executors in processes of their own on loopback: `make spark` says where it is installed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import sail

_PATIENCE_SECONDS = 300.0
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
}


@dataclass(frozen=True)
class Spark:
    """A cluster that runs."""

    address: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def executors(self) -> list[int]:
        """The numbers of the processes of its executors."""
        return [pid for pid in _below(self.process.pid) if b"CoarseGrainedExecutorBackend" in _command(pid)]

    def kill_an_executor(self) -> None:
        """End one as a power cut does."""
        os.kill(self.executors()[0], signal.SIGKILL)


@contextmanager
def running(folder: Path) -> Iterator[Spark]:
    """A cluster that ends with the context; its files are in `folder`. Skips the test where no Spark is installed."""
    home = os.environ.get("SPARK_HOME")
    if not home:
        pytest.skip("no SPARK_HOME: 'make spark' installs Spark, and runs this")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = {**_SETTINGS, "spark.connect.grpc.binding.port": str(port), "spark.local.dir": str(folder)}
    command = [f"{home}/bin/spark-submit", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", "local-cluster[2,1,1024]"]
    command += [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    log = folder / "spark.log"
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_HOME": home}
    with log.open("wb") as out, subprocess.Popen([*command, "spark-internal"], cwd=folder, env=environment, stdout=out, stderr=out) as process:
        try:
            _wait(port, process, log)
            yield Spark(f"sc://127.0.0.1:{port}", process, log)
        finally:
            for pid in (*_below(process.pid), process.pid):
                os.kill(pid, signal.SIGKILL)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"Spark did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")


def _below(parent: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    try:
        children = [int(pid) for file in Path(f"/proc/{parent}/task").glob("*/children") for pid in file.read_text().split()]
    except OSError:
        return []
    return [*(pid for child in children for pid in _below(child)), *children]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def or_sail(folder: Path) -> Iterator[str]:
    """The address of a cluster: Spark's where 'make spark' installed one, else Sail's."""
    if os.environ.get("SPARK_HOME"):
        with running(folder) as started:
            yield started.address
    else:
        with sail.running() as server:
            yield server.address
