"""One bus: the connections to one host, or one serial port, and whose turn it is on them.

pymodbus's client keeps its lock through all retries and leaves a pending read hanging when the
connection goes; this one fails it at once, retries nothing, and takes no answer for another's.
"""

import asyncio
import random
import ssl
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from collectors.errors import BusDownError, LiniError, NoAnswerError, RefusedError
from collectors.modbus.transport.debts import Debts
from collectors.modbus.transport.frame import DamagedError, Request
from collectors.modbus.transport.line import Line
from collectors.modbus.transport.link import Link
from collectors.modbus.transport.wire import Wire

_FIRST_RETRY_S = 0.5

EXCEPTIONS = {
    1: "function not supported",
    2: "there is no such address",
    3: "the device does not take this count",
    4: "the device has failed",
    5: "accepted, but not done yet",
    6: "the device is busy",
    10: "the gateway has no path",
    11: "the device behind the gateway does not answer",
}
_BEHIND_A_GATEWAY = {10, 11}
_DISCARDED = {
    "transaction": "for another transaction",
    "device": "of another device id",
    "function": "for another function",
    "length": "of another length",
    "value": "that returns another value",
    "crc": "with a wrong checksum",
    "noise": "as noise",
    "late": "too late",
    "early": "before the request was out",
    "unasked": "unasked",
    "incomplete": "incomplete",
}


@dataclass(slots=True)
class BusCounts:
    """What happened on a bus since the start.

    `busy_s` is the time in which at least one request was under way, silences and time-outs
    included; `discarded` counts what was thrown away, by why.
    """

    requests: int = 0
    answers: int = 0
    refusals: int = 0
    timeouts: int = 0
    connects: int = 0
    losses: int = 0
    busy_s: float = 0.0
    discarded: Counter[str] = field(default_factory=Counter)


