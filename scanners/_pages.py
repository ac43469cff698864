"""Pages of listings of an object store: ListObjectsV2 and ListObjectVersions, as Amazon's API reference describes them, with keys as raw bytes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import unescape
from urllib.parse import unquote_to_bytes

_FIELDS = ("Key", "Size", "LastModified", "ETag", "StorageClass", "ID", "VersionId", "IsLatest", "ChecksumAlgorithm", "ChecksumType", "IsRestoreInProgress")
_VALUES = {name: re.compile(rf"<{name}>([^<]*)</{name}>".encode()) for name in _FIELDS}
_NEEDED = {"Contents": ("Key", "Size", "LastModified"), "Version": ("Key", "Size", "LastModified", "VersionId", "IsLatest")}
_NEEDED["DeleteMarker"] = ("Key", "LastModified", "VersionId", "IsLatest")


class PageError(Exception):
    """An answer that is no page of a listing, or one that contradicts itself."""


@dataclass(frozen=True)
class Items:
    """What a page lists of one kind, as columns of one length; None stands for what an item does not have."""

    kind: str  # Contents | Version | DeleteMarker
    keys: Sequence[bytes]
    values: Mapping[str, Sequence[bytes | None]]  # by the name of its element


@dataclass(frozen=True)
class Page:
    """One page: its items by kind, the prefixes that were folded, and how to ask for the next one (None: it is the last)."""

    items: Sequence[Items]
    prefixes: Sequence[bytes]
    next: Mapping[str, str | bytes] | None
    exact: bool  # whether every byte of a key can be told: what XML cannot hold some stores replace by U+FFFD

    @property
    def size(self) -> int:
        """The number of its items."""
        return sum(len(one.keys) for one in self.items)


def objects(body: bytes) -> Page:
    """A page of ListObjectsV2. Raises PageError, also where it lists another number of keys than it says."""
    page, told = _page(body, "ListBucketResult", ("Contents",))
    count = told.get("KeyCount")
    if count is not None and count != b"%d" % (page.size + len(page.prefixes)):
        raise PageError(f"a page of {page.size + len(page.prefixes)} keys says that it has {count.decode('ascii', 'replace')[:20]}")
    if told.get("IsTruncated") != b"true":
        return page
    token = told.get("NextContinuationToken")
    if not token:
        raise PageError("a page is not the last one, and does not say how to ask for the next")
    return replace(page, next={"continuation-token": _text(token)})


def versions(body: bytes) -> Page:
    """A page of ListObjectVersions. Raises PageError."""
    page, told = _page(body, "ListVersionsResult", ("Version", "DeleteMarker"))
    if told.get("IsTruncated") != b"true":
        return page
    key, version = told.get("NextKeyMarker"), told.get("NextVersionIdMarker")
    if not key:
        raise PageError("a page is not the last one, and does not say how to ask for the next")
    here = {key for items in page.items for key in items.keys} | set(page.prefixes)
    forms = [_key(key, encoded=page.exact), _key(key, encoded=False)]  # some stores encode keys, and not this one
    marker = next((form for form in forms if form in here), forms[0])
    return replace(page, next={"key-marker": marker} | ({"version-id-marker": _text(version)} if version else {}))


def _page(body: bytes, root: str, kinds: Sequence[str]) -> tuple[Page, Mapping[str, bytes]]:
    """A page without its next, and what it says of itself."""
    start = re.search(rb"<([A-Za-z]+)[ />]", body)
    if not start or start[1] != root.encode() or b"<!" in body:
        raise PageError("what answers is no object store that speaks S3: look at the endpoint")
    if not body.rstrip().endswith(f"</{root}>".encode()):
        raise PageError("a page is cut off")
    blocks: dict[str, Sequence[bytes]] = {}
    rest = body
    for kind in kinds:
        blocks[kind], rest = _cut_out(kind.encode(), rest)
    told = {name.decode(): value for name, value in re.findall(rb"<([A-Za-z]+)>([^<]*)</\1>", rest)}
    encoded = told.get("EncodingType") == b"url"
    prefixes = [_key(one, encoded=encoded) for one in re.findall(rb"<CommonPrefixes>\s*<Prefix>([^<]*)</Prefix>\s*</CommonPrefixes>", rest)]
    items = [_items(kind, found, encoded=encoded) for kind, found in blocks.items() if found]
    return Page(items, prefixes, None, encoded), told


def _cut_out(kind: bytes, body: bytes) -> tuple[Sequence[bytes], bytes]:
    """The contents of all elements of a kind, and the page without them. Raises PageError."""
    before, *pieces = body.split(b"<%s>" % kind)
    parts = [piece.partition(b"</%s>" % kind) for piece in pieces]
    if not all(closed for _, closed, _ in parts):
        raise PageError("a page is cut off")
    return [block for block, _, _ in parts], b"".join([before, *(after for _, _, after in parts)])


def _items(kind: str, blocks: Sequence[bytes], *, encoded: bool) -> Items:
    """The columns of some items: at one stroke where each has every field or none has it, else item by item."""
    whole, count = b"".join(blocks), len(blocks)
    columns: dict[str, Sequence[bytes | None]] = {}
    for name in _FIELDS:
        found: Sequence[bytes | None] = _VALUES[name].findall(whole) if b"<%s>" % name.encode() in whole else []
        if found and len(found) != count:
            found = [_one(_VALUES[name], block) for block in blocks]
        if found:
            columns[name] = found
    if any(None in columns.get(name, (None,)) for name in _NEEDED[kind]):
        raise PageError(f"an item of a page lacks one of {', '.join(_NEEDED[kind])}")
    keys = columns.pop("Key")
    return Items(kind, [_key(key or b"", encoded=encoded) for key in keys], columns)


def _one(pattern: re.Pattern[bytes], block: bytes) -> bytes | None:
    """The first value in an item."""
    found = pattern.search(block)
    return found[1] if found else None


def _key(text: bytes, *, encoded: bool) -> bytes:
    """The bytes of a key as a page has it: of the form of HTML's forms where the page says so, a blank as '+'; some stores escape what is left for XML, too."""
    plain = unescape(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape") if b"&" in text else text
    return unquote_to_bytes(plain.replace(b"+", b" ")) if encoded and (b"%" in plain or b"+" in plain) else plain


def _text(value: bytes) -> str:
    return unescape(value.decode("utf-8", "surrogateescape"))
