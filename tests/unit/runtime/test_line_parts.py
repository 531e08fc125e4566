"""The line and the memory of earlier parts: what it tells is stored with the part; it is no must."""

import logging
from collections.abc import Iterable
from pathlib import Path

import pytest

from agent.model.station import StationModel
from agent.parts.store import PartsError, PartStore
from agent.runtime.line import Line
from agent.wire.point import Point
from collectors.profile import find
from collectors.record import Cursor, Record
from collectors.records import Batch
from tests.unit.collectors.test_formation_cycles import Step
from tests.unit.parts.test_part_memory import STATION, STEPS, cell, step_records


class Box:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.cursors: list[tuple[str, Cursor] | None] = []

    async def add_evidence(
        self, points: Iterable[Point], cursor: tuple[str, Cursor] | None = None
    ) -> None:
        self.points += points
        self.cursors.append(cursor)


def line_of(profile: str, box: Box, parts: PartStore | None) -> Line:
    model = StationModel(STATION, find(profile).title, find(profile), now_ns=0)
    return Line({STATION: model}, box, clock=lambda: 0, parts=parts)  # type: ignore[arg-type]


def batch_of(*records: Record) -> Batch:
    return Batch(records=records, cursor=Cursor(epoch=1, seq=records[-1].seq))


async def test_summaries_are_stored_with_the_record_that_ends_them(tmp_path: Path) -> None:
    """In one commit with the cursor; a summary is no part, and is not counted as one."""
    assert STEPS.cycles is not None
    records = step_records([[Step(kind, (1.0,)) for kind in STEPS.cycles.programs[0]]])
    box = Box()
    async with PartStore(tmp_path / "parts.db", clock=lambda: 0) as store:
        line = line_of("formation-cabinet-64", box, store)
        await line.recorded("cabinet", batch_of(*records))
    kinds = [point.measurement for point in box.points]
    assert kinds == ["formation_step"] * 5 + ["formation_cycle"]
    assert box.cursors == [("cabinet", Cursor(epoch=1, seq=5))]
    assert line.records == 5


async def test_parts_are_stored_even_if_the_memory_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a K value, told once; evidence does not wait for a file that only adds to it."""
    box = Box()
    async with PartStore(tmp_path / "parts.db", clock=lambda: 0) as store:
        line = line_of("cell-sorter-plc", box, store)

        async def fail(_: object) -> None:
            raise PartsError("parts.db: disk I/O error", "check the disk")

        with monkeypatch.context() as failing, caplog.at_level(logging.ERROR):
            failing.setattr(store, "using", fail)
            await line.recorded("sorter", batch_of(cell(1, 0)))
            await line.recorded("sorter", batch_of(cell(2, 30)))
        await line.recorded("sorter", batch_of(cell(3, 60)))
    assert [point.fields["seq"] for point in box.points] == [1, 2, 3]
    assert [point.fields.get("quality") for point in box.points] == [
        "k_pair:no_memory",
        "k_pair:no_memory",
        "k_pair:no_earlier",
    ]
    assert len([each for each in caplog.records if "earlier ones" in each.message]) == 1


async def test_a_duplicate_is_stored_with_its_part(tmp_path: Path) -> None:
    """The event and the record are in one commit: neither is there without the other."""
    box = Box()
    async with PartStore(tmp_path / "parts.db", clock=lambda: 0) as store:
        line = line_of("cell-sorter-plc", box, store)
        await line.recorded("sorter", batch_of(cell(1, 0), cell(2, 0.1)))
    assert [point.measurement for point in box.points] == ["cell", "cell", "event"]
    assert len(box.cursors) == 1
