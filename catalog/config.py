"""The configuration file `lastcopy.toml`: its models, and reading it with errors that name file, table and key."""

import datetime
import json
import os
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, ValidationError, model_validator

from catalog.errors import ConfigError
from catalog.fields import REGION, TABLE, Address, Bytes, Folder, Name, Seconds
from catalog.services import Api, Dashboard, Grant, Notify, Task
from catalog.volumes import Volume, local_path

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Control = Literal[
    "user_error", "ransomware", "system_failure", "facility_outage", "copies", "systems", "sites", "regions", "admins", "media",
    "offline_or_immutable", "max_copy_age", "min_verification_level", "max_verification_age", "retention",
]  # fmt: skip
RequirementSet = Literal["3-2-1-1-0", "ndsa-1", "ndsa-2", "ndsa-3", "ndsa-4"]  # what each asks for is in catalog/requirement_sets.py
_SECRET = ("password_file", "password_command", "identity_file", "profile", "credentials_file", "credentials_command")  # where secrets are
_OF_THIS_HOST = ("metadata_server", "mirror")  # how a host reaches the catalog
_OF_THE_SERVICE = ("notify", "schedule", "dashboard", "api")  # of no meaning to a snapshot


class _Table(BaseModel):
    model_config = TABLE


class Catalog(_Table):
    """`[catalog]`: where the catalog lies and what holds for the whole estate."""

    path: str = "catalog"
    endpoint: Address | None = None
    endpoint_region: str | None = Field(default=None, pattern=REGION)
    profile: str | None = None
    credentials_file: str | None = None
    credentials_command: str | None = None
    metadata_server: bool = False
    mirror: str | None = None
    currency: str = "EUR"
    memory_limit: Bytes | None = None
    threads: int | None = Field(default=None, ge=1)


def _several(value: object) -> object:
    """A list of one where one text stands for it."""
    return (value,) if isinstance(value, str) else value


class DataClass(_Table):
    """`[classes.NAME]`: which assets belong to it, and what they must have: once read, also what the sets that it `requires` ask for."""

    select: str | None = None
    requires: Annotated[tuple[RequirementSet, ...], BeforeValidator(_several)] = ()
    copies: int | None = Field(default=None, ge=1)
    systems: int | None = Field(default=None, ge=1)
    sites: int | None = Field(default=None, ge=1)
    regions: int | None = Field(default=None, ge=1)
    admins: int | None = Field(default=None, ge=1)
    media: int | None = Field(default=None, ge=1)
    offline_or_immutable: int | None = Field(default=None, ge=1)
    max_copy_age: Seconds | None = None
    min_verification_level: int | None = Field(default=None, ge=0, le=4)
    max_verification_age: Seconds | None = None
    retention: Seconds | None = None
    accept_declared: bool = False
    waive: tuple[Literal["user_error", "ransomware", "system_failure", "facility_outage"], ...] = ()


class Label(_Table):
    """`[[labels]]`: owner, steward, class or note for the entries that a predicate or an imported table names."""

    where: str | None = None
    table: str | None = None
    owner: str | None = None
    steward: str | None = None
    data_class: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Label":
        if (self.where is None) == (self.table is None):
            raise ValueError("give either 'where' (a predicate) or 'table' (a CSV or Parquet file), not both")
        return self


class AcceptedFinding(_Table):
    """`[[exceptions]]`: findings that somebody accepted, until a day."""

    where: str
    reason: str
    owner: str
    until: datetime.date
    approver: str | None = None
    controls: tuple[Control, ...] | None = Field(default=None, min_length=1)  # an empty list would read as none, and mean all


class Lifecycle(_Table):
    """`[lifecycle]`: what holds for every plan and job of this catalog."""

    journal: str | None = None  # folder of the journal, on a disk of this host; absent = `journal/` in the catalog's folder
    min_copies: int = Field(default=2, ge=1)
    max_evidence_age: Seconds = 30 * 86400.0
    max_failures_pct: float = Field(default=1.0, ge=0, le=100)
    kill_switch: str | None = None  # while this file exists no step is begun; absent = `STOP` beside the journal


