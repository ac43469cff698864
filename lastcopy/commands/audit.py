"""`lastcopy audit`: what is known, packed so that others can verify it; who did what, and whether the record of it is whole."""

import datetime
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog.errors import CatalogError, ConfigError, NotFoundError
from lastcopy import listing, output, settings, talk
from lastcopy.commands import hold

if TYPE_CHECKING:
    from lastcopy.signing import Signature

app = typer.Typer(cls=settings.Group, no_args_is_help=True, rich_markup_mode=None, help="Audit packs, and the audit trail of plans, jobs and holds.")

_WIDEST = 80  # characters of a detail in a table


@app.command("log", cls=settings.Command)
def log(
    context: typer.Context,
    *,
    job: Annotated[str | None, typer.Option("--job", metavar="JOB", help="Only what was done in this job.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="Only what was done at this time or later.")] = None,
    last: Annotated[int | None, typer.Option("--last", metavar="N", min=1, help="Only the newest N of these.")] = None,
) -> None:
    """List the events of the audit trail: plans, approvals, each move of a job's steps, holds.

    Tables shorten the details and the hashes; csv, json and jsonl have all.
    """
    from lifecycle import audit as trail
    from lifecycle.journal import Journal

    chosen = settings.of(context)
    start = None if since is None else us(hold.moment_of("--since", since))
    with Journal.open(chosen.configuration(), chosen.root(), create=False) as journal:
        if job is not None:
            journal.job(job)
        found = journal.events(job, start, last=last)
    rows = [trail.row(event) for event in found]
    if chosen.chosen_format in ("table", "md"):
        rows = [row | {"detail": _short(event.detail), "hash": f"{event.hash.hex()[:12]}…"} for row, event in zip(rows, found, strict=True)]
    output.rows(chosen, "audit-log", rows)


@app.command("pack", cls=settings.Command)
def pack(
    context: typer.Context,
    *,
    folder: Annotated[Path | None, typer.Option("--output", metavar="DIR", help="The pack: a new folder.")] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="KEY", help="Sign it by ssh-keygen with this key, or with the agent's of this public key.")
    ] = None,
) -> None:
    """Pack a snapshot for an auditor: its evidence, every report, the queries, and the SHA-256 of each file.

    'audit verify DIR' computes all figures anew from the evidence, without this catalog, the volumes or a network. The pack names files, volumes
    and owners: it is as confidential as the catalog. Note the digest that is printed where nobody can change it. The same snapshot gives the
    same bytes.
    """
    from lastcopy import packing
    from reports.state import counted, iso

    chosen = settings.of(context)
    wished = folder or chosen.output
    chosen.output = None  # stdout has what the command says of the pack
    if wished is None:
        raise ConfigError("--output DIR: say where the pack shall lie")
    root, wanted = chosen.stored()
    made = packing.make(root, wanted, wished, sign, asks=not chosen.no_input)
    row = {"id": made.digest, "state": "signed" if made.signed else "unsigned", "files": made.files, "reports": made.reports, "bytes": made.size_bytes}
    if chosen.chosen_format == "json":
        output.made(chosen, "audit-pack", row | {"folder": str(wished)}, complete=wanted.complete, snapshot=wanted.snapshot_id, as_of=iso(wanted.as_of))
    else:
        output.rows(chosen, "audit-pack", [row])
    if not chosen.quiet:
        talk.say(f"wrote {counted(made.files, 'file')} to {wished}; they verify. Note the digest elsewhere: {made.digest}")


@app.command("verify", cls=settings.Command)
def verify(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="An audit pack; without it the audit trail is verified.")] = None,
    *,
    signers: Annotated[
        Path | None,
        typer.Option("--signers", metavar="FILE", help="Of a pack: it must be signed by one of these, a file of allowed signers as ssh-keygen reads it."),
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="HASH", help="Of the trail: a head that was written down earlier; it must be in the chain.")
    ] = None,
) -> None:
    """Compute every figure of a pack anew, from the evidence in it, and compare. Without DIR: check the chain of the audit trail.

    A pack needs no catalog, configuration, volume or network. Exit 1 if anything in it is not what its evidence and the queries of this program
    give. That the evidence itself was forged, and all figures with it, only a signature shows (--signers), or the digest that was noted elsewhere.

    Of the trail: no event was changed, left out or moved. Prints its head. That the newest events were cut off can only be told against a head
    that was written down elsewhere. Exit 1 if it is not whole.
    """
    chosen = settings.of(context)
    if folder is not None:
        if head is not None:
            raise ConfigError("--head is of the audit trail; leave DIR out, or the option")
        _verify_pack(chosen, folder, signers)
    elif signers is not None:
        raise ConfigError("--signers is of an audit pack: name its folder")
    else:
        _verify_trail(chosen, head)


