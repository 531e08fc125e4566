"""The record engine against a simulated ring and an oracle that knows every part made."""

import random
from collections.abc import Mapping, Sequence

import pytest

from collectors.quality import Fault, Reason
from collectors.record import Cursor, Event, Record, Result, TimeSource
from collectors.record_source import RecordSource
from collectors.records.batch import Batch, Slot
from collectors.records.numbered import Head, NumberedEngine
from collectors.register import Register, Type
from collectors.sample import StationId, Value

STATION = StationId(site="s", line="l", station="welder-1")
NOW_NS = 1_790_000_000_000_000_000


def source(slots: int = 8, wrap: int = 2**32) -> RecordSource:
    def register(name: str, address: int, kind: Type = Type.UINT32, **more: object) -> Register:
        return Register.model_validate({"name": name, "address": address, "type": kind, **more})

    return RecordSource(
        kind="weld",
        period_s=1,
        sequence="rec_seq",
        write_index="rec_index",
        wrap=wrap,
        slots=slots,
        address=100,
        stride=32,
        begin="begin",
        end="end",
        time_s="time_s",
        time_ms="time_ms",
        tags=("program",),
        registers=(
            register("begin", 0),
            register("time_s", 2),
            register("time_ms", 4, Type.UINT16),
            register("result", 5, Type.ENUM, values={"1": "OK", "2": "NG", "3": "TEST"}),
            register("code", 6, Type.ENUM, values={"0": "none", "7": "no_current"}),
            register("program", 7, Type.UINT16),
            register("current", 8, Type.FLOAT32, unit="kA"),
            register("serial", 12, Type.STRING, length=10),
            register("end", 30),
        ),
    )


class Ring:
    """A machine's ring as the PLC fills it."""

    def __init__(self, slots: int, wrap: int) -> None:
        self.slots: list[dict[str, Value]] = [{} for _ in range(slots)]
        self.wrap = wrap
        self.seq = 0
        self.index = 0

    def make(self, **more: Value) -> None:
        self.seq = (self.seq + 1) % self.wrap
        self.slots[self.index] = {
            "begin": self.seq,
            "end": self.seq,
            "result": "OK",
            "code": "none",
            "program": 3,
            "serial": f"M{self.seq}",
            "current": self.seq / 8,
            "time_s": NOW_NS // 10**9,
            "time_ms": 250,
            **more,
        }
        self.index = (self.index + 1) % len(self.slots)

    @property
    def head(self) -> Head:
        return Head(seq=self.seq, held=len(self.slots), write_index=self.index)

    def show(self, seqs: Sequence[int], head: Head) -> dict[int, Slot]:
        """Return the slots in which `head` has these sequences, with a digest of each."""
        ages = {seq: (head.seq - seq) % self.wrap for seq in seqs}
        held = {
            seq: self.slots[(head.write_index - 1 - age) % len(self.slots)]
            for seq, age in ages.items()
        }
        return {seq: Slot(slot, digest=f"1-{hash(str(slot))}") for seq, slot in held.items()}


def poll(engine: NumberedEngine, ring: Ring, *, most: int = 30) -> Batch:
    """Read the ring once and store what came."""
    head = ring.head
    seqs = engine.wanted(head, at_ns=NOW_NS, most=most)
    slots = ring.show(seqs, head)
    batch = engine.accept(slots, ring.head, at_ns=NOW_NS)
    engine.advance(batch)
    return batch


def start(
    slots: int = 8, wrap: int = 2**32, cursor: Cursor | None = None
) -> tuple[NumberedEngine, Ring]:
    return NumberedEngine(source(slots, wrap), STATION, cursor or Cursor()), Ring(slots, wrap)


def numbers(batch: Batch) -> list[int]:
    return [record.seq for record in batch.records]


def losses(events: tuple[Event, ...]) -> list[tuple[Value, Value, Value, Value]]:
    return [
        tuple(event.values[key] for key in ("from_seq", "to_seq", "count", "reason"))  # type: ignore[misc]
        for event in events
        if event.kind == "records_lost"
    ]


def test_each_part_comes_once_and_in_order() -> None:
    engine, ring = start()
    assert not poll(engine, ring).records
    for _ in range(3):
        ring.make()
    assert numbers(poll(engine, ring)) == [1, 2, 3]
    assert not poll(engine, ring)
    ring.make()
    assert numbers(poll(engine, ring)) == [4]


