"""`lastcopy init`: a configuration to start from."""

import json
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import ConfigError, RefusedError
from lastcopy import settings, talk

_HEAD = """\
# What Lastcopy watches, and what "protected" must mean here. Every key: docs/reference/configuration.md
# What is not declared is unknown, and the unknown never counts as protection.

[catalog]
path = "catalog"        # a folder beside this file; keep it off the volumes that it describes
currency = "EUR"
"""

_VOLUME = """
[volumes.{name}]
url = {url}
role = "{role}"        # {meaning}
# Declare these: copies protect each other only where their failure domains are known to differ.
# system = "nas-1"         # the machine or storage system: what fails together
# site = "paris"           # the room, building or region
# admin = "it-paris"       # the people or credential that can delete everything here
# media = "disk"           # disk, ssd, object, tape, optical
# access = "online"        # online, nearline, offline
# immutability = "none"    # none, append_only, governance, compliance
# cost_per_tib_month = 25.0
# exclude = ["**/.cache/**"]
"""

_MEANINGS = {
    "primary": "production: its files are what must be protected",
    "replica": "a mirror: deletions follow, so it does not protect against user error",
    "backup": "keeps versions; say for how long with keeps_versions",
    "archive": "a long-term home",
}

_EXTRA = {
    "primary": "",
    "replica": '# of = ["{primary}"]        # the volumes that it mirrors; absent: any primary\n',
    "backup": (
        '# keeps_versions = "30d"   # how long deleted and old versions are kept\n'
        '# of = ["{primary}"]        # the volumes that it backs up; absent: any primary\n'
    ),
    "archive": "",
}

# What volumes of some kinds need, too.
_KINDS = {
    ("restic", "borg"): (
        '# password_file = "/etc/lastcopy/{name}.pw"   # or password_command, or the environment of restic and borg\n'
        '# path_map = {{ "/srv/{primary}" = "{primary}:" }}   # where what was backed up belongs; volume check {name} proposes it\n'
        '# hosts = ["nas-1"]        # which machine of those that are backed up there\n'
        '# key_on = ["{primary}"]   # the volumes that hold what opens it\n'
    ),
    ("listing",): '# columns = {{ path = "Name", size_bytes = "Size", modified_at = "Modified" }}   # of a table: what it calls them\n# times = "iso"\n',
    ("manifest", "listing"): "# read_in_place = true     # where who wrote it read the files on this very volume\n",
    ("smb",): '# password_file = "/etc/lastcopy/{name}.pw"   # of the user in the url, or password_command\n',
    ("sftp",): '# identity_file = "/etc/lastcopy/{name}"   # else the keys of ~/.ssh and the agent\n# known_hosts = "/etc/lastcopy/known_hosts"\n',
}

_EXAMPLE = """
# [volumes.projects]
# url = "/srv/projects"
# role = "primary"         # primary, replica, backup, archive
# system = "nas-1"         # the machine or storage system: what fails together
# site = "paris"           # the room, building or region
# admin = "it-paris"       # the people or credential that can delete everything here
# media = "disk"           # disk, ssd, object, tape, optical
# access = "online"        # online, nearline, offline
# immutability = "none"    # none, append_only, governance, compliance

# [volumes.mirror]
# url = "/mnt/mirror"
# role = "replica"
# of = ["projects"]
"""

_TAIL = """
# What the assets of a class must have. The first class whose predicate holds wins; the rest are in class 'default',
# which asks for all four threats: user_error, ransomware, system_failure, facility_outage.
# [classes.core]
# select = "path LIKE 'contracts/%'"
# copies = 3
# systems = 2
# sites = 2
# offline_or_immutable = 1
# max_copy_age = "24h"
# min_verification_level = 2

# [classes.archive]
# select = "path LIKE 'archive/%'"
# requires = "3-2-1-1-0"    # or "ndsa-1" to "ndsa-4"; keys beside it may be stricter

# [classes.default]
# waive = ["ransomware"]   # is printed wherever the class is judged

# Who cares for what.
# [[labels]]
# where = "path LIKE 'contracts/%'"
# owner = "legal"

# A finding that somebody accepts, until a day.
# [[exceptions]]
# where = "path LIKE 'scratch/%'"
# reason = "can be recomputed"
# owner = "storage-team"
# until = 2027-06-30
"""

