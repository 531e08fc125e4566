"""A line between agent and device that does to the frames what real lines do, drawn from a seed.

Each frame meets at most one fault. What was done is counted, so that a test can demand that
everything was. Order on a serial line is kept, as a wire keeps it; on a network it is not.
"""

import asyncio
import os
import random
import tty
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

NETWORK_ANSWERS = (
    "delay", "late", "drop", "cut", "reset", "flip", "reorder", "double", "noise", "noise_after"
)  # fmt: skip
NETWORK_REQUESTS = ("delay", "late", "drop", "reset", "double")
SERIAL_ANSWERS = ("delay", "late", "drop", "cut", "flip", "double", "noise", "noise_after")
SERIAL_REQUESTS = ("delay", "drop", "flip", "double")

Write = Callable[[bytes], None]
Flip = Callable[[random.Random, bytes], bytes]


@dataclass(slots=True)
class Faults:
    """Draws what happens to each frame: a fault with the probability `rate`, else nothing.

    `timeout_s` is the reader's, so that a delay stays below it and a late frame comes after it.
    """

    seed: int
    rate: float
    timeout_s: float
    done: Counter[str] = field(default_factory=Counter)
    _rng: random.Random = field(init=False)
    _decks: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def draw(self, kinds: tuple[str, ...]) -> str:
        """Return one of `kinds`, or "" for a frame that passes.

        Kinds are dealt like cards: each comes once before one comes again.
        """
        if self._rng.random() >= self.rate:
            return ""
        deck = self._decks.setdefault(kinds, [])
        if not deck:
            deck += self._rng.sample(kinds, len(kinds))
        kind = deck.pop()
        self.done[kind] += 1
        return kind

    def wait_s(self, kind: str) -> float:
        """Return how long a frame is held up."""
        low, high = {"delay": (0.0, 0.4), "late": (1.05, 2.5)}.get(kind, (0.0, 0.0))
        return self._rng.uniform(low, high) * self.timeout_s

    def damaged(self, kind: str, frame: bytes, flip: Flip) -> bytes:
        """Return what is left of a frame."""
        if kind == "flip":
            return flip(self._rng, frame)
        noise = self._rng.randbytes(self._rng.randint(1, 8))
        forms = {
            "drop": b"",
            "reset": b"",
            "cut": frame[: self._rng.randrange(len(frame))],
            "double": frame + frame,
            "noise": noise + frame,
            "noise_after": frame + noise,
        }
        return forms.get(kind, frame)


def flipped(rng: random.Random, frame: bytes) -> bytes:
    """Return an RTU frame with one to three wrong bits: so many a CRC-16 always tells."""
    number = int.from_bytes(frame, "big")
    for bit in rng.sample(range(8 * len(frame)), rng.randint(1, 3)):
        number ^= 1 << bit
    return number.to_bytes(len(frame), "big")


def head_flipped(rng: random.Random, frame: bytes) -> bytes:
    """Return a TCP frame with one wrong bit in its head, as a device with a fault may send it.

    TCP's own checksum guards the bytes on their way, and no reader could tell a wrong bit of the
    data. Of the transaction only the highest bit: nothing tells a wrong number that is in use.
    """
    bit = rng.choice((0, *range(16, 64)))
    place, mask = bit // 8, 0x80 >> bit % 8
    return frame[:place] + bytes([frame[place] ^ mask]) + frame[place + 1 :]


class _Way:
    """One direction of one connection; calls `write` and, for a reset, `cut`."""

    def __init__(
        self, faults: Faults, kinds: tuple[str, ...], flip: Flip, *, keeps_order: bool
    ) -> None:
        self._faults = faults
        self._kinds = kinds
        self._flip = flip
        self._keeps_order = keeps_order
        self._held = b""
        self._free_at = 0.0

    def carry(self, frame: bytes, write: Write, cut: Callable[[], None]) -> None:
        """Let `frame` meet its fate."""
        kind = self._faults.draw(self._kinds)
        if kind == "reorder":
            held, self._held = self._held, frame
            frame = held
        elif kind == "cut" and not self._keeps_order:
            # Nothing follows: TCP loses no bytes in the middle, and no reader could tell.
            frame = self._faults.damaged(kind, frame, self._flip)
        else:
            frame = self._faults.damaged(kind, frame, self._flip) + self._held
            self._held = b""
        loop = asyncio.get_running_loop()
        at = loop.time() + self._faults.wait_s(kind)
        if self._keeps_order:
            self._free_at = at = max(at, self._free_at)
        if frame and at <= loop.time():
            write(frame)
        elif frame:
            loop.call_at(at, write, frame)
        if kind == "reset" or (kind == "cut" and not self._keeps_order):
            cut()