def _verify_pack(chosen: settings.Settings, folder: Path, signers: Path | None) -> None:
    import lastcopy
    from lastcopy import signing
    from reports import proof, sums

    for path, kind, there in ((folder, "folder", folder.is_dir()), (signers, "file", signers is None or signers.is_file())):
        if not there:
            raise NotFoundError(f"{path}: there is no such {kind}")
    found = proof.verify(folder, lastcopy.version())
    signature = signing.Signature("none") if found.digest is None else signing.check(folder / sums.NAME, folder / sums.SIGNATURE, signers)
    findings = [{"file": one.file, "wrong": one.wrong} for one in found.findings] + _of_signature(signature, signers)
    row: dict[str, Any] = {
        "id": found.digest,
        "state": "not_verified" if findings else "verified",
        "snapshot": found.snapshot_id,
        "as_of": found.as_of,
        "made_by": found.made_by,
        "files": found.files,
        "reports": found.reports,
        "signature": signature.state,
        "signer": signature.signer,
        "key": signature.key,
    }
    if chosen.chosen_format == "json":
        output.made(chosen, "audit-pack-verify", row | {"findings": findings}, complete=not findings, snapshot=found.snapshot_id, as_of=found.as_of)
    else:
        output.rows(chosen, "audit-pack-verify", findings or [row])
    if findings:
        first = ": ".join(part for part in findings[0].values() if part)
        raise CatalogError(f"{folder}: the pack does not verify: {first}" + (f" (and {len(findings) - 1} more)" if findings[1:] else ""))


def _of_signature(signature: "Signature", signers: Path | None) -> list[dict[str, str]]:
    from reports import sums

    wrong = {"bad": "is not a signature of the list as it is", "other_signer": f"is by {signature.key}, which is none of {signers}"}
    if signers is not None:
        wrong["none"] = "is missing: nobody signed the pack, or the signature was taken away"
    return [{"file": sums.SIGNATURE, "wrong": wrong[signature.state]}] if signature.state in wrong else []


def _verify_trail(chosen: settings.Settings, head: str | None) -> None:
    from lifecycle.journal import Journal

    against = digest("--head", head)
    with Journal.open(chosen.configuration(), chosen.root(), create=False) as journal:
        row = listing.verified(journal, against)
    if chosen.chosen_format == "json":
        output.made(chosen, "audit-verify", row, complete=row["bad_seq"] is None)
    else:
        output.rows(chosen, "audit-verify", [row])
    if row["wrong"]:
        raise CatalogError(f"the audit trail is not whole: {row['wrong']}")


@app.command("clock", cls=settings.Command)
def clock(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What was wrong with the clock; kept in the audit trail.")],
) -> None:
    """Say that the clock is right now, after it once stood ahead: until then a clock before the last audit event refuses every removal."""
    from lifecycle import people
    from lifecycle.journal import Journal

    chosen = settings.of(context)
    if not reason.strip():
        raise ConfigError("--reason: say what was wrong with the clock")
    with Journal.open(chosen.configuration(), chosen.root(), create=False) as journal:
        journal.trust_clock(time.time_ns() // 1000, people.actor(), reason)
    if not chosen.quiet:
        talk.say("removals go by this clock from now on")


def _short(detail: Mapping[str, Any]) -> str:
    """What an event says, in a few words: of lists and tables only how much they hold, of steps the states."""
    said = []
    for key, value in detail.items():
        if isinstance(value, Mapping) and key in ("states", "counts"):
            said += [f"{state} {steps}" for state, steps in value.items()]
        elif isinstance(value, Mapping | list):
            said += [f"{key} of {len(value)}"] if value else []
        elif value is not None:
            said.append(f"{key} {value[:12] + '…' if key.endswith('hash') else value}")
    text = ", ".join(said)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def digest(option: str, text: str | None) -> bytes | None:
    """A head as it was typed. Raises ConfigError."""
    if text is None:
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise ConfigError(f"{option} {text}: is not a hash of 64 hexadecimal digits")
    return found


def us(moment: datetime.datetime) -> int:
    """A moment as the journal has it."""
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)
