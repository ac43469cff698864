"""The table `[volumes.NAME]` of the configuration: a place that is scanned, and the forms that its URL may have."""

import datetime
import re
from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field, field_validator, model_validator

from catalog.fields import REGION, TABLE, Address, Bytes, Name, Pattern, Seconds, Share

Role = Literal["primary", "replica", "backup", "archive"]
Media = Literal["disk", "ssd", "object", "tape", "optical"]
Access = Literal["online", "nearline", "offline"]
Immutability = Literal["none", "append_only", "governance", "compliance"]
_COLUMNS = ("path", "size_bytes", "modified_at", "sha256", "type")  # that a listing may have
_ENCRYPTED_KINDS = {"restic": True, "borg": None, "bacula": None}  # where the configuration does not say it: restic has no other repositories, borg has both
_PACKED_KINDS = ("restic", "borg", "bacula", "container", "manifest")  # what they take of their storage is not the sum of the files that they tell of


class Volume(BaseModel):
    """`[volumes.NAME]`: a place that is scanned, and what is declared of it. What is absent is unknown."""

    model_config = TABLE

    url: str
    role: Role = "primary"
    system: str | None = None
    site: str | None = None
    region: str | None = None
    admin: str | None = None
    device: str | None = None
    media: Media | None = None
    access: Access | None = None
    wait: Seconds | None = None
    restore_bytes_per_second: Bytes | None = Field(default=None, gt=0)
    capacity: Bytes | None = Field(default=None, gt=0)
    cost_per_tib_month: float | None = Field(default=None, ge=0)
    exclude: tuple[Pattern, ...] = ()
    of: tuple[Name, ...] | None = None
    path_map: dict[str, str] = {}
    on: Name | None = None
    keeps_versions: Seconds | None = None
    immutability: Immutability | None = None
    immutable_until: datetime.date | None = None
    encrypted: bool | None = None
    key_on: tuple[Name, ...] = ()
    hosts: tuple[str, ...] = ()
    password_file: str | None = None
    password_command: str | None = None
    identity_file: str | None = None
    known_hosts: str | None = None
    endpoint: Address | None = None
    endpoint_region: str | None = Field(default=None, pattern=REGION)
    profile: str | None = None
    credentials_file: str | None = None
    credentials_command: str | None = None
    metadata_server: bool = False
    versions: bool = False
    heads: bool | Share = False
    tags: bool = False
    storage_class: str | None = Field(default=None, pattern=r"^[A-Z0-9_]{1,40}$")
    lock_for: Seconds | None = None
    restore_for: Seconds | None = Field(default=None, gt=0)
    restore_tier: Literal["Standard", "Bulk", "Expedited"] = "Standard"
    read_in_place: bool = False
    told_at: AwareDatetime | None = None
    columns: dict[str, str] = {}
    times: Literal["iso", "s", "ms", "us", "ns"] = "iso"
    digest: Literal["off", "match", "all"] | None = None
    media_types: bool = False
    cross_mounts: bool = False
    max_loss_pct: float = Field(default=50.0, ge=0, le=100)

    @field_validator("url")
    @classmethod
    def _tells_no_secret(cls, url: str) -> str:
        if re.search(r"//[^/]*:[^/]*@", url):
            raise ValueError("a url is stored and shown, and must not hold a password; give it by password_file, password_command or the environment")
        return url

    @field_validator("columns")
    @classmethod
    def _are_known(cls, columns: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(columns) - set(_COLUMNS))
        if unknown or (columns and "path" not in columns):
            raise ValueError(f"it says under which name a listing has {', '.join(_COLUMNS)}: 'path' must be there, and nothing else may be")
        return columns

    @model_validator(mode="after")
    def _tells_what_is_taken(self) -> "Volume":
        if self.capacity is not None and self.kind in _PACKED_KINDS:
            raise ValueError(f"capacity is held against the bytes in files, and a volume of kind {self.kind} takes other than these")
        return self

    @property
    def needs_key(self) -> bool | None:
        """Whether nobody can read it without a key or a password that is kept elsewhere; None = not known."""
        return True if self.key_on else _ENCRYPTED_KINDS.get(self.kind, False) if self.encrypted is None else self.encrypted

    @property
    def kind(self) -> str:
        """The kind of storage: the scheme of the URL, `posix` for a plain path."""
        scheme = re.match(r"([a-z][a-z0-9+]*):", self.url)
        return scheme[1] if scheme and scheme[1] != "file" else "posix"


def local_path(url: str) -> str | None:
    """The path on this host that a URL names: of a file tree, or `KIND:PATH`; None for one that names a host or a service (`KIND://…`, `KIND:OTHER:…`)."""
    kind, colon, rest = url.partition(":")
    if not colon or kind == "file" or not re.fullmatch(r"[a-z][a-z0-9+]*", kind):
        return path_of(url)
    rest = rest.removeprefix("local:")
    return None if not rest or rest.startswith("//") or re.match(r"[A-Za-z][A-Za-z0-9+.@-]*:", rest) else rest


def path_of(url: str) -> str:
    """The path of a file tree, of the forms that its URL may have: a plain path, `file:PATH` or `file://PATH`."""
    return re.sub(r"^//+", "/", url.removeprefix("file://").removeprefix("file:"))
