"""The HTTP API of `lastcopy serve`, asked by twenty clients for a minute while the same volume is scanned over and over."""

import contextlib
import http.client
import itertools
import re
import statistics
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import estate, trees
from benchmarks.estate import DONE, Estate
from benchmarks.measure import CommandError, run, say
from benchmarks.table import Asked, Row, limit

ENTRIES = 1_000_000
CLIENTS, SECONDS = 20, 60
_BEGIN_SECONDS = 60
QUESTIONS = (
    "/api/snapshots", "/api/volumes", "/api/reports/overview", "/api/reports/coverage", "/api/reports/largest?limit=100",
    "/api/reports/assets?limit=1000&format=csv", "/api/find?pattern=*.txt&limit=100", "/metrics",
)  # fmt: skip


@dataclass
class _Seen:
    """What the clients met: the seconds of each answer, and what was no answer."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    scans: list[int] = field(default_factory=list)


def measure(asked: Asked) -> list[Row]:
    """The errors, and how long 19 of 20 answers take at most."""
    made = estate.make(asked.scratch / "served", {"tree": trees.machine(asked.scratch, asked.size(ENTRIES))})
    run(made.scan("off"))
    with _serving(made) as address:
        seen = _asked(made, address, SECONDS // 10 if asked.quick else SECONDS)
    say(f"{len(seen.seconds):,} answers during {len(seen.scans)} scans; {seen.errors[:3]}")
    what = f"API, {CLIENTS} clients for {SECONDS} s during scans of {asked.size(ENTRIES):,} entries"
    parts = statistics.quantiles(seen.seconds, n=100, method="inclusive")
    note = f"{len(seen.seconds):,} answers during {len(seen.scans)} scans; median {parts[49]:.2f} s, p99 {parts[98]:.2f} s"
    return [limit(f"{what}: errors", 0, len(seen.errors), "errors", note, asked=asked), Row(f"{what}: p95", "-", "-", f"{parts[94]:.2f} s", None, note)]


def _asked(made: Estate, address: str, seconds: float) -> _Seen:
    seen, over = _Seen(), time.monotonic() + seconds
    threads = [threading.Thread(target=_client, args=(address, number, over, seen)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    scan = made.scan("off")
    while time.monotonic() < over:
        seen.scans.append(subprocess.run(scan.argv, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode)
    for thread in threads:
        thread.join()
    seen.errors += [f"a scan ended with {code}" for code in seen.scans if code not in DONE]
    return seen


def _client(address: str, number: int, over: float, seen: _Seen) -> None:
    """Ask one question after the other on one connection until the time is over."""
    connection = http.client.HTTPConnection(address, timeout=60)
    for path in itertools.islice(itertools.cycle(QUESTIONS), number, None):
        if time.monotonic() > over:
            break
        began = time.perf_counter()
        try:
            connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            seen.errors.append(f"{path}: {error!r}")
            connection.close()
            continue
        seen.seconds.append(time.perf_counter() - began)
        if answer.status != http.client.OK:
            seen.errors.append(f"{path}: {answer.status}")
    connection.close()


@contextlib.contextmanager
def _serving(made: Estate) -> Iterator[str]:
    """Host and port of the service, which ends with the block. Raises CommandError where it does not begin or end well."""
    log = made.folder / "serve.log"
    argv = [word for word in made.lastcopy("serve", "--no-pages", "--no-schedule", "--listen", "127.0.0.1:0").argv if word != "--quiet"]
    with log.open("wb") as file, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file) as process:
        try:
            yield _address(log, process)
        finally:
            process.terminate()
            process.wait(_BEGIN_SECONDS)
    if process.returncode:
        raise CommandError(f"serve ended with {process.returncode}\n{log.read_text()[-2000:]}")


def _address(log: Path, process: "subprocess.Popen[bytes]") -> str:
    over = time.monotonic() + _BEGIN_SECONDS
    while time.monotonic() < over and process.poll() is None:
        if found := re.search(r"serving on (http://\S+/)", log.read_text("utf-8", "replace")):
            return urllib.parse.urlsplit(found[1]).netloc
        time.sleep(0.1)
    raise CommandError(f"serve did not begin\n{log.read_text('utf-8', 'replace')[-2000:]}")
