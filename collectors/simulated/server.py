"""Serve memories by Modbus TCP, or by Modbus RTU on a pseudo-terminal.

pymodbus packs and unpacks the frames. Its own server is not used: it copies values register by
register and crosses two loop turns for each request, too dear beside an agent on a small machine.
"""

import asyncio
import os
import struct
import tty
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from collectors.simulated.memory import Memory

_FIELDS = struct.Struct(">BHH")
_ADDRESS = struct.Struct(">BH")
_READS = {1, 2, 3, 4}
_WRITE, _READ_QUEUE = 6, 24


def answer(memory: Memory, request: bytes) -> bytes:
    """Return the answer of a machine to one request, both without their frames."""
    function = request[0]
    said = _said(memory, function, request)
    return bytes([function | 0x80, said]) if isinstance(said, ExcCodes) else said


def _said(memory: Memory, function: int, request: bytes) -> bytes | ExcCodes:
    if function not in {*_READS, _WRITE, _READ_QUEUE}:
        return ExcCodes.ILLEGAL_FUNCTION
    if len(request) != (_ADDRESS if function == _READ_QUEUE else _FIELDS).size:
        return ExcCodes.ILLEGAL_VALUE
    if function == _READ_QUEUE:
        content = memory.read_queue(_ADDRESS.unpack(request)[1])
        if isinstance(content, ExcCodes):
            return content
        return struct.pack(">BHH", function, 2 + len(content), len(content) // 2) + content
    _, address, number = _FIELDS.unpack(request)
    if function == _WRITE:
        return memory.write(address, number) or request
    content = memory.read(function, address, number)
    return content if isinstance(content, ExcCodes) else bytes([function, len(content)]) + content


class Responder:
    """Answers what comes in over one connection or wire.

    A device that is not in `memories` is silent on a wire (`is_gateway` false); behind a gateway
    it is the gateway that answers: 11, no answer from the device.
    """

    def __init__(
        self, framer: FramerBase, memories: Mapping[int, Memory], *, is_gateway: bool
    ) -> None:
        self._framer = framer
        self._memories = memories
        self._is_gateway = is_gateway
        self._buffer = b""

    def feed(self, data: bytes) -> bytes:
        """Take `data`; return the frames of the answers to what it completes."""
        self._buffer += data
        answers = b""
        while self._buffer:
            used, device_id, transaction, request = self._framer.decode(self._buffer)
            if not used:
                break
            self._buffer = self._buffer[used:]
            if request and (said := self._answer(device_id, request)):
                answers += self._framer.encode(said, device_id, transaction)
        if len(self._buffer) > FramerBase.MAX_SIZE:  # noise without a frame in it
            self._buffer = b""
        return answers

    def _answer(self, device_id: int, request: bytes) -> bytes:
        memory = self._memories.get(device_id)
        if memory is not None:
            return answer(memory, request)
        if self._is_gateway:
            return bytes([request[0] | 0x80, ExcCodes.GATEWAY_NO_RESPONSE])
        return b""


class _Connections:
    """The open connections of one server."""

    def __init__(self) -> None:
        self._all: set[asyncio.Transport] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()

    def add(self, transport: asyncio.Transport) -> None:
        self._all.add(transport)
        self._none_left.clear()

    def discard(self, transport: asyncio.Transport) -> None:
        self._all.discard(transport)
        if not self._all:
            self._none_left.set()

    async def cut(self) -> None:
        """Close all of them without ceremony, and wait until they are."""
        for transport in self._all:
            transport.abort()
        await self._none_left.wait()


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, memories: Mapping[int, Memory], all_of_them: _Connections) -> None:
        framer = FramerSocket(DecodePDU(is_server=True))
        self._responder = Responder(framer, memories, is_gateway=True)
        self._all = all_of_them
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._all.add(transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None and (answers := self._responder.feed(data)):
            self._transport.write(answers)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._all.discard(self._transport)


class TcpServer:
    """Modbus TCP at `host`:`port`; port 0 takes a free one, and `port` then tells which.

    `memories` maps device ids to memories; what is taken out of it is gone at once.
    """

    def __init__(self, memories: Mapping[int, Memory], *, host: str, port: int = 0) -> None:
        self.host = host
        self.port = port
        self._memories = memories
        self._server: asyncio.Server | None = None
        self._connections = _Connections()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen; the port stays the same when it is opened again."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self._memories, self._connections), self.host, self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await self._connections.cut()
            await server.wait_closed()


class PtyServer:
    """Modbus RTU on a pseudo-terminal: the serial port to open is `path`."""

    def __init__(self, memories: Mapping[int, Memory]) -> None:
        self.path = ""
        self._responder = Responder(
            FramerRTU(DecodePDU(is_server=True)), memories, is_gateway=False
        )
        self._ours = -1
        self._theirs = -1

    async def __aenter__(self) -> Self:
        self._ours, self._theirs = os.openpty()  # theirs stays open, or a client's end ends ours
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)
        asyncio.get_running_loop().add_reader(self._ours, self._on_readable)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)

    def _on_readable(self) -> None:
        with suppress(BlockingIOError):  # nobody reads the answers: they are lost, as on a wire
            if answers := self._responder.feed(os.read(self._ours, 1024)):
                os.write(self._ours, answers)
