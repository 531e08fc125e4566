"""The fault proxy tells the truth about itself: what it did, again from the same seed."""

import random

import pytest

from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Request
from collectors.register import Table
from tests.fuzz import oracle
from tests.services.fault_proxy import SERIAL_ANSWERS, Faults, flipped, head_flipped
from tests.services.twin_line import LINES

FRAME = bytes.fromhex("0007000000051103020001")


def faults(seed: int) -> list[str]:
    source = Faults(seed, 0.5, 0.05)
    return [source.draw(SERIAL_ANSWERS) for _ in range(100)]


def test_the_same_seed_draws_the_same_faults_and_each_kind_in_its_turn() -> None:
    assert faults(1) == faults(1) != faults(2)
    drawn = [kind for kind in faults(1) if kind]
    assert {*drawn[: len(SERIAL_ANSWERS)]} == {*SERIAL_ANSWERS}


def test_wrong_bits_are_such_as_a_reader_can_tell() -> None:
    rng = random.Random(1)
    sealed = FRAME + oracle.crc(FRAME).to_bytes(2, "little")
    for _ in range(1000):
        assert oracle.crc(flipped(rng, sealed)) != 0
        head = head_flipped(rng, FRAME)
        assert head[8:] == FRAME[8:]
        assert (head[0] & 0x7F, head[1]) == (FRAME[0], FRAME[1])
        assert head != FRAME


@pytest.mark.parametrize("line", LINES)
async def test_without_faults_everything_passes(line: str) -> None:
    source = Faults(1, 0.0, 1.0)
    async with LINES[line](source) as (link, _), Bus(line, link) as bus:
        for _ in range(20):
            assert await bus.read(Request(1, Table.HOLDING, 0, 2), 1)
    assert not source.done
