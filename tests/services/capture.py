"""Everything the engine sends, seen at the one place where bytes leave it, and at the devices."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from collectors.modbus.frame import AsciiFramer, Framer, RtuFramer, TcpFramer
from collectors.modbus.wire import Wire
from collectors.simulated import server
from collectors.simulated.memory import Memory

READS = {1, 2, 3, 4}

Functions = Counter[int]  # how often each function code was sent; -1 for what is no request


def function_in(framer: Framer, frame: bytes) -> int:
    """Return the function code of a request, read from the place the standard gives it."""
    try:
        if isinstance(framer, TcpFramer):
            return frame[7] if len(frame) == 12 else -1
        if isinstance(framer, RtuFramer):
            return frame[1] if len(frame) == 8 else -1
        return int(frame[3:5], 16) if isinstance(framer, AsciiFramer) else -1
    except (IndexError, ValueError):
        return -1


@contextmanager
def sent() -> Iterator[Functions]:
    """Count what every connection of this process sends."""
    functions = Functions()
    send = Wire._send

    def count_and_send(self: Wire, frame: bytes) -> None:
        functions[function_in(self._framer, frame)] += 1
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
        functions[request[0] if len(request) == 5 else -1] += 1
        return answer(memory, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "answer", count_and_answer)
        yield functions
