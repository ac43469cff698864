"""`lastcopy hold`: what may not be removed, by whose order, and why."""

import datetime
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from catalog.errors import ConfigError, LastcopyError, NotFoundError
from lastcopy import output, settings, talk

if TYPE_CHECKING:
    from catalog.config import Config
    from lifecycle.holds import Hold, Scope
    from lifecycle.journal import Journal

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="Legal holds and retention: what no job may remove.")


@app.command("place", cls=settings.Command)
def place(
    context: typer.Context,
    *,
    volume: Annotated[str | None, typer.Option("--volume", metavar="VOLUME", help="The volume; with --path a part of it.")] = None,
    path: Annotated[str | None, typer.Option("--path", metavar="PATH", help="A file, or a folder with all below it, as reports print it.")] = None,
    digest: Annotated[str | None, typer.Option("--digest", metavar="SHA256", help="A content, wherever it lies.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", metavar="NAME", help="All that belongs to somebody.")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit trail.")],
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="Make it a retention that ends after this day; it can only be moved later.")
    ] = None,
    unseen: Annotated[bool, typer.Option("--unseen", help="Also for an owner of whom the newest snapshot has no file.")] = False,
) -> None:
    """Place a hold on a path, a content or an owner's files: nothing of it is removed, purged or archived away until another person releases it.

    With --until it is a retention: it ends by its date, is never released, and can only be moved later.
    An owner of whom no file is known is refused (exit 6), with the names that are like it: a hold on a wrong name holds nothing of whom it is meant for.
    """
    from lifecycle import people

    chosen = settings.of(context)
    config = chosen.configuration()
    scope = _scope(config, volume, path, digest, owner)
    seen = _seen(chosen, scope)
    if owner is not None and not seen.found and not unseen:
        like = f"; like it are {', '.join(seen.like)}" if seen.like else ""
        raise NotFoundError(f"--owner {owner}: the newest snapshot has no file of that owner{like}; '--unseen' places the hold all the same")
    with _journal(chosen, config, create=True) as journal:
        found = journal.place_hold(scope, reason=reason, until_us=_until(until), at_us=_now_us(), actor=people.actor())
    if not chosen.quiet:
        talk.say(f"hold {found.number} is placed on {scope}")
        if not seen.found:
            talk.say(f"warning: the newest snapshot has no file of {scope}; the hold stands, but look whether it is what you meant")
        if seen.ownerless:
            told = "no account of the host that scanned them has their number"
            talk.say(f"  it also holds {seen.ownerless:,} files of the newest snapshot whose owner is not known: {told}")
    _made(chosen, "hold-place", found)


@app.command("release", cls=settings.Command)
def release(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="ID", help="The number of the hold.", show_default=False)],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit trail.")],
) -> None:
    """Release a hold that another person placed. A retention is never released."""
    from lifecycle import people

    chosen = settings.of(context)
    with _journal(chosen, chosen.configuration(), create=False) as journal:
        found = journal.release_hold(number, reason=reason, at_us=_now_us(), actor=people.actor())
    if not chosen.quiet:
        talk.say(f"hold {number} on {found.scope} is released")
    _made(chosen, "hold-release", found)


@app.command("list", cls=settings.Command)
def list_holds(
    context: typer.Context,
    *,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that were released or are over.")] = False,
) -> None:
    """List the holds and retentions that are in force."""
    chosen = settings.of(context)
    now = _now_us()
    try:
        with _journal(chosen, chosen.configuration(), create=False) as journal:
            every = journal.holds().every
    except NotFoundError:
        every = ()  # without a journal nobody has placed one
    output.rows(chosen, "hold-list", [_row(hold, now) for hold in every if ended or hold.holds_at(now)])


@contextmanager
def _journal(chosen: settings.Settings, config: "Config", *, create: bool) -> "Iterator[Journal]":
    from lifecycle.journal import Journal

    with Journal.open(config, chosen.root(), create=create) as journal:
        yield journal


