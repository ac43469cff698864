"""What a value of the configuration may be: durations, sizes and names as people write them."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from catalog import glob

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_SIZES = {"": 1, "B": 1} | {f"{p}{s}": 1000**i for i, p in enumerate("KMGTP", 1) for s in ("", "B")} | {f"{p}iB": 1024**i for i, p in enumerate("KMGTP", 1)}


def duration(value: object) -> object:
    """Seconds of '24h', '90d', '1y' (365 days); whatever else goes on to pydantic."""
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdwy])\s*", value)
        if not found:
            raise ValueError(f"not a duration: {value!r}; write a number and one of s, m, h, d, w, y, as in '90d'")
        return float(found[1]) * _UNITS[found[2]]
    return value


def size(value: object) -> object:
    """Bytes of '2 TiB', '500MB', 1000; whatever else goes on to pydantic."""
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
        if not found or found[2] not in _SIZES:
            raise ValueError(f"not a size: {value!r}; write bytes, or a number and a unit as in '2 TiB' or '500 MB'")
        return int(float(found[1]) * _SIZES[found[2]])
    return value


def confidential(url: str) -> str:
    """An address on the way to which nobody reads along, as it is. Raises ValueError."""
    found = urlsplit(url)
    unread = ("http", "https") if found.hostname in ("localhost", "127.0.0.1", "::1") else ("https",)
    if not found.hostname or found.username is not None or found.scheme not in unread or not url.isprintable():
        raise ValueError(f"{url!r}: write an address that begins with https://; http:// is for this machine's loopback alone")
    return url


def address(url: str) -> str:
    """The address of a server, as it is. Raises ValueError, also where it holds a secret."""
    try:
        found = urlsplit(url)
        _ = found.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no address: write it as in 'https://s3.example.org:9000'") from error
    if found.username is not None or found.password is not None or found.query or found.fragment:
        raise ValueError("an address is stored and shown: it must hold no user, password or query")
    if found.scheme not in ("http", "https") or not found.hostname or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} is no address: write it as in 'https://s3.example.org:9000'")
    return url


def name(text: str) -> str:
    """The name of a volume, a class, a task, a token, as it is. Raises ValueError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", text):
        raise ValueError(f"{text!r} is not a name: use lower-case letters, digits and '-', as in 'nas-paris'")
    return text


def _folder(path: str) -> str:
    if not path.startswith("/") or not path.isprintable() or ".." in path.split("/"):
        raise ValueError(f"{path!r} is not the path of a folder: write it whole, as in '/home/me/rescued'")
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


Seconds = Annotated[float, BeforeValidator(duration), Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Bytes = Annotated[int, BeforeValidator(size), Field(ge=0)]
Address = Annotated[str, AfterValidator(address)]
REGION = r"^[a-z0-9-]{1,40}$"  # of an object store
Name = Annotated[str, AfterValidator(name)]
Pattern = Annotated[str, AfterValidator(glob.check)]
Folder = Annotated[str, AfterValidator(_folder)]

TABLE = ConfigDict(extra="forbid", frozen=True)  # of every table: it has no other keys, and is not changed
