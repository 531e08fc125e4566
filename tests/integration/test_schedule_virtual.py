"""The order and the rates of polls, on a clock that jumps: exact, whatever else the machine does."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import pairwise

import pytest

from collectors.modbus.scheduling.agenda import Periodic
from collectors.modbus.scheduling.schedule import BusRunner
from collectors.profile import Profile
from tests.services.timed_bus import Notes, TimedBus, profile
from tests.services.virtual_time import run_virtually


def watch(
    bus: TimedBus,
    profiles: Mapping[int, Profile],
    *,
    seconds: float,
    meanwhile: Callable[[], None] | None = None,
) -> tuple[BusRunner, Notes]:
    """Poll for `seconds` of virtual time; `meanwhile` is called at half of it."""

    async def work() -> tuple[BusRunner, Notes]:
        notes = Notes()
        runner = BusRunner(bus.devices(profiles), [], notes)
        polling = asyncio.create_task(runner.run())
        await asyncio.sleep(seconds / 2)
        if meanwhile is not None:
            meanwhile()
        await asyncio.sleep(seconds / 2)
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
        return runner, notes

    return run_virtually(work())


@pytest.mark.parametrize("period_s", [0.05, 0.1, 0.3, 1.0, 7.0, 3600.0])
def test_the_thousandth_tick_is_as_exact_as_the_first(period_s: float) -> None:
    """Each poll begins at a multiple of its period, although each one takes a while."""
    bus = TimedBus({1: min(0.4 * period_s, 0.5)})
    runner, _ = watch(bus, {1: profile({"g": period_s})}, seconds=1000.5 * period_s)
    phases = [at / period_s - k for k, at in enumerate(bus.began[1])]
    assert len(phases) == 1001
    assert max(map(abs, phases)) < 1e-6
    assert runner.missed == 0


def test_groups_of_all_devices_are_due_together() -> None:
    bus = TimedBus({1: 0.001, 2: 0.001})
    watch(bus, {1: profile({"g": 1.0}), 2: profile({"g": 0.5})}, seconds=10.2)
    assert [int(at) for at in bus.began[1]] == list(range(11))
    assert all(min(abs(at - other) for other in bus.began[2]) < 0.002 for at in bus.began[1])


PERIODS = dict.fromkeys(range(1, 5), 2.0) | dict.fromkeys(range(5, 19), 5.0)
TAKES_S = 0.2  # each


def late(order: Callable[[Periodic], float] | None, patch: pytest.MonkeyPatch) -> int:
    """Return how many polls ended after their period, or were left out."""
    if order is not None:
        patch.setattr(Periodic, "deadline", property(order))
    bus = TimedBus(dict.fromkeys(PERIODS, TAKES_S))
    profiles = {unit: profile({"g": period_s}) for unit, period_s in PERIODS.items()}
    runner, _ = watch(bus, profiles, seconds=420)
    ends = [(at + TAKES_S) / PERIODS[unit] for unit, times in bus.began.items() for at in times]
    ticks = [at / PERIODS[unit] for unit, times in bus.began.items() for at in times]
    return runner.missed + sum(
        end > int(tick + 1e-6) + 1 + 1e-6 for tick, end in zip(ticks, ends, strict=True)
    )


def test_earliest_deadline_first_meets_what_other_orders_miss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fourteen slow and four fast polls fill 96 % of the bus, and all end in time.

    First come, first served lets the slow ones make the fast ones late; whoever always prefers
    the fast ones has no time left for the last.
    """
    assert late(None, monkeypatch) == 0
    assert late(lambda job: job.period_s, monkeypatch) > 0  # control: rate-monotonic
    assert late(lambda job: job.due_at, monkeypatch) > 0  # control: first come


def test_what_the_bus_cannot_reach_is_left_out_and_counted() -> None:
    """A bus for ten polls a second is asked for twenty: it is never idle and never behind."""
    bus = TimedBus({1: 0.1})
    runner, notes = watch(bus, {1: profile({"a": 0.1, "b": 0.1})}, seconds=60)
    polls = len(bus.began[1])
    assert polls == pytest.approx(600, abs=2)
    assert polls + runner.missed == pytest.approx(1200, abs=4)
    assert len(notes.good("unit-1", "a")) == pytest.approx(300, abs=2)  # nobody starves
    waits = [late - early for early, late in pairwise(bus.began[1])]
    assert max(waits) == pytest.approx(0.1)


def test_measures_tell_polls_latency_and_interval_error() -> None:
    """A neighbour that takes 0.3 s every second makes each fifth poll of 0.2 s late or early."""
    bus = TimedBus({1: 0.01, 2: 0.3})
    runner, _ = watch(bus, {1: profile({"g": 0.2}), 2: profile({"g": 1.0})}, seconds=100)
    fast, slow = runner.measures.values()
    assert slow.polls == 100
    assert fast.polls + fast.missed == pytest.approx(500, abs=1)
    assert slow.interval_error.percentile(99) < 0.02
    assert fast.interval_error.percentile(50) < 0.02
    assert 0.1 < fast.interval_error.percentile(99) < 0.4
