"""The pages as an application that a server runs: only for the hosts that it is meant for, compressed, and told where it is."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from dashboards import address, guard, options, seam

if TYPE_CHECKING:
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute
    from streamlit import App

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


def application(
    served: seam.Served,
    hosts: Sequence[str] = (),
    *,
    routes: "Sequence[BaseRoute]" = (),
    inner: "Sequence[Middleware]" = (),
    lifespan: Lifespan | None = None,
) -> "App":
    """The pages as an ASGI application, beside other routes. Changes Streamlit's configuration, and what the pages of this process are told.

    `inner` stands behind `guards`. Raises ImportError without the extra.
    """
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware

    options.apply()
    from streamlit import App

    seam.use(served)
    return App(
        options.SCRIPT,
        routes=routes,
        middleware=[*guards(hosts), *inner, Middleware(GZipMiddleware, compresslevel=4), Middleware(address.Rooted)],
        lifespan=_warmed(lifespan),
    )


def guards(hosts: Sequence[str] = ()) -> "list[Middleware]":
    """What stands before every answer: a request that names a host other than loopback and `hosts`, or comes from a page of one, is refused.

    So a foreign page whose name was made to lead to this machine reads nothing. `*` is any host, for who is reached by others and knows who asks.
    """
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, *hosts], www_redirect=False)
    return [trusted, Middleware(guard.Guard, hosts=[host for host in hosts if host != "*"])]


def _warmed(around: Lifespan | None) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:  # noqa: ANN401  # Streamlit's, imported late
        from dashboards import warming  # its caches are those of the runtime, which has been started by now

        async with AsyncExitStack() as stack:
            if around is not None:
                await stack.enter_async_context(around(app))
            await stack.enter_async_context(warming.lifespan(app))
            yield

    return lifespan
