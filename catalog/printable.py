"""Text that cannot steer a terminal, forge a line or hide a part of itself: what messages, tables and files print."""

import re

# Controls, bidi marks, separators of lines and paragraphs, zero-width and other format characters, letters without a shape, variation selectors.
_RANGES = (
    r"\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff"
)
_UNSAFE = re.compile(rf"[{_RANGES}\ud800-\udfff]")
RE2 = re.sub(r"\\[uU]0*([0-9a-f]+)", r"\\x{\1}", f"[{_RANGES}]")  # the same for RE2 and UTF-8, which has no surrogates


def clean(text: str) -> str:
    r"""The text with each byte of what is unsafe as ``\xHH``, as in the escaped form of names; what is escaped already stays as it is."""
    return _UNSAFE.sub(lambda found: "".join(f"\\x{byte:02x}" for byte in _bytes(found[0])), text)


def _bytes(letter: str) -> bytes:
    """The bytes of one character; of a byte that was no UTF-8 (PEP 383) that byte."""
    return letter.encode("utf-8", "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass")
