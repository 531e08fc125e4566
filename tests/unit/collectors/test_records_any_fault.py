"""The record engine, its reader and its frames against a machine, an agent that dies, an oracle.

Whatever happens between two requests: each part that can still be read is stored once; each that
cannot is told, with the right numbers where the machine counts; no record is a mixture of two.

Three things are taken for granted, since no reader could do without: a machine needs longer to
boot than a look takes; after a reset that nobody saw it does not count past all that would show
it; and between two looks its counter does not go round.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from collectors.modbus.reading.reader import reader_of
from collectors.modbus.reading.windows import QueueWindow
from collectors.record import Cursor
from collectors.record_source import Shape
from collectors.records import counted
from collectors.records.batch import Slot
from collectors.records.counted import CountedEngine
from collectors.records.numbered import Head, NumberedEngine
from tests.unit.collectors import record_agent, record_oracle
from tests.unit.collectors.record_agent import Act, Agent, Fate
from tests.unit.collectors.record_machine import CYCLE_S, MAP_ID, Clock, Machine, Variant

Guard = tuple[object, str, Callable[..., Any]]

PERIOD_S = CYCLE_S / 2
EXAMPLES, STEPS = 60, 25

wraps = st.sampled_from([1_200, 99_999, 999_999, 2**16, 2**32])
steps = st.integers(0, 12)
worse: list[Act] = ["lost", "answer lost", "killed", "reset"]
acts: st.SearchStrategy[Act] = st.integers(0, 15).map(lambda n: n if n < 12 else worse[n - 12])
fates: st.SearchStrategy[Fate] = st.sampled_from(
    ["stored", "stored", "stored", "not stored", "killed before", "killed after"]
)


@st.composite
def rings(draw: st.DrawFn) -> Variant:
    wrap_to = draw(st.sampled_from([0, 1]))
    wrap = draw(wraps) - wrap_to
    return Variant(
        shape=Shape.RING,
        slots=draw(st.sampled_from([4, 5, 8, 64, 256])),
        wrap=wrap,
        wrap_to=wrap_to,
        start=draw(st.sampled_from([0, 0, 3, wrap - 3])),
        is_backwards=draw(st.booleans()),
        waits=draw(st.booleans()),
    )


@st.composite
def blocks(draw: st.DrawFn) -> Variant:
    wrap_to = draw(st.sampled_from([0, 1]))
    wrap = draw(wraps) - wrap_to
    return Variant(
        shape=Shape.BLOCK,
        wrap=wrap,
        wrap_to=wrap_to,
        start=draw(st.sampled_from([0, 0, 3, wrap - 3])),
        is_guarded=draw(st.booleans()),
        waits=draw(st.booleans()),
    )


@st.composite
def signals(draw: st.DrawFn) -> Variant:
    return Variant(
        shape=Shape.SIGNAL,
        edge=draw(st.sampled_from(["rising", "toggle"])),
        has_total=draw(st.booleans()),
        waits=draw(st.booleans()),
    )


@st.composite
def queues(draw: st.DrawFn) -> Variant:
    is_guarded = draw(st.booleans())
    wrap = draw(st.sampled_from([600, 2**16 - 1]))
    return Variant(
        shape=Shape.FIFO,
        wrap=wrap,
        wrap_to=1,
        start=draw(st.sampled_from([0, 0, 3, wrap - 3])) if is_guarded else 0,
        is_guarded=is_guarded,
        has_total=draw(st.booleans()),
        waits=is_guarded and draw(st.booleans()),
    )


class Plant(RuleBasedStateMachine):
    """One machine, one agent, and everything that can go wrong between them."""

    variants: st.SearchStrategy[Variant]

    @initialize(data=st.data())
    def build(self, data: st.DataObject) -> None:
        self.clock = Clock()
        self.clock.now = 10.0
        self.machine = Machine(data.draw(self.variants), self.clock)
        self.machine.may_begin = self.can_be_told_from_progress
        self.agent = Agent(self.machine, self.clock)
        self.seen_epoch = 1
        self.made_at_batch = 0
        self.has_its_map = True

    def teardown(self) -> None:
        if hasattr(self, "agent"):
            try:
                self.settle()
            finally:
                self.agent.close()

    # -- what happens -------------------------------------------------------------------------

    @rule(parts=st.sampled_from([1, 1, 2, 3, 7, 8, 9, 300]))
    def make(self, parts: int) -> None:
        self.machine.make(parts)

    @rule(steps=st.integers(1, 9))
    def work(self, steps: int) -> None:
        for _ in range(steps):
            self.machine.step()

    @rule(periods=st.integers(1, 5))
    def wait(self, periods: int) -> None:
        self.clock.now += periods * PERIOD_S
        self.machine.catch_up()

    @rule(script=st.lists(acts, max_size=6), fate=fates)
    def poll(self, script: list[Act], fate: Fate) -> None:
        self.clock.now += PERIOD_S
        self.machine.catch_up()
        epoch, made = self.machine.epoch, len(self.machine.made)
        before = self.agent.disk.cursor.epoch
        batch = self.agent.poll(script if self.may_reset() else without_resets(script), fate)
        if batch:
            self.made_at_batch = made
        if batch and batch.records:
            ids = {part.id: part.epoch for part in self.machine.made}
            self.seen_epoch = ids.get(int(batch.records[-1].values["a"]), self.seen_epoch)
        elif batch and batch.cursor.epoch != before:
            self.seen_epoch = epoch
        record_oracle.check(self.machine, self.agent.disk)

    @rule()
    def settle(self) -> None:
        """Leave agent and machine alone until nothing more comes."""
        self.machine.finish()
        cursors: list[Cursor] = []
        while len(cursors) < 4 or cursors[-4:] != [self.agent.disk.cursor] * 4:
            assert len(cursors) < 100, "it never comes to rest"
            self.poll([], "stored")
            cursors.append(self.agent.disk.cursor)
        if self.has_its_map:
            record_oracle.check_all_seen(self.machine, self.agent.disk)
            is_shown = self.machine.variant.shape is not Shape.FIFO or self.machine.memory.queue
            self.seen_epoch = self.machine.epoch if is_shown else self.seen_epoch

    @rule(parts=st.sampled_from([1, 3, 4, 5, 9]), script=st.lists(steps, max_size=6))
    def race(self, parts: int, script: list[Act]) -> None:
        """Make parts until the agent looks, and while it does."""
        self.machine.make(parts)
        self.poll(script, "stored")

    @precondition(lambda self: self.may_reset())
    @rule(map_id=st.sampled_from([MAP_ID, MAP_ID, MAP_ID, 9]))
    def reset(self, map_id: int) -> None:
        """Restart the machine, perhaps with another program: the connection breaks."""
        self.machine.reset()
        self.machine.memory.set("map_id", map_id)
        self.has_its_map = map_id == MAP_ID
        self.agent.poll(["lost"])

    @rule()
    def kill(self) -> None:
        self.agent.start()

    # -- what is taken for granted ------------------------------------------------------------

    def may_reset(self) -> bool:
        """Whether a reset can show: that of a lone bit looks like a part, as a wrap may."""
        machine, cursor = self.machine, self.agent.disk.cursor
        if machine.variant.shape is Shape.SIGNAL:
            return machine.variant.edge == "rising" or machine.variant.has_total
        shown = int(machine.variant.shape is Shape.FIFO)  # an empty queue shows no number
        return all(self.is_visible(shown, seq) for seq in (machine.number, cursor.seq) if seq)

    def can_be_told_from_progress(self) -> bool:
        """Whether one more part leaves a reset visible that nobody saw yet."""
        cursor, machine = self.agent.disk.cursor, self.machine
        source = machine.source
        unseen = len(machine.made) - self.made_at_batch
        if machine.variant.is_numbered and unseen >= source.most_behind - source.entries:
            return False  # nobody can tell a counter that has gone all the way round
        if machine.epoch == self.seen_epoch or not cursor.seq or not machine.variant.is_exact:
            return True
        if not machine.variant.is_numbered:
            total = cursor.mark.split(" ")[2]
            return not total or machine.number + 1 < max(1, int(total)) or total == "0"
        return self.is_visible(source.number_of(machine.number + 1), cursor.seq)

    def is_visible(self, count: int, seq: int) -> bool:
        """Whether a machine that began anew and is at `count` differs from one that was at `seq`.

        Either the counter tells, or the last part that was stored should be there and is not.
        """
        source, number = self.machine.source, self.machine.source.number_of(seq)
        if self.agent.disk.cursor.mark.startswith("foreign"):
            return True  # there is nothing yet that could be taken for another
        behind = (count - number) % source.wrap
        if count < number and (count < source.wrap_to or behind > source.most_behind):
            return True
        held = source.slots - 1 if source.shape is Shape.RING else 1
        return bool(self.agent.disk.cursor.mark) and behind < held


def without_resets(script: list[Act]) -> list[Act]:
    return [0 if act == "reset" else act for act in script]


def run(variants: st.SearchStrategy[Variant], *, examples: int = EXAMPLES) -> None:
    case = type("Plant", (Plant,), {"variants": variants})
    run_state_machine_as_test(
        case,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


SHAPES = {"ring": rings(), "block": blocks(), "signal": signals(), "fifo": queues()}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_part_is_lost_silently_stored_twice_or_mixed(shape: str) -> None:
    """Each shape holds through lost polls, kills, resets, wraps and a machine that overtakes."""
    run(SHAPES[shape])


def begin_alone(engine: NumberedEngine, slot: Slot, seq: int, before: Head, after: Head) -> bool:
    """Take a slot for whole by the sequence at its begin, or by a counter read once."""
    del after
    source = engine._source
    seen = before.seq if source.begin is None else slot.values.get(source.begin)
    return seen == source.number_of(seq)


def no(*_: object) -> bool:
    return False


def yes(*_: object) -> bool:
    return True


NO_SECOND_LOOK: list[Guard] = [
    (NumberedEngine, "_is_whole", begin_alone),
    (CountedEngine, "_is_steady", yes),
    (QueueWindow, "_whole", lambda _, slots: slots),
]
NO_EPOCH: list[Guard] = [
    (NumberedEngine, "_went_back", no),
    (NumberedEngine, "_is_in_doubt", no),
    (CountedEngine, "_is_reset", no),
]
NO_CURSOR: list[Guard] = [
    (record_agent, "reader_of", lambda device, source, _: reader_of(device, source, Cursor())),
]
NO_DIGEST: list[Guard] = [
    (NumberedEngine, "_is_in_doubt", no),
    (counted, "contradicts", no),
    (counted, "_overlap", lambda old, new: min(len(old), len(new))),
]
NO_DOUBT: list[Guard] = [(CountedEngine, "_doubt", lambda *_: "")]


@pytest.mark.parametrize(
    ("shape", "guards"),
    [
        *[(shape, NO_SECOND_LOOK) for shape in SHAPES],
        *[(shape, NO_EPOCH) for shape in SHAPES],
        *[(shape, NO_CURSOR) for shape in SHAPES],
        *[(shape, NO_DIGEST) for shape in SHAPES],
        ("signal", NO_DOUBT),
        ("fifo", NO_DOUBT),
    ],
)
def test_without_a_guard_the_oracle_finds_the_fault(
    monkeypatch: pytest.MonkeyPatch, shape: str, guards: list[Guard]
) -> None:
    """The control: second look, durable cursor, epoch, digest and doubt are each needed."""
    for owner, name, instead in guards:
        monkeypatch.setattr(owner, name, instead)
    with pytest.raises((AssertionError, KeyError)):
        run(SHAPES[shape], examples=1000)
