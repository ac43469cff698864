"""Pages of listings of an object store: ListObjectsV2 and ListObjectVersions, as Amazon's API reference describes them, with keys as raw bytes."""

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.compute as pc

from catalog import shaped

_FIELDS = ("Key", "Size", "LastModified", "ETag", "StorageClass", "ID", "VersionId", "IsLatest", "ChecksumAlgorithm", "ChecksumType", "IsRestoreInProgress")
_VALUES = {name: re.compile(rf"<{name}>([^<]*)</{name}>".encode()) for name in _FIELDS}
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_NEEDED = {"Contents": ("Key", "Size", "LastModified"), "Version": ("Key", "Size", "LastModified", "VersionId", "IsLatest")}
_NEEDED["DeleteMarker"] = ("Key", "LastModified", "VersionId", "IsLatest")


class PageError(Exception):
    """An answer that is no page of a listing, or one that contradicts itself."""


@dataclass(frozen=True)
class Items:
    """What a page lists of one kind, as columns of bytes of one length; null stands for what an item does not have."""

    kind: str  # Contents | Version | DeleteMarker
    columns: Mapping[str, pa.Array]  # by the name of the element; of Key the raw bytes

    def __len__(self) -> int:
        return len(self.columns["Key"])

    @functools.cached_property
    def keys(self) -> Sequence[bytes]:
        """The keys, item by item."""
        return self.columns["Key"].to_pylist()  # type: ignore[no-any-return]  # bytes

    def values(self, name: str) -> Sequence[bytes | None]:
        """A column, item by item."""
        return self.columns[name].to_pylist()  # type: ignore[no-any-return]  # bytes

    def take(self, places: Sequence[int]) -> "Items":
        """Some of the items."""
        chosen = pa.array(places, pa.int64())
        return Items(self.kind, {name: column.take(chosen) for name, column in self.columns.items()})


def joined(several: Sequence[Items]) -> list[Items]:
    """The same items in the same order, those that follow each other with the same columns together."""
    found: list[Items] = []
    for (kind, names), alike in itertools.groupby(several, lambda one: (one.kind, tuple(one.columns))):
        parts = list(alike)
        found.append(Items(kind, {name: pa.concat_arrays([part.columns[name] for part in parts]) for name in names}))
    return found


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
        return sum(map(len, self.items))


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
    found: list[tuple[str, Mapping[str, pa.Array]]] = []
    rest = body
    for kind in kinds:
        columns, rest = _columns(kind, rest)
        if columns:
            found.append((kind, columns))
    told = {name.decode(): value for name, value in re.findall(rb"<([A-Za-z]+)>([^<]*)</\1>", rest)}
    encoded = told.get("EncodingType") == b"url"
    prefixes = [_key(one, encoded=encoded) for one in re.findall(rb"<CommonPrefixes>\s*<Prefix>([^<]*)</Prefix>\s*</CommonPrefixes>", rest)]
    items = [Items(kind, {**columns, "Key": _keys(columns["Key"], encoded=encoded)}) for kind, columns in found]
    return Page(items, prefixes, None, encoded), told


def _columns(kind: str, body: bytes) -> tuple[Mapping[str, pa.Array], bytes]:
    """The fields of all elements of a kind, none where there is no element, and the page without them. Raises PageError."""
    opening, closing = b"<%s>" % kind.encode(), b"</%s>" % kind.encode()
    if re.search(rb"<%s[\s/]" % kind.encode(), body):
        raise PageError(f"a page has elements {kind} of a form that no store writes")
    start, end = body.find(opening), body.rfind(closing) + len(closing)
    if start < 0:
        return {}, body
    columns, rest = shaped.columns(body[start:end], kind, _FIELDS), body[:start] + body[end:]
    if columns is None or opening in rest:
        columns, rest = _one_by_one(opening, closing, body)
    if any(name not in columns or columns[name].null_count for name in _NEEDED[kind]):
        raise PageError(f"an item of a page lacks one of {', '.join(_NEEDED[kind])}")
    return columns, rest


def _one_by_one(opening: bytes, closing: bytes, body: bytes) -> tuple[Mapping[str, pa.Array], bytes]:
    """The same of elements that need not be alike, nor follow each other. Raises PageError."""
    before, *pieces = body.split(opening)
    parts = [piece.partition(closing) for piece in pieces]
    if not all(closed for _, closed, _ in parts):
        raise PageError("a page is cut off")
    columns: dict[str, pa.Array] = {}
    for name in _FIELDS:
        found = [_VALUES[name].search(block) for block, _, _ in parts]
        if any(found):
            columns[name] = pa.array([one and one[1] for one in found], pa.binary())
    return columns, b"".join([before, *(after for _, _, after in parts)])


def _keys(texts: pa.Array, *, encoded: bool) -> pa.Array:
    """What `_key` makes of each; most are as they are."""
    strange = pc.match_substring_regex(texts, "[&%+]" if encoded else "&")
    if not pc.any(strange).as_py():
        return texts
    return pc.replace_with_mask(texts, strange, pa.array([_key(text, encoded=encoded) for text in texts.filter(strange).to_pylist()], pa.binary()))


def _key(text: bytes, *, encoded: bool) -> bytes:
    """The bytes of a key as a page has it: of the form of HTML's forms where the page says so, a blank as '+'; some stores escape what is left for XML, too."""
    plain = unescaped(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape") if b"&" in text else text
    return unquote_to_bytes(plain.replace(b"+", b" ")) if encoded and (b"%" in plain or b"+" in plain) else plain


def unescaped(text: str) -> str:
    """Text of XML, with the characters that its references stand for; also of those that XML does not know and stores write."""
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(found: re.Match[str]) -> str:
    named, decimal, hexadecimal = found.groups()
    if named:
        return _NAMED[named]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]


def _text(value: bytes) -> str:
    return unescaped(value.decode("utf-8", "surrogateescape"))
