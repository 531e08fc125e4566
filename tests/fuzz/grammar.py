"""Streams of answers, damaged by a grammar: field by field, then frame by frame, then in chunks.

Everything is drawn from one `random.Random`, so a stream can be made again from its seed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from collectors.modbus.transport.frame import Acknowledgement, QueueRequest, Request
from collectors.register import Table
from tests.fuzz import oracle
from tests.fuzz.oracle import Outcome

KINDS = ("tcp", "rtu", "ascii")
DEVICES = (1, 2, 4, 17, 247)  # all of them are asked on the line, so each may answer late

# What a reader must see through: after these alone, the true answer is still found.
_HARMLESS = {"double", "foreign", "nest", "echo"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The fields of one answer. `length` and `check` are worked out unless they are given."""

    transaction: int
    device_id: int
    function: int
    third: int  # byte count, or the code of a refusal, or the high byte of an address
    data: bytes
    protocol: int = 0
    length: int | None = None
    check: bytes | None = None

    @property
    def body(self) -> bytes:
        """Device id and PDU."""
        return bytes([self.device_id, self.function, self.third]) + self.data

    def packed(self, kind: str) -> bytes:
        """Return the bytes on a line of this kind."""
        if kind == "tcp":
            length = len(self.body) if self.length is None else self.length
            head = (self.transaction, self.protocol, length)
            return b"".join(each.to_bytes(2, "big") for each in head) + self.body
        whole = self.body + (self.check or self._checksum(kind))
        return whole if kind == "rtu" else b":" + whole.hex().upper().encode() + b"\r\n"

    def sealed(self, kind: str) -> "Answer":
        """Return it with length and checksum fixed, so that they are stale after a change."""
        if kind == "tcp":
            return replace(self, length=len(self.body))
        return replace(self, check=self._checksum(kind))

    def _checksum(self, kind: str) -> bytes:
        if kind == "rtu":
            return oracle.crc(self.body).to_bytes(2, "little")
        return bytes([-sum(self.body) % 256])


@dataclass(slots=True)
class Stream:
    """What comes in after `asked` went out, and what it should be taken for."""

    kind: str
    asked: dict[int, Request]
    truth: dict[int, Outcome]
    chunks: list[bytes]
    story: list[str] = field(default_factory=list)  # what was done to it

    @property
    def is_harmless(self) -> bool:
        """Whether every true answer must be found."""
        return {*self.story} <= _HARMLESS

    @property
    def is_flipped(self) -> bool:
        """Whether a frame has one to three wrong bits, which no CRC-16 misses."""
        return self.story == ["flip"]


def draw(rng: random.Random, kind: str) -> Stream:
    """Return the next stream."""
    asked = dict(_request(rng) for _ in range(rng.choice((1, 1, 2, 4)) if kind == "tcp" else 1))
    spoken = [_answer(rng, number, request) for number, request in asked.items()]
    answers = [answer for answer, _ in spoken]
    truth = {answer.transaction: meant for answer, meant in spoken}
    stream = Stream(kind, asked, truth, [])
    if rng.random() < 0.5:
        stream.story.append("field")
        for _ in range(rng.choice((1, 1, 2, 3))):
            place = rng.randrange(len(answers))
            answers[place] = _wrong_field(rng, answers[place], kind)
    pieces = [each.packed(kind) for each in answers]
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        damage = rng.choice(_DAMAGES)
        damage(rng, pieces, stream)
        stream.story.append(damage.__name__.strip("_"))
    if kind == "ascii" and rng.random() < 0.5:
        pieces = [each.lower() for each in pieces]
    stream.chunks = _chunks(rng, b"".join(pieces))
    return stream


def _request(rng: random.Random) -> tuple[int, Request]:
    number, device_id = rng.randint(1, 65535), rng.choice(DEVICES)
    kind = rng.random()
    if kind < 0.15:
        return number, QueueRequest(device_id, rng.randrange(65536))
    if kind < 0.3:
        return number, Acknowledgement(device_id, rng.randrange(65536), rng.randrange(65536))
    table = rng.choice(list(Table))
    most = 2000 if table.holds_bits else 125
    count = rng.choice((1, 1, 2, 3, 5, 8, rng.randint(1, most) if rng.random() < 0.1 else 4))
    address = rng.randrange(65536 - count)
    return number, Request(device_id, table, address, count)


def _answer(rng: random.Random, transaction: int, request: Request) -> tuple[Answer, Outcome]:
    """Return an answer, and what it says."""
    if rng.random() < 0.1:
        code = rng.randrange(256)
        function = oracle.code(request) | 0x80
        return Answer(transaction, request.device_id, function, code, b""), code
    return _good_answer(rng, transaction, request)


def _good_answer(
    rng: random.Random, transaction: int, request: Request, most: int = 250
) -> tuple[Answer, Outcome]:
    meant = b""
    if isinstance(request, Acknowledgement):
        pdu = oracle.asking(request)
    elif isinstance(request, QueueRequest):
        registers = rng.choice((0, 1, 2, 5, 31))
        meant = rng.randbytes(2 * registers)
        pdu = bytes([24, 0, 2 + 2 * registers, 0, registers]) + meant
    else:
        meant = rng.randbytes(min(oracle.data_bytes(request), most))
        pdu = bytes([oracle.code(request), len(meant)]) + meant
    return Answer(transaction, request.device_id, pdu[0], pdu[1], pdu[2:]), meant


