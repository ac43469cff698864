"""The pages as an application that a server runs: only for the hosts that it is meant for, compressed, and told where it is."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dashboards import address, options, seam

if TYPE_CHECKING:
    from streamlit import App

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def application(served: seam.Served, hosts: Sequence[str] = LOOPBACK) -> "App":
    """The pages as an ASGI application. Changes Streamlit's configuration, and what the pages of this process are told. Raises ImportError without the extra.

    A request that names another host than `hosts` is refused: a foreign page whose name was made to lead to this machine reads nothing.
    """
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    options.apply()
    from streamlit import App

    seam.use(served)
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    return App(options.SCRIPT, middleware=[trusted, Middleware(GZipMiddleware, compresslevel=4), Middleware(address.Rooted)], lifespan=_warmed)


@asynccontextmanager
async def _warmed(app: "App") -> AsyncIterator[None]:
    from dashboards import warming  # its caches are those of the runtime, which has been started by now

    async with warming.lifespan(app):
        yield
