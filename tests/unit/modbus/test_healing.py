"""Healing: what a device refuses is found, and nothing else is lost meanwhile or afterwards."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.modbus.planning.healing import News
from collectors.modbus.planning.holes import Facts, Holes
from collectors.modbus.reading.device import Device, Place
from collectors.profile import Profile
from collectors.quality import Fault, Reason
from collectors.register import Table
from collectors.sample import Sample, StationId, Value
from tests.services.refusing import RefusingBus, RefusingDevice, word

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
KINDS = {1: "uint16", 2: "uint32", 4: "int64"}
Span = tuple[int, int]  # address, number of registers


def plain() -> dict[str, object]:
    return {
        "title": {"id": "Uji", "en": "Test"},
        "family": "chiller",
        "maker": "none",
        "source": "made for this test",
        "grade": "bronze",
        "groups": {"live": 1.0},
    }


def profile(spans: Sequence[Span], **limits: object) -> Profile:
    registers = [
        {"name": f"r{address}", "address": address, "type": KINDS[words]}
        for address, words in spans
    ]
    return Profile.model_validate({**plain(), "modbus": limits, "registers": registers})


@dataclass(slots=True)
class Site:
    """A device that refuses, and the `Device` that reads it. `now_ns` is the clock."""

    machine: RefusingDevice
    about: Profile
    learned: Facts = field(default_factory=dict)
    news: list[News] = field(default_factory=list)
    now_ns: int = 1_790_000_000_000_000_000
    device: Device = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Make the reader anew, with what the last one has learned."""
        self.device = Device(
            Place(
                station=StationId(site="s", line="l", station="chiller-1"),
                device_id=1,
                profile=self.about,
                timeout_s=1.0,
            ),
            RefusingBus(self.machine),  # type: ignore[arg-type]  # stands in for a Bus
            lambda: self.now_ns,
            learned=self.learned,
            tell=self._tell,
        )

    def _tell(self, news: News, facts: Facts) -> None:
        self.news.append(news)
        self.learned = facts

    async def cycle(self) -> tuple[dict[str, Value], dict[str, Fault]]:
        """Poll once; return values and faults, and check that no register comes twice."""
        self.machine.asked.clear()
        self.machine.refused = 0
        samples = await self.device.sample("live")
        return merged(samples)

    async def healed(self, *, most_cycles: int = 200) -> int:
        """Poll until all is answered and the plan stays as it is; return the cycles it took."""
        for cycle in range(most_cycles):
            asked = [read.request for read in self.device.reads("live")]
            await self.cycle()
            is_calm = self.machine.refused == 0 and self.machine.asked == asked
            if is_calm and asked == [read.request for read in self.device.reads("live")]:
                return cycle
        raise AssertionError(f"not healed in {most_cycles} cycles: {self.device.holes}")


def merged(samples: Sequence[Sample]) -> tuple[dict[str, Value], dict[str, Fault]]:
    values: dict[str, Value] = {}
    faults: dict[str, Fault] = {}
    for sample in samples:
        assert not values.keys() & sample.values.keys()
        assert not faults.keys() & sample.faults.keys()
        values |= sample.values
        faults |= sample.faults
    return values, faults


def truth(spans: Sequence[Span]) -> dict[str, Value]:
    """Return what the registers hold, by name."""
    return {
        f"r{address}": int.from_bytes(
            b"".join(word(each).to_bytes(2, "big") for each in range(address, address + words)),
            "big",
            signed=words == 4,
        )
        for address, words in spans
    }


def readable(machine: RefusingDevice, spans: Sequence[Span]) -> list[Span]:
    return [span for span in spans if machine.refusal(range(span[0], sum(span))) is None]


def fewest_reads(machine: RefusingDevice, spans: Sequence[Span], *, max_gap: int) -> int:
    """Return the fewest reads that this device answers: the best of all ways to cut the spans."""
    best = [0] + [math.inf] * len(spans)
    for last in range(1, len(spans) + 1):
        for first in range(last):
            part = spans[first:last]
            start, end = part[0][0], sum(part[-1])
            is_near = all(b[0] - sum(a) <= max_gap for a, b in pairwise(part))
            if is_near and machine.refusal(range(start, end)) is None:
                best[last] = min(best[last], best[first] + 1)
    return int(best[-1])


