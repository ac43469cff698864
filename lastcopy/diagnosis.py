"""What `doctor` and `volume check` look at. Everything here only reads; each remark says how to mend what is wrong."""

import datetime
import os
import platform
import shutil
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from catalog import domains, names
from catalog.config import Config
from catalog.errors import ConfigError, LastcopyError
from catalog.volumes import Volume

State = Literal["ok", "unknown", "warning", "error"]
ENOUGH_BYTES = 1_000_000_000
_FAILS_AFTER = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_CAP_DAC_READ_SEARCH = 2


@dataclass(frozen=True)
class Remark:
    """One thing that was looked at. `mend` is empty where nothing needs to be done."""

    subject: str  # program | catalog | configuration | a volume's name
    check: str
    state: State
    text: str
    mend: str = ""


def program(config: Config, now: datetime.datetime) -> list[Remark]:
    """Remarks on what Lastcopy runs on: Python, libmagic, the clock."""
    return [_python(), _libmagic(config), _host_clock(now), _rights()]


def storage(root: Path, config: Config) -> list[Remark]:
    """Remarks on the catalog's folder and each of its tables."""
    from reports.terminal import size

    shown = escaped(root)
    found: list[Remark] = []
    if not root.exists():
        parent = next(p for p in root.parents if p.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            found.append(Remark("catalog", "folder", "ok", f"{shown} does not exist yet; the first scan makes it"))
        else:
            found.append(
                Remark("catalog", "folder", "error", f"{shown} cannot be made", f"allow this user to write to {escaped(parent)}, or set [catalog] path")
            )
        return [*found, *_inside_a_volume(root, config)]
    if not os.access(root, os.R_OK | os.X_OK):
        return [Remark("catalog", "folder", "error", f"{shown} cannot be read", "run as the user that owns it")]
    if os.access(root, os.W_OK):
        found.append(Remark("catalog", "folder", "ok", f"{shown} can be read and written"))
    else:
        found.append(Remark("catalog", "folder", "warning", f"{shown} can be read, not written", "reports work; for scans run as the user that owns it"))
    free = shutil.disk_usage(root).free
    if free < ENOUGH_BYTES:
        found.append(Remark("catalog", "free space", "warning", f"{size(free)} free", "make room, or move the catalog: a scan needs some 50 bytes an entry"))
    else:
        found.append(Remark("catalog", "free space", "ok", f"{size(free)} free"))
    return [*found, *_inside_a_volume(root, config), *_tables(root)]


def declarations(config: Config) -> list[Remark]:
    """Remarks on what the configuration declares of its volumes, classes, labels and exceptions: missing or contradictory."""
    found = [remark for name, volume in config.volumes.items() for remark in _missing(name, volume)]
    for name in config.volumes:
        try:
            domains.protectors(config, name)
        except ConfigError as error:
            found.append(Remark(name, "protectors", "error", str(error), "say with 'of' which volumes protect which"))
    if not config.volumes:
        found.append(Remark("configuration", "volumes", "warning", "no volume is declared", "add a table [volumes.NAME] with its url"))
    elif all(volume.role != "primary" for volume in config.volumes.values()):
        found.append(
            Remark("configuration", "volumes", "warning", "no volume is primary: there is nothing to protect", 'set role = "primary" on a production volume')
        )
    return [*found, *_not_accepted(config), *_alike(config), *predicates(config)]


def escaped(path: Path | str) -> str:
    """A path as it may be printed."""
    return names.escape(os.fsencode(path))


def _python() -> Remark:
    return Remark("program", "python", "ok", f"Python {platform.python_version()}, at {escaped(sys.executable)}; 3.11 or newer is needed")


def _libmagic(config: Config) -> Remark:
    wanted = [name for name, volume in config.volumes.items() if volume.media_types]
    try:
        import magic

        magic.from_buffer(b"%PDF-1.4", mime=True)
    except Exception as error:  # whatever the binding raises: it differs with how libmagic is missing
        reason = " ".join(str(error).split())
        mend = "apt install libmagic1 (Debian), brew install libmagic (macOS)"
        if wanted:
            return Remark("program", "libmagic", "error", f"{reason}; volumes {', '.join(wanted)} ask for media types", mend)
        return Remark("program", "libmagic", "unknown", f"{reason}; no volume asks for media types", mend)
    return Remark("program", "libmagic", "ok", "media types can be told")


def _host_clock(now: datetime.datetime) -> Remark:
    if now < _FAILS_AFTER:
        return Remark("program", "clock", "error", f"the host's clock says {now:%Y-%m-%d}", "set the clock: every age is counted from it")
    return Remark("program", "clock", "ok", f"{now:%Y-%m-%dT%H:%M:%SZ}")


def _rights() -> Remark:
    if reads_everything():
        return Remark("program", "rights", "ok", "may read every directory and file of a local file system")
    return Remark(
        "program",
        "rights",
        "unknown",
        f"runs as user {os.geteuid()} without CAP_DAC_READ_SEARCH: what it may not read becomes a problem of the scan",
        "run scans with AmbientCapabilities=CAP_DAC_READ_SEARCH, see docs/operating.md",
    )


def reads_everything() -> bool:
    """Whether this process may read whatever the permissions say: root, or CAP_DAC_READ_SEARCH, see capabilities(7)."""
    status = Path("/proc/self/status")
    lines = status.read_text("utf-8", "replace").splitlines() if status.exists() else []
    held = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), None)
    return os.geteuid() == 0 if held is None else bool(held >> _CAP_DAC_READ_SEARCH & 1)


