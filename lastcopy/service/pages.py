"""The dashboard within the service: the pages with our routes, and who looks at them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.sight import Sight
from dashboards import seam, serving
from lastcopy.service import identity

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
        person = identity.reader(service.configuration().dashboard, headers, loopback=service.loopback)
        if person is None:  # no longer: who was never known did not come here
            st.error(identity.UNKNOWN)
            st.stop()
        return looking(person)

    def opened(root: Path, wanted: "Snapshot", earlier: "Snapshot | None", viewer: seam.Viewer) -> "DuckDBPyConnection":
        return connections.opened(root, wanted, earlier, Sight.parse(viewer.limits))

    return seam.Served(configuration=service.configuration, viewer=viewer, opened=opened)


def looking(person: identity.Person) -> seam.Viewer:
    """A person as the pages know him. A sight of nothing is not '', which would be everything."""
    return seam.Viewer(person.name, person.role, "" if person.sight is None else str(person.sight) or "\n")