class TcpFaultProxy:
    """Stands on `port` of the loopback for the Modbus TCP device at `host`:`device_port`."""

    def __init__(self, device_port: int, faults: Faults, *, host: str = "127.0.0.1") -> None:
        self.host = host
        self.device_port = device_port
        self.faults = faults
        self.port = 0
        self.clients: set[_Client] = set()
        self.none_left = asyncio.Event()
        self.none_left.set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for client in [*self.clients]:
            client.cut()
        await self.none_left.wait()
        await self._server.wait_closed()


class _Client(asyncio.Protocol):
    """The connection of an agent, and the one to the device that belongs to it."""

    def __init__(self, proxy: TcpFaultProxy) -> None:
        self._proxy = proxy
        faults = proxy.faults
        self._up = _Way(faults, NETWORK_REQUESTS, head_flipped, keeps_order=False)
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._device: asyncio.Transport | None = None
        self._joining: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.clients.add(self)
        self._proxy.none_left.clear()
        self._joining = asyncio.get_running_loop().create_task(self._join())

    async def _join(self) -> None:
        proxy = self._proxy
        with suppress(OSError):
            self._device, _ = await asyncio.get_running_loop().create_connection(
                lambda: _Device(self, proxy.faults), proxy.host, proxy.device_port
            )
            self.data_received(b"")
            return
        self.cut()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._device is not None:
            for frame in _frames(self._buffer):
                self._up.carry(frame, self._to_device, self.cut)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.cut()
        self._proxy.clients.discard(self)
        if not self._proxy.clients:
            self._proxy.none_left.set()

    def cut(self) -> None:
        """Reset both connections."""
        if self._joining is not None:
            self._joining.cancel()
        for transport in (self._transport, self._device):
            if transport is not None:
                transport.abort()

    def _to_device(self, frame: bytes) -> None:
        if self._device is not None and not self._device.is_closing():
            self._device.write(frame)

    def to_agent(self, frame: bytes) -> None:
        """Write to the agent, if it is still there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)


class _Device(asyncio.Protocol):
    """The connection to the device."""

    def __init__(self, client: _Client, faults: Faults) -> None:
        self._client = client
        self._down = _Way(faults, NETWORK_ANSWERS, head_flipped, keeps_order=False)
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for frame in _frames(self._buffer):
            self._down.carry(frame, self._client.to_agent, self._client.cut)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._client.cut()


def _frames(buffer: bytearray) -> Iterator[bytes]:
    """Take the whole Modbus TCP frames out of `buffer`."""
    while len(buffer) >= 6 and len(buffer) >= (size := 6 + int.from_bytes(buffer[4:6], "big")):
        yield bytes(buffer[:size])
        del buffer[:size]


class SerialFaultProxy:
    """Stands on the pseudo terminal `path` for the RTU device on the pseudo terminal `device`."""

    def __init__(self, device: Path, faults: Faults) -> None:
        self.path = Path()
        self._device_path = device
        up = _Way(faults, SERIAL_REQUESTS, flipped, keeps_order=True)
        down = _Way(faults, SERIAL_ANSWERS, flipped, keeps_order=True)
        self._ways = {"up": up, "down": down}
        self._ends: Mapping[str, int] = {}

    async def __aenter__(self) -> Self:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        self.path = Path(os.ttyname(theirs))
        device = os.open(self._device_path, os.O_RDWR | os.O_NOCTTY)
        for end in (ours, device):
            os.set_blocking(end, False)
        self._ends = {"agent": ours, "theirs": theirs, "device": device}
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, self._carry, "up", "agent", "device")
        loop.add_reader(device, self._carry, "down", "device", "agent")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        ends, self._ends = self._ends, {}
        loop.remove_reader(ends["agent"])
        loop.remove_reader(ends["device"])
        for end in ends.values():
            os.close(end)

    def _carry(self, way: str, source: str, target: str) -> None:
        """Take what came as one frame: both sides write each in one go."""
        with suppress(BlockingIOError):
            frame = os.read(self._ends[source], 4096)
            self._ways[way].carry(frame, lambda rest: self._write(target, rest), lambda: None)

    def _write(self, target: str, frame: bytes) -> None:
        if self._ends:
            with suppress(BlockingIOError):  # nobody reads: it is lost, as on a wire
                os.write(self._ends[target], frame)
