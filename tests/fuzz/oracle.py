"""What may be taken for an answer, found by other means than the engine's.

The engine walks a growing buffer; here the whole stream lies open. Nothing of the engine is used
but the requests, of which only the kind and the arguments count.
"""

import re
from collections.abc import Collection, Iterator, Mapping

from collectors.modbus.transport.frame import Acknowledgement, QueueRequest, Request
from collectors.register import Table

Outcome = bytes | int  # data bytes, or the code of a refusal

_CODE = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_REQUESTS = (1, 2, 3, 4)
_QUEUE = 24
_REFUSED = tuple(128 + each for each in (*_REQUESTS, 6, _QUEUE))
_OF_8_BYTES = (1, 2, 3, 4, 5, 6, 15, 16)  # requests of reads and writes, and answers to writes
_LINE = re.compile(rb":((?:[0-9A-Fa-f]{2})+)\r\n")

_NIBBLES = tuple(
    ((n & 1) * 0xCC01) ^ ((n >> 1 & 1) * 0xD801) ^ ((n >> 2 & 1) * 0xF001) ^ ((n >> 3) * 0xA001)
    for n in range(16)
)


def crc(data: bytes) -> int:
    """Return the CRC of Modbus, four bits at a time; 0 for data that ends in its own CRC."""
    value = 0xFFFF
    for byte in data:
        value = (value >> 4) ^ _NIBBLES[(value ^ byte) & 15]
        value = (value >> 4) ^ _NIBBLES[(value ^ byte >> 4) & 15]
    return value


def data_bytes(request: Request) -> int:
    """Return how many data bytes the answer to a read has."""
    is_of_bits = request.table in {Table.COIL, Table.DISCRETE}
    return -(-request.count // 8) if is_of_bits else request.count * 2


def code(request: Request) -> int:
    """Return the function code of a request."""
    if isinstance(request, Acknowledgement):
        return 6
    return _QUEUE if isinstance(request, QueueRequest) else _CODE[request.table]


def asking(request: Request) -> bytes:
    """Return the PDU of a request."""
    words = [request.address]
    if isinstance(request, Acknowledgement):
        words.append(request.value)
    elif not isinstance(request, QueueRequest):
        words.append(request.count)
    return bytes([code(request)]) + b"".join(each.to_bytes(2, "big") for each in words)


def outcome(request: Request, device_id: int, pdu: bytes) -> Outcome | None:
    """Return what a sound frame says to `request`, or None if it says nothing to it."""
    if device_id != request.device_id:
        return None
    if len(pdu) == 2 and pdu[0] - code(request) == 128:
        return pdu[1]
    if isinstance(request, Acknowledgement):
        return b"" if pdu == asking(request) else None
    if isinstance(request, QueueRequest):
        held = [n for n in range(32) if pdu[:5] == bytes([_QUEUE, 0, 2 + 2 * n, 0, n])]
        return pdu[5:] if [2 * n for n in held] == [len(pdu) - 5] else None
    size = data_bytes(request)
    return pdu[2:] if pdu[:2] == bytes([code(request), size]) and len(pdu) == 2 + size else None


def of_tcp(stream: bytes, asked: Mapping[int, Request]) -> tuple[dict[int, Outcome], bool]:
    """Return the answers in order, and whether the stream is damaged before all have come."""
    waiting, answers = dict(asked), dict[int, Outcome]()
    while waiting and len(stream) > 8:
        number, protocol, length = (int.from_bytes(stream[n : n + 2], "big") for n in (0, 2, 4))
        if protocol or length not in range(3, 255):
            return answers, True
        frame, stream = stream[: length + 6], stream[length + 6 :]
        if len(frame) < length + 6:
            break
        if number in waiting:
            said = outcome(waiting[number], frame[6], frame[7:])
            if said is not None:
                answers[number] = said
                del waiting[number]
    return answers, False


def of_rtu(stream: bytes, request: Request, devices: Collection[int]) -> list[Outcome]:
    """Return each answer in the stream that is not part of another frame of `devices`."""
    frames = list(_intact(stream))
    return [
        said
        for start, end in frames
        if (said := outcome(request, stream[start], stream[start + 1 : end - 2])) is not None
        and not any(
            stream[outer] in devices and outer < start and end <= outer_end
            for outer, outer_end in frames
        )
    ]


def _intact(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of whatever is a frame by layout and CRC."""
    for start in range(len(stream) - 4):
        function, third, fourth = stream[start + 1 : start + 4]
        sizes = set()
        if function in _REQUESTS:
            sizes.add(third + 5)
        if function in _OF_8_BYTES:
            sizes.add(8)
        if function == _QUEUE:
            sizes.add(6)
            if third == 0 and fourth <= 64:
                sizes.add(6 + fourth)
        if function in _REFUSED:
            sizes.add(5)
        for size in sizes:
            if start + size <= len(stream) and crc(stream[start : start + size]) == 0:
                yield start, start + size


def of_ascii(stream: bytes, request: Request) -> Outcome | None:
    """Return the first answer in the stream."""
    for digits in _LINE.findall(stream):
        frame = bytes.fromhex(digits.decode())
        if len(frame) >= 4 and sum(frame) % 256 == 0:
            said = outcome(request, frame[0], frame[1:-1])
            if said is not None:
                return said
    return None
