"""Objects in an archive of their store (GLACIER and its kin): whether one can be read now, and asking for it back.

Source: Amazon S3 API, RestoreObject, and the headers `x-amz-restore` and `x-amz-archive-status` of HeadObject.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from catalog.store import StoreError
from catalog.volumes import Volume
from lifecycle import asking_back
from lifecycle.ends import ColdError, EndError
from lifecycle.stores import Capabilities, Fingerprint
from lifecycle.stores._objects import Objects

CLASSES = ("GLACIER", "DEEP_ARCHIVE")
_FOR_GOOD = "INTELLIGENT_TIERING"  # what comes back from its archives stays


@dataclass(frozen=True)
class Asking:
    """How objects are asked back: for how many days, and how fast, which is what they cost."""

    days: int
    tier: str


def asking(declared: Volume) -> Asking | None:
    """As a volume declares it; None: it is not to be done."""
    days = asking_back.days(declared)
    return None if days is None else Asking(days, declared.restore_tier)


def refuse_unread(declared: Volume, volume: str, able: Capabilities) -> None:
    """Raises EndError REFUSED where copies would be stored in a class of which nobody saw that the store gives it at once: none could be read back."""
    wanted = declared.storage_class
    if wanted not in CLASSES or able.reads_class == wanted:
        return
    why = f"storage_class = {wanted!r} is declared, and the store was not seen to give such an object at once, so that no copy could be read back"
    mend = "declare a class that is read at once, and let a lifecycle rule of the bucket move the objects, then prepare the volume again"
    raise EndError("REFUSED", f"volume {volume}: {why}; {mend}", retry=True, stops_volume=True)


def check(objects: Objects, path: bytes, found: Fingerprint, told: Mapping[str, str], asked: Asking | None) -> None:
    """Look whether an object can be read now. Only reads. Raises ColdError where it must be asked back or waited for, EndError, UnreachableError.

    Some stores know the classes, and give what is in them at once: so the store itself is asked, by the first byte.
    """
    kind, restored = told.get("x-amz-storage-class", ""), told.get("x-amz-restore")
    if not found.size_bytes or (kind not in CLASSES and "x-amz-archive-status" not in told):
        return
    shown = f"{objects.shown(path)}: is in an archive of the store ({kind})"
    if restored is not None:
        if 'ongoing-request="true"' in restored:
            on_its_way = f"{shown}, and is on its way back; resume the job once it is there"
            raise ColdError("FAILED", on_its_way, retry=True, ask=None)
        return
    if _gives(objects, path):
        return
    if asked is None:
        mend = f"declare restore_for of volume {objects.volume}, so that jobs which copy it ask for it, or request a restore of it there, then resume the job"
        raise EndError("FAILED", f"{shown}: {mend}", retry=True)

    def ask() -> None:
        """Writes. Raises EndError, UnreachableError."""
        with objects.ending("ask it back from the archive", path):
            objects.bucket.ask_back(objects.key(path), told.get("x-amz-version-id"), None if kind == _FOR_GOOD else asked.days, asked.tier)

    raise ColdError("FAILED", f"{shown}: a restore must be requested there before it can be read", retry=True, ask=ask)


def _gives(objects: Objects, path: bytes) -> bool:
    """Whether the store gives the first byte. Raises EndError, UnreachableError."""
    with objects.ending("read", path):
        try:
            with closing(objects.bucket.stream(objects.key(path), {}, {"Range": "bytes=0-0"}, 1)) as answer:
                next(answer)
        except StoreError as error:
            if error.code != "InvalidObjectState":
                raise
            return False
    return True
