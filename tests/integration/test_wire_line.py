"""What may come on a serial line in place of the answer: none of it is taken for a value."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest

from collectors.errors import NoAnswerError
from collectors.modbus.transport.frame import Acknowledgement, Request
from collectors.modbus.transport.line import Line
from collectors.modbus.transport.link import RtuLink
from tests.services.capture import allowing
from tests.services.rogue import (
    Later,
    good,
    holding,
    line,
    own_addresses,
    read_on,
    rogue_line,
    rtu_frame,
    rtu_request,
    words,
)

SLOW = 300  # baud, at which 3.5 characters are 117 ms, far more than a busy machine delays


def doubled(request: Request, later: Later) -> None:
    frame = rtu_frame(1, own_addresses(request))
    later(0.0, frame)
    later(0.02, frame)  # within the silence that must follow an answer


async def test_a_doubled_answer_is_not_the_answer_to_the_next_question() -> None:
    async with rogue_line(doubled) as port, line(port, SLOW) as bus:
        assert await read_on(bus, 1, 2, 3) == [1, 2, 3]
        assert bus.counts.discarded["unasked"] >= 2


async def test_control_without_the_silence_a_doubled_answer_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RtuLink, "silence_s", 0.0)

    def script(request: Request, later: Later) -> None:
        if request.address == 1:
            doubled(request, later)
        else:
            later(0.2, rtu_frame(1, own_addresses(request)))

    async with rogue_line(script) as port, line(port, SLOW) as bus:
        assert words(await bus.read(holding(1, 1), 1)) == [1]
        assert words(await bus.read(holding(2, 1), 1)) == [1]


async def test_the_silence_is_kept_between_an_answer_and_the_next_request() -> None:
    loop = asyncio.get_running_loop()
    asked, answered = [], []

    def script(request: Request, later: Later) -> None:
        asked.append(loop.time())
        answered.append(loop.time())
        later(0.0, rtu_frame(1, own_addresses(request)))

    async with rogue_line(script) as port, line(port, SLOW) as bus:
        await read_on(bus, 1, 2, 3)
    pauses = [later - earlier for earlier, later in zip(answered, asked[1:], strict=False)]
    assert min(pauses) >= 3.5 * 10 / SLOW


EARLY = rtu_frame(1, good(1, 666))


def too_early(request: Request, later: Later) -> None:
    later(0.0, EARLY)  # while the request is still leaving the port: 8 characters are 267 ms
    later(0.5, rtu_frame(1, own_addresses(request)))


async def test_what_comes_before_the_request_is_out_is_not_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RtuLink, "is_paced", True)
    async with rogue_line(too_early) as port, line(port, SLOW) as bus:
        assert words(await bus.read(holding(7, 1), 5)) == [7]
        assert bus.counts.discarded == {"early": 1}


async def test_control_on_a_line_without_a_baud_rate_the_early_bytes_are_taken() -> None:
    async with rogue_line(too_early) as port, line(port, SLOW) as bus:
        assert words(await bus.read(holding(7, 1), 5)) == [666]


NOISE = b"\x00\xff\x01\x03"


@pytest.mark.parametrize("kind", ["before", "after", "both", "another device", "echo"])
async def test_noise_around_the_answer_is_left_out(kind: str) -> None:
    def script(request: Request, later: Later) -> None:
        frame = rtu_frame(1, own_addresses(request))
        forms = {
            "before": NOISE + frame,
            "after": frame + NOISE,
            "both": NOISE + frame + NOISE,
            "another device": rtu_frame(9, good(1, 666)) + frame,
            "echo": rtu_frame(1, request.pdu) + frame,
        }
        later(0.0, forms[kind])

    async with rogue_line(script) as port, line(port) as bus:
        assert await read_on(bus, 1, 2, 3) == [1, 2, 3]


async def test_with_an_echo_nothing_before_it_is_the_answer() -> None:
    """The adapter returns what is sent; behind the echo, and only there, comes the answer."""

    def script(request: Request, later: Later) -> None:
        echo = rtu_frame(1, request.pdu)
        later(0.0, EARLY + echo[:3])
        later(0.05, echo[3:] + rtu_frame(1, own_addresses(request)))

    async with rogue_line(script) as port, line(port, echo=True) as bus:
        assert await read_on(bus, 1, 2, 3) == [1, 2, 3]
    async with rogue_line(script) as port, line(port) as bus:  # control: no echo is expected
        assert words(await bus.read(holding(1, 1), 1)) == [666]


@pytest.mark.parametrize("is_answered", [True, False])
async def test_the_echo_of_an_acknowledgement_is_not_its_answer(
    is_answered: bool,  # noqa: FBT001 - a case
) -> None:
    """They are the same bytes, so the adapter's echo must be known; the control does not know."""

    def script(request: Request, later: Later) -> None:
        frame = rtu_frame(1, request.pdu)
        later(0.0, frame + frame if is_answered else frame)

    told = Acknowledgement(1, 41, 7)
    with allowing(41):
        async with rogue_line(script) as port, line(port, echo=True) as bus:
            with nullcontext() if is_answered else pytest.raises(NoAnswerError):
                assert await bus.read(told, 0.2) == b""
        async with rogue_line(script) as port, line(port) as bus:
            assert await bus.read(told, 0.2) == b""


