"""Late answers on lines without transaction numbers: never taken for the answer to a later request."""

import asyncio

import pytest

from collectors.errors import LiniError, NoAnswerError, RefusedError
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.debts import Debts
from collectors.modbus.transport.frame import Acknowledgement, QueueRequest, Request
from collectors.modbus.transport.link import RtuOverTcpLink
from tests.services.capture import allowing
from tests.services.rogue import (
    Later,
    ask_on,
    good,
    holding,
    line,
    own_addresses,
    read_on,
    rogue,
    rogue_line,
    rtu_frame,
    rtu_request,
    words,
)


class LateDevice:
    """Answers in order, but `lag` requests late, and then all at once; `times` in a row.

    Each register holds its own address, unless the first answer is `first`.
    """

    def __init__(self, lag: int, times: int = 1, first: bytes = b"") -> None:
        self._lag = lag
        self._times = times
        self._first = first
        self._owed: list[bytes] = []

    def answer(self, request: Request, later: Later) -> None:
        pdu, self._first = self._first or own_addresses(request), b""
        self._owed.append(rtu_frame(1, pdu))
        if not self._times:
            later(0.0, self._owed.pop())
        elif len(self._owed) > self._lag:
            self._times -= 1
            later(0.0, b"".join(self._owed))
            self._owed.clear()


async def values_after_a_time_out(device: LateDevice) -> list[int]:
    """Give up on register 100, then read others; return their values."""
    async with rogue_line(device.answer) as port, line(port) as bus:
        with pytest.raises(NoAnswerError):
            await bus.read(holding(100, 1), 0.1)
        return await read_on(bus, 1, 2, 3, 4)


@pytest.mark.parametrize("lag", [1, 2, 3, 5])
async def test_a_late_answer_is_never_taken_for_a_later_one(lag: int) -> None:
    """RTU has no transaction number, and the answer may be later than any fixed wait."""
    assert await values_after_a_time_out(LateDevice(lag)) == [1, 2, 3, 4]


async def test_answers_that_are_late_again_and_again_are_not_mixed_up() -> None:
    assert await values_after_a_time_out(LateDevice(1, times=4)) == [1, 2, 3, 4]


@pytest.mark.parametrize("lag", [1, 3])
async def test_control_without_the_probe_a_later_read_has_the_wrong_value(
    lag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Debts, "probe", lambda *_, **__: None)
    assert await values_after_a_time_out(LateDevice(lag)) == [100, 2, 3, 4]


async def queue_after_a_time_out(lag: int) -> list[int]:
    """Give up on one queue, then look into another; return what it holds."""
    async with rogue_line(LateDevice(lag).answer) as port, line(port) as bus:
        with pytest.raises(NoAnswerError):
            await bus.read(QueueRequest(1, 100), 0.1)
        return words(await ask_on(bus, QueueRequest(1, 200)))


async def test_a_late_look_into_a_queue_is_not_taken_for_a_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All such answers have one shape, however long; the control sends no probe."""
    assert await queue_after_a_time_out(1) == [200]
    monkeypatch.setattr(Debts, "probe", lambda *_, **__: None)
    assert await queue_after_a_time_out(1) == [100]


async def test_what_is_asked_after_a_late_acknowledgement_has_its_own_answer() -> None:
    with allowing(41):
        async with rogue_line(LateDevice(1).answer) as port, line(port) as bus:
            with pytest.raises(NoAnswerError):
                await bus.read(Acknowledgement(1, 41, 7), 0.1)
            assert await ask_on(bus, Acknowledgement(1, 41, 7)) == b""
            assert await read_on(bus, 1, 2, 3) == [1, 2, 3]


async def first_refusal() -> LiniError:
    """Give up on a register whose refusal comes late, then read others; return what is told."""
    device = LateDevice(1, first=b"\x83\x02")
    async with rogue_line(device.answer) as port, line(port) as bus:
        with pytest.raises(NoAnswerError):
            await bus.read(holding(100, 1), 0.1)
        try:
            await bus.read(holding(0, 20), 0.5)  # another shape: asked without a probe
        except LiniError as error:
            assert await read_on(bus, 1, 2) == [1, 2]
            return error
    raise AssertionError("the refusal did not come")


async def test_a_late_refusal_is_not_told_of_another_register() -> None:
    """Else the planner would learn a hole that is not there."""
    error = await first_refusal()
    assert isinstance(error, NoAnswerError)
    assert "may belong to an earlier request" in error.hint


async def test_control_without_the_doubt_a_good_register_is_told_as_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Debts, "makes_refusals_doubtful", lambda *_, **__: False)
    assert isinstance(await first_refusal(), RefusedError)


async def test_a_device_that_refuses_every_probe_is_read_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes reads of two registers only, and its first answer is lost."""
    asked: list[int] = []

    def script(request: Request, later: Later) -> None:
        asked.append(request.count)
        if len(asked) > 1:
            pdu = own_addresses(request) if request.count == 2 else b"\x83\x03"
            later(0.0, rtu_frame(1, pdu))

    monkeypatch.setattr("collectors.modbus.transport.debts._LEAST_PATIENCE_S", 0.5)
    async with rogue_line(script) as port, line(port) as bus, asyncio.timeout(10):
        values: list[int] = []
        while not values:
            try:
                values = words(await bus.read(holding(6, 2), 0.05))
            except NoAnswerError:
                await asyncio.sleep(0.02)  # as the back-off of a runner
    assert values == [6, 7]
    assert sorted(set(asked[1:-1])) == [1, 3, 4, 5, 6, 7, 8, 9]


async def test_a_cancelled_read_on_a_line_leaves_no_trace() -> None:
    async with rogue_line(LateDevice(1).answer) as port, line(port) as bus:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await bus.read(holding(100, 1), 5)
        assert await read_on(bus, 1, 2) == [1, 2]


async def values_across_a_reconnect() -> list[int]:
    """Read through a serial server that gives a lost connection's answer to the next one."""
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        owed = rtu_request(await reader.readexactly(8))
        if connections == 1:
            return
        frames = [rtu_frame(1, good(1, 666)), rtu_frame(1, own_addresses(owed))]
        while True:
            writer.write(b"".join(frames))
            owed = rtu_request(await reader.readexactly(8))
            frames = [rtu_frame(1, own_addresses(owed))]

    async with rogue(script) as port:
        link = RtuOverTcpLink(host="127.0.0.1", port=port, baud=115200)
        async with Bus("server", link) as bus:
            with pytest.raises(LiniError, match="broke"):
                await bus.read(holding(100, 1), 5)
            return words(await bus.read(holding(7, 1), 5))


async def test_a_late_answer_in_the_next_connection_is_not_taken() -> None:
    assert await values_across_a_reconnect() == [7]


async def test_control_without_the_probe_the_next_connection_gives_the_wrong_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Debts, "probe", lambda *_, **__: None)
    assert await values_across_a_reconnect() == [666]
