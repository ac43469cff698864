"""The tables of the configuration for `lastcopy serve`: who may see what, what runs when, who is told. No snapshot keeps them."""

import datetime
import itertools
import shlex
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, Field, field_validator, model_validator

from catalog.fields import TABLE, Name, Seconds, confidential
from catalog.sight import Sight

Role = Literal["viewer", "auditor", "operator"]


class _Table(BaseModel):
    model_config = TABLE


class Grant(_Table):
    """`[dashboard.people.NAME]`, `[dashboard.groups.NAME]`: what somebody may do and see."""

    role: Role = "viewer"
    see: tuple[str, ...] | None = None

    @field_validator("see")
    @classmethod
    def _places(cls, see: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if see is None else Sight.of(see).parts

    @property
    def sight(self) -> Sight | None:
        """What he may see; None = everything."""
        return None if self.see is None else Sight(self.see)


class Token(Grant):
    """`[api.tokens.NAME]`: who may ask the HTTP API and the metrics, by the hash of a token."""

    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    expires_at: AwareDatetime | None = None

    def holds(self, now: datetime.datetime) -> bool:
        """Whether it has not expired at a time, which names its zone."""
        return self.expires_at is None or now < self.expires_at


class Oidc(_Table):
    """`[dashboard.oidc]`: the OpenID provider at which people sign in."""

    issuer: str
    client_id: str = Field(min_length=1)
    client_secret_file: str | None = None
    client_secret_command: str | None = None
    client_secret_env: str | None = None
    url: str
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "email"
    groups_claim: str = "groups"
    session: Seconds = Field(default=8 * 3600.0, ge=60)

    @field_validator("issuer", "url")
    @classmethod
    def _nobody_listens(cls, url: str) -> str:
        if "?" in url or "#" in url:
            raise ValueError(f"{url!r}: write it without '?' and '#'")
        return confidential(url)

    @field_validator("url")
    @classmethod
    def _root(cls, url: str) -> str:
        if urlsplit(url).path not in ("", "/"):
            raise ValueError(f"{url!r}: the service is at the root of its host, so write it without a path")
        return url.rstrip("/").lower()

    @field_validator("scopes")
    @classmethod
    def _openid(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("'openid' must be among the scopes: without it the provider does not say who signed in")
        return scopes

    @model_validator(mode="after")
    def _one_secret(self) -> "Oidc":
        if sum(given is not None for given in (self.client_secret_file, self.client_secret_command, self.client_secret_env)) != 1:
            raise ValueError("give one of 'client_secret_file', 'client_secret_command' and 'client_secret_env'")
        return self


class Dashboard(_Table):
    """`[dashboard]`: where `lastcopy serve` listens, and how it knows who asks."""

    listen: str = Field(default="127.0.0.1:8270", pattern=r"^(\[[0-9A-Fa-f:]+\]|[0-9A-Za-z.-]+):\d{1,5}$")
    hosts: tuple[str, ...] = ()
    user_header: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]+$")
    groups_header: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]+$")
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    oidc: Oidc | None = None
    people: dict[str, Grant] = {}
    groups: dict[str, Grant] = {}

    @model_validator(mode="after")
    def _one_way_to_be_known(self) -> "Dashboard":
        if self.oidc is not None and (self.user_header or self.groups_header):
            raise ValueError("people are known by [dashboard.oidc] or by the header of a proxy, not by both: take out one of them")
        return self


class Api(_Table):
    """`[api]`: tokens of programs that ask the HTTP API."""

    tokens: dict[Name, Token] = {}


# What may run with nobody looking. `approved-plans` carries out the plans that a person approved, and goes on with their jobs.
UNATTENDED = (("scan",), ("fixity",), ("check",), ("report",), ("simulate",), ("plan", "create"), ("approved-plans",))
Event = Literal["unprotected", "stale", "failed", "exception", "plan", "token"]


def written(words: list[str]) -> str | None:
    """The file that a command line writes its answer to, None where it writes none."""
    given = dict(itertools.pairwise(words)) | {name: value for name, _, value in (word.partition("=") for word in words) if value}
    return given.get("--output")


class Task(_Table):
    """`[schedule.NAME]`: a command that `lastcopy serve` runs at its times."""

    cron: str
    run: str
    timezone: str = "UTC"
    to: tuple[str, ...] = ()

    @field_validator("run")
    @classmethod
    def _unattended(cls, run: str) -> str:
        words = shlex.split(run)
        if not words or not any(words[: len(verb)] == list(verb) for verb in UNATTENDED):
            raise ValueError(f"{run!r}: scheduled can be {', '.join(' '.join(verb) for verb in UNATTENDED)}")
        if refused := [word for word in words if word.partition("=")[0] in ("--accept-losses", "--config", "--catalog")]:
            raise ValueError(f"{run!r}: {refused[0]} is for a person who looks, and not scheduled")
        return run

    @model_validator(mode="after")
    def _sends_a_file(self) -> "Task":
        if self.to and written(shlex.split(self.run)) is None:
            raise ValueError(f"to = {list(self.to)}: what is sent is the file of '--output FILE', and {self.run!r} writes none")
        return self


class Receiver(_Table):
    """`[notify.to.NAME]`: somebody who is told, by an Apprise address, which is a secret."""

    url_file: str | None = None
    url_command: str | None = None
    url_env: str | None = None
    on: tuple[Event, ...] = get_args(Event)

    @model_validator(mode="after")
    def _one_secret(self) -> "Receiver":
        if sum(given is not None for given in (self.url_file, self.url_command, self.url_env)) != 1:
            raise ValueError("give one of 'url_file', 'url_command' and 'url_env'")
        return self


class Notify(_Table):
    """`[notify]`: what `lastcopy serve` tells, once, when it comes to be so."""

    unprotected_over: int = Field(default=0, ge=0)
    stale_after: Seconds = 48 * 3600.0
    exception_within: Seconds = 14 * 86400.0
    to: dict[Name, Receiver] = {}
