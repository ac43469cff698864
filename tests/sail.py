"""Sail, a server of Spark Connect without a JVM, in a process of its own on loopback. As a program it serves until its input ends."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    address: str
    process: "subprocess.Popen[str]"

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()


@contextmanager
def running() -> Iterator[Server]:
    """A server that ends with the context, or with us."""
    command = [sys.executable, "-P", "-m", "tests.sail"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            port = server.stdout.readline().strip()
            assert port, "Sail did not start: is pysail installed?"
            yield Server(f"sc://127.0.0.1:{port}", server)
        finally:
            server.kill()


def main() -> None:
    """Serve, and say at which port."""
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    print(server.listening_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
