"""Frames: a request as bytes, and the one answer to it, or nothing.

An answer is taken only when unit, function, byte count and (TCP) transaction are those asked for.
pymodbus builds the frames and computes the checksums, but accepts short, long and foreign answers
as good, so what is an answer is decided here.
"""

import struct
from dataclasses import dataclass
from typing import Protocol

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from collectors.register import Table

_FUNCTIONS = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_EXCEPTION = 0x80


@dataclass(frozen=True, slots=True)
class Request:
    """One read. There is no other kind: this engine cannot write."""

    device_id: int
    table: Table
    address: int
    count: int

    @property
    def function(self) -> int:
        """The function code, 1 to 4."""
        return _FUNCTIONS[self.table]

    @property
    def byte_count(self) -> int:
        """How many data bytes the answer holds."""
        return (self.count + 7) // 8 if self.table.holds_bits else 2 * self.count

    @property
    def pdu(self) -> bytes:
        """The request without its frame."""
        return struct.pack(">BHH", self.function, self.address, self.count)

    def __str__(self) -> str:
        span = f"{self.address}" if self.count == 1 else f"{self.address}-{self.address_end}"
        return f"device {self.device_id}, {self.table} {span}"

    @property
    def address_end(self) -> int:
        """The last address of the read."""
        return self.address + self.count - 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What the device said: data bytes, or the code of its refusal."""

    payload: bytes = b""
    exception: int = 0


class DamagedError(Exception):
    """The stream has lost its frame borders; only a new connection helps."""


class Framer(Protocol):
    """Packs requests, and finds their answers in what came in."""

    def pack(self, request: Request, transaction: int) -> bytes:
        """Return the frame of a request."""

    def find(self, buffer: bytearray, request: Request, transaction: int) -> Answer | None:
        """Return the answer to `request` if all of it is in `buffer`; drop what is spent.

        Raises DamagedError when the stream cannot be read on.
        """


class TcpFramer:
    """Modbus TCP: each frame has its length and the number of the request it answers."""

    def __init__(self) -> None:
        self._framer = FramerSocket(DecodePDU(is_server=False))

    def pack(self, request: Request, transaction: int) -> bytes:
        return self._framer.encode(request.pdu, request.device_id, transaction)

    def find(self, buffer: bytearray, request: Request, transaction: int) -> Answer | None:
        while len(buffer) >= FramerSocket.MIN_SIZE:
            protocol, length = struct.unpack_from(">HH", buffer, 2)
            if protocol != 0 or not 3 <= length <= 254:
                raise DamagedError(f"protocol {protocol}, length {length}")
            if len(buffer) < 6 + length:
                return None
            frame = bytes(buffer[: 6 + length])
            del buffer[: 6 + length]
            got_transaction, got_device = struct.unpack_from(">H", frame)[0], frame[6]
            if (got_transaction, got_device) == (transaction, request.device_id):
                answer = _answer(frame[7:], request)
                if answer is not None:
                    return answer
        return None


class RtuFramer:
    """Modbus RTU: no lengths and no numbers, so the expected answer is looked for by its shape."""

    def pack(self, request: Request, transaction: int) -> bytes:
        del transaction
        head = bytes([request.device_id]) + request.pdu
        return head + _crc(head)

    def find(self, buffer: bytearray, request: Request, transaction: int) -> Answer | None:
        del transaction
        good = bytes([request.device_id, request.function, request.byte_count])
        bad = bytes([request.device_id, request.function | _EXCEPTION])
        for head, size in ((good, 3 + request.byte_count + 2), (bad, 5)):
            start = buffer.find(head)
            while start >= 0:
                frame = bytes(buffer[start : start + size])
                if len(frame) == size and _crc(frame[:-2]) == frame[-2:]:
                    del buffer[: start + size]
                    return _answer(frame[1:-2], request)
                start = buffer.find(head, start + 1)
        return None


def _answer(pdu: bytes, request: Request) -> Answer | None:
    """Return what a PDU answers to `request`, or None when it answers something else."""
    if pdu[0] == request.function | _EXCEPTION and len(pdu) == 2:
        return Answer(exception=pdu[1])
    fits = pdu[0] == request.function and len(pdu) == 2 + request.byte_count
    if fits and pdu[1] == request.byte_count:
        return Answer(payload=pdu[2:])
    return None


def _crc(data: bytes) -> bytes:
    return FramerRTU.compute_CRC(data).to_bytes(2, "big")
