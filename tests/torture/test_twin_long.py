"""Millions of values through lines with faults, each held against what the device held."""

import asyncio
import time

import pytest

from tests.services.fault_proxy import Faults
from tests.services.twin import VALUES, Verdict
from tests.services.twin_line import TIMEOUT_S, compare

_SHARE = 0.2  # of the time, for each kind of line
_RATE = 0.03  # of frames that meet a fault
_LINES_AT_ONCE = 24  # while some wait for what does not come, others go on


@pytest.mark.parametrize(("line", "window"), [("network", 1), ("network", 4), ("serial", 1)])
async def test_no_value_is_ever_reported_that_the_device_did_not_hold(
    line: str, window: int, seconds: float, seed: int
) -> None:
    end = time.monotonic() + _SHARE * seconds
    verdicts = [Verdict() for _ in range(_LINES_AT_ONCE)]
    async with asyncio.TaskGroup() as group:
        for number, verdict in enumerate(verdicts):
            faults = Faults(1000 * seed + number, _RATE, TIMEOUT_S)
            group.create_task(
                compare(line, verdict, faults, lambda: time.monotonic() > end, window=window)
            )
    assert [wrong for verdict in verdicts for wrong in verdict.wrong] == []
    polls, true = (sum(getattr(each, name) for each in verdicts) for name in ("polls", "true"))
    assert true > VALUES * polls / 5, f"{polls} polls, {true} values"