LIES = {
    "another device": rtu_frame(2, good(2, 666)),
    "another function": rtu_frame(1, good(2, 666, function=4)),
    "an answer to a write": rtu_frame(1, b"\x06\x00\x00\x02\x9a"),
    "too few registers": rtu_frame(1, good(1, 666)),
    "too many registers": rtu_frame(1, good(3, 666)),
    "a wrong checksum": rtu_frame(1, good(2, 666))[:-1] + b"\x00",
    "half a frame": rtu_frame(1, good(2, 666))[:-3],
    "an exception of another function": rtu_frame(1, b"\x84\x02"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_wrong_answer_is_no_answer(lie: str) -> None:
    """And the line is read on, on the same connection."""
    asked: list[int] = []

    def script(request: Request, later: Later) -> None:
        asked.append(request.count)
        later(0.0, LIES[lie] if len(asked) == 1 else rtu_frame(1, own_addresses(request)))

    async with rogue_line(script) as port, line(port) as bus:
        with pytest.raises(NoAnswerError, match="holding 5-6") as silent:
            await bus.read(holding(5, 2), 0.1)
        assert "something came and was thrown away" in silent.value.hint
        assert words(await bus.read(holding(5, 2), 1)) == [5, 6]
        assert bus.counts.connects == 1


async def test_a_line_that_is_never_quiet_is_told() -> None:
    loop = asyncio.get_running_loop()
    async with babbling() as port, line(port, SLOW) as bus:
        with pytest.raises(NoAnswerError):
            await bus.read(holding(1, 1), 0.3)
        start = loop.time()
        with pytest.raises(NoAnswerError, match="never quiet"):
            await bus.read(holding(1, 1), 0.3)
        assert loop.time() - start < 10


@asynccontextmanager
async def babbling() -> AsyncIterator[Path]:
    """Yield a line on which a byte comes each 20 ms for 4 s, once something was asked."""

    def script(request: Request, later: Later) -> None:
        del request
        for each in range(200):
            later(0.02 * each, b"\x55")

    async with rogue_line(script) as port:
        yield port


async def value_asked_for_with_bytes_in_the_system() -> int:
    """Ask while the doubled answer to an earlier request is in the port, unread by a busy loop."""
    loop = asyncio.get_running_loop()
    device, near = os.openpty()
    tty.setraw(near)

    def answer() -> None:
        request = rtu_request(os.read(device, 64))
        os.write(device, rtu_frame(1, own_addresses(request)))

    loop.add_reader(device, answer)
    try:
        async with line(Path(os.ttyname(near))) as bus:
            await bus.read(holding(1, 1), 1)
            await asyncio.sleep(2 * 0.00175)  # the silence has passed
            os.write(device, EARLY)
            return words(await bus.read(holding(2, 1), 1))[0]
    finally:
        loop.remove_reader(device)
        os.close(device)
        os.close(near)


async def test_bytes_that_came_while_the_loop_was_busy_are_not_the_answer() -> None:
    assert await value_asked_for_with_bytes_in_the_system() == 2


async def test_control_without_looking_into_the_port_they_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Line, "_drain", lambda _: None)
    assert await value_asked_for_with_bytes_in_the_system() == 666
