"""Every value that is reported is the device's own, whatever the line does to the frames."""

import asyncio

import pytest

from collectors.modbus.scheduling.schedule import BusRunner
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.debts import Debts
from collectors.modbus.transport.frame import Asked, Discarded, Found, TcpFramer
from tests.services.fault_proxy import Faults
from tests.services.twin import VALUES, Nobody, TwinDevice, Verdict
from tests.services.twin_line import KINDS, LINES, TIMEOUT_S, compare
from tests.services.waiting import eventually

SEED = 1
RATE = 0.1  # of frames that meet a fault
GOOD_POLLS = 100


@pytest.mark.parametrize(("line", "window"), [("network", 1), ("network", 4), ("serial", 1)])
async def test_no_value_is_reported_that_the_device_did_not_hold(line: str, window: int) -> None:
    """Delays, late and lost answers, resets, wrong bits, doubles, noise: values or none."""
    verdict, faults = Verdict(), Faults(SEED, RATE, TIMEOUT_S)

    def is_enough() -> bool:
        return verdict.true >= VALUES * GOOD_POLLS and {*faults.done} == KINDS[line]

    await compare(line, verdict, faults, lambda: is_enough() or bool(verdict.wrong), window=window)
    assert verdict.wrong == []
    assert is_enough()


async def wrong_values(line: str) -> list[str]:
    """Return the first values that are not the device's own, if there are any."""
    verdict = Verdict()
    faults = Faults(SEED, RATE, TIMEOUT_S)
    most = VALUES * GOOD_POLLS * 10
    await compare(line, verdict, faults, lambda: bool(verdict.wrong) or verdict.true > most)
    return verdict.wrong


async def test_control_without_the_transaction_a_late_answer_is_another_register_s_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = TcpFramer.find

    def find_any(
        self: TcpFramer, buffer: bytearray, asked: Asked, discarded: Discarded
    ) -> Found | None:
        if buffer and asked:
            newest = max(asked)
            buffer[:2] = newest.to_bytes(2, "big")
        return find(self, buffer, asked, discarded)

    monkeypatch.setattr(TcpFramer, "find", find_any)
    assert await wrong_values("network")


async def test_control_without_the_debts_a_late_answer_is_another_register_s_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Debts, "probe", lambda *_, **__: None)
    assert await wrong_values("serial")


@pytest.mark.parametrize("line", LINES)
async def test_the_scheduler_reports_only_true_values_too(line: str) -> None:
    """Fewer faults: what does not answer is asked more rarely, and that is not the question."""
    verdict, faults = Verdict(), Faults(SEED, RATE / 10, TIMEOUT_S)
    async with LINES[line](faults) as (link, memories), Bus(line, link) as bus:
        devices = [TwinDevice(bus, memory, TIMEOUT_S, verdict) for memory in memories]
        runner = asyncio.create_task(BusRunner(devices, [], Nobody()).run())
        await eventually(lambda: verdict.true > VALUES * GOOD_POLLS, timeout_s=60)
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
    assert verdict.wrong == []
    assert faults.done
