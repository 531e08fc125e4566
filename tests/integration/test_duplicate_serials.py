"""Sorted cells end to end: serials that come twice are told, against the sorter's own ledger."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent.config import load_edge
from agent.demo.site_file import site_file
from agent.runtime.edge import running
from collectors.record import Result
from collectors.simulated import ledger, sorter
from collectors.simulated.ledger import Part
from collectors.simulated.line import LineSpec, SimulatedLine
from tests.integration.test_formation_truth import spooled
from tests.services.ports import free_port
from tests.services.waiting import eventually

SORTER = "sorter-1"
AGAIN_AFTER = {"probe_contact", "db_miss"}


def duplicates(parts: Sequence[Part]) -> Iterator[tuple[str, int, int]]:
    """Yield serial, number of the earlier cell and of the later one; all are within the hour."""
    last: dict[str, Part] = {}
    for part in parts:
        if not part.serial or part.result is Result.TEST:
            continue
        before = last.get(part.serial)
        if before is not None and before.code not in AGAIN_AFTER:
            yield part.serial, before.seq, part.seq
        last[part.serial] = part


async def test_each_serial_that_comes_twice_is_an_event_and_has_no_k(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more and no fewer than the ledger has; golden cells and unread codes are none."""
    monkeypatch.setattr(
        sorter,
        "FAULTS",
        {
            **sorter.FAULTS,
            "duplicate_barcode": sorter.Fault(800, "duplicate_barcode"),
            "db_miss": sorter.Fault(800, "db_miss", sorter.FAULTS["db_miss"].measured),
        },
    )
    truth = tmp_path / "ledger.jsonl"
    spec = LineSpec(seed=31, speed=150, formation_speed=1, parts=500)
    async with SimulatedLine(spec, ledger_path=truth) as line:
        place = [each for each in line.equipment if each.station == SORTER]
        path = tmp_path / "lini.toml"
        text = site_file(place, broker_port=free_port())
        path.write_text(text.replace("[page]", "[page]\nenabled = false"))
        async with running(path, load_edge(path)) as edge:
            await eventually(lambda: edge.line.records == 500, timeout_s=60, what="500 cells")
    points = await spooled(tmp_path)
    made = [part for part in ledger.read(truth) if part.station == SORTER]
    expected = list(duplicates(made))
    assert len(expected) > 10
    assert any(part.code in AGAIN_AFTER for part in made)
    events = [point for point in points if point.tags.get("kind") == "duplicate_serial"]
    told = [
        (point.fields["value"], point.fields["from_seq"], point.fields["to_seq"])
        for point in events
    ]
    assert told == expected
    rows = {point.fields["seq"]: point for point in points if point.measurement == "cell"}
    for _, _, seq in expected:
        assert "k_pair" not in rows[seq].fields
        assert "k_pair:rest" in str(rows[seq].fields["quality"]) or rows[seq].fields["bad"]
