"""Frames: a request as bytes, and the one answer to it, or nothing.

An answer is taken only when unit, function, byte count and (TCP) transaction are those asked for.
pymodbus computes the checksums; its framers accept short, long and foreign answers as good, so
what is an answer is decided here.
"""

import struct
from binascii import Error, unhexlify
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pymodbus.framer import FramerAscii, FramerRTU

from collectors.record_source import QUEUE_REGISTERS
from collectors.register import Table

_FUNCTIONS = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_READ_QUEUE = 24
_WRITE_REGISTER = 6
_MOST_QUEUE_BYTES = 2 + 2 * QUEUE_REGISTERS
_REFUSED = 0x80  # this bit of the function marks a refusal
_ADDRESSES = 65536


@dataclass(frozen=True, slots=True)
class Request:
    """One read. The only write there is, `Acknowledgement`, is a request of its own.

    Checked and worked out when it is made, so make it once and ask it often. Raises ValueError
    for what no frame can carry or no device may answer.
    """

    device_id: int
    table: Table
    address: int
    count: int
    function: int = field(init=False, repr=False, compare=False)  # 1 to 4
    byte_count: int = field(init=False, repr=False, compare=False)  # data bytes of the answer
    pdu: bytes = field(init=False, repr=False, compare=False)  # the request without its frame
    opening: bytes = field(init=False, repr=False, compare=False)  # first bytes of the answer's PDU

    def __post_init__(self) -> None:
        if self.table not in _FUNCTIONS:
            raise ValueError(f"there is no table {self.table!r}")
        most = 2000 if self.table.holds_bits else 125
        _check("device id", self.device_id, 0, 255)
        _check("count", self.count, 1, most)
        _check("address", self.address, 0, _ADDRESSES - self.count)
        function = _FUNCTIONS[self.table]
        size = (self.count + 7) // 8 if self.table.holds_bits else 2 * self.count
        pdu = struct.pack(">BHH", function, self.address, self.count)
        _work_out(self, function, size, pdu, opening=bytes([function, size]))

    def answer_size(self, begun: bytes) -> int | None:
        """Return how long the answer's PDU is that begins so; None if no answer does, or not yet."""
        del begun
        return 2 + self.byte_count

    def read(self, pdu: bytes) -> "Answer | str":
        """Return the answer in a PDU of this function, or in one word why it is none."""
        if pdu[1] != self.byte_count or len(pdu) != 2 + self.byte_count:
            return "length"
        return Answer(pdu[2:])

    def __str__(self) -> str:
        span = f"{self.address}" if self.count == 1 else f"{self.address}-{self.address_end}"
        return f"device {self.device_id}, {self.table} {span}"

    @property
    def address_end(self) -> int:
        """The last address of the read."""
        return self.address + self.count - 1


@dataclass(frozen=True, slots=True)
class QueueRequest(Request):
    """A look into a FIFO queue by function 24, which leaves the queue as it is.

    The answer is as long as the queue: a byte count of two bytes, the number of registers in the
    queue, and the registers. `byte_count` is that of a full one.
    """

    table: Table = field(init=False, default=Table.HOLDING)
    count: int = field(init=False, default=QUEUE_REGISTERS)

    def __post_init__(self) -> None:
        _check("device id", self.device_id, 0, 255)
        _check("address", self.address, 0, _ADDRESSES - 1)
        pdu = struct.pack(">BH", _READ_QUEUE, self.address)
        opening = bytes([_READ_QUEUE, 0])  # no byte count is longer than one byte
        _work_out(self, _READ_QUEUE, 2 * QUEUE_REGISTERS, pdu, opening)

    def answer_size(self, begun: bytes) -> int | None:
        fits = len(begun) > 2 and begun[2] <= _MOST_QUEUE_BYTES
        return 3 + begun[2] if fits else None

    def read(self, pdu: bytes) -> "Answer | str":
        if len(pdu) < 5:
            return "length"
        byte_count, registers = struct.unpack_from(">HH", pdu, 1)
        fits = len(pdu) == 3 + byte_count == 5 + 2 * registers and registers <= QUEUE_REGISTERS
        return Answer(pdu[5:]) if fits else "length"

    def __str__(self) -> str:
        return f"device {self.device_id}, queue {self.address}"


