"""A connection of smbprotocol that takes no answer of a session which is neither encrypted nor signed, and waits for none for ever."""

import functools
import math
import socket
import struct
from typing import Any

_SESSION_SETUP, _TREE_CONNECT, _SIGNED, _PENDING = 1, 3, 0x8, 0x103


@functools.cache
def connection() -> Any:  # noqa: ANN401  a class of a library that is loaded only here
    """The library's connection, which takes no answer of a session that is neither encrypted nor signed: by itself it lets such pass."""
    from smbprotocol.connection import Connection
    from smbprotocol.exceptions import SMBException

    class Strict(Connection):  # type: ignore[misc]  # it ships no types
        share_flags = 0
        patience_seconds: float | None = None  # for the answers to signing in, and for a server that takes nothing more: the library waits for ever

        def verify_signature(self, header: Any, session_id: int, force: bool = False) -> None:  # noqa: ANN401  as the library calls it
            """Called for each answer that was not encrypted. Raises SMBException, which ends the connection."""
            session, command = self.session_table.get(session_id), header["command"].get_value()
            if session is not None and not force and command != _SESSION_SETUP:
                is_pending = header["status"].get_value() == _PENDING
                if session.encrypt_data or not (is_pending or header["flags"].get_value() & _SIGNED):
                    raise SMBException("an answer came that is neither encrypted nor signed: somebody is in between")
            super().verify_signature(header, session_id, force)

        def connect(self, *given: Any, **more: Any) -> None:  # noqa: ANN401  as above
            """Has a send that waits too long fail, too."""
            super().connect(*given, **more)
            if self.patience_seconds is not None:
                self.transport._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", math.ceil(self.patience_seconds), 0))

        def receive(self, request: Any, wait: bool = True, timeout: float | None = None, resolve_symlinks: bool = True) -> Any:  # noqa: ANN401  as above
            """Keeps what a share tells of itself when it is connected to, which the library lets go."""
            answer = super().receive(request, wait, timeout or self.patience_seconds, resolve_symlinks)
            if answer["command"].get_value() == _TREE_CONNECT:
                self.share_flags = struct.unpack_from("<4xI", answer["data"].get_value())[0]
            return answer

    return Strict
