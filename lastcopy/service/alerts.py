"""What somebody is told: once, when it comes to be so; many things at once in one message."""

import contextlib
import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import reports
from catalog.config import Config
from catalog.errors import ConfigError, NotFoundError
from catalog.services import Event, Receiver
from lastcopy import listing
from lastcopy.service import logs, secret, tasks
from reports import cells
from reports.state import age, counted, day

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from catalog.snapshot import Snapshot

_LINES = 40  # of a message


Kind = Literal["info", "warning", "failure"]
_KINDS: dict[Event, Kind] = {"failed": "failure", "unprotected": "warning", "stale": "warning", "exception": "warning", "token": "warning"}


@dataclass(frozen=True)
class Message:
    """What is sent, as plain text, perhaps with a file; receivers that show how bad it is show its kind."""

    title: str
    body: str
    kind: Kind = "info"
    file: Path | None = None


@dataclass(frozen=True)
class Alert:
    """Something that holds now. `key` is the same as long as it is the same thing."""

    key: str
    event: Event
    text: str


def tell(config: Config, root: Path, now: datetime.datetime, states: Mapping[str, str]) -> int:
    """Send to each receiver, in one message, what holds now and did not when he was told last; gives the number of messages. Sends, and writes what was told.

    A message that could not be sent is sent with the next.
    """
    found = list(alerts(config, root, now.astimezone(datetime.UTC).replace(tzinfo=None), states))
    newest = _newest(root)
    sent = 0
    for name, receiver in config.notify.to.items():
        told = _told(root, name)
        lost = list(newly(config, root, newest, told.snapshot)) if newest and "unprotected" in receiver.on else []
        wanted = [one for one in (*found, *lost) if one.event in receiver.on]
        new = [one for one in wanted if one.key not in told.keys]
        if new and not _sent(config, name, receiver, message(new)):
            continue
        sent += bool(new)
        knows = _Told(frozenset(one.key for one in wanted), newest.snapshot_id if newest else None)
        if knows != told:
            _remember(root, name, knows)
    return sent


def message(new: Sequence[Alert]) -> Message:
    """One message of all, of the worst kind among them."""
    title = f"Lastcopy: {new[0].text.splitlines()[0]}" if len(new) == 1 else f"Lastcopy: {counted(len(new), 'thing')} to look at"
    lines = [f"* {one.text}" for one in new[:_LINES]]
    more = [f"and {len(new) - _LINES:,} more"] if len(new) > _LINES else []
    kinds = {_KINDS.get(one.event, "info") for one in new}
    worst: Kind = "failure" if "failure" in kinds else "warning" if "warning" in kinds else "info"
    return Message(cells.clean(title)[:200], "\n".join(cells.clean(line) for line in (*lines, *more)), worst)


def deliver(config: Config, names: Sequence[str], title: str, file: Path) -> bool:
    """Send a file to receivers; gives whether all of them took it. Sends."""
    told = Message(cells.clean(title), cells.clean(f"{file.name}, {file.stat().st_size:,} bytes"), file=file)
    return all([_sent(config, name, config.notify.to[name], told) for name in names])


def _sent(config: Config, name: str, receiver: Receiver, told: Message) -> bool:
    """As `send`; why it could not be is logged, so that the others are told."""
    why = "it was not taken"
    try:
        if send(config, name, receiver, told):
            return True
    except ConfigError as error:
        why = str(error)
    logs.log().error("message was not sent", receiver=name, why=why)
    return False


def send(config: Config, name: str, receiver: Receiver, told: Message) -> bool:
    """Send a message. Raises ConfigError where the receiver's address cannot be had, or is none."""
    import apprise
    from apprise.attachment.file import AttachFile

    asset = apprise.AppriseAsset(app_id="Lastcopy", app_desc="Lastcopy", app_url="")
    sender = apprise.Apprise(asset=asset)
    address = secret.read(config.folder, f"notify.to.{name}: its address", receiver.url_file, receiver.url_command, receiver.url_env)
    if not sender.add(address):
        raise ConfigError(f"notify.to.{name}: this is no address of Apprise; it begins with a service, as mailtos:// or json://")
    attached: Any = AttachFile(str(told.file)) if told.file else None  # type: ignore[no-untyped-call]  # it ships no types
    kind = apprise.NotifyType(told.kind)
    return bool(sender.notify(title=told.title, body=told.body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT, attach=attached))


def alerts(config: Config, root: Path, now: datetime.datetime, states: Mapping[str, str]) -> Iterator[Alert]:
    """All that holds now, whatever held before. `now` is naive UTC, `states` are those of scheduled tasks."""
    for name, state in states.items():
        run = tasks.read(root, name)
        if state == "failed" and run:
            yield Alert(
                f"task {name} {run.code}",
                "failed",
                f"scheduled task {name} ended with exit code {run.code}; {tasks.folder(root) / f'task-{name}.log'} has what it said",
            )
    yield from _of_snapshot(config, root, now)
    yield from _of_tokens(config, now)
    for job in listing.jobs(config):
        if job["failed"] or job["state"] == "suspended":
            ended = "; it is suspended" if job["state"] == "suspended" else ""
            yield Alert(f"job {job['id']} {job['failed']}{ended}", "failed", f"job {job['id']}: {counted(int(str(job['failed'])), 'step')} failed{ended}")
    for plan in listing.plans(config, (now - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)):
        if plan["state"] == "waiting":
            yield Alert(f"plan {plan['id']}", "plan", f"plan {plan['id']} waits for approval: {plan['action']}, {counted(int(str(plan['steps'])), 'step')}")


