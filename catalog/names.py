"""Raw name bytes to printable text and back, without losing a byte."""

import functools
import re
import unicodedata

# What may hide or forge text: bidi marks, line and paragraph separators, zero-width characters, lone format characters.
_ESCAPED = re.compile(r"[\x00-\x1f\x7f-\x9f\\\udc80-\udcff\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]")
_SEQUENCE = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def escape(raw: bytes) -> str:
    r"""Text for raw bytes: each byte of an invalid sequence, control, bidi or format character becomes ``\xHH``, a backslash ``\\``.

    The result is valid UTF-8 without a control character, and `unescape` gives the bytes back.
    """
    text = raw.decode("utf-8", "surrogateescape")
    return _ESCAPED.sub(_hexadecimal, text)


def unescape(text: str) -> bytes:
    """The raw bytes that `escape` was given. An escape that `escape` cannot have made stands for itself."""
    if "\\" not in text:
        return text.encode()
    return _SEQUENCE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"\\", text.encode())


def extension(name: str) -> str | None:
    """The lower-case ending after the last dot; None for 'Makefile', '.profile', 'a.' or an ending longer than 32 characters."""
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or not 0 < len(ending) <= 32:
        return None
    return _folded(ending)


@functools.lru_cache(maxsize=4096)
def _folded(ending: str) -> str:
    return unicodedata.normalize("NFC", ending).lower()


def _hexadecimal(found: re.Match[str]) -> str:
    if found[0] == "\\":
        return "\\\\"
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))
