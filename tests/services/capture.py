"""Everything the engine sends, seen at the one place where bytes leave it, and at the devices."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from collectors.modbus.transport.frame import AsciiFramer, Framer, RtuFramer, TcpFramer
from collectors.modbus.transport.wire import Wire
from collectors.simulated import server
from collectors.simulated.memory import Memory

READS = {1, 2, 3, 4, 24}
TOLD = 0  # stands for function 6 where a test has allowed it
HARMLESS = READS | {TOLD}

_WRITE = 6
_SIZES = {24: 3}  # of the PDU of a request; of all others 5

Functions = Counter[int]  # how often each function code was sent; -1 for what is no request

_allowed: Counter[int] = Counter()  # the acknowledge registers of the sites of this moment


@contextmanager
def allowing(address: int) -> Iterator[None]:
    """Let sites acknowledge into this register, and no other, while the context lasts."""
    _allowed[address] += 1
    try:
        yield
    finally:
        _allowed[address] -= 1


def function_of(pdu: bytes) -> int:
    """Return the function code of a request; TOLD for a write that is allowed now."""
    if not pdu or len(pdu) != _SIZES.get(pdu[0], 5):
        return -1
    is_allowed = pdu[0] == _WRITE and _allowed[int.from_bytes(pdu[1:3], "big")] > 0
    return TOLD if is_allowed else pdu[0]


def pdu_in(framer: Framer, frame: bytes) -> bytes:
    """Return the PDU in the frame of a request, read from the place the standard gives it."""
    if isinstance(framer, TcpFramer):
        return frame[7:] if len(frame) == 6 + int.from_bytes(frame[4:6], "big") else b""
    if isinstance(framer, RtuFramer):
        return frame[1:-2]
    try:
        return bytes.fromhex(frame[1:-2].decode())[1:-1] if isinstance(framer, AsciiFramer) else b""
    except ValueError:
        return b""


@contextmanager
def sent() -> Iterator[Functions]:
    """Count what every connection of this process sends."""
    functions = Functions()
    send = Wire._send

    def count_and_send(self: Wire, frame: bytes) -> None:
        functions[function_of(pdu_in(self._framer, frame))] += 1
        send(self, frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "_send", count_and_send)
        yield functions


@contextmanager
def received() -> Iterator[Functions]:
    """Count what the simulated devices of this process are asked, by whatever process."""
    functions = Functions()
    answer = server.answer

    def count_and_answer(memory: Memory, request: bytes) -> bytes:
        functions[function_of(request)] += 1
        return answer(memory, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "answer", count_and_answer)
        yield functions
