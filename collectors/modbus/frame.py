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

from collectors.record_source import QUEUE_REGISTERS
from collectors.register import Table

_FUNCTIONS = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_READ_QUEUE = 24
_WRITE_REGISTER = 6
_EXCEPTION = 0x80


@dataclass(frozen=True, slots=True)
class Request:
    """One read. The only write there is, `Acknowledgement`, names no register but its own."""

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

    @property
    def opening(self) -> bytes:
        """The first bytes of the answer that are known before it comes."""
        return bytes([self.function, self.byte_count])

    def answer_size(self, begun: bytes) -> int | None:
        """Return how long the answer is that begins so; None while that cannot be told."""
        del begun
        return 2 + self.byte_count

    def payload(self, pdu: bytes) -> bytes | None:
        """Return the data bytes of a whole answer; None when it answers something else."""
        fits = pdu.startswith(self.opening) and len(pdu) == self.answer_size(pdu)
        return pdu[2:] if fits else None

    def __str__(self) -> str:
        span = f"{self.address}" if self.count == 1 else f"{self.address}-{self.address_end}"
        return f"device {self.device_id}, {self.table} {span}"

    @property
    def address_end(self) -> int:
        """The last address of the read."""
        return self.address + self.count - 1


class QueueRequest(Request):
    """A look into a FIFO queue by function 24, which leaves the queue as it is.

    The answer is as long as the queue: a byte count of two bytes, the number of registers in the
    queue (at most 31), and the registers.
    """

    __slots__ = ()

    def __init__(self, device_id: int, address: int) -> None:
        super().__init__(device_id, Table.HOLDING, address, 1)

    @property
    def function(self) -> int:
        return _READ_QUEUE

    @property
    def pdu(self) -> bytes:
        return struct.pack(">BH", self.function, self.address)

    @property
    def opening(self) -> bytes:
        return bytes([self.function, 0])  # the longest answer has 64 bytes

    def answer_size(self, begun: bytes) -> int | None:
        return 3 + begun[2] if len(begun) > 2 else None

    def payload(self, pdu: bytes) -> bytes | None:
        if len(pdu) < 5 or pdu[0] != self.function:
            return None
        byte_count, registers = struct.unpack_from(">HH", pdu, 1)
        fits = len(pdu) == 3 + byte_count == 5 + 2 * registers and registers <= QUEUE_REGISTERS
        return pdu[5:] if fits else None


class Acknowledgement(Request):
    """The one write of the engine, by function 6: tells a machine which part is stored.

    A machine that took it sends the request back.
    """

    __slots__ = ("_value",)
    _value: int

    def __init__(self, device_id: int, address: int, value: int) -> None:
        super().__init__(device_id, Table.HOLDING, address, 1)
        object.__setattr__(self, "_value", value)

    @property
    def function(self) -> int:
        return _WRITE_REGISTER

    @property
    def pdu(self) -> bytes:
        return struct.pack(">BHH", self.function, self.address, self._value)

    @property
    def opening(self) -> bytes:
        return self.pdu

    def answer_size(self, begun: bytes) -> int | None:
        del begun
        return len(self.pdu)

    def payload(self, pdu: bytes) -> bytes | None:
        return b"" if pdu == self.pdu else None


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
        device = bytes([request.device_id])
        for opening in (request.opening, bytes([request.function | _EXCEPTION])):
            start = buffer.find(device + opening)
            while start >= 0:
                begun = bytes(buffer[start + 1 :])
                size = 2 if opening[0] & _EXCEPTION else request.answer_size(begun)
                frame = bytes(buffer[start : start + 1 + (size or 0) + 2])
                is_complete = size is not None and len(frame) == 1 + size + 2
                if is_complete and _crc(frame[:-2]) == frame[-2:]:
                    del buffer[: start + len(frame)]
                    return _answer(frame[1:-2], request)
                start = buffer.find(device + opening, start + 1)
        return None


def _answer(pdu: bytes, request: Request) -> Answer | None:
    """Return what a PDU answers to `request`, or None when it answers something else."""
    if pdu[0] == request.function | _EXCEPTION and len(pdu) == 2:
        return Answer(exception=pdu[1])
    payload = request.payload(pdu)
    return None if payload is None else Answer(payload=payload)


def _crc(data: bytes) -> bytes:
    return FramerRTU.compute_CRC(data).to_bytes(2, "big")
