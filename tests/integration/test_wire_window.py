"""Several requests in flight, and several connections: matched, independent, and fair."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collectors.errors import BusDownError, NoAnswerError
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Request
from collectors.modbus.transport.link import RtuLink, TcpLink
from tests.services.rogue import good, holding, next_request, rogue, tcp_frame, words
from tests.services.waiting import eventually


class Holder:
    """Holds each request until it is released; never takes more connections than `most`."""

    def __init__(self, most: int = 8) -> None:
        self.most = most
        self.connections = 0
        self.connects = 0
        self.held: list[tuple[asyncio.StreamWriter, int, Request]] = []
        self.seen: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connects += 1
        if self.connections == self.most:
            return
        self.connections += 1
        try:
            while True:
                transaction, request = await next_request(reader)
                self.held.append((writer, transaction, request))
                self.seen.append(request.address)
        finally:
            self.connections -= 1

    def release(self, address: int) -> None:
        """Answer the request of `address` with its address."""
        for held in self.held:
            writer, transaction, request = held
            if request.address == address:
                writer.write(tcp_frame(transaction, 1, good(request.count, address)))
                self.held.remove(held)
                return
        raise AssertionError(f"{address} is not held")


@asynccontextmanager
async def held(
    *, window: int = 1, connections: int = 1, most: int = 8
) -> AsyncIterator[tuple[Bus, Holder]]:
    holder = Holder(most)
    async with rogue(holder.serve) as port:
        link = TcpLink(host="127.0.0.1", port=port)
        async with Bus("plc", link, window=window, connections=connections) as bus:
            yield bus, holder


def read(bus: Bus, address: int, timeout_s: float = 30) -> asyncio.Task[bytes]:
    return asyncio.create_task(bus.read(holding(address, 1), timeout_s))


async def test_answers_out_of_order_reach_those_who_asked() -> None:
    async with held(window=4) as (bus, holder):
        reads = {address: read(bus, address) for address in range(1, 7)}
        await eventually(lambda: len(holder.held) == 4)
        for address in (4, 2, 3, 1):
            holder.release(address)
        await eventually(lambda: len(holder.held) == 2)
        for address in (6, 5):
            holder.release(address)
        values = {address: words(await task)[0] for address, task in reads.items()}
    assert values == {address: address for address in reads}
    assert holder.connects == 1


async def test_no_more_are_in_flight_than_the_window_and_who_came_first_goes_first() -> None:
    async with held(window=2) as (bus, holder):
        reads = [read(bus, address) for address in range(6)]
        for address in range(6):
            await eventually(lambda: holder.held)
            assert len(holder.held) <= 2
            holder.release(holder.seen[address])
        await asyncio.gather(*reads)
    assert holder.seen == [0, 1, 2, 3, 4, 5]


async def test_a_time_out_does_not_disturb_the_others() -> None:
    async with held(window=3) as (bus, holder):
        silent, patient = read(bus, 1, 0.1), read(bus, 2)
        with pytest.raises(NoAnswerError):
            await silent
        later = read(bus, 3)
        await eventually(lambda: len(holder.held) == 3)
        for address in (1, 3, 2):  # the answer given up on comes late, before the others
            holder.release(address)
        assert [words(await task) for task in (patient, later)] == [[2], [3]]
        assert bus.counts.connects == 1
        assert bus.counts.discarded == {"late": 1}


async def test_a_lost_connection_fails_all_its_pending_reads() -> None:
    async with held(window=4) as (bus, holder):
        reads = [read(bus, address) for address in range(4)]
        await eventually(lambda: len(holder.held) == 4)
        holder.held[0][0].close()
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [BusDownError] * 4
        assert bus.counts.losses == 1


async def test_a_cancelled_read_leaves_no_trace() -> None:
    """Its answer comes late and is dropped; who waited behind it gets the turn."""
    async with held() as (bus, holder):
        first, second, third = (read(bus, address) for address in (1, 2, 3))
        await eventually(lambda: holder.held)
        second.cancel()
        first.cancel()
        await eventually(lambda: len(holder.held) == 2)
        holder.release(1)
        holder.release(3)
        assert words(await third) == [3]
        assert first.cancelled()
        assert second.cancelled()
        assert holder.seen == [1, 3]
        assert bus.counts.connects == 1


async def test_a_turn_given_to_a_read_that_is_cancelled_goes_to_the_next() -> None:
    async with held() as (bus, holder):
        first, second, third = (read(bus, address) for address in (1, 2, 3))
        await eventually(lambda: holder.held)
        holder.release(1)
        await first  # the turn is given to the second, which has not run since
        second.cancel()
        await eventually(lambda: holder.held)
        holder.release(holder.seen[-1])
        assert words(await third) == [3]


async def test_reads_cancelled_at_any_moment_leave_the_others_right() -> None:
    rng = random.Random(7)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, request = await next_request(reader)
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            writer.write(tcp_frame(transaction, 1, good(1, request.address)))

    async with rogue(script) as port:
        link = TcpLink(host="127.0.0.1", port=port)
        async with Bus("plc", link, window=3, connections=2) as bus:
            reads = [read(bus, address) for address in range(400)]
            while waiting := [task for task in reads if not task.done()]:
                for task in rng.sample(waiting, len(waiting) // 40):
                    task.cancel()
                for _ in range(rng.randrange(6)):
                    await asyncio.sleep(0)
            for address, task in enumerate(reads):
                assert task.cancelled() or words(task.result()) == [address]
            assert sum(task.cancelled() for task in reads) > 50
            assert words(await bus.read(holding(9, 1), 5)) == [9]
            assert (bus._taken, len(bus._queue)) == (0, 0)
            assert bus.counts.losses == 0


async def test_several_connections_share_the_load() -> None:
    async with held(window=2, connections=3) as (bus, holder):
        assert bus.window == 6
        reads = [read(bus, address) for address in range(6)]
        await eventually(lambda: len(holder.held) == 6)
        writers = [writer for writer, _, _ in holder.held]
        assert sorted(writers.count(writer) for writer in set(writers)) == [2, 2, 2]
        for address in range(6):
            holder.release(address)
        assert [words(await task)[0] for task in reads] == list(range(6))


async def test_a_device_that_takes_fewer_connections_is_read_through_those() -> None:
    """It accepts a second one and closes it. That is tried once, not with each read."""
    async with held(connections=3, most=1) as (bus, holder):
        for address in range(6):
            task = read(bus, address)
            await eventually(lambda: holder.held)
            holder.release(address)
            assert words(await task) == [address]
        assert holder.connects <= 3


def test_a_line_without_numbers_has_one_request_in_flight() -> None:
    link = RtuLink(port=Path("/dev/serial/by-id/adapter"))
    assert Bus("rs485", link, window=4, connections=2).window == 1