class Bus:
    """Reads registers of the devices on one link. `async with` closes it.

    `window` requests may be in flight on each of `connections`, where answers carry a number;
    elsewhere it is one. `heard` is told each answer or refusal of a device, and the seconds it
    took from sending.
    """

    def __init__(self, name: str, link: Link, *, window: int = 1, connections: int = 1) -> None:
        self.name = name
        self.counts = BusCounts()
        self.heard: Callable[[Request, float], None] = _ignore
        self._link = link
        self._connections = connections if link.is_numbered else 1
        self._per_wire = window if link.is_numbered else 1
        self._wires: list[Wire] = []
        self._debts = Debts()
        self._taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._opening = asyncio.Lock()
        self._busy_at = 0.0
        self._retry_at = 0.0
        self._retry_s = _FIRST_RETRY_S
        self._is_closed = False

    @property
    def window(self) -> int:
        """How many requests may be in flight at once."""
        return self._per_wire * self._connections

    @property
    def generation(self) -> int:
        """A number that grows with every connect: another device may have been plugged in."""
        return self.counts.connects

    @property
    def retry_at(self) -> float:
        """The time of the loop before which no lost connection is opened again."""
        return self._retry_at

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closed = True
        for wire in self._wires:
            wire.close()

    async def read(self, request: Request, timeout_s: float) -> bytes:
        """Return the data bytes of the answer.

        Raises BusDownError, NoAnswerError, or RefusedError when the device answers with a
        Modbus exception; only a broken stream or a lost connection closes the connection.
        """
        if self._taken >= self._room or self._queue:
            await self._turn()
        else:
            self._take()
        try:
            wire = self._best_wire()
            if wire is None or (len(self._wires) < self._connections and self._may_connect()):
                wire = await self._connected()
            self.counts.requests += 1
            try:
                answer, seconds = await wire.ask(request, timeout_s)
            except (OSError, DamagedError) as error:
                raise self._failure(wire, request, timeout_s, error) from error
        finally:
            self._release()
        if wire.discarded:
            self._count_discarded(wire)
        if answer.exception is not None:
            self.counts.refusals += 1
            raise self._refusal(request, answer.exception, seconds)
        self.counts.answers += 1
        self.heard(request, seconds)
        return answer.payload

    # Whose turn it is: first come, first served.

    @property
    def _room(self) -> int:
        """How many requests the connections that are open take. The first one is opened by one."""
        return self._per_wire * max(1, len(self._wires))

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._release()  # it was given just before
            raise

    def _take(self) -> None:
        if not self._taken:
            self._busy_at = asyncio.get_running_loop().time()
        self._taken += 1

    def _release(self) -> None:
        now = asyncio.get_running_loop().time()
        self.counts.busy_s += now - self._busy_at
        self._busy_at = now
        self._taken -= 1
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._taken < self._room:
            turn = self._queue.popleft()
            if not turn.done():
                self._take()
                turn.set_result(None)

    # Connections

    def _best_wire(self) -> Wire | None:
        """Return the least loaded connection that is open."""
        best: Wire | None = None
        for wire in self._wires:
            if wire.lost is not None:
                self._drop(wire)
                return self._best_wire()
            if best is None or wire.load < best.load:
                best = wire
        return best

    def _may_connect(self) -> bool:
        return asyncio.get_running_loop().time() >= self._retry_at and not self._opening.locked()

    async def _connected(self) -> Wire:
        """Return a connection, after opening one where one is missing."""
        async with self._opening:  # one at a time: others want the same one
            best = self._best_wire()
            if len(self._wires) < self._connections:
                try:
                    newest = await self._connect()
                except BusDownError:
                    # The device takes fewer connections than its profile says: go on with those.
                    if best is None or best.lost is not None:
                        raise
                else:
                    best = self._best_wire() or newest
            assert best is not None  # noqa: S101 - else there was room for one, and it was opened
            return best

    async def _connect(self) -> Wire:
        """Open the link, but not more often than the back-off allows."""
        loop = asyncio.get_running_loop()
        where = f"{self.name}: no connection to {self._link}"
        if self._is_closed:
            raise BusDownError(f"{where}: the bus is closed")
        if loop.time() < self._retry_at:
            raise BusDownError(f"{where}; trying again soon")
        wire = Wire(self._link) if self._link.is_numbered else Line(self._link, self._debts)
        try:
            await self._link.open(lambda: wire)
        except (OSError, TimeoutError) as error:
            self._retry_at = loop.time() + random.uniform(0.5, 1) * self._retry_s  # noqa: S311 - jitter, no secret
            self._retry_s = min(2 * self._retry_s, self._link.last_retry_s)
            raise BusDownError(
                f"{where}: {error or 'it does not answer'}",
                "check the certificates of both sides, and the clock"
                if isinstance(error, ssl.SSLError)
                else "check that the machine is on, the cable and the address",
            ) from error
        self._retry_s = _FIRST_RETRY_S
        self.counts.connects += 1
        self._wires.append(wire)
        self._admit()
        return wire

    def _drop(self, wire: Wire) -> None:
        if wire in self._wires:
            self._wires.remove(wire)
            self.counts.losses += 1
            # When others are left, the device may take no more than those: do not hammer it.
            now = asyncio.get_running_loop().time()
            self._retry_at = now + self._link.last_retry_s if self._wires else 0.0

    # What went wrong

    def _failure(
        self, wire: Wire, request: Request, timeout_s: float, error: Exception
    ) -> LiniError:
        discarded = self._count_discarded(wire)
        if wire.lost is not None:
            self._drop(wire)
            return BusDownError(f"the connection of {self.name} to {self._link} broke: {wire.lost}")
        self.counts.timeouts += 1
        hint = str(error) or "check its power, its device id and the wiring"
        if discarded:
            thrown = ", ".join(
                f"{count} {_DISCARDED.get(why, why)}" for why, count in discarded.items()
            )
            hint = f"{hint}; something came and was thrown away: {thrown}"
        return NoAnswerError(
            f"{request} on {self.name} did not answer within {timeout_s:g} s", hint
        )

    def _refusal(self, request: Request, code: int, seconds: float) -> LiniError:
        meaning = f"{EXCEPTIONS.get(code, 'unknown code')} (exception {code})"
        if code in _BEHIND_A_GATEWAY:
            return NoAnswerError(
                f"{request} on {self.name} did not answer: {meaning}",
                "the gateway answers, the device behind it does not: "
                "check its power, its device id and its wiring",
            )
        self.heard(request, seconds)
        return RefusedError(f"{request} on {self.name} refused: {meaning}", code)

    def _count_discarded(self, wire: Wire) -> Counter[str]:
        """Return what was thrown away since the last answer, and count it."""
        discarded = wire.discarded.copy()
        self.counts.discarded.update(discarded)
        wire.discarded.clear()
        return discarded


def _ignore(request: Request, seconds: float) -> None:
    """Nobody wants to hear it."""
    del request, seconds
