"""The bytes of one connection, and the requests in flight on it."""

import asyncio
from collections import Counter

from collectors.modbus.transport.frame import Answer, DamagedError, Request
from collectors.modbus.transport.link import Link

_MOST_REMEMBERED = 1024  # timed-out requests whose numbers are not used again
_MOST_BYTES = 4096  # read at once
_STALLED_S = 0.5  # without a byte in the middle of a frame


class Wire(asyncio.BufferedProtocol):
    """One connection on which each answer carries the number of its request.

    `discarded` counts what was thrown away since the last good answer, by why.
    """

    def __init__(self, link: Link) -> None:
        self.lost: Exception | None = None
        self.discarded: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._framer = link.framer()
        # Read into one buffer: asyncio's other way allocates 256 KiB for each answer, which costs
        # twice as much as all the rest of a request.
        self._incoming = memoryview(bytearray(_MOST_BYTES))
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._transaction = 0
        # Requests stay in `_asked` until their answer comes, so that a late one is known as such
        # and its number not given to another; in `_flights` until they are done or timed out.
        self._asked: dict[int, Request] = {}
        self._flights: dict[int, tuple[asyncio.Future[Answer], float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0

    @property
    def load(self) -> int:
        """How many requests are in flight."""
        return len(self._flights)

    async def ask(self, request: Request, timeout_s: float) -> tuple[Answer, float]:
        """Send `request`; return its answer and the seconds from sending to answer.

        Raises TimeoutError, OSError, DamagedError. When `lost` is set then, the connection is.
        """
        if self.lost is not None:
            raise self.lost
        transaction = self._next_transaction()
        future: asyncio.Future[Answer] = self._loop.create_future()
        sent_at = self._loop.time()
        deadline = sent_at + timeout_s
        self._asked[transaction] = request
        self._flights[transaction] = future, deadline
        # One timer for all: it is moved only for an earlier deadline, and else looks again.
        if self._timer is None or deadline < self._timer.when():
            self._wake_at(deadline)
        self._send(self._framer.pack(request, transaction))
        answer = await future
        return answer, self._loop.time() - sent_at

    def close(self) -> None:
        """Close the connection and fail what is in flight."""
        self._end(ConnectionAbortedError("closed"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - all kinds of link are
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionResetError("the other side closed it"))

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._incoming

    def buffer_updated(self, nbytes: int) -> None:
        self._received(self._incoming[:nbytes])

    def _received(self, data: bytes | memoryview) -> None:
        self._heard_at = self._loop.time()
        self._buffer += data
        self._take_answers()

    def _next_transaction(self) -> int:
        """Return a number from 1 to 65535 that no answer can still come for."""
        transaction = self._transaction % 0xFFFF + 1
        while transaction in self._asked:
            transaction = transaction % 0xFFFF + 1
        self._transaction = transaction
        return transaction

    def _send(self, frame: bytes) -> None:
        self._transport.write(frame)

    def _take_answers(self) -> None:
        try:
            while self._buffer:
                found = self._framer.find(self._buffer, self._asked, self.discarded)
                if found is None:
                    break
                transaction, answer = found
                del self._asked[transaction]
                flight = self._flights.pop(transaction, None)
                if flight is None or flight[0].done():
                    self.discarded["late"] += 1
                else:
                    flight[0].set_result(answer)
        except DamagedError as error:
            self._end(error)

    def _wake_at(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        """Fail what is overdue."""
        self._timer = None
        now = self._loop.time()
        overdue = [each for each, (_, deadline) in self._flights.items() if deadline <= now]
        for transaction in overdue:
            future, _ = self._flights.pop(transaction)
            if not future.done():
                future.set_exception(TimeoutError())
        if overdue:
            self._forget_oldest()
            self._timed_out()
        if self._flights:
            self._wake_at(min(deadline for _, deadline in self._flights.values()))

    def _forget_oldest(self) -> None:
        for transaction in list(self._asked)[:-_MOST_REMEMBERED]:
            if transaction not in self._flights:
                del self._asked[transaction]

    def _timed_out(self) -> None:
        """Close the connection when half a frame is left over: what follows could not be read."""
        is_stalled = self._loop.time() - self._heard_at > _STALLED_S
        if self._buffer and (is_stalled or not self._flights):
            self._end(DamagedError("half a frame came, and no more"))

    def _end(self, error: Exception) -> None:
        if self.lost is not None:
            return
        self.lost = error
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()
        for future, _ in self._flights.values():
            if not future.done():
                future.set_exception(error)
        self._flights.clear()
        self._asked.clear()
