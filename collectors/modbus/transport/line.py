"""The bytes of a line whose answers carry no number: one request at a time, and quiet between.

What cannot be the answer is thrown away before it is looked at: bytes that nobody asked for, those
that come before the request has left the port, and an adapter's echo. What else could be mistaken
for it, the late answer to an earlier request, is told from it by `Debts`.
"""

import asyncio
import os
import time

from collectors.modbus.transport.debts import Debts, DoubtfulError
from collectors.modbus.transport.frame import Answer, Request
from collectors.modbus.transport.link import Link
from collectors.modbus.transport.wire import Wire

_TOO_MANY = 1024  # unread bytes: noise, not an answer


class Line(Wire):
    """One connection to a serial line. `debts` outlive it, as late answers do."""

    def __init__(self, link: Link, debts: Debts) -> None:
        super().__init__(link)
        self._debts = debts
        self._silence_s = link.silence_s
        self._character_s = link.character_s if link.is_paced else 0.0
        self._has_echo = link.echo
        self._echo = b""  # what must come back before anything can be the answer
        self._gone_at = 0.0  # when the last request has left the port

    async def ask(self, request: Request, timeout_s: float) -> tuple[Answer, float]:
        """Send `request` when no late answer can be taken for its own. See `Wire.ask`."""
        probe = self._debts.probe(request, now=self._loop.time())
        if probe is not None:
            await self._exchange(probe, timeout_s)
        return await self._exchange(request, timeout_s)

    def _received(self, data: bytes | memoryview) -> None:
        self._heard_at = self._loop.time()
        if not self._is_asked:
            self._stray("unasked")
        elif self._heard_at < self._gone_at and not self._has_echo:
            self._stray("early")
        else:
            self._buffer += data
            if self._echo:
                self._skip_echo()
            if not self._echo:
                self._take_answers()
            if self._buffer and not self._is_asked:
                self._stray("unasked")  # behind the answer: noise, or the answer once more
            elif len(self._buffer) > _TOO_MANY:
                self._stray("noise")

    @property
    def _is_asked(self) -> bool:
        return any(not future.done() for future, _ in self._flights.values())

    async def _exchange(self, request: Request, timeout_s: float) -> tuple[Answer, float]:
        await self._quiet(timeout_s)
        now = self._loop.time()
        is_doubtful = self._debts.makes_refusals_doubtful(request, now=now)
        self._debts.ask(request, timeout_s, now=now)
        self._buffer.clear()
        self._asked.clear()
        self._flights.clear()
        answer, seconds = await super().ask(request, timeout_s)
        if answer.exception is not None and is_doubtful:
            raise DoubtfulError("a refusal came that may belong to an earlier request")
        self._debts.settle(request.device_id)
        return answer, seconds

    async def _quiet(self, timeout_s: float) -> None:
        """Wait until the line has been quiet for its silence since the last byte heard or sent."""
        give_up_at = self._loop.time() + timeout_s
        while self.lost is None:
            self._drain()
            left_s = max(self._heard_at, self._gone_at) + self._silence_s - self._loop.time()
            if left_s <= 0:
                return
            if self._loop.time() > give_up_at:
                raise TimeoutError("the line is never quiet: look for noise or a second master")
            # The loop's timers are rounded up to whole ms, which is much of a short exchange.
            if left_s >= 0.001:
                await asyncio.sleep(int(left_s * 1000) / 1000)
            else:
                _wait_exactly(left_s)

    def _drain(self) -> None:
        """Take what the system holds already: it came before the request, so it is no answer."""
        source = self._transport.get_extra_info("pipe") or self._transport.get_extra_info("socket")
        try:
            count = os.readv(source.fileno(), [self._incoming])
        except OSError:
            return  # nothing there, or the connection is gone, which the loop will tell
        if count:
            self.buffer_updated(count)

    def _send(self, frame: bytes) -> None:
        self._echo = frame if self._has_echo else b""
        self._gone_at = self._loop.time() + len(frame) * self._character_s
        super()._send(frame)

    def _skip_echo(self) -> None:
        start = self._buffer.find(self._echo)
        if start >= 0:
            del self._buffer[: start + len(self._echo)]
            self._echo = b""
        else:
            del self._buffer[: -len(self._echo)]

    def _timed_out(self) -> None:
        if self._buffer:
            self._stray("incomplete")

    def _stray(self, why: str) -> None:
        self._buffer.clear()
        self.discarded[why] += 1
        self._debts.stray(self._heard_at)


def _wait_exactly(seconds: float) -> None:
    """Wait less than a ms to the µs, which no timer of the system does."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
