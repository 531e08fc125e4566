"""The page's routes over a line of six stations."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agent.genealogy.errors import GenealogyDownError
from agent.genealogy.life import Answer, Life, Part
from agent.page.app import create_app
from tests.browser.fake_board import FakeBoard


async def trace(serial: str) -> Answer:
    """Return what a genealogy would, of one module; `down` is when its disk fails."""
    if serial == "down":
        raise GenealogyDownError("disk I/O error", "check the disk")
    if serial != "MOD-1000001":
        return Answer(near=("MOD-1000001",))
    return Answer(lives=(Life(part=Part(kind="module", serial=serial)),))


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Return a client that sees answers as they come over the wire, packed."""
    board = FakeBoard()
    app = create_app(board, clock=board.clock, names=["Lini.Pabrik.lan"], trace=trace)
    async with TestClient(TestServer(app), auto_decompress=False) as client:
        yield client
