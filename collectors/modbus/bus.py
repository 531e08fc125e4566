"""One bus: one TCP connection or one serial port, and one request at a time on it.

pymodbus's client keeps its lock through all retries and leaves a pending read hanging when the
connection goes; this one fails it at once, retries nothing, and after a time-out on a serial line
waits out the late answer, because a late answer would be taken for the next one.
"""

import asyncio
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pymodbus.transport.serialtransport import create_serial_connection
from serial import SerialException

from collectors.errors import BusDownError, NoAnswerError, RefusedError
from collectors.modbus.frame import Answer, DamagedError, Framer, Request, RtuFramer, TcpFramer

_FIRST_RETRY_S = 0.5
_LAST_RETRY_S = 15.0
_BITS_PER_CHARACTER = 11
_FAST_SILENCE_S = 0.00175  # the standard's fixed 3.5 characters above 19200 baud
_TOO_MANY = 4096  # unread bytes on a line: noise, not an answer

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


class Link(Protocol):
    """A kind of connection: how to open it, and what its frames look like."""

    @property
    def silence_s(self) -> float:
        """Quiet time the line needs between two frames."""

    @property
    def matches_answers(self) -> bool:
        """Whether an answer tells which request it belongs to."""

    def framer(self) -> Framer:
        """Return a new framer."""

    async def open(self, protocol: Callable[[], asyncio.Protocol]) -> asyncio.BaseTransport:
        """Open the connection; raises OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLink:
    """Modbus TCP to one host."""

    host: str
    port: int = 502
    connect_timeout_s: float = 3.0

    silence_s = 0.0
    matches_answers = True

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def framer(self) -> Framer:
        return TcpFramer()

    async def open(self, protocol: Callable[[], asyncio.Protocol]) -> asyncio.BaseTransport:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.connect_timeout_s):
            transport, _ = await loop.create_connection(protocol, self.host, self.port)
        # A pulled cable sends nothing: only probes and unacknowledged bytes tell.
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)
        return transport


@dataclass(frozen=True, slots=True, kw_only=True)
class RtuLink:
    """Modbus RTU on a serial port, best named by its stable `/dev/serial/by-id/…`."""

    port: Path
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1

    matches_answers = False

    def __str__(self) -> str:
        return str(self.port)

    @property
    def silence_s(self) -> float:
        """3.5 characters, fixed above 19200 baud."""
        return _FAST_SILENCE_S if self.baud > 19200 else 3.5 * _BITS_PER_CHARACTER / self.baud

    def framer(self) -> Framer:
        return RtuFramer()

    async def open(self, protocol: Callable[[], asyncio.Protocol]) -> asyncio.BaseTransport:
        try:
            transport, _ = await create_serial_connection(
                asyncio.get_running_loop(),
                protocol,
                str(self.port),
                baudrate=self.baud,
                bytesize=8,
                parity=self.parity,
                stopbits=self.stop_bits,
                timeout=0,
            )
        except SerialException as error:
            raise OSError(error.errno, str(error)) from error
        return transport


@dataclass(slots=True)
class BusCounts:
    """What happened on a bus since the start."""

    requests: int = 0
    answers: int = 0
    refusals: int = 0
    timeouts: int = 0
    connects: int = 0
    losses: int = 0


class Bus:
    """Reads registers of the devices on one link. `async with` closes it."""

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self.counts = BusCounts()
        self._link = link
        self._lock = asyncio.Lock()
        self._wire: _Wire | None = None
        self._transaction = 0
        self._retry_at = 0.0
        self._retry_s = _FIRST_RETRY_S

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drop()

    async def read(self, request: Request, timeout_s: float) -> bytes:
        """Return the data bytes of the answer.

        Raises BusDownError, NoAnswerError, or RefusedError when the device answers with a
        Modbus exception; only a broken stream or a lost connection closes the connection.
        """
        async with self._lock:
            wire = self._wire or await self._connect()
            self._transaction = self._transaction % 0xFFFF + 1
            self.counts.requests += 1
            try:
                async with asyncio.timeout(timeout_s):
                    answer = await wire.ask(request, self._transaction)
            except TimeoutError as error:
                self.counts.timeouts += 1
                await self._clear(wire, timeout_s)
                raise NoAnswerError(
                    f"{request} on {self.name} did not answer within {timeout_s:g} s",
                    "check its power, its device id and the wiring",
                ) from error
            except (OSError, DamagedError) as error:
                self.counts.losses += 1
                self._drop()
                raise BusDownError(
                    f"the connection of {self.name} to {self._link} broke: {error}"
                ) from error
            await asyncio.sleep(self._link.silence_s)
        if answer.exception:
            self.counts.refusals += 1
            meaning = EXCEPTIONS.get(answer.exception, "unknown code")
            raise RefusedError(
                f"{request} on {self.name} refused: {meaning} (exception {answer.exception})",
                answer.exception,
            )
        self.counts.answers += 1
        return answer.payload

    async def _connect(self) -> "_Wire":
        """Open the link, but not more often than the back-off allows."""
        loop = asyncio.get_running_loop()
        where = f"{self.name}: no connection to {self._link}"
        if loop.time() < self._retry_at:
            raise BusDownError(f"{where}; trying again soon")
        wire = _Wire(self._link.framer())
        try:
            wire.transport = await self._link.open(lambda: wire)
        except (OSError, TimeoutError) as error:
            self._retry_at = loop.time() + random.uniform(0.5, 1) * self._retry_s  # noqa: S311
            self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)
            raise BusDownError(
                f"{where}: {error or 'it does not answer'}",
                "check that the machine is on, the cable and the address",
            ) from error
        self._retry_s = _FIRST_RETRY_S
        self.counts.connects += 1
        self._wire = wire
        return wire

    async def _clear(self, wire: "_Wire", timeout_s: float) -> None:
        """After a time-out, let no late answer meet the next request."""
        if wire.is_broken:
            self._drop()
        elif not self._link.matches_answers:
            await wire.wait_out(timeout_s, quiet_s=max(0.05, 2 * self._link.silence_s))

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class _Wire(asyncio.Protocol):
    """The bytes of one connection, and the one request that waits for its answer."""

    def __init__(self, framer: Framer) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self._framer = framer
        self._buffer = bytearray()
        self._asked: tuple[Request, int] | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._heard = asyncio.Event()
        self._lost: Exception | None = None

    @property
    def is_broken(self) -> bool:
        """Whether half a frame is left over: what follows could not be read."""
        return self._lost is not None or bool(self._buffer and isinstance(self._framer, TcpFramer))

    async def ask(self, request: Request, transaction: int) -> Answer:
        """Send `request` and return its answer; raises OSError, DamagedError."""
        if self._lost is not None or self.transport is None:
            raise self._lost or ConnectionResetError("closed")
        if isinstance(self._framer, RtuFramer):
            self._buffer.clear()  # noise before the request belongs to no answer
        self._asked = (request, transaction)
        self._waiting = asyncio.get_running_loop().create_future()
        assert isinstance(self.transport, asyncio.WriteTransport)  # noqa: S101 - both kinds are
        self.transport.write(self._framer.pack(request, transaction))
        try:
            return await self._waiting
        finally:
            self._asked = self._waiting = None

    async def wait_out(self, longest_s: float, *, quiet_s: float) -> None:
        """Throw away what comes until something came and the line is quiet, or time is up."""
        loop = asyncio.get_running_loop()
        end = loop.time() + longest_s
        self._heard.clear()
        wait_s = longest_s
        while wait_s > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await self._heard.wait()
            except TimeoutError:
                break
            self._heard.clear()
            wait_s = min(quiet_s, end - loop.time())
        self._buffer.clear()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()
        self._end(ConnectionAbortedError("closed"))

    def data_received(self, data: bytes) -> None:
        self._heard.set()
        self._buffer += data
        if self._asked is None or self._waiting is None or self._waiting.done():
            # A late answer. On TCP it is kept: its number will tell the next request to skip it.
            if isinstance(self._framer, RtuFramer) or len(self._buffer) > _TOO_MANY:
                self._buffer.clear()
            return
        try:
            answer = self._framer.find(self._buffer, *self._asked)
        except DamagedError as error:
            self._waiting.set_exception(error)
            return
        if answer is not None:
            self._waiting.set_result(answer)
        elif len(self._buffer) > _TOO_MANY:
            self._waiting.set_exception(DamagedError(f"{len(self._buffer)} bytes of noise"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionResetError("the other side closed it"))

    def _end(self, error: Exception) -> None:
        self._lost = self._lost or error
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
