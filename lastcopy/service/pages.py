"""The dashboard within the service: the pages with our routes, and who looks at them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.sight import Sight
from dashboards import seam, serving
from lastcopy.service import identity, login

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from catalog.snapshot import Snapshot
    from lastcopy.service.answers import Connections
    from lastcopy.service.app import Lifespan, Service


def application(service: "Service", connections: "Connections", routes: "Sequence[BaseRoute]", door: "Middleware", lifespan: "Lifespan | None") -> "ASGIApp":
    """The pages, beside the routes. One of a process."""
    app: ASGIApp = serving.application(served(service, connections), service.hosts, routes=routes, inner=[door], lifespan=lifespan)
    return app


def served(service: "Service", connections: "Connections") -> seam.Served:
    """What the pages are told: who looks, as the headers of his connection say, and connections cut to what he may see."""

    def viewer() -> seam.Viewer:
        import streamlit as st

        headers = {name.lower(): value for name, value in st.context.headers.items()}
        dashboard = service.configuration().dashboard
        person = identity.reader(dashboard, headers, loopback=service.loopback, sessions=service.sessions)
        if person is None:  # no longer: who was never known did not come here
            st.error("You are not signed in any more." if dashboard.oidc else identity.UNKNOWN)
            if dashboard.oidc:
                st.html(f'<a href="{login.BEGIN}">Sign in</a>')
            st.stop()
        return looking(person)

    def opened(root: Path, wanted: "Snapshot", earlier: "Snapshot | None", viewer: seam.Viewer) -> "DuckDBPyConnection":
        return connections.opened(root, wanted, earlier, Sight.parse(viewer.limits))

    def leave() -> str:
        return login.END if service.configuration().dashboard.oidc else ""

    return seam.Served(configuration=service.configuration, viewer=viewer, opened=opened, leave=leave)


def looking(person: identity.Person) -> seam.Viewer:
    """A person as the pages know him. A sight of nothing is not '', which would be everything."""
    return seam.Viewer(person.name, person.role, "" if person.sight is None else str(person.sight) or "\n")