@st.composite
def maps(draw: st.DrawFn) -> list[Span]:
    """Draw values that do not overlap, with gaps, in order."""
    spans, address = [], draw(st.integers(0, 20))
    for _ in range(draw(st.integers(1, 16))):
        words = draw(st.sampled_from([1, 1, 2, 4]))
        spans.append((address, words))
        address += words + draw(st.sampled_from([0, 0, 0, 1, 3, 12]))
    return spans


@given(data=st.data(), spans=maps(), code=st.sampled_from([2, 3]))
@settings(max_examples=150, deadline=None)
async def test_whatever_is_refused_the_rest_is_read_and_the_refused_is_named(
    data: st.DataObject, spans: list[Span], code: int
) -> None:
    """Random holes, borders and counts: in the end every value is right, or named as refused."""
    end = sum(spans[-1])
    anywhere = st.integers(spans[0][0], end)
    machine = RefusingDevice(
        holes=data.draw(st.sets(anywhere, max_size=4)),
        borders=data.draw(st.sets(anywhere, max_size=2)),
        most=data.draw(st.sampled_from([125, 125, 9, 30])),
        code=code,
    )
    site = Site(machine, profile(spans))
    good = readable(machine, spans)
    await site.healed()
    values, faults = await site.cycle()
    assert values == truth(good)
    assert faults == {
        f"r{address}": Fault(reason=Reason.REFUSED, raw=code)
        for address, words in spans
        if (address, words) not in good
    }


@given(spans=maps(), most=st.integers(4, 20))
@settings(max_examples=60, deadline=None)
async def test_a_device_that_takes_less_than_its_profile_says_is_read_in_the_fewest_reads(
    spans: list[Span], most: int
) -> None:
    machine = RefusingDevice(most=most)
    site = Site(machine, profile(spans))
    await site.healed()
    values, faults = await site.cycle()
    assert (values, faults) == (truth(spans), {})
    assert len(machine.asked) == fewest_reads(machine, spans, max_gap=16)


@given(data=st.data(), spans=maps(), code=st.sampled_from([2, 3]))
@settings(max_examples=100, deadline=None)
async def test_a_healed_map_is_read_in_the_fewest_reads(
    data: st.DataObject, spans: list[Span], code: int
) -> None:
    """Holes anywhere: dynamic programming over what the device truly answers finds no fewer."""
    end = sum(spans[-1])
    machine = RefusingDevice(
        holes=data.draw(st.sets(st.integers(spans[0][0], end), max_size=5)), code=code
    )
    site = Site(machine, profile(spans))
    await site.healed()
    await site.cycle()
    good = readable(machine, spans)
    assert len(machine.asked) == fewest_reads(machine, good, max_gap=16)


HUNDRED = [(address, 1) for address in range(100)]


async def test_the_rest_is_kept_in_the_very_cycle_in_which_a_read_is_refused() -> None:
    """Each cycle loses at most the half that is refused, and costs two requests and two checks."""
    site = Site(RefusingDevice(holes={37}), profile(HUNDRED))
    lost = []
    for _ in range(7):
        values, faults = await site.cycle()
        assert values == {name: each for name, each in truth(HUNDRED).items() if name in values}
        assert values.keys() | faults.keys() == truth(HUNDRED).keys()
        assert len(site.machine.asked) <= 4
        lost.append(len(faults))
    assert lost == [50, 25, 13, 6, 3, 1, 1]  # halving: no more cycles than log2 of the registers
    assert [(each.address, each.count) for each in site.machine.asked] == [(0, 37), (38, 62)]
    assert [news.lost for news in site.news] == [("`r37` (holding 37, exception 2)",)]


