"""An archive over a line that breaks at one byte: to a bucket, a folder of another host, or a share. The engine is a process of its own, which it may kill."""

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from catalog.errors import LastcopyError
from lifecycle.plan import Plan
from lifecycle.stores import connect
from tests.lifecycle import buckets, hosts
from tests.lifecycle.chaos import line, records
from tests.lifecycle.chaos.estate import OWN, Truth, seen
from tests.lifecycle.chaos.line import Break, Kind, Line
from tests.lifecycle.chaos.scorecard import Row
from tests.lifecycle.chaos.verdict import Verdict, look
from tests.lifecycle.grounds import Grounds
from tests.scanners import smbd, sshd, stores

BREAKS: tuple[tuple[Kind, bool], ...] = (
    ("cut", True), ("cut", False), ("stall", True), ("half-close", True), ("half-close", False), ("flip", True), ("flip", False), ("lost reply", True),
    ("kill", True), ("kill", False),
)  # fmt: skip
_CONTENT = {b"small": b"content that matters\n" * 500, b"large": b"".join(b"%08d\n" % number for number in range(1 << 20))}  # of one request, and of parts
_PATIENCE_SECONDS = 1.0
_SETTLED = ("QUARANTINED", "FAILED")  # what a flipped bit spoilt has failed, and says so


@dataclasses.dataclass
class Far:
    """An estate whose vault is at the other end of a line. `kept` are the vault's files below a folder, `left` what is under way or temporary there."""

    name: str
    line: Line
    estate: Grounds
    kept: Callable[[bytes], Truth]
    left: Callable[[], list[str]]
    known: set[str] = dataclasses.field(default_factory=set)  # what was left at earlier points

    def written(self, points: int) -> None:
        """Write the files of so many points, and scan them."""
        for number in range(points):
            for path, content in _CONTENT.items():
                self.estate.write("data", _folder(number) + path, content)
        self.estate.prepared("data", "vault", "far").scanned()

    def judge(self, number: int, job_id: str | None, *, settled: bool) -> Verdict:
        """Look at what there is of a point's files."""
        folder = _folder(number)
        source = {folder + path: content for path, content in seen(self.estate.folder / "data" / os.fsdecode(folder)).items()}
        target = self.kept(folder)
        said = []
        if job_id is not None:
            home = self.estate.folder / "data" / os.fsdecode(OWN) / "quarantine"
            source |= {OWN + b"/quarantine/" + os.fsencode(one.name): one.read_bytes() for one in home.glob(f"{job_id}-*") if not one.name.endswith(".json")}
            with self.estate.journal() as journal:
                said = records.said(journal, job_id)
        verdict = look({folder + path: content for path, content in _CONTENT.items()}, source, target)
        verdict.untrue += records.untrue(said, source, target)
        if settled:
            verdict.stuck += [f"step {one['step']} {one['state']}: {one['reason']}" for one in said if one["state"] not in _SETTLED]
            left = self.left()
            verdict.left += [one for one in left if one not in self.known]  # once told it is no finding of later points
            self.known.update(left)
        return verdict


@contextmanager
def bucket(server: stores.Server, folder: Path) -> Iterator[Far]:
    """The estate with a versioned bucket."""
    folder.mkdir(parents=True)
    with line.running(urlsplit(server.endpoint).port or 80) as found:
        estate = buckets.made(folder, server, endpoint=f"http://127.0.0.1:{found.port}", versioned=True)

        def kept(below: bytes) -> Truth:
            client = server.client
            listed = client.list_objects_v2(Bucket=estate.bucket, Prefix=f"kept/{os.fsdecode(below)}").get("Contents", [])
            paths = [one["Key"].removeprefix("kept/") for one in listed]
            return {os.fsencode(path): estate.object(path)["Body"] for path in paths}

        def left() -> list[str]:
            """All but uploads without parts: where the answer to their beginning was lost nobody can tell whose they are."""
            empty = [one["Key"] for one in estate.uploads() if not estate.parts(one)]
            return [key for key in estate.under_way() if key not in empty]

        yield Far(f"bucket of {server.name}", found, estate, kept, left)


@contextmanager
def host(server: sshd.Server, folder: Path) -> Iterator[Far]:
    """The estate with a folder of another host."""
    folder.mkdir(parents=True)
    with line.running(server.port) as found:
        known = server.folder / "known_hosts"
        known.write_text(known.read_text() + known.read_text().replace(f":{server.port} ", f":{found.port} "))
        estate = hosts.Hosts(folder, server=dataclasses.replace(server, port=found.port))
        yield _hosted("folder of a host", found, estate, lambda: [repr(path) for path in estate.kept() if b".lastcopy~" in path])


