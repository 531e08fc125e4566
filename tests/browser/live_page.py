"""The page served from a thread of its own, so that a test can stop it, freeze it, bring it back."""

import asyncio
import threading
from typing import Self

from agent.page.app import create_app
from agent.page.server import serve
from tests.browser.fake_board import FakeBoard


class LivePage:
    """Serve `board` on 127.0.0.1:`port` between start and stop."""

    def __init__(self, board: FakeBoard, port: int) -> None:
        self.board = board
        self.url = f"http://127.0.0.1:{port}/"
        self._port = port
        self._ready = threading.Event()
        self._thawed = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self.stop()

    def start(self) -> None:
        """Serve, and return once connections are accepted."""
        self._ready.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="page")
        self._thread.start()
        assert self._ready.wait(10), "the page did not start"

    def stop(self) -> None:
        """End the server; connections are closed."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the page did not stop"
        self._thread = None

    def freeze(self) -> None:
        """Let the server hang: connections stay open, nothing comes."""
        assert self._loop is not None
        self._thawed.clear()
        self._loop.call_soon_threadsafe(self._thawed.wait)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._thawed.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        app = create_app(self.board, clock=self.board.clock)
        async with serve(app, host="127.0.0.1", port=self._port):
            self._ready.set()
            await self._stop.wait()
