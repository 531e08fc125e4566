"""Function 24 and function 6: the two requests that only records need."""

import pytest
from pymodbus.framer import FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from collectors.modbus.frame import (
    Acknowledgement,
    Framer,
    QueueRequest,
    Request,
    RtuFramer,
    TcpFramer,
)
from collectors.record_source import Shape
from collectors.simulated.memory import Memory
from collectors.simulated.server import Responder, answer
from tests.unit.collectors.record_machine import Clock, Machine, Variant

FRAMERS: list[tuple[Framer, FramerBase]] = [
    (TcpFramer(), FramerSocket(DecodePDU(is_server=True))),
    (RtuFramer(), FramerRTU(DecodePDU(is_server=True))),
]
both = pytest.mark.parametrize(("ours", "theirs"), FRAMERS, ids=["tcp", "rtu"])


def queue_of(parts: int) -> Memory:
    machine = Machine(Variant(shape=Shape.FIFO, wrap=600, waits=True, wrap_to=1), Clock())
    machine.make(parts)
    return machine.memory


def said(memory: Memory, request: Request, ours: Framer, theirs: FramerBase) -> bytes:
    """Return the frame that pymodbus packs as the answer to our frame."""
    return Responder(theirs, {1: memory}, is_gateway=True).feed(ours.pack(request, 7))


@both
@pytest.mark.parametrize("parts", [0, 1, 5])
def test_a_queue_of_any_length_comes_whole(ours: Framer, theirs: FramerBase, parts: int) -> None:
    """The answer says itself how long it is; up to then, byte by byte, it is no answer."""
    memory, request = queue_of(parts), QueueRequest(1, 100)
    frame = said(memory, request, ours, theirs)
    for end in range(len(frame)):
        assert ours.find(bytearray(frame[:end]), request, 7) is None
    found = ours.find(bytearray(frame), request, 7)
    assert found is not None
    assert found.payload == bytes(memory.queue)
    assert len(found.payload) == 12 * parts


@both
def test_an_acknowledgement_comes_back_as_it_was_sent(ours: Framer, theirs: FramerBase) -> None:
    """And the machine has it; another register is refused."""
    memory = queue_of(0)
    request = Acknowledgement(1, 6, 513)
    found = ours.find(bytearray(said(memory, request, ours, theirs)), request, 7)
    assert found is not None
    assert (found.exception, memory.acknowledged()) == (0, 513)
    request = Acknowledgement(1, 0, 1)
    found = ours.find(bytearray(said(memory, request, ours, theirs)), request, 7)
    assert found is not None
    assert found.exception == 2


@pytest.mark.parametrize(
    "pdu",
    [
        b"\x18\x00\x04\x00\x02\x00\x01",  # two registers told, one there
        b"\x18\x00\x06\x00\x01\x00\x01\x00\x02",  # the other way round
        b"\x18\x00\x42\x00\x20" + bytes(64),  # more than a queue can hold
        b"\x18\x00\x04",
        b"\x03\x02\x00\x01",
    ],
)
def test_a_queue_that_contradicts_itself_is_no_answer(pdu: bytes) -> None:
    """Both counts and the length must agree."""
    assert QueueRequest(1, 100).payload(pdu) is None


@pytest.mark.parametrize("pdu", [b"\x06\x00\x06\x02\x02", b"\x06\x00\x07\x02\x01", b"\x06"])
def test_another_echo_is_no_answer(pdu: bytes) -> None:
    """A machine that took something else was not told."""
    request = Acknowledgement(1, 6, 513)
    assert request.payload(pdu) is None
    assert request.payload(answer(queue_of(0), request.pdu)) == b""
