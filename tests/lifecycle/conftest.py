"""The stores at which jobs are tried, and a network before each of them."""

from collections.abc import Iterator

import pytest

from tests.lifecycle import proxy
from tests.lifecycle.proxy import Proxy
from tests.scanners import stores
from tests.scanners.stores import Server


@pytest.fixture(params=["weed", "ceph"])
def server(request: pytest.FixtureRequest) -> Server:
    return stores.weed() if request.param == "weed" else stores.ceph()


@pytest.fixture
def network(server: Server) -> Iterator[Proxy]:
    with proxy.running(server.endpoint) as found:
        yield found