@dataclass(frozen=True, slots=True)
class Acknowledgement(Request):
    """The one write of the engine, by function 6: tells a machine which part is stored.

    A machine that took it sends the request back. A device id of 0 would be all devices of a
    line, so it is none here.
    """

    table: Table = field(init=False, default=Table.HOLDING)
    count: int = field(init=False, default=1)
    value: int

    def __post_init__(self) -> None:
        _check("device id", self.device_id, 1, 255)
        _check("address", self.address, 0, _ADDRESSES - 1)
        _check("value", self.value, 0, 0xFFFF)
        pdu = struct.pack(">BHH", _WRITE_REGISTER, self.address, self.value)
        _work_out(self, _WRITE_REGISTER, 0, pdu, opening=pdu)

    def answer_size(self, begun: bytes) -> int | None:
        del begun
        return len(self.pdu)

    def read(self, pdu: bytes) -> "Answer | str":
        if len(pdu) != len(self.pdu):
            return "length"
        return Answer() if pdu == self.pdu else "value"

    def __str__(self) -> str:
        return f"device {self.device_id}, acknowledgement of {self.value}"


def _work_out(request: Request, function: int, byte_count: int, pdu: bytes, opening: bytes) -> None:
    object.__setattr__(request, "function", function)
    object.__setattr__(request, "byte_count", byte_count)
    object.__setattr__(request, "pdu", pdu)
    object.__setattr__(request, "opening", opening)


def _check(what: str, number: int, least: int, most: int) -> None:
    if not isinstance(number, int) or not least <= number <= most:
        raise ValueError(f"{what} {number!r} is not a whole number from {least} to {most}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the device said: data bytes, or the code of its refusal (0 to 255)."""

    payload: bytes = b""
    exception: int | None = None


class DamagedError(Exception):
    """The stream has lost its frame borders; only a new connection helps."""


Asked = Mapping[int, Request]  # requests without an answer, by the transaction they went out with
Discarded = Counter[str]  # frames thrown away, by what was wrong with them
Found = tuple[int, Answer]  # the transaction that is answered, and how


class Framer(Protocol):
    """Packs requests, and finds their answers in what came in."""

    def pack(self, request: Request, transaction: int) -> bytes:
        """Return the frame of a request."""

    def find(self, buffer: bytearray, asked: Asked, discarded: Discarded) -> Found | None:
        """Return the first answer to one of `asked` that is whole; drop what is spent.

        What is no answer is dropped and counted as "transaction", "device", "function", "length",
        "value", "crc" or "noise". Raises DamagedError when the stream cannot be read on.
        """


class TcpFramer:
    """Modbus TCP: each frame has its length and the number of the request it answers."""

    _HEAD = struct.Struct(">HHHB")
    _LEAST = 9  # the head, a function and one byte more

    def pack(self, request: Request, transaction: int) -> bytes:
        head = self._HEAD.pack(transaction, 0, 1 + len(request.pdu), request.device_id)
        return head + request.pdu

    def find(self, buffer: bytearray, asked: Asked, discarded: Discarded) -> Found | None:
        while len(buffer) >= self._LEAST:
            transaction, protocol, length, device_id = self._HEAD.unpack_from(buffer)
            if protocol != 0 or not 3 <= length <= 254:
                raise DamagedError(f"protocol {protocol}, length {length}")
            size = 6 + length
            if len(buffer) < size:
                return None
            pdu = bytes(buffer[7:size])
            del buffer[:size]
            request = asked.get(transaction)
            if request is None:
                discarded["transaction"] += 1
                continue
            answer = _answer(device_id, pdu, request)
            if isinstance(answer, Answer):
                return transaction, answer
            discarded[answer] += 1
        return None


class RtuFramer:
    """Modbus RTU: no lengths and no numbers, so an answer is known by its shape and its CRC.

    What came is walked frame by frame. A whole frame of anybody is stepped over, and one that
    may still grow whole is waited for, so that nothing inside its data is taken for an answer.
    What is left is chance: header and CRC in the data of a damaged frame, 2**-40 a byte of it.
    """

    def __init__(self) -> None:
        self._devices: set[int] = set()  # asked on this line: only they can answer, even late
        self._echo = b""  # what an adapter that hears what it sends makes of the request

    def pack(self, request: Request, transaction: int) -> bytes:
        del transaction
        self._devices.add(request.device_id)
        head = bytes([request.device_id]) + request.pdu
        frame = head + _crc(head)
        # Where the answer is the request once more, none can tell the two apart.
        self._echo = frame if request.opening != request.pdu else b""
        return frame

    def find(self, buffer: bytearray, asked: Asked, discarded: Discarded) -> Found | None:
        for transaction, request in asked.items():
            answer, spent = self._walk(bytes(buffer), request, discarded)
            del buffer[:spent]
            return None if answer is None else (transaction, answer)
        return None

    def _walk(
        self, data: bytes, request: Request, discarded: Discarded
    ) -> tuple[Answer | None, int]:
        """Return the answer, if there is one, and how many bytes are spent."""
        head = bytes([request.device_id]) + request.opening
        start = 0
        is_noisy = False
        while start + _RTU_LEAST <= len(data):
            ahead = data[start : start + len(self._echo)]
            if ahead and self._echo.startswith(ahead):
                if len(ahead) < len(self._echo):
                    break
                start += len(ahead)
                continue
            is_ours = data.startswith(head, start)
            pdu = data[start + 1 : start + 5]
            # The first eight bytes of an answer may happen to have the CRC of a request.
            whole = request.answer_size(pdu) if is_ours else None
            sizes = _rtu_sizes(pdu) if whole is None else (1 + whole + 2,)
            size = next((each for each in sizes if _is_sound(data[start : start + each], each)), 0)
            if size:
                answer = _answer(data[start], data[start + 1 : start + size - 2], request)
                start += size
                if isinstance(answer, Answer):
                    return answer, start
                discarded[answer] += 1
            elif data[start] in self._devices and start + max(sizes, default=0) > len(data):
                break
            else:
                if is_ours:
                    discarded["crc"] += 1
                is_noisy = True
                start += 1
        if is_noisy:
            discarded["noise"] += 1
        return None, start


_RTU_LEAST = 5  # device, function, code, CRC


def _rtu_sizes(pdu: bytes) -> tuple[int, ...]:
    """Return how long a frame may be whose PDU begins so, by the layouts of the standard."""
    function, second, third = pdu[:3]
    if function in {1, 2, 3, 4}:
        return 5 + second, 8  # an answer, or a request
    if function in {5, 6, 15, 16}:
        return (8,)
    if function == _READ_QUEUE:
        return (6,) if second or third > _MOST_QUEUE_BYTES else (6 + third, 6)
    return (5,) if function - _REFUSED in {1, 2, 3, 4, _WRITE_REGISTER, _READ_QUEUE} else ()


def _is_sound(frame: bytes, size: int) -> bool:
    return len(frame) == size and _crc(frame[:-2]) == frame[-2:]


class AsciiFramer:
    """Modbus ASCII: `:`, two hex digits a byte, an LRC and CR LF.

    An LRC misses one damaged frame in 256 and more: parity is what makes such a line safe.
    """

    def pack(self, request: Request, transaction: int) -> bytes:
        del transaction
        body = bytes([request.device_id]) + request.pdu
        return b":%s\r\n" % (body + _lrc(body)).hex().upper().encode()

    def find(self, buffer: bytearray, asked: Asked, discarded: Discarded) -> Found | None:
        for transaction, request in asked.items():
            while (end := buffer.find(b"\r\n")) >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 2]
                answer = _answer_in_line(line, request)
                if isinstance(answer, Answer):
                    return transaction, answer
                discarded[answer] += 1
        begin = buffer.rfind(b":")  # what stands before it can be no frame any more
        if begin < 0 or len(buffer) - begin > _ASCII_MOST:
            buffer.clear()
        else:
            del buffer[:begin]
        return None


