"""Who is let to ask at all: no page of another site, no name that was made to lead here, and to the pages only who is known."""

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from tests.lastcopy.conftest import Estate
from tests.lastcopy.service.conftest import served_from

PATHS = ("/", "/api/volumes", "/api/openapi.json", "/metrics", "/healthz", "/media/abc", "/_stcore/health")
PROXY = """
[dashboard]
hosts = ["lastcopy.example.org"]
user_header = "X-User"
groups_header = "X-Groups"
proxies = ["10.0.0.1"]

[dashboard.people.ana]
role = "operator"

[dashboard.groups.finance]
see = ["data:deep"]
"""


@pytest.mark.parametrize("host", ["rebound.example", "127.0.0.1.example", "localhost.example:8270", "127.0.0.1@rebound.example", "10.0.0.1", "", "[::2]:8270"])
@pytest.mark.parametrize("path", PATHS)
def test_a_name_that_was_made_to_lead_here_is_refused(path: str, host: str, open_to_all: TestClient) -> None:
    assert open_to_all.get(path, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1:8270", "localhost:8270", "localhost", "[::1]:8270", "LOCALHOST:1"])
def test_every_name_of_loopback_is_ours(host: str, open_to_all: TestClient) -> None:
    assert open_to_all.get("/api/volumes", headers={"Host": host}).status_code == 200
    assert open_to_all.get("/api/volumes", headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://rebound.example", "null", "", "http://127.0.0.1:9999", "http://127.0.0.1.example:8270", "http://localhost:8270", "file://", "http://[", "x"],
)
@pytest.mark.parametrize("path", PATHS)
def test_a_page_of_another_site_is_refused(path: str, origin: str, open_to_all: TestClient) -> None:
    assert open_to_all.get(path, headers={"Host": "127.0.0.1:8270", "Origin": origin}).status_code == 403
    twice = [("Host", "127.0.0.1:8270"), ("Origin", "http://127.0.0.1:8270"), ("Origin", origin)]
    assert open_to_all.get(path, headers=twice).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", ""])
@pytest.mark.parametrize("path", PATHS)
def test_what_a_browser_fetches_for_another_site_is_refused(path: str, site: str, open_to_all: TestClient) -> None:
    for mode in ("no-cors", "cors", "same-origin", "websocket", ""):
        assert open_to_all.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}).status_code == 403
    assert open_to_all.get(path, headers={"Sec-Fetch-Site": site}).status_code == 403
    twice = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "cors")]
    assert open_to_all.get(path, headers=twice).status_code == 403


@pytest.mark.parametrize("path", PATHS)
def test_a_link_of_another_site_leads_to_pages_alone(path: str, open_to_all: TestClient) -> None:
    for site in ("cross-site", "same-site"):
        status = open_to_all.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}).status_code
        assert (status == 403) is path.startswith(("/api", "/metrics"))


@pytest.mark.parametrize("path", PATHS)
def test_our_pages_typed_addresses_and_programs_are_let_in(path: str, open_to_all: TestClient) -> None:
    for headers in ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, {}):
        assert open_to_all.get(path, headers=headers).status_code != 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "rebound.example"}, 400),
        ({"Host": "127.0.0.1", "Origin": "http://rebound.example"}, 403),
        ({"Host": "127.0.0.1", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"}, 403),
    ],
)
def test_no_page_of_another_site_opens_a_websocket(headers: dict[str, str], status: int, open_to_all: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as refused, open_to_all.websocket_connect("/_stcore/stream", headers=headers):
        pass
    assert refused.value.status_code == status


@pytest.mark.parametrize("path", PATHS)
def test_no_answer_is_shown_in_a_page_of_another_site(path: str, open_to_all: TestClient) -> None:
    headers = open_to_all.get(path).headers
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert "Access-Control-Allow-Origin" not in headers


def test_a_proxy_may_ask_by_its_own_name_or_by_ours(estate: Estate) -> None:
    with served_from(estate.folder, PROXY, peer="10.0.0.1") as client:
        known = {"X-User": "ana", "Origin": "https://lastcopy.example.org"}
        for host in ("lastcopy.example.org", "127.0.0.1:8270"):
            assert client.get("/api/volumes", headers={**known, "Host": host}).status_code == 200
        assert client.get("/api/volumes", headers={**known, "Host": "rebound.example"}).status_code == 400
        assert client.get("/api/volumes", headers={**known, "Origin": "https://rebound.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/media/abc", "/_stcore/health", "/metricsx", "/healthz/", "/api", "//api/volumes"])
def test_pages_are_for_who_is_known(path: str, estate: Estate) -> None:
    with served_from(estate.folder, PROXY, peer="10.0.0.1") as client:
        for nobody in ({}, {"X-User": "bob"}, {"X-User": ""}, {"X-Groups": "finance"}, {"Authorization": "Bearer lc_x"}):
            assert client.get(path, headers=nobody, follow_redirects=False).status_code == 403
        for somebody in ({"X-User": "ana"}, {"X-User": "bob", "X-Groups": "staff, finance"}):
            assert client.get(path, headers=somebody, follow_redirects=False).status_code != 403
    with served_from(estate.folder, PROXY, peer="127.0.0.1") as client:
        assert client.get(path, headers={"X-User": "ana"}, follow_redirects=False).status_code == 403


def test_a_websocket_of_the_pages_is_for_who_is_known(estate: Estate) -> None:
    with served_from(estate.folder, PROXY, peer="10.0.0.1") as client:
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/_stcore/stream", headers={"Host": "127.0.0.1", "X-User": "bob"}):
            pass
        assert refused.value.status_code == 403


def test_health_is_for_anybody(estate: Estate) -> None:
    with served_from(estate.folder, PROXY, peer="10.0.0.1") as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 401
