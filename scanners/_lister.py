"""Goes through the listings of a bucket page by page, and holds them against each other: some stores lose keys between pages."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from catalog import pages
from catalog.pages import Items, Page, PageError
from catalog.store import Store

MOST_KEYS = 1000  # of a page, as the API has it
_REPLACED = "\ufffd".encode()
_NO_VERSIONS = "the store lists this object, and none of its versions: what it was before is not known"
_NOT_EXACT = "the store tells the versions of names with control characters with U+FFFD in them: which of them these are is not known"

Take = Callable[[Items], None]
Problem = Callable[[bytes, str], None]


class Lister:
    """Pages of one bucket."""

    def __init__(self, store: Store, *, versions: bool) -> None:
        """`versions`: whether every version is listed."""
        self._store, self._versions = store, versions

    def first(self, prefix: bytes, most_keys: int | None = None) -> Page:
        """The first page of all that begins with a prefix. Raises StoreError, PageError."""
        return next(self._pages(prefix, versions=self._versions, most_keys=most_keys))

    def level(self, prefix: bytes, take: Take, problem: Problem) -> list[bytes]:
        """Take what lies directly below a prefix, up to the next slash; gives the longer prefixes. Raises StoreError, PageError."""
        return self._settle(prefix, take, problem, flat=False)

    def below(self, prefix: bytes, take: Take, problem: Problem) -> None:
        """Take all that begins with a prefix. Raises StoreError, PageError."""
        self._settle(prefix, take, problem, flat=True)

    def all_below(self, prefix: bytes) -> Iterator[Items]:
        """What a bucket shows of all that begins with a prefix. Raises StoreError, PageError."""
        for page in self._pages(prefix, versions=False):
            yield from page.items

    def of_key(self, key: bytes, *, sorted_keys: bool = False) -> Iterator[Items]:
        """The versions and delete markers of one key; `sorted_keys`: none comes after a greater key, as the API has it. Raises StoreError, PageError."""
        for page in self._pages(key, versions=True):
            for items in page.items:
                if kept := _only(items, lambda one: one == key):
                    yield kept
            if sorted_keys and any(one > key for items in page.items for one in items.keys):
                return

    def _settle(self, prefix: bytes, take: Take, problem: Problem, *, flat: bool) -> list[bytes]:
        prefixes: list[bytes] = []
        if not self._versions:
            for page in self._pages(prefix, versions=False, flat=flat):
                prefixes += page.prefixes
                for items in page.items:
                    take(items)
            return prefixes
        seen, pages = _Seen(take, problem), 0
        for page in self._pages(prefix, versions=True, flat=flat):
            pages += 1
            prefixes += page.prefixes
            seen.take(page)
        missing = self._missing(prefix, seen, prefixes, flat=flat)
        if flat and (missing or (pages > 1 and seen.tangled)):
            self._walk(prefix, seen)
            missing = self._missing(prefix, seen, prefixes, flat=flat)
        for key, items in missing.items():
            for versions in self.of_key(key):
                seen.add(versions)
            if not seen.has_current(key):
                take(items)
                problem(key, _NO_VERSIONS)
        return prefixes

    def _missing(self, prefix: bytes, seen: "_Seen", prefixes: list[bytes], *, flat: bool) -> dict[bytes, Items]:
        """The objects that the listing of objects has, and that of versions has not; prefixes that only it has are added to `prefixes`."""
        found: dict[bytes, Items] = {}
        known = set(prefixes)
        for page in self._pages(prefix, versions=False, flat=flat):
            prefixes += [one for one in page.prefixes if one not in known]
            for items in page.items:
                seen.note(items.keys)
                for place, key in enumerate(items.keys):
                    if not seen.has_current(key):
                        found[key] = items.take([place])
        return found

    def _walk(self, prefix: bytes, seen: "_Seen") -> None:
        """Take what was not seen yet, folder by folder: of a store that loses keys between pages a page of one folder is whole."""
        waiting = [prefix]
        while waiting:
            for page in self._pages(waiting.pop(), versions=True, flat=False):
                waiting += page.prefixes
                seen.take(page)

    def _pages(self, prefix: bytes, *, versions: bool, flat: bool = True, most_keys: int | None = None) -> Iterator[Page]:
        query: dict[str, str | bytes] = {"prefix": prefix, "encoding-type": "url", "max-keys": str(most_keys or MOST_KEYS)}
        query |= {"versions": ""} if versions else {"list-type": "2", "fetch-owner": "true"}
        if not flat:
            query["delimiter"] = "/"
        read = pages.versions if versions else pages.objects
        asked: set[int] = set()
        further: Mapping[str, str | bytes] = {}
        while True:
            page = read(self._store.get(None, {**query, **further}))
            if not all(
                _begin(keys, prefix, exact=page.exact) for keys in (*(items.columns["Key"] for items in page.items), pa.array(page.prefixes, pa.binary()))
            ):
                raise PageError("the store lists keys that do not begin with what was asked for")
            yield page
            if page.next is None:
                return
            further = page.next
            mark = hash(tuple(sorted(further.items())))
            if mark in asked:
                raise PageError("the store gives the same page again and again")
            asked.add(mark)


class _Seen:
    """What was taken of a prefix: by a hash a version, for there may be millions."""

    def __init__(self, take: Take, problem: Problem) -> None:
        self._take, self._problem = take, problem
        self._taken, self._current = set[int](), set[int]()
        self._keys, self._folders, self._folder = set[int](), set[int](), b""

    def take(self, page: Page) -> None:
        """Take the versions of a page that are new."""
        for items in page.items:
            kept: Items | None = items
            if not page.exact and any(_REPLACED in key for key in items.keys):
                for key in {one for one in items.keys if _REPLACED in one}:
                    self._problem(key, _NOT_EXACT)
                kept = _only(items, lambda one: _REPLACED not in one)
            if kept:
                self.add(kept)

    def add(self, items: Items) -> None:
        """Take those that are new."""
        self.note(items.keys)
        marks = [_mark(key, version or b"") for key, version in zip(items.keys, items.values("VersionId"), strict=True)]
        fresh = [place for place, mark in enumerate(marks) if mark not in self._taken]
        if items.kind == "Version":
            self._current.update(_mark(key) for key, latest in zip(items.keys, items.values("IsLatest"), strict=True) if latest == b"true")
        self._taken.update(marks)
        if fresh:
            self._take(items if len(fresh) == len(marks) else items.take(fresh))

    def note(self, keys: Sequence[bytes]) -> None:
        """Know that there are some keys."""
        self._keys.update(map(_mark, keys))
        for key in keys:
            folder = key.rpartition(b"/")[0]
            if folder != self._folder:
                self._folder = folder
                parts = folder.split(b"/")
                self._folders.update(_mark(b"/".join(parts[:end])) for end in range(1, len(parts) + 1))

    @property
    def tangled(self) -> bool:
        """Whether a key is also the folder of others: then some stores lose keys between pages, also such that nothing shows any more."""
        return not self._keys.isdisjoint(self._folders)

    def has_current(self, key: bytes) -> bool:
        """Whether the object of a key was taken."""
        return _mark(key) in self._current


def _begin(keys: pa.Array, prefix: bytes, *, exact: bool) -> bool:
    """Whether all keys begin with a prefix; of what is not exact that cannot be told."""
    begins = pc.starts_with(keys, prefix)
    return bool(pc.all(begins if exact else pc.or_(begins, pc.match_substring(keys, _REPLACED)), min_count=0).as_py())


def _mark(*parts: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(b"\0".join(parts), digest_size=8).digest(), "little")


def _only(items: Items, wanted: Callable[[bytes], bool]) -> Items | None:
    """The items whose key is wanted; None where none is."""
    places = [place for place, key in enumerate(items.keys) if wanted(key)]
    return items.take(places) if places else None
