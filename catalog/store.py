"""An object store that speaks S3: signed requests, tried again where that may help, and what it means that one failed."""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar
from urllib.parse import quote, urlsplit

from catalog import printable
from catalog.errors import MissingExtraError, UnreachableError

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

Answer = TypeVar("Answer")
Query = Mapping[str, str | bytes]

_URL = re.compile(r"s3://([^/]+)(?:/(.*))?", re.DOTALL)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
_TRIES = 5
_WAIT_SECONDS = 0.2  # before the second try; doubled for each further one
_CONNECT_SECONDS, _SILENT_SECONDS = 10.0, 60.0
_MOST_BYTES = 64 << 20  # of an answer that is kept whole
_BUSY = (429, 500, 502, 503, 504)
_COMMAND_SECONDS = 60.0
_ANY_REGION = "us-east-1"
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,80})</Code>")

# What a store answers with, and what that means here.
_MEANINGS = {
    "NoSuchBucket": "there is no such bucket: correct the url, or the endpoint",
    "InvalidAccessKeyId": "the store does not know the access key: look at the credentials",
    "SignatureDoesNotMatch": "the secret key is wrong, or is not of this access key: look at the credentials",
    "InvalidToken": "the session token is wrong: look at the credentials",
    "ExpiredToken": "the session token has expired: get new credentials",
    "AccessDenied": "refused to these credentials: grant s3:ListBucket and s3:GetObject (for versions s3:ListBucketVersions and s3:GetObjectVersion, too)",
    "RequestTimeTooSkewed": "the clocks of this host and of the store differ by more than 15 minutes: set them, best by NTP",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set 'endpoint_region'",
    "PermanentRedirect": "the bucket is in another region, or at another endpoint: set 'endpoint_region'",
    "InvalidBucketName": "that is no name of a bucket: correct the url",
}


class Settings(Protocol):
    """Where a bucket is, and where its credentials are: no secrets."""

    @property
    def volume(self) -> str:
        """Whose it is, as errors name it."""

    @property
    def location(self) -> str:
        """`s3://BUCKET/PREFIX`."""

    @property
    def endpoint(self) -> str | None:
        """The address of the store; None = Amazon's."""

    @property
    def endpoint_region(self) -> str | None:
        """Its region; None = as the SDK's files say."""

    @property
    def profile(self) -> str | None:
        """The profile of the SDK's files."""

    @property
    def credentials_file(self) -> str | None:
        """A file of the SDK's form."""

    @property
    def credentials_command(self) -> str | None:
        """A command that prints credentials."""

    @property
    def metadata_server(self) -> bool:
        """Whether credentials may be asked of the cloud's services for its machines."""


class StoreError(Exception):
    """A request that was not answered as wanted; the text says why, without a secret. `status` 0: there was no answer."""

    def __init__(self, text: str, status: int = 0, code: str = "") -> None:
        """`code`: the store's own word for it."""
        super().__init__(text)
        self.status, self.code = status, code

    @property
    def refused(self) -> bool:
        """Whether it is for want of permission, and of nothing else."""
        return self.code == "AccessDenied" or (self.status == 403 and not self.code)

    @property
    def passing(self) -> bool:
        """Whether another try may help."""
        return not self.status or self.status in _BUSY


