"""What becomes of single requests to another host, by SFTP or SMB: they are counted, and the connection is lost at one of them."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from asyncssh import SFTPConnectionLost, sftp
from smbprotocol.open import SMB2CloseRequest

from catalog.errors import UnreachableError
from lifecycle.stores._share import Share
from tests.lifecycle.hosts import Hosts
from tests.scanners import smbd, sshd

Asked = Callable[..., Any]
Server = sshd.Server | smbd.Server
Make = Callable[[int, Asked], Asked]  # what is done in place of a request, by its number, given what would do it


@contextmanager
def ssh(make: Make) -> Iterator[None]:
    """Has something happen to the requests of the client; each is the handler's own until then."""
    really, numbers = sftp.SFTPClientHandler._make_request, itertools.count()

    async def request(*given: Any) -> Any:  # noqa: ANN401  # as asyncssh gives it
        return await make(next(numbers), really)(*given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sftp.SFTPClientHandler, "_make_request", request)
        yield


@contextmanager
def smb(make: Make) -> Iterator[None]:
    """Has something happen to the requests of the client; each is the connection's own until then."""
    really, numbers = Share._all_asked, itertools.count()

    def asked(share: Share, messages: Any, least_bytes: int) -> list[bytes]:  # noqa: ANN401  # structures of the protocol
        if isinstance(messages[0], SMB2CloseRequest):  # a server closes what a lost connection had open
            return really(share, messages, least_bytes)
        found: list[bytes] = make(next(numbers), really)(share, messages, least_bytes)
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Share, "_all_asked", asked)
        yield


def of(server: Server, make: Make) -> AbstractContextManager[None]:
    """That of a server's protocol."""
    return ssh(make) if isinstance(server, sshd.Server) else smb(make)


def cut(server: Server, at: int, *, before: bool) -> AbstractContextManager[None]:
    """The connection is lost at a request and from then on: before the server has it, or after the server has done it."""

    def over_ssh(number: int, really: Asked) -> Asked:
        async def lost(*request: Any) -> Any:  # noqa: ANN401  # as asyncssh gives it
            if number == at and not before:
                await really(*request)
            raise SFTPConnectionLost("cut by the test")

        return lost if number >= at else really

    def over_smb(number: int, really: Asked) -> Asked:
        def lost(share: Share, *request: Any) -> list[bytes]:  # noqa: ANN401  # structures of the protocol
            if number == at and not before:
                really(share, *request)
            share._gone = share._gone or UnreachableError("cut by the test")
            raise share._gone

        return lost if number >= at else really

    return of(server, over_ssh if isinstance(server, sshd.Server) else over_smb)


def counted(server: Server, act: Callable[[], object]) -> int:
    """How many requests something takes."""
    last = -1

    def make(number: int, really: Asked) -> Asked:
        nonlocal last
        last = number
        return really

    with of(server, make):
        act()
    return last + 1


def requests_of(estate: Hosts, path: str) -> int:
    """How many requests an archive of one file takes."""
    made = estate.approved("archive", to="vault", where=f"path = '{path}'")

    def act() -> None:
        assert estate.carried_out(made).counts == {"QUARANTINED": 1}

    return counted(estate.server, act)
