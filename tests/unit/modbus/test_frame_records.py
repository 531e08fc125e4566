"""Function 24 and function 6: the two requests that only records need."""

from collections import Counter

import pytest
from pymodbus.framer import FramerAscii, FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from collectors.modbus.transport.frame import (
    Acknowledgement,
    Answer,
    AsciiFramer,
    Framer,
    QueueRequest,
    Request,
    RtuFramer,
    TcpFramer,
)
from collectors.record_source import Shape
from collectors.simulated.memory import Memory
from collectors.simulated.server import Responder, answer
from tests.fuzz import oracle
from tests.unit.collectors.record_machine import Clock, Machine, Variant

FRAMERS: list[tuple[Framer, FramerBase]] = [
    (TcpFramer(), FramerSocket(DecodePDU(is_server=True))),
    (RtuFramer(), FramerRTU(DecodePDU(is_server=True))),
    (AsciiFramer(), FramerAscii(DecodePDU(is_server=True))),
]
each_framer = pytest.mark.parametrize(("ours", "theirs"), FRAMERS, ids=["tcp", "rtu", "ascii"])


def queue_of(parts: int) -> Memory:
    machine = Machine(Variant(shape=Shape.FIFO, wrap=600, waits=True, wrap_to=1), Clock())
    machine.make(parts)
    return machine.memory


def said(memory: Memory, request: Request, ours: Framer, theirs: FramerBase) -> bytes:
    """Return the frame that pymodbus packs as the answer to our frame."""
    return Responder(theirs, {1: memory}, is_gateway=True).feed(ours.pack(request, 7))


def found(framer: Framer, data: bytes, request: Request) -> Answer | None:
    here = framer.find(bytearray(data), {7: request}, Counter())
    return None if here is None else here[1]


@each_framer
@pytest.mark.parametrize("parts", [0, 1, 5])
def test_a_queue_of_any_length_comes_whole(ours: Framer, theirs: FramerBase, parts: int) -> None:
    """The answer says itself how long it is; up to then, byte by byte, it is no answer."""
    memory, request = queue_of(parts), QueueRequest(1, 100)
    frame = said(memory, request, ours, theirs)
    for end in range(len(frame)):
        assert found(ours, frame[:end], request) is None
    assert found(ours, frame, request) == Answer(bytes(memory.queue))
    assert len(memory.queue) == 12 * parts


@each_framer
def test_an_acknowledgement_comes_back_as_it_was_sent(ours: Framer, theirs: FramerBase) -> None:
    """And the machine has it; another register is refused."""
    memory = queue_of(0)
    request = Acknowledgement(1, 6, 513)
    assert found(ours, said(memory, request, ours, theirs), request) == Answer()
    assert memory.acknowledged() == 513
    request = Acknowledgement(1, 0, 1)
    assert found(ours, said(memory, request, ours, theirs), request) == Answer(exception=2)


@pytest.mark.parametrize(
    "pdu",
    [
        b"\x18\x00\x04\x00\x02\x00\x01",  # two registers told, one there
        b"\x18\x00\x06\x00\x01\x00\x01\x00\x02",  # the other way round
        b"\x18\x00\x42\x00\x20" + bytes(64),  # more than a queue can hold
        b"\x18\x00\x04",
    ],
)
def test_a_queue_that_contradicts_itself_is_no_answer(pdu: bytes) -> None:
    """Both counts and the length must agree."""
    assert QueueRequest(1, 100).read(pdu) == "length"


@pytest.mark.parametrize(
    ("pdu", "why"),
    [
        (b"\x06\x00\x06\x02\x02", "value"),
        (b"\x06\x00\x07\x02\x01", "value"),
        (b"\x06\x02", "length"),
    ],
)
def test_another_echo_is_no_answer(pdu: bytes, why: str) -> None:
    """A machine that took something else was not told."""
    request = Acknowledgement(1, 6, 513)
    assert request.read(pdu) == why
    assert request.read(answer(queue_of(0), request.pdu)) == Answer()


def test_a_queue_longer_than_any_does_not_hold_up_the_answer_behind_it() -> None:
    """Noise that claims 255 bytes is not waited for."""
    framer, request = RtuFramer(), QueueRequest(1, 100)
    framer.pack(request, 7)
    body = bytes.fromhex("01 18 0004 0001 1234")
    whole = body + oracle.crc(body).to_bytes(2, "little")
    assert found(framer, bytes.fromhex("01 18 00 FF 00") + whole, request) == Answer(b"\x12\x34")


def test_the_echo_of_a_look_into_a_queue_is_no_answer() -> None:
    framer, request = RtuFramer(), QueueRequest(1, 4)
    echo = framer.pack(request, 7)
    whole = echo + bytes.fromhex("01 18 0004 0001 1234")
    whole += oracle.crc(whole[len(echo) :]).to_bytes(2, "little")
    assert all(found(framer, whole[:end], request) is None for end in range(len(whole)))
    assert found(framer, whole, request) == Answer(b"\x12\x34")


@pytest.mark.parametrize(("address", "value"), [(-1, 0), (65536, 0), (0, -1), (0, 65536)])
def test_what_no_machine_can_be_told_is_refused(address: int, value: int) -> None:
    with pytest.raises(ValueError, match="is not a whole number from"):
        Acknowledgement(1, address, value)


def test_not_all_devices_of_a_line_can_be_told_at_once() -> None:
    """Device id 0 is everybody's."""
    with pytest.raises(ValueError, match="device id 0"):
        Acknowledgement(0, 41, 1)
    assert QueueRequest(0, 41).pdu == b"\x18\x00\x29"