class Store:
    """One bucket of one store. Every request only reads. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        """Finds the bucket and the credentials, asks nobody. Raises UnreachableError, MissingExtraError."""
        self._settings = settings
        found = _URL.fullmatch(settings.location)
        if not found or not _BUCKET.fullmatch(found[1]):
            raise self.unreachable("its url is no s3://BUCKET/PREFIX")
        self.bucket = found[1]
        self.prefix = (found[2] or "").strip("/").encode("utf-8", "surrogateescape")
        if self.prefix:
            self.prefix += b"/"
        try:
            import urllib3
            from botocore.session import Session
        except ImportError as error:
            raise MissingExtraError("botocore is not installed: pip install 'lastcopy[s3]'") from error
        self._session: Any = Session(profile=settings.profile)
        self._region = settings.endpoint_region or self._asked_region() or _ANY_REGION
        self.endpoint = self._endpoint()
        self._pool = urllib3.PoolManager(num_pools=4, maxsize=32, retries=False, timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_SILENT_SECONDS))
        self._auth: Any = None

    def get(self, key: bytes | None, query: Query, tries: int = _TRIES) -> bytes:
        """The whole answer to a GET; `key` None asks the bucket itself. Raises StoreError."""
        return self._again(lambda: self._whole("GET", key, query, {}), tries)

    def head(self, key: bytes, query: Query, headers: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """The headers of an object, names in lower case. Raises StoreError."""

        def ask() -> Mapping[str, str]:
            with closing(self._sent("HEAD", key, query, headers or {})) as response:
                response.read()
                return {name.lower(): value for name, value in response.headers.items()}

        return self._again(ask)

    def stream(self, key: bytes, query: Query, headers: Mapping[str, str], block_bytes: int) -> Generator[Mapping[str, str] | bytes, None, None]:
        """The headers of an object, then its bytes in blocks; one try. Raises StoreError."""
        with closing(self._sent("GET", key, query, headers)) as response:
            yield {name.lower(): value for name, value in response.headers.items()}
            try:
                yield from response.stream(block_bytes, decode_content=False)
            except Exception as error:
                raise _broken(error) from error

    def unreachable(self, why: object) -> UnreachableError:
        """The error of the volume."""
        return UnreachableError(f"volume {self._settings.volume}: {printable.clean(self._settings.location)}: {why}")

    def close(self) -> None:
        """Close its connections."""
        self._pool.clear()

    def _again(self, ask: Callable[[], Answer], tries: int = _TRIES) -> Answer:
        wait = _WAIT_SECONDS
        for left in range(tries - 1, -1, -1):
            try:
                return ask()
            except StoreError as error:
                if not left or not error.passing:
                    raise
            time.sleep(wait)
            wait *= 2
        raise AssertionError  # the last try returns or raises

    def _whole(self, method: str, key: bytes | None, query: Query, headers: Mapping[str, str]) -> bytes:
        with closing(self._sent(method, key, query, headers)) as response:
            return _read(response)

    def _sent(self, method: str, key: bytes | None, query: Query, headers: Mapping[str, str], body: bytes | BinaryIO = b"") -> "BaseHTTPResponse":
        """The answer to a signed request, its body not yet read; nothing here sends one. Raises StoreError for everything but success."""
        from botocore.awsrequest import AWSRequest

        words = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
        path = "/" if key is None else "/" + quote(key, safe="/~")
        target = f"{self.endpoint}{path}" + (f"?{words}" if words else "")
        request: Any = AWSRequest(method, target, headers=dict(headers), data=body)
        self._signer().add_auth(request)
        try:
            response = self._pool.request(
                method, _dotted(target), body or None, headers=dict(request.headers), redirect=False, preload_content=False, decode_content=False
            )
        except Exception as error:
            raise _broken(error) from error
        if 200 <= response.status < 300:
            return response
        with closing(response):
            raise _refusal(response, b"" if method == "HEAD" else _read(response))

    def _signer(self) -> Any:  # noqa: ANN401 - botocore has no types
        if self._auth is None:
            from botocore.auth import S3SigV4Auth

            self._auth = S3SigV4Auth(self._credentials(), "s3", self._region)
        return self._auth

    def _credentials(self) -> Any:  # noqa: ANN401 - botocore has no types
        """By command, by file, or by the usual chain of the SDK, which asks a cloud's service for its machines only where the configuration says so."""
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError

        settings = self._settings
        if settings.credentials_command:
            told = _told_by(settings.credentials_command)
            if told is None:
                raise self.unreachable("credentials_command gave no credentials: it must print JSON with AccessKeyId and SecretAccessKey, and end with 0")
            return Credentials(*told)
        try:
            if settings.credentials_file:
                if not os.access(settings.credentials_file, os.R_OK):
                    raise self.unreachable(f"credentials_file {printable.clean(settings.credentials_file)} cannot be read")
                self._session.set_config_variable("credentials_file", settings.credentials_file)
            resolver = self._session.get_component("credential_provider")
            if settings.credentials_file:
                resolver.remove("env")
            if not settings.metadata_server:
                resolver.remove("iam-role")
                resolver.remove("container-role")
            found = self._session.get_credentials()
        except BotoCoreError as error:
            raise self.unreachable(f"no credentials: {type(error).__name__}; look at 'profile' and the files of the SDK") from error
        if found is None:
            raise self.unreachable("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, 'credentials_file', 'credentials_command' or 'profile'")
        return found

    def _asked_region(self) -> str | None:
        from botocore.exceptions import BotoCoreError

        try:
            return self._session.get_config_variable("region")  # type: ignore[no-any-return]  # text
        except BotoCoreError as error:
            raise self.unreachable(f"profile {self._settings.profile!r}: {type(error).__name__}; look at the files of the SDK") from error

    def _endpoint(self) -> str:
        """The address of the bucket, without a trailing slash."""
        given = self._settings.endpoint
        if given is None:
            host = f"s3.{self._region}.amazonaws.com"
            return f"https://{host}/{self.bucket}" if "." in self.bucket else f"https://{self.bucket}.{host}"
        return f"{given.rstrip('/')}/{self.bucket}"

    @property
    def identity(self) -> str:
        """Which bucket of which store it is, however its address is written."""
        return identity(self._settings.endpoint, self.bucket)