def _tables(root: Path) -> list[Remark]:
    from catalog import inventory, snapshot, table
    from catalog.schema import TABLES
    from reports.state import counted

    found = []
    for name in TABLES:
        try:
            number = table.version(root, name)
        except LastcopyError as error:
            mend = "restore the folder from a backup of the catalog, or begin a new catalog in another folder"
            found.append(Remark("catalog", f"table {name}", "error", str(error), mend))
        else:
            if number >= 0:
                lying = inventory.lying(root, name)
                lost = [f"{root / name}/{path}" for path in table.named(root, name) if path not in lying or not lying[path].is_regular]
                text = f"version {number}"
                if lost:
                    mend = "restore the files from a backup of the catalog; a new scan makes the newest state known anew, older ones stay damaged"
                    found.append(Remark("catalog", f"table {name}", "error", f"{counted(len(lost), 'file')} missing, {escaped(lost[0])} among them", mend))
                else:
                    found.append(Remark("catalog", f"table {name}", "ok", text))
    if not any(remark.state == "error" for remark in found):
        known = snapshot.snapshots(root)
        text = f"the newest is {known[-1].snapshot_id}" if known else "none yet"
        found.append(Remark("catalog", "snapshots", "ok" if known else "unknown", text, "" if known else "run 'lastcopy scan'"))
    return found


def _inside_a_volume(root: Path, config: Config) -> list[Remark]:
    """A warning for each volume that the catalog lies in: it would describe itself, and be lost with what it describes."""
    found = []
    for name, place in config.roots.items():
        if Path(os.path.realpath(root)).is_relative_to(place):
            text = f"the catalog lies in volume {name}: it is left out of its scans, and lost with it"
            found.append(Remark("catalog", "place", "warning", text, "move the catalog to another disk"))
    return found


def _missing(name: str, volume: Volume) -> list[Remark]:
    """A remark for each attribute that is not declared, with the threat whose answer it leaves unknown."""
    needs: dict[str, tuple[object, str, str]] = {
        "system": (volume.system or volume.on, "whether copies share a storage system", 'system = "nas-1"'),
        "site": (volume.site or volume.on, "whether copies share a building", 'site = "paris"'),
        "admin": (volume.admin or volume.on, "who can delete everything on it", 'admin = "it-paris"'),
        "media": (volume.media, "how many kinds of media hold a file", 'media = "disk"'),
    }
    if volume.role != "primary":
        needs["access"] = (volume.access, "whether ransomware reaches it", 'access = "online"')
        if volume.access != "offline" and volume.heads is not True:  # else its objects tell
            needs["immutability"] = (volume.immutability, "whether its content can be changed or deleted", 'immutability = "none"')
    if volume.needs_key:
        needs["key_on"] = (volume.key_on or None, "whether what opens it is lost with what it protects", 'key_on = ["VOLUME"], where its password is kept,')
    if volume.role in ("backup", "archive"):
        needs["keeps_versions"] = (volume.keeps_versions is not None or None, "whether a deleted file can be had back", 'keeps_versions = "30d"')
    if volume.immutability not in (None, "none", "append_only") and volume.heads is not True:
        needs["immutable_until"] = (volume.immutable_until, "how long it stays immutable", "immutable_until = 2027-12-31")
    missing = [(key, text, example) for key, (value, text, example) in needs.items() if value is None]
    return [Remark(name, key, "unknown", f"{key} is not declared: {text} is unknown", f"add {example} to [volumes.{name}]") for key, text, example in missing]


def _not_accepted(config: Config) -> list[Remark]:
    """A remark for each volume whose declared immutability counts for no file of some class, since the class accepts no declarations."""
    strict = [name for name in dict.fromkeys((*config.classes, "default")) if not config.data_class(name).accept_declared]
    told = {name for name, volume in config.volumes.items() if volume.access == "offline" or volume.heads is True}
    declared = [name for name, volume in config.volumes.items() if volume.immutability not in (None, "none") and name not in told]
    text = f"is declared, and that does not count for files of {', '.join(strict)}: whether ransomware reaches their copies here is unknown"
    mend = f"if you believe what is declared: accept_declared = true in {', '.join(f'[classes.{name}]' for name in strict)}"
    return [Remark(name, "immutability", "unknown", text, mend) for name in declared if strict]


def _alike(config: Config) -> list[Remark]:
    """A warning for each name of a domain that is written in several ways: each counts as a domain of its own, and so as a better protection."""
    found = []
    for key in ("system", "site", "region", "admin", "device"):
        written: dict[str, dict[str, list[str]]] = {}
        for name, volume in config.volumes.items():
            if (value := getattr(volume, key)) is not None:
                written.setdefault(_folded(value), {}).setdefault(value, []).append(name)
        for forms in written.values():
            if len(forms) > 1:
                said = " and ".join(f"{form!a} ({', '.join(volumes)})" for form, volumes in forms.items())
                text = f"{said} differ only in case, spaces or the form of their letters, and count as {len(forms)} {key}s"
                found.append(Remark("configuration", f"{key} names", "warning", text, f"write the name of one {key} in one way"))
    return found


def _folded(value: str) -> str:
    """What people would take for the same name."""
    return "".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).split())


def predicates(config: Config) -> list[Remark]:
    """An error for each predicate of the configuration that is none."""
    from catalog import predicate
    from catalog.schema import ENTRIES

    columns = {*ENTRIES.names, "volume", "path"}
    written = [(f"classes.{name}.select", data_class.select) for name, data_class in config.classes.items()]
    written += [(f"labels[{number}].where", label.where) for number, label in enumerate(config.labels)]
    written += [(f"exceptions[{number}].where", accepted.where) for number, accepted in enumerate(config.exceptions)]
    found = []
    for key, text in written:
        try:
            if text is not None:
                predicate.check(text, columns, key)
        except LastcopyError as error:
            found.append(Remark("configuration", key, "error", str(error), "write one boolean expression over entry columns"))
    return found
