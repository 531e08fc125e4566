"""Where the page listens, and how fast it stops."""

import asyncio
import errno
import socket
import time
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from agent.page.app import create_app
from agent.page.server import PageError, serve
from tests.browser.fake_board import FakeBoard
from tests.services.ports import free_port

LOOPBACK = "127.0.0.1"


@pytest.fixture
def app() -> web.Application:
    board = FakeBoard()
    return create_app(board, clock=board.clock)


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port that another program has, with free ones after it."""
    with socket.create_server((LOOPBACK, 0)) as other:
        yield other.getsockname()[1]


async def test_the_url_leads_to_the_page(app: web.Application) -> None:
    """What `serve` yields can be opened."""
    async with serve(app, host=LOOPBACK, port=0) as url, aiohttp.request("GET", url) as answer:
        assert answer.status == 200
        assert "<title>Lini</title>" in await answer.text()


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "stuck"])
async def test_leaving_takes_at_most_a_second_with_a_page_open(
    app: web.Application, *, reads: bool
) -> None:
    """An open stream ends with the server, whether its page reads or not."""
    port = free_port()
    async with serve(app, host=LOOPBACK, port=port):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"event: snapshot")
        rest = asyncio.create_task(reader.read()) if reads else None
        leaving = time.monotonic()
    took_s = time.monotonic() - leaving
    if rest:
        await rest
    writer.close()
    assert took_s <= 1


async def test_a_taken_port_leads_to_the_next_free_one(app: web.Application, taken: int) -> None:
    """With `search`, the page is found a few ports further."""
    async with serve(app, host=LOOPBACK, port=taken, search=True) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        assert taken < port <= taken + 20
        async with aiohttp.request("GET", f"{url}healthz") as answer:
            assert (await answer.json())["ok"] is True


async def test_a_taken_port_is_told_with_the_next_step(app: web.Application, taken: int) -> None:
    """Without `search`, the error names the port and what to do."""
    with pytest.raises(PageError, match=f"port {taken} on 127.0.0.1 is taken") as caught:
        async with serve(app, host=LOOPBACK, port=taken):
            pass
    assert "another port" in caught.value.hint


async def test_a_foreign_address_is_told_with_the_next_step(app: web.Application) -> None:
    """An address of another machine is no reason to search further ports."""
    with pytest.raises(PageError, match=r"cannot listen on 192\.0\.2\.1") as caught:
        async with serve(app, host="192.0.2.1", port=8080, search=True):
            pass
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EADDRNOTAVAIL
    assert "address of this machine" in caught.value.hint
