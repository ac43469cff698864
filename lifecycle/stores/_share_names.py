"""Names that a share takes as they are: those of Windows. Others it would refuse, change, or take for a stream of another file."""

import functools
import re

from catalog import names

_LONGEST_UNITS = 255  # of UTF-16, a name
_LONGEST_PATH_UNITS = 32_000
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|CLOCK\$|COM[0-9¹²³]|LPT[0-9¹²³]) *(\..*)?", re.IGNORECASE | re.DOTALL)
_ODD = b'"*:<>?\\|' + bytes(range(1, 32))
SPOILT = " ".join(names.escape(bytes([letter])) for letter in _ODD)  # as `Capabilities.spoilt` has it


@functools.lru_cache(1024)
def text_of(path: bytes) -> str:
    """A path of the catalog as a share has it. Raises ValueError, which says what is wrong, for one that a share does not keep as it is."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        raise ValueError("names on a share are Unicode, and this is no UTF-8") from None
    for part in text.split("/") if text else ():
        if wrong := _wrong(part):
            raise ValueError(wrong)
    if units(text) > _LONGEST_PATH_UNITS:
        raise ValueError("the path is too long for a share")
    return text.replace("/", "\\")


def units(text: str) -> int:
    """The length of a text in units of UTF-16."""
    return len(text.encode("utf-16-le")) // 2


def _wrong(name: str) -> str | None:
    if odd := sorted(set(name.encode()) & set(_ODD)):
        return f"a share keeps no name with {names.escape(bytes(odd[:1]))}"
    if name[-1] in " .":
        return "a share takes the point or the space at the end of a name away"
    if _DEVICES.fullmatch(name):
        return "Windows has devices of this name"
    if (length := units(name)) > _LONGEST_UNITS:
        return f"a name of {length} units of UTF-16; a share takes {_LONGEST_UNITS}"
    return None