def test_a_record_carries_what_its_slot_held() -> None:
    engine, ring = start()
    ring.make(result="NG", code="no_current", current=1.25, serial="MOD-1")
    (record,) = poll(engine, ring).records
    assert record == Record(
        station=STATION,
        kind="weld",
        epoch=1,
        seq=1,
        time_ns=(NOW_NS // 10**9 * 1000 + 250) * 1_000_000 + 1,
        time_source=TimeSource.MACHINE,
        result=Result.NG,
        code="no_current",
        serial="MOD-1",
        tags={"program": "3"},
        values={"current": 1.25},
    )


def test_the_first_look_takes_all_the_ring_holds_and_calls_nothing_lost() -> None:
    engine, ring = start(slots=8)
    for _ in range(20):
        ring.make()
    batch = poll(engine, ring)
    assert numbers(batch) == list(range(13, 21))
    assert losses(batch.events) == []


def test_overwritten_parts_are_lost_by_number() -> None:
    engine, ring = start(slots=8)
    ring.make()
    poll(engine, ring)
    for _ in range(12):
        ring.make()
    batch = poll(engine, ring)
    assert losses(batch.events) == [(2, 5, 4, "overwritten")]
    assert numbers(batch) == list(range(6, 14))


def test_a_half_written_slot_waits_for_the_next_poll() -> None:
    engine, ring = start()
    ring.make()
    ring.make()
    whole = dict(ring.slots[1])
    ring.slots[1]["end"] = 77
    assert numbers(poll(engine, ring)) == [1]
    ring.slots[1] = whole
    assert numbers(poll(engine, ring)) == [2]


def test_a_slot_that_never_becomes_whole_is_lost_and_blocks_nobody() -> None:
    engine, ring = start()
    for _ in range(3):
        ring.make()
    ring.slots[1]["begin"] = 77
    batches = [poll(engine, ring) for _ in range(3)]
    assert [numbers(batch) for batch in batches] == [[1], [], [3]]
    assert losses(batches[2].events) == [(2, 2, 1, "torn")]


def test_a_slot_overwritten_while_it_was_read_is_lost_not_mixed() -> None:
    """The head read after the slots shows that the ring has gone round."""
    engine, ring = start(slots=4)
    ring.make()
    poll(engine, ring)
    for _ in range(4):
        ring.make()
    head = ring.head
    seqs = engine.wanted(head, at_ns=NOW_NS, most=30)
    for _ in range(2):
        ring.make()  # while the slots are on the wire
    slots = ring.show(seqs, head)
    batch = engine.accept(slots, ring.head, at_ns=NOW_NS)
    assert losses(batch.events) == [(2, 3, 2, "overwritten")]
    assert numbers(batch) == [4, 5]


@pytest.mark.parametrize("wrap", [100_000, 1_000_000, 2**16, 2**32])
def test_a_wrap_is_not_a_reset(wrap: int) -> None:
    engine, ring = start(wrap=wrap, cursor=Cursor(epoch=4, seq=wrap - 2))
    ring.seq = wrap - 2
    for _ in range(3):
        ring.make()
    batch = poll(engine, ring)
    assert [(record.epoch, record.seq) for record in batch.records] == [
        (4, wrap - 1),
        (4, wrap),
        (4, wrap + 1),
    ]
    assert batch.events == ()


def test_a_reset_starts_a_new_epoch_and_loses_nothing() -> None:
    engine, ring = start()
    for _ in range(5):
        ring.make()
    poll(engine, ring)
    ring.seq = ring.index = 0  # the PLC restarts
    ring.make()
    ring.make()
    batch = poll(engine, ring)
    assert [(record.epoch, record.seq) for record in batch.records] == [(2, 1), (2, 2)]
    assert [event.kind for event in batch.events] == ["epoch_started"]
    assert (batch.cursor.epoch, batch.cursor.seq) == (2, 2)


def test_after_a_restart_the_ring_is_read_from_the_stored_cursor() -> None:
    engine, ring = start()
    for _ in range(4):
        ring.make()
    cursor = poll(engine, ring).cursor
    ring.make()
    again = NumberedEngine(source(), STATION, cursor)
    assert numbers(poll(again, ring)) == [5]


def test_what_was_not_stored_is_read_again() -> None:
    """Without `advance` the cursor stands still: a failed commit loses nothing."""
    engine, ring = start()
    ring.make()
    for _ in range(2):
        seqs = engine.wanted(ring.head, at_ns=NOW_NS, most=30)
        slots = ring.show(seqs, ring.head)
        assert numbers(engine.accept(slots, ring.head, at_ns=NOW_NS)) == [1]


@pytest.mark.parametrize("seconds", [0, 946_684_800, 4_102_444_800])
def test_a_machine_clock_that_cannot_be_true_is_not_used(seconds: int) -> None:
    engine, ring = start()
    ring.make(time_s=seconds)
    (record,) = poll(engine, ring).records
    assert record.time_source is TimeSource.AGENT
    assert record.time_ns == NOW_NS + 1


def test_a_missing_value_is_a_fault_of_the_record_and_not_a_number() -> None:
    engine, ring = start()
    ring.make()
    head = ring.head
    engine.wanted(head, at_ns=NOW_NS, most=30)
    values = {name: value for name, value in ring.slots[0].items() if name != "current"}
    faults: Mapping[str, Fault] = {"current": Fault(reason=Reason.SENTINEL, raw=0x7FFF)}
    (record,) = engine.accept({1: Slot(values, faults)}, head, at_ns=NOW_NS).records
    assert record.values == {}
    assert record.faults == faults


@pytest.mark.parametrize("seed", range(40))
def test_against_an_oracle_with_any_pace_any_ring_resets_and_restarts(seed: int) -> None:
    """Every part still in the ring at a poll is stored once; every other one is reported lost."""
    rng = random.Random(seed)
    slots, wrap = rng.choice([4, 7, 32]), rng.choice([1000, 2**16, 2**32])
    engine, ring = start(slots=slots, wrap=wrap)
    poll(engine, ring)
    ring.make()
    poll(engine, ring)
    made, stored, lost = [(1, 1)], [(1, 1)], 0
    epoch = count = 1
    for _ in range(120):
        for _ in range(rng.choice([0, 1, 1, 2, slots, 2 * slots + 1])):
            ring.make()
            count += 1
            made.append((epoch, count))
        if rng.random() < 0.1:  # the agent is killed and comes back with its stored cursor
            engine = NumberedEngine(source(slots, wrap), STATION, engine.cursor)
        while batch := poll(engine, ring, most=rng.choice([1, 3, 30])):
            stored += [(record.epoch, record.seq) for record in batch.records]
            lost += sum(
                int(str(event.values["count"]))
                for event in batch.events
                if event.kind == "records_lost"
            )
        if rng.random() < 0.05 and 2 * slots < ring.seq < wrap // 2:
            ring.seq = ring.index = 0
            epoch += 1
            count = 0
            poll(engine, ring)
    assert len(stored) == len(set(stored))
    assert set(stored) <= set(made)
    assert len(stored) + lost == len(made)