async def test_without_healing_one_hole_would_take_all_values_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: what a reader does that takes a refused read for lost."""
    monkeypatch.setattr("collectors.modbus.reading.device.halves", lambda _: None)
    site = Site(RefusingDevice(holes={37}), profile(HUNDRED))
    for _ in range(20):
        values, _ = await site.cycle()
        assert values == {}


async def test_a_hole_between_two_values_is_never_read_again_but_both_values_are() -> None:
    spans = [(0, 2), (10, 2)]
    site = Site(RefusingDevice(holes={5}), profile(spans))
    assert await site.healed() == 1
    assert site.device.holes.words() == [
        "holding 1 and 10 are never in one read: what lies between them is refused"
    ]
    assert site.news == [News(found=tuple(site.device.holes.words()))]


@pytest.mark.parametrize("spans", [[(0, 1), (1, 1)], [(0, 2), (1, 2)], [(0, 4), (1, 1)]])
@pytest.mark.parametrize("hole", [0, 1, 2])
async def test_values_that_share_registers_are_healed_too(spans: list[Span], hole: int) -> None:
    site = Site(RefusingDevice(holes={hole}), profile(spans))
    await site.healed()
    values, _ = await site.cycle()
    assert values == truth(readable(site.machine, spans))


async def test_names_at_one_place_are_refused_together() -> None:
    """Sixteen bits of one register are one place: nothing of it can be asked apart."""
    registers = [{"name": f"b{n}", "address": 7, "type": "bool", "bit": n} for n in range(16)]
    site = Site(
        RefusingDevice(holes={7}), Profile.model_validate({**plain(), "registers": registers})
    )
    _, faults = await site.cycle()
    assert faults.keys() == {f"b{n}" for n in range(16)}
    await site.cycle()
    assert site.machine.asked == []
    assert len(site.news) == 1


async def test_what_was_learned_survives_a_restart_and_is_not_asked_again() -> None:
    site = Site(RefusingDevice(holes={3, 50}, borders={80}), profile(HUNDRED))
    await site.healed()
    plan = [read.request for read in site.device.reads("live")]
    site.learned = json.loads(json.dumps(site.learned))
    site.restart()
    await site.cycle()
    assert site.machine.asked == plan
    assert site.machine.refused == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda facts: {**facts, "map": "of another profile or device id"},
        lambda facts: {**facts, "walls": [["holding", "one", 2]]},
        lambda facts: {**facts, "refused": 7},
    ],
)
async def test_facts_that_do_not_fit_are_dropped_and_learned_again(
    spoil: Callable[[Facts], Facts],
) -> None:
    site = Site(RefusingDevice(holes={3}, borders={80}), profile(HUNDRED))
    await site.healed()
    site.learned = spoil(site.learned)
    site.restart()
    assert site.device.holes == Holes()
    assert await site.healed() > 2


async def test_another_map_drops_what_was_learned() -> None:
    site = Site(RefusingDevice(holes={3}), profile(HUNDRED))
    await site.healed()
    site.about = profile([(address, 1) for address in range(99)])
    site.restart()
    assert site.device.holes == Holes()


async def test_a_machine_that_refuses_all_while_it_starts_teaches_no_lasting_hole() -> None:
    """It refuses for ten minutes; a minute or two later all is read again, in one read."""
    site = Site(RefusingDevice(holes={37}, mood=2), profile(HUNDRED))
    for _ in range(600):
        _, faults = await site.cycle()
        assert len(faults) == len(HUNDRED)
        assert len(site.machine.asked) <= 1 + 2 * 4  # never all halves at once
        site.now_ns += SECOND_NS
    assert site.device.holes.walls == frozenset()
    assert site.machine.asked == []  # all are left out by now, and asked ever more rarely
    site.machine.mood = None
    for _ in range(16 * 60):
        values, _ = await site.cycle()
        site.now_ns += SECOND_NS
        if len(values) == 99:
            break
    assert len(values) == 99
    await site.healed()
    await site.cycle()
    assert len(site.machine.asked) == 2
    assert any(news.back and "99 other" in news.found[0] for news in site.news)


async def test_a_machine_that_starts_while_it_is_halved_teaches_no_wall() -> None:
    """Both halves are good only because the machine is ready by now: so is the whole."""
    site = Site(RefusingDevice(mood=2), profile(HUNDRED))
    await site.cycle()
    site.machine.mood = None
    await site.cycle()
    assert site.device.holes == Holes()
    await site.cycle()
    assert [(each.address, each.count) for each in site.machine.asked] == [(0, 100)]


async def test_a_refused_register_is_asked_alone_after_pauses_that_double_up_to_a_day() -> None:
    site = Site(RefusingDevice(holes={1}), profile([(0, 1), (1, 1)]))
    await site.cycle()
    asked_at = []
    for minute in range(3 * 24 * 60):
        await site.cycle()
        if len(site.machine.asked) > 1:
            assert (site.machine.asked[1].address, site.machine.asked[1].count) == (1, 1)
            asked_at.append(minute)
        site.now_ns += MINUTE_NS
    assert [after - before for before, after in pairwise(asked_at)] == [
        *(2**n for n in range(1, 11)),
        24 * 60,
    ]


async def test_a_register_that_comes_back_is_told_once_and_read_with_the_others() -> None:
    site = Site(RefusingDevice(holes={1}), profile([(0, 1), (1, 1), (2, 1)]))
    await site.healed()
    site.machine.holes.clear()
    site.now_ns += MINUTE_NS
    await site.cycle()
    values, _ = await site.cycle()
    assert values == truth([(0, 1), (1, 1), (2, 1)])
    assert len(site.machine.asked) == 1
    assert [news.back for news in site.news if news.back] == [("`r1` (holding 1, exception 2)",)]
    assert site.learned == {}


@pytest.mark.parametrize("code", [0, 4, 5, 6, 7, 8, 99, 255])
async def test_a_busy_or_failed_device_teaches_nothing(code: int) -> None:
    site = Site(RefusingDevice(mood=code), profile(HUNDRED))
    for _ in range(5):
        _, faults = await site.cycle()
        assert set(faults.values()) == {Fault(reason=Reason.REFUSED, raw=code)}
        assert len(site.machine.asked) == 1
    site.machine.mood = None
    values, _ = await site.cycle()
    assert values == truth(HUNDRED)
    assert site.news == []


async def test_a_device_that_is_busy_in_the_middle_of_a_search_is_asked_the_same_again() -> None:
    site = Site(RefusingDevice(holes={37}), profile(HUNDRED))
    await site.cycle()
    site.machine.mood = 6
    for _ in range(3):
        await site.cycle()
    site.machine.mood = None
    await site.healed()
    assert site.device.holes.refused.keys() == {(Table.HOLDING, 37, 1)}
    assert site.device.holes.walls == frozenset()


async def test_a_table_that_the_device_does_not_have_is_named_and_not_halved() -> None:
    site = Site(RefusingDevice(mood=1), profile(HUNDRED))
    _, faults = await site.cycle()
    assert len(site.machine.asked) == 1
    assert set(faults.values()) == {Fault(reason=Reason.REFUSED, raw=1)}
    await site.cycle()
    assert site.machine.asked == []
    site.now_ns += MINUTE_NS
    for _ in range(3):
        await site.cycle()
    assert site.machine.refused == 0  # one asked for all of them, and all wait longer now


async def test_the_counts_of_two_tables_are_learned_apart() -> None:
    """A device that takes 10 holding registers at once takes 125 input registers all the same."""
    registers = [
        {"name": f"{table}{address}", "address": address, "type": "uint16", "table": table}
        for table in ("holding", "input")
        for address in range(100)
    ]
    site = Site(RefusingDevice(), Profile.model_validate({**plain(), "registers": registers}))
    site.machine.most_of[Table.HOLDING] = 10
    await site.healed()
    await site.cycle()
    assert [each.count for each in site.machine.asked if each.table is Table.INPUT] == [100]
    assert [each.count for each in site.machine.asked if each.table is Table.HOLDING] == [10] * 10