_POLICIES = """
# What may be done, and never without you: 'lastcopy policy check' says what each policy takes, 'plan create NAME' what would come of it,
# 'plan approve', then 'job run' do it, 'job undo' brings it back. Volumes that are written to are marked once: 'lastcopy volume prepare NAME'.
# [lifecycle]
# min_copies = 2           # verified copies, apart from each other, that must stay of whatever is taken away; copies that follow
#                          # the volume it is taken from (replicas and backups `of` it) never count
# journal = "/var/lib/lastcopy/journal"   # on a disk of this host; absent: in the catalog's folder

# [policies.archive-dormant]              # what nobody used for a year moves to the archive, verified
# report = "dormant-copies"
# where = "role = 'primary' AND dormant_days > 365 AND size_bytes > 1000000"
# action = "archive"
# to = "{archive}"
# leave = "symlink"                       # or "nothing", or "stub": a small text that says where the file went
# grace = "30d"                           # so long it rests in quarantine, and can be put back at once
# max_bytes = "2 TiB"                     # of one plan
# hours = "22:00-06:00"

# [policies.protect]                      # what nothing protects gets one more copy
# report = "unprotected"
# where = "status = 'unprotected'"
# action = "copy"
# to = "{backup}"

# [policies.dedupe]                       # equal files of one volume share their blocks, where its file system can
# report = "duplicates"
# where = "volume = 'projects'"
# action = "dedupe"

# [policies.purge]                        # what is in quarantine past its grace time goes for ever
# action = "purge"
"""

_GIVEN = "NAME=FOLDER"


def init(
    context: typer.Context,
    *,
    volume: Annotated[list[str] | None, typer.Option("--volume", metavar=_GIVEN, help="A production tree; may be repeated.")] = None,
    replica: Annotated[list[str] | None, typer.Option("--replica", metavar=_GIVEN, help="A mirror; may be repeated.")] = None,
    backup: Annotated[list[str] | None, typer.Option("--backup", metavar=_GIVEN, help="A place that keeps versions; may be repeated.")] = None,
    archive: Annotated[list[str] | None, typer.Option("--archive", metavar=_GIVEN, help="A long-term home; may be repeated.")] = None,
) -> None:
    """Write a commented lastcopy.toml. An existing file is never overwritten."""
    chosen = settings.of(context)
    target = Path(chosen.config or "lastcopy.toml").absolute()
    given = {"primary": volume, "replica": replica, "backup": backup, "archive": archive}
    text = compose([(role, *_split(entry)) for role, entries in given.items() for entry in entries or ()])
    _validate(text, target)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise RefusedError(f"{target}: exists and is not overwritten; --config FILE writes another") from error
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror}") from error
    if not chosen.quiet:
        talk.say(f"wrote {target}; declare the volumes' systems and sites in it, then 'lastcopy doctor' and 'lastcopy scan'")


def compose(volumes: list[tuple[str, str, str]]) -> str:
    """The text of a configuration for volumes given as (role, name, folder)."""
    primary = _first("primary", volumes, "projects")
    tables = [
        _VOLUME.format(name=name, url=_quote(url), role=role, meaning=_MEANINGS[role])
        + _EXTRA[role].format(primary=primary)
        + "".join(more.format(name=name, primary=primary) for kinds, more in _KINDS.items() if url.startswith(tuple(f"{kind}:" for kind in kinds)))
        for role, name, url in volumes
    ]
    return (
        _HEAD
        + ("".join(tables) or _EXAMPLE)
        + _TAIL
        + _POLICIES.format(archive=_first("archive", volumes, "vault"), backup=_first("backup", volumes, "nightly"))
    )


def _first(role: str, volumes: list[tuple[str, str, str]], otherwise: str) -> str:
    """The name of the first volume of a role."""
    return next((name for its, name, _ in volumes if its == role), otherwise)


def _split(entry: str) -> tuple[str, str]:
    name, equals, folder = entry.partition("=")
    if not equals or not folder or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ConfigError(f"{entry!r} is not {_GIVEN}; a name has lower-case letters, digits and '-', as in 'projects=/srv/projects'")
    return name, folder if re.match(r"[a-z][a-z0-9+]*:", folder) else _normalised(Path(folder).expanduser().absolute())


def _normalised(folder: Path) -> str:
    """A folder without `..`; what a symbolic link leads out of is told by where it leads."""
    plain = os.path.normpath(folder)
    return plain if os.path.realpath(plain) == os.path.realpath(folder) else os.path.realpath(folder)


def _quote(text: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ConfigError(f"{text!r}: a name that is not UTF-8 cannot be written in TOML; give the volume another mount point")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _validate(text: str, target: Path) -> None:
    import tomllib

    from catalog import config

    try:
        config.parse(tomllib.loads(text), target)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"a volume is given twice: {error}") from error
