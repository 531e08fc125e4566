"""What a plan needs of its bus, summed up by hand and by the budget alike."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from collectors.errors import FixTheFileError
from collectors.modbus.scheduling.budget import Budget, budget, refuse_overload
from collectors.modbus.transport.link import AsciiLink, Link, RtuLink, TcpLink
from collectors.profile import Profile, shipped
from collectors.record_source import Shape
from tests.services.timed_bus import TimedBus, profile
from tests.unit.collectors.record_machine import Variant

TCP = TcpLink(host="127.0.0.1")


def rtu(baud: int, parity: str = "N") -> RtuLink:
    return RtuLink(port=Path("/dev/serial/by-id/x"), baud=baud, parity=parity)


def of(link: Link, *profiles: Profile, in_flight: int = 1) -> Budget:
    devices = TimedBus({}).devices(dict(enumerate(profiles, start=1)))
    return budget("bus-1", link, devices, in_flight=in_flight)


def registers(count: int, *, confirm: bool = False) -> Sequence[dict[str, object]]:
    return [
        {"name": f"v{n}", "address": n, "type": "uint16", "confirm": confirm} for n in range(count)
    ]


def block(count: int, *, period_s: float = 1.0, confirm: bool = False, **limits: object) -> Profile:
    """Return a profile whose one read has `count` registers."""
    about = profile({"live": period_s}, **limits).model_dump(by_alias=True)
    return Profile.model_validate(about | {"registers": registers(count, confirm=confirm)})


def test_a_read_on_a_line_takes_its_characters_two_silences_and_the_time_to_think() -> None:
    """60 registers: 8 characters ask and 125 answer, of 11 bits with parity."""
    plan = of(rtu(9600, "E"), block(60, answer_s=0.03))
    (load,) = plan.loads
    characters = 8 + 3 + 120 + 2
    assert load.wire_bytes == characters
    assert load.takes_s == pytest.approx((characters + 2 * 3.5) * 11 / 9600 + 0.03)
    assert plan.share == pytest.approx(load.takes_s)


def test_above_19200_baud_the_silence_is_fixed() -> None:
    (load,) = of(rtu(115200), block(10, answer_s=0.001)).loads
    assert load.takes_s == pytest.approx((8 + 25) * 10 / 115200 + 2 * 0.00175 + 0.001)


def test_ascii_takes_two_characters_a_byte() -> None:
    (load,) = of(AsciiLink(port=Path("/dev/x")), block(60, answer_s=0.02)).loads
    (other,) = of(rtu(9600), block(60, answer_s=0.02)).loads
    assert 1.7 < (load.takes_s - 0.02) / (other.takes_s - 0.02) < 2.0  # of 9 bits, not 10


def test_on_a_network_only_thinking_counts_shared_by_what_is_in_flight() -> None:
    about = block(100, answer_s=0.02, period_s=0.1)
    assert of(TCP, about).share == pytest.approx(0.2)
    assert of(TCP, about, in_flight=4).share == pytest.approx(0.05)


def test_all_devices_of_a_bus_add_up_and_what_is_read_twice_counts_twice() -> None:
    once = of(rtu(9600), block(10)).share
    assert of(rtu(9600), block(10), block(10)).share == pytest.approx(2 * once)
    assert of(rtu(9600), block(10, confirm=True)).share == pytest.approx(2 * once)


def test_a_ring_of_records_costs_two_looks_at_its_head_and_two_slots() -> None:
    """The new part's, and that of the last stored part, which tells whether the ring is the same."""
    welder = shipped()["spot-welder-plc"]
    assert welder.records is not None
    loads = [load for load in of(rtu(9600), welder).loads if load.group == "weld"]
    assert [(load.times, load.read.count) for load in loads] == [(2, 4), (1, 64)]
    assert {load.period_s for load in loads} == {welder.records.period_s}


@pytest.mark.parametrize(
    ("variant", "reads"),
    [
        (Variant(shape=Shape.BLOCK), [(2, 0, 2), (1, 100, 8)]),
        (Variant(shape=Shape.SIGNAL), [(2, 0, 1), (2, 4, 2), (2, 102, 4)]),
        (Variant(shape=Shape.FIFO), [(2, 100, 31)]),
        (Variant(shape=Shape.FIFO, is_guarded=False), [(2, 4, 2), (2, 100, 31)]),
    ],
    ids=["block", "signal", "numbered queue", "queue"],
)
def test_other_records_cost_two_looks_at_what_tells_of_them(
    variant: Variant, reads: list[tuple[int, int, int]]
) -> None:
    """Only the block of a counter is read once: the counter says that it stood still."""
    loads = [load for load in of(rtu(9600), variant.profile()).loads if load.group == "weld"]
    assert [(load.times, load.read.address, load.read.count) for load in loads] == reads
    if variant.shape is Shape.FIFO:
        assert loads[-1].wire_bytes == 2 * (6 + 3 + 67)


@pytest.mark.parametrize("name", shipped())
def test_each_shipped_profile_fits_alone_on_a_line_of_9600_baud(name: str) -> None:
    assert not of(rtu(9600), shipped()[name]).is_over


def test_more_than_the_bus_has_is_refused_with_the_longest_reads_and_what_helps() -> None:
    """Ten meters of 60 registers each second: 1.75 of what 9600 baud can do."""
    plan = of(rtu(9600), *[block(60)] * 10)
    assert plan.is_over
    with pytest.raises(FixTheFileError) as refused:
        refuse_overload([of(TCP, block(1)), plan])
    told = str(refused.value)
    assert "bus bus-1 needs 166 % of its time at 9600 baud" in told
    assert "`live` of unit-1, holding 0-59: 166 ms each 1 s (17 %)" in told
    assert "raise the baud rate to 38400" in told


def test_the_advice_holds() -> None:
    """Done as told, the plan fits into 80 % of the bus."""
    heavy = block(125, period_s=0.3)
    plan = of(rtu(9600), heavy, block(10))
    assert plan.is_over
    slower = re.search(r"slow `live` of unit-1 from 0.3 s to ([\d.]+) s", plan.advice)
    faster = re.search(r"raise the baud rate to (\d+)", plan.advice)
    assert slower is not None
    assert faster is not None
    slowed = heavy.model_copy(update={"groups": {"live": float(slower[1])}})
    assert of(rtu(9600), slowed, block(10)).share <= 0.8
    assert of(rtu(int(faster[1])), heavy, block(10)).share <= 0.8


def test_no_advice_is_given_that_does_not_help() -> None:
    """A network has no baud rate, and no one group of twenty alike is to blame."""
    plan = of(TCP, *[block(1, period_s=0.1)] * 20)
    assert plan.share == pytest.approx(4.0)
    assert plan.advice == "poll less often, or put machines on another bus"


def test_a_plan_that_fits_is_not_refused() -> None:
    refuse_overload([of(rtu(9600), block(60))])
