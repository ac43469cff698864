"""Connections that say nothing, or do not take their answer, are closed, so that they keep out nobody else."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Protocol(H11Protocol):
    """HTTP/1.1 of uvicorn. It closes a connection on which no whole request head comes in time, or no end to an answer."""

    head_seconds = 20.0
    answer_seconds = 720.0  # a minute in line, ten to answer, and some
    _closing: asyncio.TimerHandle | None = None
    _between = False  # an answer is over, and nothing of another request has come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Wait for the head of a first request."""
        super().connection_made(transport)
        self._close_in(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._close_in(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a further head from its first bytes on; until then uvicorn's keep-alive waits."""
        if self._between:
            self._between = False
            self._close_in(self.head_seconds)
        super().data_received(data)

    def handle_events(self) -> None:
        """Wait for the end of the answer once a request is known."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._between = False
            self._close_in(self.answer_seconds)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to the WebSocket."""
        self._close_in(None)
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Wait until what is still to be sent was taken."""
        self._between = True
        self._close_in(self.answer_seconds)
        super().on_response_complete()

    def _close_in(self, seconds: float | None) -> None:
        if self._closing is not None:
            self._closing.cancel()
        # At once, whatever is to be sent: what the other side does not take would be waited for for good.
        self._closing = None if seconds is None or self not in self.connections else self.loop.call_later(seconds, self.transport.abort)
