"""The dead do not hold up the living: one silent unit of fifty, and a gateway that is off.

On a clock that jumps, so that a busy machine changes nothing. Each unit is polled once a second.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest

from collectors.modbus.reading.device import Device, Place
from collectors.modbus.scheduling import schedule
from collectors.modbus.scheduling.probing import Probing
from collectors.modbus.scheduling.schedule import BusRunner
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.link import TcpLink
from collectors.profile import Profile
from collectors.quality import Reason
from collectors.sample import StationId
from tests.services.timed_bus import BREAKS, CLOCK_NS, SILENT, Notes, TimedBus, profile
from tests.services.virtual_time import run_virtually

PERIOD_S = 1.0
ALL = range(1, 51)
DEAD = 25
DIES_AT = 60.2

Then = Sequence[tuple[float, Callable[[], object]]]


async def watched(devices: Sequence[Device], seconds: float, then: Then = ()) -> Notes:
    """Poll for `seconds`, with something done at some times; return what was sampled."""
    notes = Notes()
    for at, change in then:
        asyncio.get_running_loop().call_at(at, change)
    polling = asyncio.create_task(BusRunner(devices, [], notes).run())
    await asyncio.sleep(seconds)
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    return notes


def polled(
    bus: TimedBus, profiles: Mapping[int, Profile], *, seconds: float, then: Then = ()
) -> Notes:
    return run_virtually(watched(bus.devices(profiles), seconds, then))


def neighbours_errors(answer_s: float, *, seconds: float, since: float) -> list[float]:
    """Return |interval - period| of the others' polls, as parts of the period, smallest first.

    Unit 25 answers for a minute, and says nothing more. Its time-out is as long as the period.
    """
    bus = TimedBus(dict.fromkeys(ALL, answer_s))
    about = profile({"g": PERIOD_S}, timeout_s=PERIOD_S)
    dies = (DIES_AT, lambda: bus.answers.update({DEAD: SILENT}))
    polled(bus, dict.fromkeys(ALL, about), seconds=seconds, then=[dies])
    asked = sum(at > DIES_AT for at in bus.began[DEAD])
    assert asked > 4, "a dead unit is asked again all the while"
    return sorted(
        abs(after - before - PERIOD_S) / PERIOD_S
        for unit, times in bus.began.items()
        if unit != DEAD
        for before, after in pairwise(times)
        if before > since
    )


def p99(errors: Sequence[float]) -> float:
    return errors[math.ceil(0.99 * len(errors)) - 1]


def test_a_dead_unit_costs_the_others_nothing_more_where_the_bus_has_gaps() -> None:
    """After its first time-out, probes listen in gaps, and no longer than these last."""
    errors = neighbours_errors(0.012, seconds=300, since=DIES_AT + 2)
    assert len(errors) > 49 * 230
    assert errors[-1] < 0.03


@pytest.mark.parametrize("answer_s", [0.012, 0.0195])
def test_a_dead_unit_costs_the_others_less_than_a_tenth_at_p99(answer_s: float) -> None:
    """The first time-out is counted too, and so it is on a bus that is 96 % busy, without gaps."""
    assert p99(neighbours_errors(answer_s, seconds=1500, since=DIES_AT)) < 0.1


def test_control_a_dead_unit_that_is_polled_on_ruins_the_period(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a pause of one period in place of the growing ones, the same units show the cost."""

    def failed(self: Probing, now: float, *, waited_s: float) -> None:
        del waited_s
        self._probe_at = self._force_at = now + PERIOD_S

    monkeypatch.setattr(Probing, "failed", failed)
    monkeypatch.setattr(schedule, "_SPARED", 0)
    assert p99(neighbours_errors(0.012, seconds=300, since=DIES_AT)) > 0.3


def test_a_unit_that_comes_back_is_read_again_within_its_pause() -> None:
    bus = TimedBus(dict.fromkeys(ALL, 0.012) | {DEAD: SILENT})
    heals = (300, lambda: bus.answers.update({DEAD: 0.012}))
    about = profile({"g": PERIOD_S})
    notes = polled(bus, dict.fromkeys(ALL, about), seconds=360, then=[heals])
    assert 300 <= notes.good(f"unit-{DEAD}")[0] < 335  # half a minute, and the next gap


