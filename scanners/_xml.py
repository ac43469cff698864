"""XML that anybody may have written: its elements as they come, in the memory of one. Nothing is declared in it, nothing is looked for elsewhere."""

import hashlib
from collections.abc import Callable
from typing import BinaryIO
from xml.parsers import expat

_BLOCK_BYTES = 64 << 10
_MOST_SILENT_BYTES = 1 << 20  # of one tag, comment or the like
_MOST_TEXT = 64 << 10  # characters of one element
_DEEPEST = 600

Start = Callable[[list[str], dict[str, str]], None]
End = Callable[[list[str], str], None]


class BadXMLError(Exception):
    """A text that is no XML, is cut off, or is made to hurt who reads it."""


class StopReadingError(Exception):
    """What a handler raises that has seen enough."""


def read(file: BinaryIO, start: Start, end: End) -> bytes:
    """Give each element to `start` with its attributes, and to `end` with the text directly in it; both get the names from the root to it.

    Names are without their namespaces. Gives the SHA-512 of the file; a handler that raises StopReadingError ends the reading. Raises BadXMLError.
    """
    digest = hashlib.sha512()
    parser = expat.ParserCreate(namespace_separator=" ")
    _Elements(parser, start, end)
    quiet = [0]

    def heard(*_: object) -> None:
        quiet[0] = 0

    parser.DefaultHandler = heard
    try:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            quiet[0] += len(block)
            before = parser.CurrentByteIndex
            parser.Parse(block, False)
            if parser.CurrentByteIndex != before:
                quiet[0] = 0
            if quiet[0] > _MOST_SILENT_BYTES:
                raise BadXMLError(f"a tag of more than {_MOST_SILENT_BYTES} bytes, near line {parser.CurrentLineNumber}")
        parser.Parse(b"", True)
    except StopReadingError:
        pass
    except expat.ExpatError as error:
        raise BadXMLError(f"line {error.lineno}: {expat.errors.messages.get(error.code, 'no XML')}") from error
    except ValueError as error:  # an encoding that nobody knows
        raise BadXMLError(str(error)) from error
    return digest.digest()


class _Elements:
    """The handlers of a parser."""

    def __init__(self, parser: expat.XMLParserType, start: Start, end: End) -> None:
        self._parser, self._start, self._end = parser, start, end
        self._path: list[str] = []
        self._texts: list[str] = []
        self._letters = 0
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = self._begin, self._finish, self._text
        parser.StartDoctypeDeclHandler = self._declared

    def _declared(self, *_: object) -> None:
        raise BadXMLError("it declares a document type: entities can be made to fill all memory, so none is read")

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(" ")[2])
        if len(self._path) > _DEEPEST:
            raise BadXMLError(f"line {self._parser.CurrentLineNumber}: elements that lie more than {_DEEPEST} deep in each other")
        self._texts, self._letters = [], 0
        self._start(self._path, attributes)

    def _text(self, text: str) -> None:
        self._letters += len(text)
        if self._letters > _MOST_TEXT:
            raise BadXMLError(f"line {self._parser.CurrentLineNumber}: a text of more than {_MOST_TEXT} characters")
        self._texts.append(text)

    def _finish(self, _: str) -> None:
        text = "".join(self._texts)
        self._texts, self._letters = [], 0
        self._end(self._path, text)
        self._path.pop()