def _wrong_field(rng: random.Random, answer: Answer, kind: str) -> Answer:
    if rng.random() < 0.5:
        answer = answer.sealed(kind)
    numbers = {
        "transaction": (0, 1, answer.transaction - 1, rng.randrange(65536)),
        "protocol": (1, 256, rng.randrange(65536)),
        "length": (0, 1, 65535, len(answer.body) + rng.choice((-2, -1, 1, 2, 7))),
        "device_id": (0, 255, *DEVICES, rng.randrange(256)),
        "function": (1, 2, 3, 4, 5, 6, 15, 16, 24, 43, answer.function ^ 0x80, rng.randrange(256)),
        "third": (0, 255, answer.third - 1, answer.third + 1, rng.randrange(256)),
    }
    name = rng.choice((*numbers, "data", "check"))
    if name in numbers:
        most = 65535 if name in {"transaction", "protocol", "length"} else 255
        change: dict[str, Any] = {name: min(max(0, rng.choice(numbers[name])), most)}
        return replace(answer, **change)
    if name == "check":
        return replace(answer, check=rng.randbytes(2 if kind == "rtu" else 1))
    size = max(0, len(answer.data) + rng.choice((-2, -1, 0, 1, 2)))
    return replace(answer, data=rng.randbytes(size))


def _double(rng: random.Random, pieces: list[bytes], stream: Stream) -> None:
    del stream
    place = rng.randrange(len(pieces))
    pieces.insert(place, pieces[place])


def _truncate(rng: random.Random, pieces: list[bytes], stream: Stream) -> None:
    del stream
    place = rng.randrange(len(pieces))
    cut = rng.randrange(len(pieces[place]) + 1)
    pieces[place] = rng.choice((pieces[place][:cut], pieces[place][cut:]))


def _splice(rng: random.Random, pieces: list[bytes], stream: Stream) -> None:
    del stream
    one, other = rng.choice(pieces), rng.choice(pieces)
    spliced = one[: rng.randrange(len(one) + 1)] + other[rng.randrange(len(other) + 1) :]
    pieces[rng.randrange(len(pieces))] = spliced


def _reorder(rng: random.Random, pieces: list[bytes], stream: Stream) -> None:
    del stream
    rng.shuffle(pieces)


def _noise(rng: random.Random, pieces: list[bytes], stream: Stream) -> None:
    del stream
    noise = rng.choice((b"\0", b"\xff", b"\r\n", b":", rng.randbytes(rng.randint(1, 12))))
    place = rng.randrange(len(pieces))
    cut = rng.choice((0, len(pieces[place]), rng.randrange(len(pieces[place]) + 1)))
    pieces[place] = pieces[place][:cut] + noise + pieces[place][cut:]


def _flip(rng: random.Random, pieces: list[bytes], stream: Stream) -> None:
    del stream
    place = rng.randrange(len(pieces))
    bits = 8 * len(pieces[place])
    number = int.from_bytes(pieces[place], "big")
    for bit in rng.sample(range(bits), min(bits, rng.randint(1, 3))):
        number ^= 1 << bit
    pieces[place] = number.to_bytes(bits // 8, "big")


def _foreign(rng: random.Random, pieces: list[bytes], stream: Stream) -> None:
    _insert(rng, pieces, _other_answer(rng, stream, b"").packed(stream.kind))


def _nest(rng: random.Random, pieces: list[bytes], stream: Stream) -> None:
    """Put the looked-for answer, with wrong data, into the data of another one."""
    inner, _ = _good_answer(rng, *rng.choice(list(stream.asked.items())), most=200)
    around = [rng.randbytes(rng.randrange(4)) for _ in range(2)]
    data = around[0] + inner.packed(stream.kind) + around[1]
    _insert(rng, pieces, _other_answer(rng, stream, data[:250]).packed(stream.kind))


def _other_answer(rng: random.Random, stream: Stream, data: bytes) -> Answer:
    """Return a whole answer to something else: by its number on TCP, else by its shape."""
    free = next(n for n in iter(lambda: rng.randrange(65536), -1) if n not in stream.asked)
    data = data or rng.randbytes(rng.randint(1, 20))
    function = rng.choice((1, 2, 3, 4, 24) if len(data) <= 64 else (1, 2, 3, 4))
    third = len(data)
    if function == 24:
        third, data = 0, bytes([len(data)]) + data
    others = [Answer(free, each, function, third, data) for each in DEVICES]
    return rng.choice([each for each in others if not _answers(each, stream)])


def _answers(answer: Answer, stream: Stream) -> bool:
    said = (oracle.outcome(r, answer.device_id, answer.body[1:]) for r in stream.asked.values())
    return any(each is not None for each in said)


def _echo(rng: random.Random, pieces: list[bytes], stream: Stream) -> None:
    number, request = rng.choice(list(stream.asked.items()))
    number = number if stream.kind != "tcp" else (number + 1) % 65536
    pdu = oracle.asking(request)
    sent = Answer(number, request.device_id, pdu[0], pdu[1], pdu[2:])
    if stream.kind == "tcp":
        is_told = number not in stream.asked
    else:
        is_told = not isinstance(request, Acknowledgement)  # its echo is its answer
    if is_told:
        pieces.insert(0, sent.packed(stream.kind))


def _insert(rng: random.Random, pieces: list[bytes], piece: bytes) -> None:
    pieces.insert(rng.randrange(len(pieces) + 1), piece)


_Damage = Callable[[random.Random, list[bytes], Stream], None]
_DAMAGES: tuple[_Damage, ...] = (
    _double,
    _truncate,
    _splice,
    _reorder,
    _noise,
    _flip,
    _foreign,
    _nest,
    _echo,
)
DAMAGES = tuple(each.__name__.strip("_") for each in _DAMAGES)


def _chunks(rng: random.Random, data: bytes) -> list[bytes]:
    """Cut at random borders, for nothing says that a frame comes in one piece."""
    borders = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 2, 5))))
    return [data[a:b] for a, b in zip([0, *borders], [*borders, len(data)], strict=True)]
