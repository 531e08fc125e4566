"""Server-Sent Events as a page reads them, and a source that says what the test puts into it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.page.events import Feed

Event = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class Counting:
    """A source whose picture is a number, padded to `size` bytes."""

    n: int = 0
    size: int = 0
    asked: int = 0  # how often anybody looked for changes

    def snapshot(self) -> Mapping[str, object]:
        """Return the whole picture."""
        return {"n": self.n, "padding": "x" * self.size}

    def changes(self, since: int) -> tuple[int, Mapping[str, object] | None]:
        """Return the number, if it grew."""
        self.asked += 1
        return self.n, self.snapshot() if self.n > since else None


@asynccontextmanager
async def streaming(
    source: Counting, *, limit: int = 10, period_s: float = 0.01
) -> AsyncIterator[tuple[Feed, TestServer]]:
    """Serve the events of `source`, quicker than the agent would."""
    feed = Feed(source, clock=lambda: 0, release="r1", limit=limit, period_s=period_s)
    app = web.Application()
    app.router.add_get("/events", feed.stream)
    task = asyncio.create_task(feed.run())
    try:
        server = TestServer(app)
        async with server:
            yield feed, server
            feed.close()
    finally:
        task.cancel()
        await asyncio.wait([task])


class Listener:
    """A page's end of the stream. It reads only when asked, so it can be as slow as it likes."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def event(self) -> Event:
        """Return the next event, ticks left out."""
        while True:
            lines = await self._block()
            fields = dict(line.split(": ", 1) for line in lines if ": " in line)
            if fields.get("event", "tick") != "tick":
                return fields["event"], json.loads(fields["data"])

    async def until(self, n: int) -> list[Event]:
        """Return all events up to the first that shows the number `n`."""
        events = [await self.event()]
        while events[-1][1].get("n") != n:
            events.append(await self.event())
        return events

    async def _block(self) -> list[str]:
        lines: list[str] = []
        async with asyncio.timeout(10):
            while line := (await self._reader.readline()).decode().strip():
                lines.append(line)
        return lines


@asynccontextmanager
async def listening(server: TestServer, *, buffer: int = 2**16) -> AsyncIterator[Listener]:
    """Open the stream as HTTP/1.0, whose body comes without chunk marks."""
    assert server.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=buffer)
    try:
        writer.write(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0], head
        yield Listener(reader)
    finally:
        writer.close()
        await writer.wait_closed()