class Policy(_Table):
    """`[policies.NAME]`: which files an action is for, how much of it, and who must agree."""

    action: Name
    report: Name | None = None
    data_class: str | None = None
    params: dict[str, Any] = {}
    where: str | None = None
    to: Name | None = None
    to_dir: str = ""
    to_folder: Folder | None = None
    max_steps: int | None = Field(default=None, ge=1)
    max_bytes: Bytes | None = None
    max_share_pct: float | None = Field(default=None, gt=0, le=100)
    quiet: Seconds = 86400.0
    needs_approval: bool = True
    two_persons: bool = False
    expires: Seconds = 7 * 86400.0
    min_copies: int | None = Field(default=None, ge=1)
    max_evidence_age: Seconds | None = None
    grace: Seconds = 7 * 86400.0
    leave: Literal["nothing", "stub", "symlink"] = "nothing"
    hard_links: bool = False
    steps_per_second: float | None = Field(default=None, gt=0)
    bytes_per_second: Bytes | None = Field(default=None, gt=0)
    hours: str | None = Field(default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")

    @model_validator(mode="after")
    def _one_selection(self) -> "Policy":
        if self.report is not None and self.data_class is not None:
            raise ValueError("give either 'report' (its rows are taken) or 'data_class' (its assets are taken), not both")
        if self.to_folder is not None and (self.to is not None or self.action != "restore"):
            raise ValueError("'to_folder' is for restore, in place of 'to': other actions need a volume")
        return self


class Config(_Table):
    """The whole file. `path` is where it was read from; relative paths in it are relative to that folder."""

    catalog: Catalog = Catalog()
    volumes: dict[Name, Volume] = {}
    classes: dict[Name, DataClass] = {}
    labels: tuple[Label, ...] = ()
    exceptions: tuple[AcceptedFinding, ...] = ()
    policies: dict[Name, Policy] = {}
    lifecycle: Lifecycle = Lifecycle()
    schedule: dict[Name, Task] = {}
    notify: Notify = Notify()
    dashboard: Dashboard = Dashboard()
    api: Api = Api()
    path: Path | None = Field(default=None, exclude=True)
    _roots: dict[str, str] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _references(self) -> "Config":
        for name, volume in self.volumes.items():
            for key, others in (("of", volume.of or ()), ("on", (volume.on,) if volume.on else ()), ("key_on", volume.key_on)):
                for other in others:
                    if other not in self.volumes:
                        raise ValueError(f"volumes.{name}.{key}: there is no volume {other!r}; volumes are {', '.join(self.volumes)}")
            for target in volume.path_map.values():
                if ":" not in target or target.partition(":")[0] not in self.volumes or target.partition(":")[0] == name:
                    raise ValueError(f"volumes.{name}.path_map: {target!r} is not VOLUME:PATH of another volume")
            if volume.encrypted is False and volume.key_on:
                raise ValueError(f"volumes.{name}.key_on: encrypted = false says that it needs no key; leave one of them out")
            _refuse_a_circle(name, "on", " on ", lambda volume: [volume.on] if volume.on else [], self.volumes)
            _refuse_a_circle(name, "key_on", " needs a key on ", lambda volume: volume.key_on, self.volumes)
        for place, label in enumerate(self.labels):
            if label.data_class not in (None, "default", *self.classes):
                raise ValueError(
                    f"labels.{place}.data_class: there is no class {label.data_class!r}; classes are {', '.join(dict.fromkeys([*self.classes, 'default']))}"
                )
        for name, policy in self.policies.items():
            if policy.to is not None and policy.to not in self.volumes:
                raise ValueError(f"policies.{name}.to: there is no volume {policy.to!r}; volumes are {', '.join(self.volumes)}")
            if policy.data_class not in (None, "default", *self.classes):
                raise ValueError(f"policies.{name}.data_class: there is no class {policy.data_class!r}; classes are {', '.join([*self.classes, 'default'])}")
        return self

    @model_validator(mode="after")
    def _seen(self) -> "Config":
        grants: dict[str, Grant] = {f"dashboard.people.{name}": one for name, one in self.dashboard.people.items()}
        grants |= {f"dashboard.groups.{name}": one for name, one in self.dashboard.groups.items()}
        grants |= {f"api.tokens.{name}": one for name, one in self.api.tokens.items()}
        for place, grant in grants.items():
            for volume in grant.sight.volumes if grant.sight else ():
                if volume not in self.volumes:
                    raise ValueError(f"{place}.see: there is no volume {volume!r}; volumes are {', '.join(self.volumes)}")
        return self

    @model_validator(mode="after")
    def _sent(self) -> "Config":
        for name, task in self.schedule.items():
            for receiver in task.to:
                if receiver not in self.notify.to:
                    raise ValueError(
                        f"schedule.{name}.to: there is no receiver {receiver!r}; receivers of [notify.to] are {', '.join(self.notify.to) or 'none'}"
                    )
        return self

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the file are relative to."""
        return self.path.parent if self.path else Path.cwd()

    def root(self, volume: str) -> Path | None:
        """The folder of a volume that is a file tree, absolute, links as they are written; None for every other kind."""
        return self.place(volume) if self.volumes[volume].kind == "posix" else None

    def place(self, volume: str) -> Path | None:
        """The file or folder of this host that a volume's bytes lie in, absolute, links as they are written; None where its URL names another place."""
        local = local_path(self.volumes[volume].url)
        return None if local is None else self.folder.absolute() / local

    @property
    def roots(self) -> dict[str, str]:
        """The place of each volume that lies on this host, links resolved: as they are here and now, in a stored configuration as they were then."""
        if self._roots is None:
            self._roots = {name: os.path.realpath(place) for name in self.volumes if (place := self.place(name)) is not None}
        return self._roots

    def data_class(self, name: str) -> DataClass:
        """The class of that name; `default` exists without being written."""
        return self.classes.get(name) or DataClass()

    def stored(self) -> str:
        """JSON of what a snapshot keeps, in the order of the file (the first class that matches wins), without secrets."""
        secrets: Any = {"volumes": {name: set(_SECRET) for name in self.volumes}}
        secrets |= {"catalog": {*_SECRET, *_OF_THIS_HOST}, **dict.fromkeys(_OF_THE_SERVICE, True)}
        return json.dumps(self.model_dump(mode="json", exclude=secrets, exclude_none=True) | {"roots": self.roots})


def find(given: str | None) -> Path:
    """The configuration file: given, $LASTCOPY_CONFIG, ./lastcopy.toml, or the one of XDG. Raises ConfigError."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    named = given or os.environ.get("LASTCOPY_CONFIG")
    candidates = [Path(named)] if named else [Path("lastcopy.toml"), home / "lastcopy" / "lastcopy.toml"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.absolute()
    raise ConfigError(f"no configuration: looked for {' and '.join(map(str, candidates))}; 'lastcopy init' writes one")


def load(path: Path) -> Config:
    """The configuration in a file. Raises ConfigError that names the file, the table, the key and what is accepted."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return parse(data, path)


def parse(data: dict[str, Any], path: Path | None = None) -> Config:
    """The configuration of TOML data already read. Raises ConfigError."""
    try:
        found = Config.model_validate({**data, "path": path})
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path or 'configuration'}: {_told(found)}" for found in error.errors())) from error
    return found.model_copy(update={"classes": _written_out(found, path)})


