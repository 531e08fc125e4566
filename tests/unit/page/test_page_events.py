"""The stream of events: first everything, then what changed; slow pages and full houses."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import aiohttp
import pytest

from agent.page import events
from tests.services.waiting import eventually
from tests.unit.page.event_stream import Counting, listening, streaming

MIB = 2**20


async def test_a_page_gets_everything_once_and_then_only_changes() -> None:
    """Hello, a snapshot, and from then on deltas."""
    source = Counting(n=1)
    async with streaming(source) as (_, server), listening(server) as page:
        assert await page.event() == ("hello", {"release": "r1"})
        assert (await page.event())[0] == "snapshot"
        await page.until(1)
        for n in (2, 3):
            source.n = n
            assert [(name, data["n"]) for name, data in await page.until(n)] == [("delta", n)]


async def test_nothing_is_asked_of_the_source_while_no_page_is_open() -> None:
    """The feed idles without pages, starts with the first and stops after the last."""
    source = Counting()
    async with streaming(source) as (feed, server):
        assert source.asked == 0
        async with listening(server):
            await eventually(lambda: source.asked > 2)
        await eventually(lambda: feed.pages == 0, what="the page is gone")
        await asyncio.sleep(0.03)  # a look that was already due
        asked = source.asked
        await asyncio.sleep(0.1)
        assert source.asked == asked


async def test_a_change_is_serialised_once_for_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five pages cost as many deltas as one."""
    source, encoded = Counting(n=1), list[object]()
    encode = events.encode

    def counted(frame: Mapping[str, object]) -> bytes:
        encoded.append(frame.get("n"))
        return encode(frame)

    async with streaming(source) as (_, server), AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(listening(server)) for _ in range(5)]
        for page in pages:
            await page.until(1)
        monkeypatch.setattr(events, "encode", counted)
        source.n = 7
        for page in pages:
            assert (await page.until(7))[-1][0] == "delta"
    assert encoded.count(7) == 1


async def test_a_slow_page_loses_the_oldest_and_gets_the_whole_picture_again() -> None:
    """A page that does not read misses deltas; no gap is left without a snapshot."""
    source = Counting(n=1, size=2 * MIB)
    last = 20
    async with (
        streaming(source) as (_, server),
        listening(server, buffer=4 * MIB) as slow,
        listening(server, buffer=4 * MIB) as quick,
    ):
        await quick.until(1)
        seen_by_quick = []
        for n in range(2, last + 1):
            source.n = n
            seen_by_quick += await quick.until(n)
        seen_by_slow = await slow.until(last)
    # the control: whoever reads misses nothing and needs no second snapshot
    deltas = [data["n"] for name, data in seen_by_quick if name == "delta"]
    assert deltas[-last + 1 :] == list(range(2, last + 1))
    assert "snapshot" not in [name for name, _ in seen_by_quick[1:]]
    # what the slow one missed is made good by a snapshot, each time
    names = [name for name, _ in seen_by_slow]
    assert names.count("snapshot") >= 2
    assert names.count("delta") < last - 1
    shown = 0
    for name, data in seen_by_slow[1:]:
        assert name == "snapshot" or data["n"] <= shown + 1, f"a gap after {shown}"
        shown = data["n"]


async def test_one_page_too_many_is_told_to_come_again_later() -> None:
    """At the limit the answer is 503 with Retry-After; a place that is left can be taken."""
    async with streaming(Counting(), limit=1) as (feed, server), aiohttp.ClientSession() as http:
        url = server.make_url("/events")
        async with listening(server), http.get(url) as refused:
            assert refused.status == 503
            assert refused.headers["Retry-After"] == "5"
        await eventually(lambda: feed.pages == 0, what="the page is gone")
        async with listening(server) as page:
            assert (await page.event())[0] == "hello"


async def test_a_page_that_takes_nothing_is_let_go() -> None:
    """A page stuck for longer than the feed's patience loses its place."""
    source = Counting(n=1, size=8 * MIB)
    async with streaming(source) as (feed, server):
        feed._patience_s = 0.2
        async with listening(server):
            await eventually(lambda: feed.pages == 1)
            await eventually(lambda: feed.pages == 0, what="the stuck page is let go")


def test_a_number_that_is_not_finite_is_refused() -> None:
    """JSON has no NaN: a browser would fail on the whole frame."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        events.encode({"value": float("nan")})
    assert events.encode({"value": 1.5}) == b'{"value":1.5}'