def identity(endpoint: str | None, bucket: str) -> str:
    """Which bucket of which store it is; None is Amazon's, where a bucket has one name however many addresses lead to it."""
    parts = urlsplit(endpoint or "")
    if endpoint is None or (parts.hostname or "").lower().endswith(".amazonaws.com"):
        return f"aws/{bucket}"
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{(parts.hostname or '').lower()}:{port}{parts.path.rstrip('/')}/{bucket}"


def _dotted(target: str) -> str:
    """An address whose path nobody takes for one of folders: its lone dots are written as %2E, which says the same."""
    head, mark, query = target.partition("?")
    parts = head.split("/")
    return "/".join(part.replace(".", "%2E") if part in (".", "..") else part for part in parts) + mark + query


def _read(response: "BaseHTTPResponse") -> bytes:
    """A whole body. Raises StoreError where it breaks off, or has no end."""
    whole = bytearray()
    try:
        for block in response.stream(1 << 20, decode_content=False):
            whole += block
            if len(whole) > _MOST_BYTES:
                break
    except Exception as error:
        raise _broken(error) from error
    if len(whole) > _MOST_BYTES:
        raise StoreError(f"an answer of more than {_MOST_BYTES} bytes", response.status)
    return bytes(whole)


def _broken(error: Exception) -> StoreError:
    """What it means that there is no answer, or only a part of one."""
    import urllib3.exceptions as kinds

    if not isinstance(error, (kinds.HTTPError, OSError, ValueError)):
        raise error
    cause = getattr(error, "reason", None) or error
    for kind, meaning in (
        (kinds.SSLError, "its certificate is not trusted, or it speaks no TLS"),
        (kinds.NameResolutionError, "its name is not known: correct the endpoint"),
        (kinds.NewConnectionError, "no connection: correct the endpoint, look whether the store runs"),
        (kinds.ConnectTimeoutError, f"nothing answered within {_CONNECT_SECONDS:g} seconds: correct the endpoint, look at the network"),
        (kinds.ReadTimeoutError, f"nothing was heard for {_SILENT_SECONDS:g} seconds"),
        (kinds.LocationParseError, "the endpoint is no address"),
    ):
        if isinstance(cause, kind):
            return StoreError(meaning)
    return StoreError("the connection broke off")


def _refusal(response: "BaseHTTPResponse", body: bytes) -> StoreError:
    found = _CODE.search(body)
    code = found[1].decode() if found else ""
    meaning = _MEANINGS.get(code or ("AccessDenied" if response.status == 403 else ""), "")
    region = response.headers.get("x-amz-bucket-region", "")
    if response.status in (301, 307, 308) or code in ("PermanentRedirect", "AuthorizationHeaderMalformed"):
        meaning = _MEANINGS["PermanentRedirect"] + (f" = {region!r}" if re.fullmatch(r"[a-z0-9-]{1,40}", region) else "")
    said = f"{code}, HTTP status {response.status}" if code else f"HTTP status {response.status}"
    return StoreError(f"{meaning} ({said})" if meaning else f"the store answers {said}", response.status, code)


def _told_by(command: str) -> tuple[str, str, str | None] | None:
    """What a command prints, in the form of the SDK's `credential_process`. What it says otherwise is not repeated."""
    import json

    try:
        ran = subprocess.run(  # noqa: S603 - it is what the configuration asks for
            shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_COMMAND_SECONDS, check=True
        )
        found = json.loads(ran.stdout)
        key, secret, token = found["AccessKeyId"], found["SecretAccessKey"], found.get("SessionToken")
    except (subprocess.SubprocessError, OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    texts = isinstance(key, str) and isinstance(secret, str) and (token is None or isinstance(token, str))
    return (key, secret, token) if texts else None
