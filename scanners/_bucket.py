"""What a bucket says that protects it: three-valued, for many stores do not know the question. Each is asked by one GET; nothing is changed.

The answers are those of Amazon's API reference: GetBucketVersioning, GetObjectLockConfiguration, GetBucketLifecycleConfiguration, GetBucketReplication,
GetBucketEncryption, GetPublicAccessBlock, GetBucketPolicyStatus. Only the answer that is meant says yes, only the error that is meant says no.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from catalog.store import Store, StoreError
from scanners import Protection

Value = Literal["yes", "no", "unknown"]
_RULE = re.compile(rb"<Rule>.*?</Rule>", re.DOTALL)
_NO_POLICY = "there is none"
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@dataclass(frozen=True)
class _Question:
    """One property: its sub-resource, the element that answers, the error that says that there is none, and what the answer means."""

    name: str
    resource: str
    root: str
    absent: str | None
    none: str  # what it means that there is none
    means: Callable[[bytes], tuple[Value, str]]


def protections(store: Store) -> list[Protection]:
    """What the bucket says of itself. Raises nothing: what cannot be known is unknown."""
    return [_asked(store, question) for question in _QUESTIONS]


def locks_objects(store: Store) -> Value:
    """Whether the bucket can lock objects."""
    return next(_asked(store, question).value for question in _QUESTIONS if question.resource == "object-lock")


def _asked(store: Store, question: _Question) -> Protection:
    try:
        body = store.get(None, {question.resource: ""}, tries=1)
    except StoreError as error:
        if error.status == 404 and error.code == question.absent:
            return Protection(question.name, "no", question.none)
        if error.refused:
            return Protection(question.name, "unknown", f"these credentials may not ask for it ({error.code or 'no word'}, HTTP status {error.status})")
        return Protection(question.name, "unknown", f"the store does not tell it ({error.code or 'no word'}, HTTP status {error.status})")
    found = re.search(rb"<([A-Za-z]+)[ />]", body)
    if not found or found[1] != question.root.encode() or b"<!" in body:
        return Protection(question.name, "unknown", "the store answers something else")
    return Protection(question.name, *question.means(body))


def _versioning(body: bytes) -> tuple[Value, str]:
    status = _text(body, "Status")
    if status == "Enabled":
        return "yes", "versions are kept: what is overwritten or deleted stays below"
    if status == "Suspended":
        return "no", "suspended: what is overwritten from now on is lost, older versions stay"
    return ("no", "never enabled: what is overwritten or deleted is lost") if status is None else ("unknown", "a state that nobody knows here")


def _lock(body: bytes) -> tuple[Value, str]:
    if _text(body, "ObjectLockEnabled") != "Enabled":
        return "unknown", "a state that nobody knows here"
    mode, days, years = (_text(body, name) for name in ("Mode", "Days", "Years"))
    if mode is None or (days is None and years is None):
        return "yes", "objects can be locked; there is no default, so only those are that were locked themselves"
    return "yes", f"new objects are locked for {f'{days} days' if days else f'{years} years'}, mode {mode.lower()}; a lock counts by what an object itself says"


def _lifecycle(body: bytes) -> tuple[Value, str]:
    rules = _enabled(body)
    if not rules:
        return "no", "no rule is enabled: nothing expires or moves by itself"
    days = [_text(rule, name) for rule in rules for name in ("NoncurrentDays", "NewerNoncurrentVersions")]
    expiring = any(b"<NoncurrentVersionExpiration>" in rule or b"<Expiration>" in rule for rule in rules)
    told = f"; old versions after {', '.join(one for one in days if one)} days" if any(days) else ""
    return "yes", f"{len(rules)} rules: objects {'expire' if expiring else 'move'} by them{told}"


def _replication(body: bytes) -> tuple[Value, str]:
    rules = _enabled(body)
    return ("yes", f"{len(rules)} rules copy objects elsewhere") if rules else ("no", "nothing is copied elsewhere by the store")


def _encryption(body: bytes) -> tuple[Value, str]:
    algorithm = _text(body, "SSEAlgorithm")
    return ("yes", f"new objects are encrypted by the store, {algorithm}") if algorithm else ("unknown", "a state that nobody knows here")


def _public_access(body: bytes) -> tuple[Value, str]:
    blocked = [_text(body, name) == "true" for name in _BLOCKS]
    return ("yes", "public access is blocked") if all(blocked) else ("no", "public access is not blocked as a whole")


def _policy(body: bytes) -> tuple[Value, str]:
    public = _text(body, "IsPublic")
    if public not in ("true", "false"):
        return "unknown", "a state that nobody knows here"
    return ("no", "its policy makes it public") if public == "true" else ("yes", "its policy does not make it public")


_QUESTIONS = (
    _Question("versioning", "versioning", "VersioningConfiguration", None, "", _versioning),
    _Question("object lock", "object-lock", "ObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "no object can be locked", _lock),
    _Question("lifecycle", "lifecycle", "LifecycleConfiguration", "NoSuchLifecycleConfiguration", "no rules: nothing expires or moves by itself", _lifecycle),
    _Question(
        "replication",
        "replication",
        "ReplicationConfiguration",
        "ReplicationConfigurationNotFoundError",
        "nothing is copied elsewhere by the store",
        _replication,
    ),
    _Question(
        "encryption",
        "encryption",
        "ServerSideEncryptionConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
        "no default: objects are encrypted if who stores them asks for it",
        _encryption,
    ),
    _Question(
        "public access",
        "publicAccessBlock",
        "PublicAccessBlockConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "public access is not blocked as a whole",
        _public_access,
    ),
    _Question("policy", "policyStatus", "PolicyStatus", "NoSuchBucketPolicy", _NO_POLICY, _policy),
)


def _text(body: bytes, name: str) -> str | None:
    """The text of the first element of a name, if it is plain."""
    found = re.search(rf"<{name}>\s*([A-Za-z0-9:._-]{{1,80}})\s*</{name}>".encode(), body)
    return found[1].decode() if found else None


def _enabled(body: bytes) -> Sequence[bytes]:
    return [rule for rule in _RULE.findall(body) if _text(rule, "Status") == "Enabled"]