def test_a_slow_unit_is_found_on_a_bus_whose_gaps_are_too_short_for_it() -> None:
    """It answers within its time-out, but never within a gap: the rare whole probe finds it."""
    bus = TimedBus({1: 0.2, 2: SILENT})
    profiles = {1: profile({"g": 0.5}), 2: profile({"g": 5.0}, timeout_s=1.0)}
    heals = (20, lambda: bus.answers.update({2: 0.8}))
    assert polled(bus, profiles, seconds=620, then=[heals]).good("unit-2")


def test_a_lost_answer_on_a_full_bus_is_no_death() -> None:
    """Without any gap, a unit that missed a moment is read again after a few time-outs."""
    bus = TimedBus({1: 0.3, 2: 0.3})
    moments = [(at, lambda: bus.answers.update({2: SILENT})) for at in (10, 20, 30)]
    passed = [(at, lambda: bus.answers.update({2: 0.3})) for at in (11.2, 21.2, 31.2)]
    profiles = dict.fromkeys((1, 2), profile({"g": 0.5}, timeout_s=1.0))
    times = polled(bus, profiles, seconds=60, then=[*moments, *passed]).good("unit-2")
    assert max(after - before for before, after in pairwise(times)) < 8


def test_many_dead_units_do_not_add_up() -> None:
    """Half of all units are dead and there are no gaps: the living keep nine tenths of the bus."""
    bus = TimedBus(dict.fromkeys(ALL, SILENT) | dict.fromkeys(range(1, 26), 0.04))
    polled(bus, dict.fromkeys(ALL, profile({"g": PERIOD_S})), seconds=630)
    assert sum(at > 30 for unit in range(1, 26) for at in bus.began[unit]) > 0.9 * 25 * 600


def test_a_silent_unit_is_marked_missing_at_once_and_at_most_twice_a_minute() -> None:
    notes = polled(TimedBus({1: SILENT}), {1: profile({"fast": 0.05, "slow": 60.0})}, seconds=300)
    assert {sample.group for sample in notes.samples[:2]} == {"fast", "slow"}
    assert notes.times[0] < 1.1
    assert 4 <= len(notes.samples) / 2 <= 11
    assert {f.reason for each in notes.samples for f in each.faults.values()} == {Reason.COMM}


def test_a_unit_that_breaks_the_connection_is_set_aside_alone() -> None:
    """Some gateways hang up when a unit behind them does not answer."""
    bus = TimedBus({1: 0.01, 2: BREAKS})
    notes = polled(bus, dict.fromkeys((1, 2), profile({"g": 0.1})), seconds=300)
    assert len(notes.good("unit-1")) > 2990
    assert len(bus.began[2]) < 40  # and not 3000 new connections


def test_all_units_are_read_again_a_second_after_their_bus_is_back() -> None:
    """Their pauses do not grow while nobody can be reached: it is not their fault."""
    bus = TimedBus(dict.fromkeys(ALL, 0.01))
    cut = [
        (10, lambda: setattr(bus, "is_open", False)),
        (130, lambda: setattr(bus, "is_open", True)),
    ]
    about = profile({"g": PERIOD_S, "hourly": 3600.0})
    notes = polled(bus, dict.fromkeys(ALL, about), seconds=135, then=cut)
    back = [next(at for at in notes.good(f"unit-{unit}") if at > 130) for unit in ALL]
    assert max(back) < 132


class Off(TcpLink):
    """A link whose other end is off."""

    tries = 0

    async def open(self, wire: object) -> asyncio.BaseTransport:
        del wire
        Off.tries += 1
        raise ConnectionRefusedError("off")


def test_a_gateway_that_is_off_is_not_hammered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty units want to be read; the bus tries no more often than its own back-off says."""
    monkeypatch.setattr(Off, "tries", 0)
    about = profile({"g": 0.05})

    async def work() -> Notes:
        async with Bus("gateway", Off(host="127.0.0.1")) as bus:
            return await watched(
                [
                    Device(
                        Place(
                            station=StationId(site="s", line="l", station=f"unit-{unit}"),
                            device_id=unit,
                            profile=about,
                            timeout_s=1.0,
                        ),
                        bus,
                        clock=lambda: CLOCK_NS,
                    )
                    for unit in ALL
                ],
                seconds=120,
            )

    notes = run_virtually(work())
    assert Off.tries <= 25  # about 0.5, 1, 2, 4, 8, 15, 15 … s apart
    assert len({each.station for each in notes.samples}) == len(ALL)  # and all are marked missing