@contextmanager
def share(server: smbd.Server, name: str) -> Iterator[Far]:
    """The estate with a share; all of it lies in a folder of that name there."""
    folder = server.share / name
    folder.mkdir()
    with line.running(server.port) as found:
        estate = hosts.Hosts(folder, server=dataclasses.replace(server, port=found.port))

        def left() -> list[str]:
            """By the server's word: what a connection has open that it still takes for alive goes when it is closed."""
            with closing(connect(estate.config, "vault")) as store:
                return [repr(stray.path) for stray in store.strays()]

        yield _hosted("share", found, estate, left)


def _hosted(name: str, found: Line, estate: hosts.Hosts, left: Callable[[], list[str]]) -> Far:
    def kept(below: bytes) -> Truth:
        whole = seen(estate.folder / "vault" / os.fsdecode(below))
        return {below + path: content for path, content in whole.items() if not path.startswith(b".lastcopy~")}

    return Far(name, found, estate, kept, left)


def breaks(far: Far, at_most: int, kinds: tuple[tuple[Kind, bool], ...] = BREAKS) -> Iterator[Row]:
    """Break the line at so many bytes for each kind; look; mend it and resume the job; look again."""
    far.written(1 + at_most * len(kinds))
    made = far.estate.approved("archive", to="vault", where=_where(0))
    far.line.fresh()
    assert _Engine(far.estate, made).wait() == 0
    number, messages, sent = 0, list(far.line.messages), dict(far.line.sent)
    if found := far.judge(0, _job(far.estate, made), settled=True):
        raise AssertionError(f"an archive over a line that holds: {found}")
    for place, (kind, up) in enumerate(kinds):
        row = Row(f"{kind} {'of what is sent' if up else 'of what is answered'}", f"archive to a {far.name}")
        points = [at for at in _points(messages, sent, up=up) if at < 0.99 * sent[up]]  # no run sends quite as much as another
        row.existing = sent[up]
        for at in _spread(points, at_most, place / len(kinds)):
            number += 1
            fired, verdict = _point(far, number, Break(kind, up, at))
            row.note(Break(kind, up, at), verdict, fired=fired)
        yield row


def _point(far: Far, number: int, broken: Break) -> tuple[bool, Verdict]:
    estate = far.estate
    made = estate.approved("archive", to="vault", where=_where(number))
    far.line.fresh(broken)
    engine = _Engine(estate, made)
    far.line.kill = engine.kill
    code, fired = engine.wait(), far.line.fired
    far.line.fresh()
    begun = _job(estate, made)
    verdict = far.judge(number, begun, settled=False)
    verdict.left.clear()  # is in its right until the job is gone on with
    if code not in (0, 2, -signal.SIGKILL):
        verdict.stuck.append(f"exit {code}")
    try:
        came = estate.carried_out(made) if begun is None else estate.resume(begun)
    except LastcopyError as error:
        verdict.stuck.append(str(error))
    else:
        verdict.add(far.judge(number, came.job_id, settled=True))
    return fired, verdict


class _Engine:
    """A process that carries a plan out, impatient."""

    def __init__(self, estate: Grounds, made: Plan) -> None:
        self._process = os.fork()
        if self._process:
            return
        code = 1
        try:
            _hurry()
            estate.carried_out(made)
            code = 0
        except LastcopyError:
            code = 2
        finally:
            os._exit(code)

    def kill(self) -> None:
        os.kill(self._process, signal.SIGKILL)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])


def _hurry() -> None:
    """Wait for no answer longer than a second: on loopback none is on its way."""
    from catalog import store
    from scanners import _smb, _ssh

    store._SILENT_SECONDS = _PATIENCE_SECONDS
    _smb._LOGIN_SECONDS, _smb._SILENT_SECONDS = 5, 1
    _ssh._LOGIN_SECONDS, _ssh._ALIVE_SECONDS, _ssh._ALIVE_TIMES = 5, 1, 1


def _folder(number: int) -> bytes:
    return b"p%04d/" % number


def _where(number: int) -> str:
    return f"volume = 'data' AND path LIKE '{_folder(number).decode()}%'"


def _job(estate: Grounds, made: Plan) -> str | None:
    """The job of a plan; None where none was begun."""
    with estate.journal() as journal:
        return next((row.job_id for row in journal.jobs() if row.plan_id == made.id), None)


def _points(messages: list[tuple[bool, int]], sent: dict[bool, int], *, up: bool) -> list[int]:
    """The first, the middle and the last byte of every message of a direction."""
    begins = [at for upward, at in messages if upward == up]
    ends = [*begins[1:], sent[up]]
    return [at for begin, end in zip(begins, ends, strict=True) for at in sorted({begin, (begin + end) // 2, end - 1})]


def _spread(points: list[int], at_most: int, share: float) -> list[int]:
    """So many of them, spread evenly."""
    step = max(1.0, len(points) / at_most)
    return [points[int((place + share) * step)] for place in range(min(at_most, len(points)))]
