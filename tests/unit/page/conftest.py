"""The page's routes over a line of six stations."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agent.page.app import create_app
from tests.browser.fake_board import FakeBoard


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Return a client that sees answers as they come over the wire, packed."""
    board = FakeBoard()
    app = create_app(board, clock=board.clock, names=["Lini.Pabrik.lan"])
    async with TestClient(TestServer(app), auto_decompress=False) as client:
        yield client