def newly(config: Config, root: Path, newest: "Snapshot", since: str | None) -> Iterator[Alert]:
    """What became unprotected since a snapshot; without one, or where it is there no more, since the one before the newest."""
    from catalog import snapshot
    from lastcopy import asking
    from reports.terminal import size as human

    if since == newest.snapshot_id:
        return
    known = {one.snapshot_id: one for one in snapshot.snapshots(root)}
    earlier = known.get(since or "") or known.get(newest.previous_id or "")
    if earlier is None:
        return
    with contextlib.closing(asking.opened(root, newest, earlier)) as connection:
        relation = reports.load("changes").run(connection, where="newly_unprotected")
        rows: Any = relation.aggregate("count(*), coalesce(sum(size_bytes), 0)").fetchall()
    [(assets, size_bytes)] = rows
    if assets > config.notify.unprotected_over:
        lists = f"lastcopy report changes --against {earlier.snapshot_id} --where newly_unprotected"
        text = f"{counted(assets, 'asset')} ({human(int(size_bytes))}) became unprotected since {day(earlier.as_of)} UTC: '{lists}' lists them"
        yield Alert(f"unprotected {newest.snapshot_id}", "unprotected", text)


def _newest(root: Path) -> "Snapshot | None":
    from catalog import snapshot

    try:
        return snapshot.find(root, None)
    except NotFoundError:
        return None


def _of_snapshot(config: Config, root: Path, now: datetime.datetime) -> Iterator[Alert]:
    from catalog import snapshot
    from lastcopy import asking

    newest = _newest(root)
    if newest is None:
        return
    for scan in {one.volume: one for one in snapshot.scans(root)}.values():
        if scan.state == "failed" and scan.volume in config.volumes:
            yield Alert(
                f"scan {scan.volume} {scan.error}", "failed", f"volume {scan.volume}: its newest scan failed at {day(scan.started_at)} UTC: {scan.error}"
            )
    for place, accepted in enumerate(config.exceptions):
        left = datetime.datetime.combine(accepted.until, datetime.time()) - now
        if left.total_seconds() <= config.notify.exception_within:
            ends = "ended" if left.total_seconds() < -86400 else "ends"
            key = hashlib.sha256(f"{accepted.where}{accepted.until}".encode()).hexdigest()[:16]
            yield Alert(f"exception {key}", "exception", f"exception {place + 1}, of {accepted.owner}, {ends} on {accepted.until}: {accepted.reason}")
    with contextlib.closing(asking.opened(root, newest)) as connection:
        yield from _of_volumes(connection, config, now)


def _of_tokens(config: Config, now: datetime.datetime) -> Iterator[Alert]:
    """Tokens that expire soon, and once more when they have: the program that uses one is answered no longer."""
    for name, token in config.api.tokens.items():
        left = None if token.expires_at is None else token.expires_at - now.replace(tzinfo=datetime.UTC)
        if left is not None and left.total_seconds() <= config.notify.exception_within:
            says = "expires" if left.total_seconds() > 0 else "expired"
            yield Alert(f"token {name} {token.expires_at} {says}", "token", f"API token {name} {says} at {token.expires_at:%Y-%m-%d %H:%M %Z}")


def _of_volumes(connection: "DuckDBPyConnection", config: Config, now: datetime.datetime) -> Iterator[Alert]:
    for volume, scanned_at in connection.execute("SELECT volume, scanned_at FROM volumes ORDER BY position").fetchall():
        if volume not in config.volumes or config.volumes[volume].access == "offline":
            continue
        if scanned_at is None:
            yield Alert(f"stale {volume}", "stale", f"volume {volume} was never scanned")
        elif (now - scanned_at).total_seconds() > config.notify.stale_after:
            yield Alert(f"stale {volume}", "stale", f"volume {volume}: its newest good scan is {age(scanned_at, now)} old")


@dataclass(frozen=True)
class _Told:
    """What a receiver knows: the keys of what held when he was told last, and the snapshot that was the newest then."""

    keys: frozenset[str] = frozenset()
    snapshot: str | None = None


def _told(root: Path, name: str) -> _Told:
    try:
        found = json.loads((root / ".service" / f"told-{name}.json").read_text("utf-8"))
        return _Told(frozenset(found["keys"]), found["snapshot"])
    except (OSError, ValueError, TypeError, KeyError):
        return _Told()


def _remember(root: Path, name: str, told: _Told) -> None:
    from reports import render

    with render.replaced(tasks.folder(root) / f"told-{name}.json") as file:
        file.write(json.dumps({"keys": sorted(told.keys), "snapshot": told.snapshot}).encode())
