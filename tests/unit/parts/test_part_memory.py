"""The memory of earlier parts: what it adds to records, and that a replay adds the same."""

import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.model.points import event_point, record_point
from agent.parts import store as store_module
from agent.parts.families import Derived, derive
from agent.parts.store import PartsError, PartStore
from agent.wire.schema import Schema
from collectors.formation import StepRecord
from collectors.profile import find
from collectors.quality import Fault, Reason
from collectors.record import Record, Result, TimeSource
from collectors.sample import StationId
from tests.unit.collectors.test_formation_cycles import Step, records_of

SORTER, CABINET = find("cell-sorter-plc"), find("formation-cabinet-64")
assert SORTER.records is not None
assert CABINET.records is not None
CELLS, STEPS = SORTER.records, CABINET.records
STATION = StationId(site="s", line="l", station="sorter-1")
HOUR_NS = 3_600_000_000_000
START_NS = 1_760_000_000_000_000_000


class Clock:
    """The agent's clock, turned by the test."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


def cell(seq: int, hours: float, ocv: float | None = 3600.0, **more: object) -> Record:
    """Return the record of a sorted cell; without `ocv` its probe was open."""
    record = Record(
        station=STATION,
        kind="cell",
        epoch=1,
        seq=seq,
        time_ns=START_NS + round(hours * HOUR_NS) + seq,
        time_source=TimeSource.MACHINE,
        result=Result.OK,
        code="none",
        serial="C1",
        tags={"bin": "A"},
        values={"acir": 18.0, "temperature": 25.0, **({} if ocv is None else {"ocv": ocv})},
        faults={} if ocv is not None else {"ocv": Fault(reason=Reason.SENTINEL, raw=1e10)},
    )
    return replace(record, **more)  # type: ignore[arg-type]


def step_records(programs: Sequence[Sequence[Step]]) -> list[Record]:
    """Return the records of one channel, a cycle each program."""
    found: list[StepRecord] = []
    for cycle, program in enumerate(programs, 1):
        found += records_of(program, cycle=cycle, first_seq=len(found) + 1)
    return [
        Record(
            station=STATION,
            kind="formation_step",
            epoch=1,
            seq=each.seq,
            time_ns=START_NS + each.seq * 1_000_000_000,
            time_source=TimeSource.MACHINE,
            result=each.result,
            code=each.code,
            serial=each.serial,
            tags={"channel": "7", "step": each.step or ""},
            values={
                name: value
                for name in ("cycle", "step_no", "part", "end_reason", "t_max", "v_start")
                if (value := getattr(each, name)) is not None
            }
            | {"capacity_ah": each.capacity_ah or 0.0, "energy_wh": each.energy_wh or 0.0}
            | {"duration_s": each.duration_s or 0.0, "v_end": 4.0, "i_end": each.i_end or 0.0},
        )
        for each in found
    ]


@asynccontextmanager
async def opened(path: Path, clock: Clock | None = None) -> AsyncIterator[PartStore]:
    async with PartStore(path / "parts.db", clock=clock or Clock()) as store:
        yield store


async def measure(store: PartStore, clock: Clock, record: Record) -> Derived:
    """Hear of a part a moment after it was made."""
    clock.now_ns = record.time_ns + 2_000_000_000
    return await derive(store, CELLS, [record])


async def test_k_is_stored_beside_both_measurements(tmp_path: Path) -> None:
    """Both OCVs, times and temperatures are in the row, with the limits; all fit the schema."""
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        first = await measure(store, clock, cell(1, 0, 3600.0))
        second = await measure(store, clock, cell(9, 336, 3595.0))
    schema = Schema.of([SORTER])
    row = schema.coerce(record_point(first.records[0], SORTER)).fields
    assert (row["bad"], row["quality"]) == (0, "k_pair:no_earlier")
    assert "k_pair" not in row
    row = schema.coerce(record_point(second.records[0], SORTER)).fields
    assert row["k_pair"] == pytest.approx(5 / 336, abs=1e-4)
    assert (row["k_pair_lsl"], row["k_pair_usl"]) == (-0.01, 0.08)
    assert (row["ocv"], row["k_from_ocv"]) == (3595.0, 3600.0)
    assert (row["temperature"], row["k_from_temperature"]) == (25.0, 25.0)
    assert (row["k_from_ms"], row["k_rest_h"]) == (START_NS // 1_000_000, 336.0)
    assert row["k_from_station"] == str(STATION)
    assert not second.events


async def test_an_open_probe_or_a_doubtful_value_makes_no_k(tmp_path: Path) -> None:
    """A sentinel is no voltage, and a value that is UNCERTAIN is no input."""
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        await measure(store, clock, cell(1, 0, None))
        told = await measure(store, clock, cell(2, 48, 3600.0))
        assert told.records[0].faults["k_pair"].reason is Reason.INPUT
        doubt = {"temperature": Fault(reason=Reason.IMPLAUSIBLE)}
        told = await measure(store, clock, cell(3, 96, 3600.0, faults=doubt))
        assert told.records[0].faults["k_pair"].reason is Reason.INPUT
        assert "k_pair" not in told.records[0].values


async def test_a_duplicate_serial_is_an_event_with_the_earlier_place(tmp_path: Path) -> None:
    """It names both parts and when and where the first was; unscanned cells are none."""
    clock = Clock()
    other = StationId(site="s", line="l", station="sorter-2")
    async with opened(tmp_path, clock) as store:
        await measure(store, clock, cell(1, 0))
        told = await measure(store, clock, cell(5, 0.1, station=other))
        (event,) = told.events
        assert (event.kind, event.station) == ("duplicate_serial", other)
        fields = Schema.of([SORTER]).coerce(event_point(event)).fields
        assert (fields["value"], fields["from_seq"], fields["to_seq"]) == ("C1", 1, 5)
        assert fields["value_before"] == str(STATION)
        assert fields["since_ms"] == START_NS // 1_000_000
        for seq in (6, 7):
            unscanned = await measure(store, clock, cell(seq, 1, serial=None))
            assert not unscanned.events
            assert unscanned.records[0].faults["k_pair"].reason is Reason.NO_EARLIER


def _cells(chance: random.Random) -> list[Record]:
    hours = sorted(chance.uniform(0, 200) for _ in range(60))
    return [
        cell(seq, at, chance.choice([None, 3600.0 - seq]), serial=f"C{chance.randrange(6)}")
        for seq, at in enumerate(hours, 1)
    ]


def _steps(chance: random.Random) -> list[Record]:
    def program() -> list[Step]:
        return [
            Step(kind, tuple([0.5] * chance.choice((1, 1, 2))))
            for kind in STEPS.cycles.programs[chance.randrange(2)]  # type: ignore[union-attr]
        ]

    return step_records([program() for _ in range(8)])


@pytest.mark.parametrize("make", [_cells, _steps])
@pytest.mark.parametrize("seed", range(4))
async def test_a_replay_after_any_kill_gives_the_same_again(
    tmp_path: Path, seed: int, make: object
) -> None:
    """Each part is heard of up to three times, in other batches; the last telling is the first."""
    chance = random.Random(seed)
    records: list[Record] = make(chance)  # type: ignore[operator]
    source = CELLS if make is _cells else STEPS
    clock, straight = Clock(), Clock()
    (tmp_path / "straight").mkdir()
    expected: list[Derived] = []
    async with opened(tmp_path / "straight", straight) as store:
        for record in records:
            straight.now_ns = record.time_ns
            expected.append(await derive(store, source, [record]))
    told: dict[int, Derived] = {}
    at = 0
    while at < len(records):
        async with opened(tmp_path, clock) as store:  # killed before the spool had it
            upto = min(len(records), at + chance.randrange(1, 8))
            for record in records[at:upto]:
                clock.now_ns = max(clock.now_ns, record.time_ns)
                told[record.seq] = await derive(store, source, [record])
        at = chance.randrange(max(0, at - 2), upto + 1)
    assert [told[record.seq] for record in records] == expected
    assert any(each.events or each.summaries for each in expected)


async def test_control_with_all_parts_as_earlier_ones_a_replay_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the test above would see it: a part must not be compared with later ones."""
    before = store_module.Parts.before
    monkeypatch.setattr(
        store_module.Parts, "before", lambda self, kind, of, _: before(self, kind, of, 1 << 40)
    )
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        first = await measure(store, clock, cell(1, 0))
        await measure(store, clock, cell(2, 48, 3500.0))
        assert await measure(store, clock, cell(1, 0)) != first