def _written_out(found: Config, path: Path | None) -> dict[str, DataClass]:
    from catalog import requirement_sets

    try:
        return {name: requirement_sets.written_out(name, one) for name, one in found.classes.items()}
    except ConfigError as error:
        raise ConfigError(f"{path or 'configuration'}: {error}") from error


def _told(found: "ErrorDetails") -> str:
    """Where, and what is wrong; what concerns several tables names them itself."""
    meaning = "there is no such key; docs/reference/configuration.md has all" if found["type"] == "extra_forbidden" else found["msg"]
    return ": ".join(part for part in (".".join(map(str, found["loc"])), meaning.removeprefix("Value error, ")) if part)


def restore(stored: str) -> Config:
    """The configuration that `Config.stored` wrote into a snapshot, without what is of the service: older snapshots have some."""
    data = json.loads(stored)
    roots = data.pop("roots", None)
    found = Config.model_validate({key: value for key, value in data.items() if key not in _OF_THE_SERVICE})
    # Where a snapshot does not say them, the links of that day are gone.
    local = {name: path for name, volume in found.volumes.items() if (path := local_path(volume.url)) is not None}
    found._roots = {name: os.path.normpath(path) for name, path in local.items()} if roots is None else roots
    return found


def _refuse_a_circle(name: str, key: str, way: str, places: Callable[[Volume], Sequence[str]], volumes: dict[str, Volume]) -> None:
    waiting: list[tuple[str, ...]] = [(name,)]
    while waiting:
        path = waiting.pop()
        for place in places(volumes[path[-1]]) if path[-1] in volumes else ():
            if place == name:
                raise ValueError(f"volumes.{name}.{key}: a circle, {way.join([*path, place])}")
            if place not in path:
                waiting.append((*path, place))
