"""The OpenID provider: where people are sent to sign in, and who it says that somebody is.

OpenID Connect Core 1.0, the authorization code flow; PKCE by S256 (RFC 7636), the issuer in the answer (RFC 9207). The rules of ID tokens are Authlib's.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel

from catalog.errors import RefusedError, UnreachableError
from catalog.fields import confidential
from catalog.services import Oidc
from lastcopy.service.sessions import Attempt

# By a key that only the provider has: neither `none` nor the HMAC of something that others know.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
SKEW_SECONDS = 60  # between its clock and ours
_SECONDS = 10  # for one answer of the provider
_AT_ONCE = 8  # questions to it
_KNOWN_SECONDS = 3600.0
_FAILED_SECONDS = 5.0  # for which nobody else asks
_CLAIM_CHARACTERS = 200
# What comes of an answer of any shape: of the network, of JSON, of what is in it.
_WRONG = (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError, AttributeError, KeyError, RecursionError)


class _Metadata(BaseModel):
    """What we need of a provider's metadata (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


@dataclass(frozen=True)
class Who:
    """Whom an ID token names, and in which groups."""

    name: str
    groups: tuple[str, ...]


class Provider:
    """A provider, as the configuration names it, which leads back to `callback`. Every question raises UnreachableError where it does not answer as one."""

    def __init__(self, oidc: Oidc, callback: str) -> None:
        self.oidc = oidc
        self._callback = callback
        self._tls = httpx2.create_ssl_context()  # takes as long as many answers
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._asking = asyncio.Lock()
        self._known: _Metadata | UnreachableError | None = None
        self._known_until = 0.0
        self._keys: KeySet | None = None

    async def address(self, attempt: Attempt, *, again: bool = False) -> str:
        """Where to send somebody to sign in, `again` also where the provider knows him already: perhaps he wants to be somebody else."""
        metadata = await self._metadata()
        scope = " ".join(self.oidc.scopes)
        client = OAuth2Client(None, self.oidc.client_id, scope=scope, redirect_uri=self._callback, code_challenge_method="S256")
        more = {"prompt": "login"} if again else {}
        url, _ = client.create_authorization_url(
            metadata.authorization_endpoint, state=attempt.state, nonce=attempt.nonce, code_verifier=attempt.verifier, **more
        )
        return str(url)

    async def who(self, code: str, secret: str, attempt: Attempt) -> Who:
        """Who it is that came back with a code. Raises RefusedError where the provider, or what it says, leaves that open."""
        metadata = await self._metadata()
        methods = metadata.token_endpoint_auth_methods_supported
        method = "client_secret_basic" if "client_secret_basic" in methods or "client_secret_post" not in methods else "client_secret_post"
        client = AsyncOAuth2Client(
            self.oidc.client_id, secret, redirect_uri=self._callback, token_endpoint_auth_method=method, verify=self._tls, timeout=_SECONDS
        )
        try:
            async with self._turns, client:
                token = await client.fetch_token(metadata.token_endpoint, code=code, grant_type="authorization_code", code_verifier=attempt.verifier)
            id_token = str(token["id_token"])
        except OAuthError as error:
            raise RefusedError(f"the provider did not take the code: {_said(error.error)}") from error
        except _WRONG as error:
            raise self._unreachable(error) from error
        return named(self.oidc, await self._claims(id_token, attempt.nonce))

    async def _claims(self, id_token: str, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token that was signed by the provider, for us, now, and for this very sign-in."""
        try:
            try:
                token = jwt.decode(id_token, await self._key_set(), ALGORITHMS)
            except InvalidKeyIdError:  # it has new ones
                token = jwt.decode(id_token, await self._key_set(anew=True), ALGORITHMS)
            options: Any = {"iss": {"essential": True, "value": self.oidc.issuer}, "aud": {"essential": True, "value": self.oidc.client_id}}
            claims = CodeIDToken(token.claims, token.header, options, {"nonce": nonce, "client_id": self.oidc.client_id})
            claims.validate(leeway=SKEW_SECONDS)
        except ExpiredTokenError as error:
            raise RefusedError("what the provider says of you is not valid any more; perhaps its clock and that of this service differ") from error
        except (JoseError, *_WRONG) as error:
            raise RefusedError(f"what the provider says of you is not valid: {_said(error) or type(error).__name__}") from error
        return dict(claims)

    async def _key_set(self, *, anew: bool = False) -> KeySet:
        if self._keys is None or anew:
            found = await self._json((await self._metadata()).jwks_uri)
            try:
                self._keys = _usable(found["keys"])
            except _WRONG as error:
                raise self._unreachable(error) from error
        return self._keys

    async def _metadata(self) -> _Metadata:
        async with self._asking:
            if time.monotonic() >= self._known_until:
                try:
                    self._known, seconds = await self._discovered(), _KNOWN_SECONDS
                except UnreachableError as error:
                    self._known, seconds = error, _FAILED_SECONDS
                self._keys, self._known_until = None, time.monotonic() + seconds
        if isinstance(self._known, _Metadata):
            return self._known
        raise UnreachableError(str(self._known))

    async def _discovered(self) -> _Metadata:
        try:
            found = _Metadata.model_validate(await self._json(f"{self.oidc.issuer.rstrip('/')}/.well-known/openid-configuration"))
            for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
                confidential(url)
        except _WRONG as error:
            raise self._unreachable(error) from error
        if found.issuer != self.oidc.issuer:
            raise UnreachableError(f"the provider at {self.oidc.issuer} calls itself {_said(found.issuer)}: [dashboard.oidc] issuer must be the same")
        return found

    async def _json(self, url: str) -> Any:  # noqa: ANN401  # JSON
        try:
            async with self._turns, httpx2.AsyncClient(verify=self._tls, timeout=_SECONDS) as client:
                return (await client.get(url)).raise_for_status().json()
        except _WRONG as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(f"the provider {self.oidc.issuer} does not answer as one: {type(error).__name__}: {_said(error)}")


def named(oidc: Oidc, claims: Mapping[str, Any]) -> Who:
    """Whom claims name. Raises RefusedError where they name nobody, or by an address that the provider did not verify."""
    name = _claim(claims, oidc.name_claim)
    if not isinstance(name, str) or not name or name != name.strip() or not name.isprintable() or len(name) > _CLAIM_CHARACTERS:
        raise RefusedError(f"the provider does not say who you are: its ID token has no text in the claim {oidc.name_claim!r}")
    if oidc.name_claim == "email" and claims.get("email_verified") not in (True, "true"):
        raise RefusedError(f"the provider has not verified that the address {name} is yours ('email_verified')")
    groups = _claim(claims, oidc.groups_claim)
    listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    return Who(name, tuple(group for group in listed if isinstance(group, str)))


def _claim(claims: Mapping[str, Any], path: str) -> object:
    """A claim by its name, or else by the names that dots lead through."""
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _usable(keys: list[Mapping[str, Any]]) -> KeySet:
    """The keys that sign; what is of a kind that we do not know is left out (RFC 7517, section 5)."""
    found = []
    for key in keys:
        try:
            found += KeySet.import_key_set({"keys": [dict(key)]}).keys if key.get("use", "sig") == "sig" else []
        except (JoseError, ValueError, TypeError, AttributeError):
            continue
    return KeySet(found)


def _said(text: object) -> str:
    """What somebody else says, as a short text of one line."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))[:_CLAIM_CHARACTERS]
