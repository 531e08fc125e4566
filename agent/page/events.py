"""Server-Sent Events: what the line looks like now, then every change, to every open page.

A frame is asked for and serialised once, however many pages are open. A page that cannot keep up
loses the oldest frames and then gets the whole picture again, so it is never wrong for long.
"""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Protocol

from aiohttp import web

_QUEUE = 4  # frames that may wait for one page: one second of them
_BEATS_PER_TICK = 4


class Source(Protocol):
    """The live picture of a line, as `Frame`s: JSON objects, all their numbers finite."""

    def snapshot(self) -> Mapping[str, object]:
        """Return the whole picture."""

    def changes(self, since: int) -> tuple[int, Mapping[str, object] | None]:
        """Return the present version, and what changed after version `since` (None: nothing)."""


class _Page:
    """One open page, and the events that wait for it."""

    def __init__(self, first: list[bytes]) -> None:
        self._waiting = deque(first)
        self._news = asyncio.Event()
        self._news.set()
        self._behind = False
        self._closed = False

    def offer(self, event: bytes) -> None:
        """Queue `event`; when the page is too slow for it, forget what it did not take."""
        if len(self._waiting) >= _QUEUE:
            self._waiting.clear()
            self._behind = True
        self._waiting.append(event)
        self._news.set()

    def close(self) -> None:
        """Let the page's stream end."""
        self._closed = True
        self._news.set()

    async def events(self, resync: Callable[[], bytes]) -> AsyncIterator[bytes]:
        """Yield the events in order; after a loss, what `resync` returns instead of the rest."""
        while True:
            await self._news.wait()
            if self._closed:
                return
            if self._behind:
                self._behind = False
                self._waiting.clear()
                yield resync()
            elif self._waiting:
                yield self._waiting.popleft()
            else:
                self._news.clear()


class Feed:
    """Watch a source while pages are open, and stream its changes to them.

    Events: `hello` (the release of the page's files), `snapshot`, `delta`, and once a second
    `tick`, by which a page knows that silence means trouble.
    """

    def __init__(
        self,
        source: Source,
        *,
        clock: Callable[[], int],
        release: str,
        limit: int,
        period_s: float = 0.25,
        patience_s: float = 30.0,
    ) -> None:
        """Stream `source` to at most `limit` pages, looking for changes every `period_s`.

        `clock` is the wall clock in ns. A page that takes nothing for `patience_s` is let go.
        """
        self._source = source
        self._clock = clock
        self._hello = b"retry: 1000\n" + _event("hello", {"release": release})
        self._limit = limit
        self._period_s = period_s
        self._patience_s = patience_s
        self._pages: set[_Page] = set()
        self._watched = asyncio.Event()
        self._closed = False

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    @property
    def closed(self) -> bool:
        """Whether nothing is streamed any more."""
        return self._closed

    async def run(self) -> None:
        """Offer changes and ticks to all open pages until cancelled; idle while there is none."""
        loop = asyncio.get_running_loop()
        version = 0
        due = loop.time()
        try:
            for beat in itertools.count():
                await self._watched.wait()
                due = max(due + self._period_s, loop.time())
                await asyncio.sleep(due - loop.time())
                version, delta = self._source.changes(version)
                if delta is not None:
                    self._offer(_event("delta", delta))
                if beat % _BEATS_PER_TICK == 0:
                    self._offer(_event("tick", {"time_ms": self._clock() // 1_000_000}))
        finally:
            self.close()

    def close(self) -> None:
        """End every stream and take no new page."""
        self._closed = True
        for page in self._pages:
            page.close()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer `request` with the stream of events; it ends when the page or the feed does."""
        if self._closed or len(self._pages) >= self._limit:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        headers = {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # nginx would hold the events back
        }
        if request.method == "HEAD":
            return web.Response(headers=headers)
        response = web.StreamResponse(headers=headers)
        page = _Page([self._hello, self._snapshot()])
        self._pages.add(page)
        self._watched.set()
        try:
            await response.prepare(request)
            async for event in page.events(self._snapshot):
                async with asyncio.timeout(self._patience_s):
                    await response.write(event)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()  # a clean end would wait for the page once more
        finally:
            self._pages.discard(page)
            if not self._pages:
                self._watched.clear()
        return response

    def _snapshot(self) -> bytes:
        return _event("snapshot", self._source.snapshot())

    def _offer(self, event: bytes) -> None:
        for page in self._pages:
            page.offer(event)


async def running(feed: Feed) -> AsyncIterator[None]:
    """Run `feed` between the two halves of this generator."""
    task = asyncio.create_task(feed.run(), name="page feed")
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def encode(frame: Mapping[str, object]) -> bytes:
    """Return `frame` as JSON on one line; raises ValueError for a number that is not finite."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _event(name: str, data: Mapping[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), encode(data))