def _scope(config: "Config", volume: str | None, path: str | None, digest: str | None, owner: str | None) -> "Scope":
    """What a hold is for, by the options. Raises ConfigError, NotFoundError."""
    from lifecycle.holds import Scope

    if sum((volume is not None or path is not None, digest is not None, owner is not None)) != 1:
        raise ConfigError("give one of --volume with or without --path, --digest, --owner")
    if digest is not None:
        try:
            raw = bytes.fromhex(digest)
        except ValueError:
            raw = b""
        if len(raw) != 32:
            raise ConfigError(f"--digest {digest}: is not a SHA-256 of 64 hexadecimal digits")
        return Scope("digest", digest=raw)
    if owner is not None:
        if not owner.strip():
            raise ConfigError("--owner: give a name")
        return Scope("owner", owner=owner)
    volume, inside = _inside(config, volume, path or "")
    if volume not in config.volumes:
        raise NotFoundError(f"there is no volume {volume!r}; volumes are {', '.join(config.volumes)}")
    parts = [part for part in inside.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise ConfigError("--path: '..' names nothing below a volume's root")
    return Scope("path", volume=volume, path=b"/".join(parts))


def _inside(config: "Config", volume: str | None, path: str) -> tuple[str, bytes]:
    """The volume and the raw path in it. A path of this machine is sought below the volumes."""
    from catalog import names

    if path.startswith("/"):
        roots = {name: config.root(name) for name in config.volumes if volume in (None, name)}
        above = {name: Path(os.path.abspath(root)) for name, root in roots.items() if root and Path(path).is_relative_to(os.path.abspath(root))}
        if not above:
            raise NotFoundError(f"--path {path}: is not below the root of {f'volume {volume}' if volume else 'any volume'}; give it relative to the root")
        volume = max(above, key=lambda name: len(str(above[name])))
        path = str(Path(path).relative_to(above[volume]))
    if volume is None:
        raise ConfigError("--path: give --volume too, or the whole path of this machine")
    typed = os.fsencode(path)
    return volume, names.unescape(path) if typed.decode("utf-8", "replace") == path else typed


@dataclass(frozen=True)
class _Seen:
    """What the newest snapshot says of a scope."""

    found: bool = True  # it has a file of it, or nothing can tell
    like: tuple[str, ...] = ()  # owners whose names are like that of the scope
    ownerless: int = 0  # files that a hold on an owner holds too, since nobody knows whose they are


def _seen(chosen: settings.Settings, scope: "Scope") -> _Seen:
    """Look a scope up in the newest snapshot."""
    import difflib

    from catalog import names, snapshot
    from lastcopy import asking

    if scope.kind == "digest":
        return _Seen()
    try:
        connection = asking.opened(chosen.root(), snapshot.find(chosen.root(), None))
    except LastcopyError:
        return _Seen()
    try:
        if scope.kind == "path":
            where = "volume = $volume AND ($path = '' OR dir || name = $path OR starts_with(dir, $path || '/'))"
            given = {"volume": scope.volume, "path": names.escape(scope.path or b"")}
            return _Seen(connection.execute(f"SELECT 1 FROM files WHERE {where} LIMIT 1", given).fetchone() is not None)
        rows = connection.execute("SELECT owner, file_owner, count(*) FROM files GROUP BY ALL").fetchall()
    finally:
        connection.close()
    known = sorted({name for *both, _ in rows for name in both if name is not None})
    ownerless = sum(count for _, stored, count in rows if stored is None)
    like = difflib.get_close_matches(scope.owner or "", known, n=5, cutoff=0.6)
    return _Seen(scope.owner in known, tuple(like), ownerless)


def _made(chosen: settings.Settings, name: str, hold: "Hold") -> None:
    import pyarrow as pa

    from reports import cells

    (row,) = cells.plain(pa.RecordBatch.from_pylist([_row(hold, hold.at_us)])).to_pylist()
    output.made(chosen, name, row, complete=True)


def _until(text: str | None) -> int | None:
    """The end of a day, or a moment, in microseconds since 1970 UTC."""
    if text is None:
        return None
    try:
        day = datetime.date.fromisoformat(text)
        moment = datetime.datetime.combine(day, datetime.time(), datetime.UTC) + datetime.timedelta(days=1)
    except ValueError:
        moment = moment_of("--until", text)
    except OverflowError as error:
        raise ConfigError(f"--until {text}: is no day that can be kept") from error
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


def moment_of(option: str, text: str) -> datetime.datetime:
    """A moment as it was typed, UTC where no zone is named. Raises ConfigError."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: is no day or time; write 2027-06-30 or 2027-06-30T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _now_us() -> int:
    return time.time_ns() // 1000


def _row(hold: "Hold", now_us: int) -> dict[str, object]:
    from catalog import names
    from lifecycle import audit

    state = "released" if hold.released_by else "over" if not hold.holds_at(now_us) else "held"
    scope = str(hold.scope) if hold.scope else "everything: what it is for cannot be read"
    told = {
        "id": hold.number,
        "state": state,
        "scope": scope,
        "until": audit.moment(hold.until_us),
        "placed_by": hold.actor,
        "placed_at": audit.moment(hold.at_us),
    }
    return {**told, "reason": names.escape(hold.reason.encode("utf-8", "surrogateescape")), "released_by": hold.released_by}