async def test_a_batch_that_fails_is_not_half_remembered(tmp_path: Path) -> None:
    """One transaction a batch: what was kept of it is undone."""
    async with opened(tmp_path) as store:
        broken = cell(2, 0, tags={}, values={"ocv": 1.0, "temperature": 2.0}, code=object())
        with pytest.raises(TypeError):
            await derive(store, CELLS, [cell(1, 0), broken])
        told = await derive(store, CELLS, [cell(3, 0.1)])
        assert not told.events


async def test_a_number_that_comes_back_as_another_part_is_another_part(tmp_path: Path) -> None:
    """After the spool was lost its epochs begin anew: an old part of that number is no replay."""
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        await measure(store, clock, cell(1, 0, serial="OLD"))
        await measure(store, clock, cell(2, 1, 3600.0))
        told = await measure(store, clock, cell(1, 49, 3599.0))
        assert told.records[0].values["k_from_ocv"] == 3600.0


async def test_what_is_old_or_too_much_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is bounded by count, and by age."""
    monkeypatch.setattr(store_module, "_FORGET_EVERY", 10)
    monkeypatch.setattr(store_module, "_MOST_PARTS", 50)
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        for seq in range(1, 301):
            await measure(store, clock, cell(seq, 0, serial=f"C{seq}"))
        assert await store.using(lambda parts: parts.count(cell(1, 0), 1, 300)) == 50
        clock.now_ns += 200 * 24 * HOUR_NS
        late = [cell(seq, 4800, serial=f"C{seq}") for seq in range(301, 311)]
        await derive(store, CELLS, late)
        assert await store.using(lambda parts: parts.count(cell(1, 0), 1, 310)) == 10


async def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    """Parts matter more than what earlier ones tell of them: the agent starts without."""
    (tmp_path / "parts.db").write_bytes(b"no database at all, " * 500)
    async with opened(tmp_path) as store:
        told = await derive(store, CELLS, [cell(1, 0)])
        assert told.records[0].faults["k_pair"].reason is Reason.NO_EARLIER
    assert (tmp_path / "parts.db.damaged").exists()


async def test_a_disk_that_fails_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    """A folder that is not there cannot be repaired by starting anew."""
    with pytest.raises(PartsError, match="check the disk"):
        async with opened(tmp_path / "missing"):
            pass


async def test_other_records_cost_nothing(tmp_path: Path) -> None:
    """A weld has no memory: its records pass as they are, and nothing is written."""
    welder = find("spot-welder-plc").records
    assert welder is not None
    async with opened(tmp_path) as store:
        weld = cell(1, 0, kind="weld")
        assert await derive(store, welder, [weld]) == Derived((weld,))
    with closing(sqlite3.connect(tmp_path / "parts.db")) as db:
        assert db.execute("SELECT count(*) FROM part").fetchone() == (0,)


@pytest.mark.parametrize("is_lost", [False, True])
async def test_without_numbered_parts_a_lost_record_of_any_channel_makes_doubt(
    tmp_path: Path, *, is_lost: bool
) -> None:
    """It may have been half of a step of this channel: the cycle is told as incomplete."""
    assert STEPS.cycles is not None
    cycles = STEPS.cycles.model_copy(update={"part": None})
    source = STEPS.model_copy(update={"cycles": cycles})
    both = [
        replace(record, seq=2 * record.seq + place, tags={**record.tags, "channel": channel})
        for record in step_records([[Step(kind, (1.0,)) for kind in cycles.programs[0]]])
        for place, channel in enumerate("78")
    ]
    if is_lost:
        del both[3]  # of channel 8
    async with opened(tmp_path) as store:
        told = await derive(store, source, both)
    lacks = {each.tags["channel"]: each.values["lack"] for each in told.summaries}
    assert lacks == ({"7": "records_lost"} if is_lost else {"7": "", "8": ""})


async def test_limits_stand_only_beside_the_step_they_are_for(tmp_path: Path) -> None:
    """A charge, or half of a discharge, is not judged; the whole discharge is, in its cycle."""
    programs = [
        [Step(kind, (1.0, 1.55) if kind == "cc_discharge" else (1.0,)) for kind in program]
        for program in [STEPS.cycles.programs[0]]  # type: ignore[union-attr]
    ]
    records = step_records(programs)
    whole = replace(records[4], values={**records[4].values, "part": 1})
    async with opened(tmp_path) as store:
        told = await derive(store, STEPS, records)
    schema = Schema.of([CABINET])
    rows = [schema.coerce(record_point(each, CABINET)).fields for each in told.records]
    assert not [row for row in rows if "capacity_ah_lsl" in row]
    assert all("t_max_lsl" in row for row in rows)
    assert "capacity_ah_lsl" in record_point(whole, CABINET).fields
    (cycle,) = told.summaries
    row = schema.coerce(record_point(cycle, CABINET)).fields
    assert row["capacity_ah"] == 2.55
    assert (row["capacity_ah_lsl"], row["capacity_ah_usl"]) == (2.50, 2.65)
    assert (row["complete"], row["interruptions"], row["ok"]) == (1, 1, 1)
