"""A connection by SSH to the host of a volume: its key is known, or nothing is said to it."""

import asyncio
import hashlib
import importlib.util
import logging
import re
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote_to_bytes

from catalog import names, printable
from catalog.errors import MissingExtraError
from scanners import Settings
from scanners._hosts import OtherHost

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SSHClientConnection

_URL = re.compile(r"sftp://(?:(?P<user>[^/@:]+)@)?(?P<host>\[[0-9a-fA-F:.]+\]|[^/:@\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)?")
_FAST = "^aes128-gcm@openssh.com"  # first of those that are offered: processors have it built in
_LOGIN_SECONDS, _ALIVE_SECONDS, _ALIVE_TIMES = 30, 15, 4  # a host of which nothing is heard for a minute is gone
_TOLD_LETTERS = 300
_SILENT_SECONDS, _LOOK_SECONDS = 60.0, 1.0
T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """Where a volume is: `path` is absolute, with its trailing slash, as raw bytes."""

    host: str
    port: int | None
    user: str | None
    path: bytes


def address(location: str) -> Address:
    """What a URL of SFTP says. Raises ValueError."""
    found = _URL.fullmatch(location)
    if found is None or not found["path"]:
        raise ValueError("it is sftp://USER@HOST:PORT/PATH, with the absolute path of a folder; user and port may be left out")
    path = unquote_to_bytes(found["path"])
    if b"\0" in path or b".." in path.split(b"/"):
        raise ValueError("its path leads elsewhere")
    return Address(found["host"].strip("[]"), int(found["port"]) if found["port"] else None, found["user"], path.rstrip(b"/") + b"/")


class Host(OtherHost[Address]):
    """One connection, made when it is first asked for. Not for several threads."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet. Raises UnreachableError for a URL that is none."""
        super().__init__(settings, address)
        self._runner: asyncio.Runner | None = None
        self._heard = 0.0
        self._connection: SSHClientConnection | None = None
        self._client: SFTPClient | None = None

    @property
    def key(self) -> str:
        """The fingerprint of the host's key, once there is a connection."""
        assert self._connection is not None  # noqa: S101  # by contract
        found = self._connection.get_server_host_key()
        return found.get_fingerprint() if found is not None else ""

    def run(self, act: "Coroutine[Any, Any, T]") -> T:
        """Run something to its end. Raises UnreachableError where the connection is lost on the way."""
        import asyncssh

        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            return self._runner.run(self._heard_of(act))
        except (asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, ConnectionError) as error:
            raise self.unreachable(f"the connection to {self.address.host} was lost: {told(error)}") from error

    def hear(self) -> None:
        """The host has answered."""
        self._heard = time.monotonic()

    async def _heard_of(self, act: "Coroutine[Any, Any, T]") -> T:
        """Something to its end, as long as the host answers: one whose storage hangs still says that it is alive. Raises UnreachableError."""
        self.hear()
        doing = asyncio.ensure_future(act)
        while not (await asyncio.wait({doing}, timeout=_LOOK_SECONDS))[0]:
            if time.monotonic() - self._heard > _SILENT_SECONDS:
                doing.cancel()
                raise self.unreachable(f"{self.address.host} has not answered for {_SILENT_SECONDS:g} seconds")
        return doing.result()

    async def client(self) -> "SFTPClient":
        """What speaks SFTP with the host; names are bytes. Raises UnreachableError."""
        if self._client is None:
            self._client = await self._connect()
        return self._client

    async def _connect(self) -> "SFTPClient":
        import asyncssh

        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what goes wrong is raised
        place, settings = self.address, self._settings
        options: dict[str, Any] = {"known_hosts": settings.known_hosts} if settings.known_hosts else {}
        options |= {"client_keys": [settings.identity_file]} if settings.identity_file else {}
        options |= {name: value for name, value in (("port", place.port), ("username", place.user)) if value is not None}
        try:
            self._connection = await asyncssh.connect(
                place.host,
                **options,
                password=self._password(),
                connect_timeout=_LOGIN_SECONDS,
                login_timeout=_LOGIN_SECONDS,
                keepalive_interval=_ALIVE_SECONDS,
                keepalive_count_max=_ALIVE_TIMES,
                agent_forwarding=False,
                compression_algs=None,
                encryption_algs=_FAST,
                encoding=None,
            )
            return await self._connection.start_sftp_client(path_encoding=None)
        except asyncssh.HostKeyNotVerifiable as error:
            known = settings.known_hosts or "~/.ssh/known_hosts"
            said = f"the key of {place.host} is not in {known}, or is another than there: compare it with what its owner says, then add it there"
            raise self.unreachable(said) from error
        except asyncssh.PermissionDenied as error:
            said = f"{place.host} lets nobody in by the keys and the password at hand: look at identity_file, password_file and the ssh agent"
            raise self.unreachable(said) from error
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise self.unreachable(f"identity_file: {told(error)}") from error
        except (asyncssh.Error, OSError, TimeoutError, ValueError) as error:
            raise self.unreachable(f"{place.host} cannot be reached: {told(error) or 'nothing was heard of it'}") from error

    def close(self) -> None:
        """Let go of the connection, and of what ran on it."""
        if self._runner is not None:
            self.drop()
            self._runner.close()
        self._runner = None

    def drop(self) -> None:
        """Let go of the connection. Where it was made in another loop, that is the loop to call this in."""
        if self._connection is not None:
            self._connection.abort()
        self._connection = self._client = None


def identity(key: str, root: bytes) -> str:
    """Who a volume is: the key of its host, and where on it the root is, however either is called. `root`: links resolved, with a trailing slash."""
    return f"sftp-{hashlib.sha256(key.encode()).hexdigest()[:32]}:{names.escape(root)}"


def need() -> None:
    """Raises MissingExtraError where what speaks SSH is not installed."""
    if importlib.util.find_spec("asyncssh") is None:
        raise MissingExtraError("volumes of kind sftp need asyncssh; install it: pip install 'lastcopy[sftp]'")


def told(error: BaseException) -> str:
    """What an error says, which may be what a hostile host says."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable.clean(text[:_TOLD_LETTERS])