_ASCII_LEAST = 4  # device, function, code, LRC
_ASCII_MOST = 513  # characters


def _answer_in_line(line: bytes, request: Request) -> Answer | str:
    """Return what a line says, from its last `:` on: that always begins a frame."""
    _, colon, digits = line.rpartition(b":")
    try:
        frame = unhexlify(digits)
    except Error:
        frame = b""
    if not colon or len(frame) < _ASCII_LEAST:
        return "noise"
    if not _has_lrc(frame):
        return "crc"
    return _answer(frame[0], frame[1:-1], request)


def _answer(device_id: int, pdu: bytes, request: Request) -> Answer | str:
    """Return what a PDU answers to `request`, or why it answers something else."""
    if device_id != request.device_id:
        return "device"
    if pdu[0] == request.function | _REFUSED:
        return Answer(exception=pdu[1]) if len(pdu) == 2 else "length"
    return request.read(pdu) if pdu[0] == request.function else "function"


def _crc(data: bytes) -> bytes:
    return FramerRTU.compute_CRC(data).to_bytes(2, "big")


def _has_lrc(frame: bytes) -> bool:
    return _lrc(frame[:-1]) == frame[-1:]


def _lrc(data: bytes) -> bytes:
    return FramerAscii.compute_LRC(data).to_bytes(1, "big")
