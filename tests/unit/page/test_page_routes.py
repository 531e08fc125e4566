"""The routes of the page: guarded alike, read only, small, and cached as long as they may be."""

import gzip
import json
import re

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient

from agent.page.assets import Assets

Client = TestClient[web.Request, web.Application]

RELEASE = Assets.read().release
HASHED = [f"/static/{RELEASE}/{name}" for name in Assets.read().hashed]
ROUTES = [
    "/",
    "/manifest.webmanifest",
    "/icon.svg",
    "/events",
    "/api/snapshot",
    "/api/trace?serial=MOD-1000001",
    "/healthz",
]
SECURITY = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


def assert_guarded(answer: ClientResponse) -> None:
    """Check what every answer must carry."""
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'self'" in policy
    assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} <= {*policy}
    assert "unsafe" not in " ".join(policy)
    assert answer.headers.items() >= SECURITY.items()
    assert "Server" not in answer.headers


@pytest.mark.parametrize("path", [*ROUTES, HASHED[0]])
async def test_every_route_is_guarded(client: Client, path: str) -> None:
    """Each answer carries the security headers, the stream included."""
    async with client.get(path) as answer:
        assert answer.status == 200
        assert_guarded(answer)


async def test_refusals_are_guarded_too(client: Client) -> None:
    """Not found, wrong method and wrong host carry the same headers."""
    for method, path, host, status in (
        ("GET", "/nowhere", "localhost", 404),
        ("GET", "/static/000000000000/app.js", "localhost", 404),
        ("POST", "/", "localhost", 405),
        ("GET", "/", "evil.example", 421),
    ):
        async with client.request(method, path, headers={"Host": host}) as answer:
            assert answer.status == status, path
            assert_guarded(answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/events", "/api/snapshot", "/nowhere"])
async def test_other_methods_are_refused(client: Client, method: str, path: str) -> None:
    """Nothing can be changed through the page."""
    async with client.request(method, path) as answer:
        assert answer.status == 405
        assert {*answer.headers["Allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8080", 200),
        ("192.168.1.20:8080", 200),
        ("[fe80::1]:8080", 200),
        ("pi-cikarang.local", 200),
        ("lini.pabrik.lan", 200),
        ("LINI.PABRIK.LAN:80", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("localhost.evil.example", 421),
        ("192.168.1.20.evil.example", 421),
        ("local", 421),
        ("evil.example@localhost", 421),
        ("", 421),
    ],
)
async def test_only_our_own_names_are_answered(client: Client, host: str, status: int) -> None:
    """A foreign name that points at this machine gets no data (DNS rebinding)."""
    async with client.get("/api/snapshot", headers={"Host": host}) as answer:
        assert answer.status == status
        assert (b"stations" in await answer.read()) == (status == 200)


@pytest.mark.parametrize("path", ["/", "/manifest.webmanifest", "/icon.svg"])
async def test_the_page_is_asked_for_again_and_answered_briefly(client: Client, path: str) -> None:
    """What has a fixed address is revalidated by its ETag; unchanged, it costs no body."""
    async with client.get(path) as first:
        assert first.headers["Cache-Control"] == "no-cache"
        tag = first.headers["ETag"]
    async with client.get(path, headers={"If-None-Match": tag}) as again:
        assert again.status == 304
        assert await again.read() == b""
        assert again.headers["ETag"] == tag
    async with client.get(path, headers={"If-None-Match": 'W/"other"'}) as changed:
        assert changed.status == 200


@pytest.mark.parametrize("path", HASHED)
async def test_hashed_files_are_packed_and_kept_for_ever(client: Client, path: str) -> None:
    """Each is immutable, packed by gzip for those who take it, and the same for others."""
    async with client.get(path, headers=GZIP) as packed, client.get(path, headers=PLAIN) as plain:
        assert "immutable" in packed.headers["Cache-Control"]
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Vary"] == "Accept-Encoding"
        assert "Content-Encoding" not in plain.headers
        assert gzip.decompress(await packed.read()) == await plain.read()


async def test_the_whole_page_weighs_at_most_60_kb(client: Client) -> None:
    """Everything a browser can load, both languages included, as it goes over the wire."""
    weight = 0
    for path in ["/", "/manifest.webmanifest", "/icon.svg", *HASHED]:
        async with client.get(path, headers=GZIP) as answer:
            body = await answer.read()
            assert gzip.decompress(body)
            weight += len(body)
    assert 5_000 < weight <= 60_000


async def test_all_that_the_page_loads_is_there(client: Client) -> None:
    """Every address in the HTML and every import of a module is one of our own, and exists."""
    async with client.get("/", headers=PLAIN) as answer:
        links = re.findall(r'(?:src|href)="([^"]+)"', await answer.text())
    assert len(links) >= 4
    for path in (path for path in HASHED if path.endswith(".js")):
        async with client.get(path, headers=PLAIN) as answer:
            names = re.findall(r'from "\./([^"]+)"', await answer.text())
        links += [f"/static/{RELEASE}/{name}" for name in names]
    for link in links:
        async with client.head(link) as answer:
            assert answer.status == 200, link


async def test_the_snapshot_and_the_health_are_json_and_never_kept(client: Client) -> None:
    """Both answer with the present, without a page open."""
    async with client.get("/api/snapshot") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        frame = json.loads(await answer.read())
    assert [station["name"] for station in frame["stations"]][:2] == ["welder-1", "sorter-1"]
    async with client.get("/healthz") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert json.loads(await answer.read()) == {"ok": True, "pages": 0, "release": RELEASE}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("serial=MOD-1000001", 200),
        ("serial=MOD-1O00001", 404),
        ("serial=down", 503),
        ("serial=", 404),
        ("", 404),
        ("serial=" + "x" * 65, 404),
    ],
)
async def test_a_part_is_traced_by_its_serial(client: Client, query: str, status: int) -> None:
    """Its life as JSON; for an unknown one those like it; and never more than a serial is asked."""
    async with client.get(f"/api/trace?{query}") as answer:
        assert answer.status == status
        body = await answer.read()
    if status == 200:
        assert json.loads(body)["lives"][0]["part"]["serial"] == "MOD-1000001"
    elif "1O" in query:
        assert json.loads(body)["near"] == ["MOD-1000001"]
    elif status == 503:
        assert json.loads(body) == {"what": "disk I/O error", "hint": "check the disk"}


async def test_the_stream_tells_what_proxies_must_not_do(client: Client) -> None:
    """Events are neither kept, nor held back, nor packed into blocks."""
    async with client.get("/events", headers=GZIP) as answer:
        assert answer.content_type == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in answer.headers
        assert await answer.content.readline() == b"retry: 1000\n"
