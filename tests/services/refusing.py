"""A device that refuses: holes, borders, a largest count, and a time of starting."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from collectors.errors import RefusedError
from collectors.modbus.transport.frame import Request
from collectors.register import Table

_TABLES = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}


def word(address: int) -> int:
    """Return what the register at `address` holds: a number that no other address has."""
    return (address * 40503 + 17) & 0xFFFF


@dataclass(slots=True)
class RefusingDevice:
    """Answers reads as its faults allow, and notes every one of them.

    `holes` are single addresses, `borders` addresses that no read may begin before and end behind;
    both refuse with `code`. More than `most` addresses (`most_of` a table) are refused with
    exception 3. `mood` is an exception for everything, if it is set. `edit` may change an answer.
    """

    holes: set[int] = field(default_factory=set)
    borders: set[int] = field(default_factory=set)
    most: int = 125
    most_of: dict[Table, int] = field(default_factory=dict)
    code: int = 2
    mood: int | None = None
    edit: Callable[[Request, bytes], bytes] = lambda _, payload: payload
    asked: list[Request] = field(default_factory=list)
    refused: int = 0  # how many of these

    def refusal(self, span: range) -> int | None:
        """Return the exception that a read of these addresses meets, or None if it is answered."""
        if self.mood is not None:
            return self.mood
        if len(span) > self.most:
            return 3
        if self.holes.intersection(span) or self.borders.intersection(span[1:]):
            return self.code
        return None

    def answer(self, request: Request) -> bytes | int:
        """Return data bytes or an exception."""
        self.asked.append(request)
        span = range(request.address, request.address + request.count)
        code = self.refusal(span)
        if request.count > self.most_of.get(request.table, request.count):
            code = 3
        if code is not None:
            self.refused += 1
            return code
        if request.table.holds_bits:
            bits = sum((word(address) & 1) << place for place, address in enumerate(span))
            return self.edit(request, bits.to_bytes(request.byte_count, "little"))
        words = struct.pack(f">{request.count}H", *map(word, span))
        return self.edit(request, words)


class RefusingBus:
    """Stands in for a `Bus` with one such device on it, without sockets."""

    window = 1
    generation = 1

    def __init__(self, device: RefusingDevice) -> None:
        self.device = device

    async def read(self, request: Request, timeout_s: float) -> bytes:
        """Return data bytes; raises RefusedError."""
        del timeout_s
        answer = self.device.answer(request)
        if isinstance(answer, int):
            raise RefusedError(f"{request} refused", answer)
        return answer


@asynccontextmanager
async def serving(device: RefusingDevice) -> AsyncIterator[int]:
    """Serve the device on Modbus TCP while the context lasts; yield the port."""
    serving: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving[asyncio.current_task()] = writer
        try:
            while True:
                head = await reader.readexactly(12)
                unit, function, address, count = struct.unpack_from(">BBHH", head, 6)
                answer = device.answer(Request(unit, _TABLES[function], address, count))
                if isinstance(answer, int):
                    pdu = bytes([unit, function | 0x80, answer])
                else:
                    pdu = bytes([unit, function, len(answer)]) + answer
                writer.write(head[:4] + len(pdu).to_bytes(2, "big") + pdu)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in serving.values():
            writer.close()
        await asyncio.gather(*filter(None, serving))
