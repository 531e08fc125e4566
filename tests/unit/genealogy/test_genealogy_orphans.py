"""Records without a serial: kept, listed with what is known, and resolved by people."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.genealogy.entries import PlacementEntry
from agent.genealogy.errors import EntryError
from agent.genealogy.links import Links, PositionMap
from agent.genealogy.store import Genealogy
from tests.services.parts import WELDER, cell, event, weld

LINKS = Links(maps={WELDER.station: PositionMap(cells=(("1",), ("2",), ("3",)))})


@pytest.fixture
async def genealogy(tmp_path: Path) -> AsyncIterator[Genealogy]:
    """Return a store in which the scan of one module was missed."""
    async with Genealogy(tmp_path / "g.db", LINKS) as store:
        await store.set_maps([WELDER])
        await store.keep(
            [
                event("lot_seen", 0, register="lot", value="L1"),
                weld(1, "M1"),
                weld(2, ""),
                weld(3, "", result="NG"),
                weld(4, "", result="TEST"),
                weld(5, ""),
                weld(6, "M3"),
                weld(7, " "),
                cell(1, ""),
            ]
        )
        yield store


async def runs(genealogy: Genealogy) -> list[tuple[str, int, int]]:
    return [(each.kind, each.first, each.last) for each in await genealogy.orphans()]


async def test_orphans_are_listed_with_what_is_known(genealogy: Genealogy) -> None:
    """Runs of neighbours, with their results and whose records lie around them."""
    first = (await genealogy.orphans())[0]
    assert (first.station, first.epoch, first.first, first.last) == ("welder-1", 1, 2, 3)
    assert first.results == {"OK": 1, "NG": 1}
    assert (first.before, first.after) == ("M1", "")
    assert await runs(genealogy) == [("weld", 2, 3), ("weld", 5, 5), ("weld", 7, 7), ("cell", 1, 1)]


async def test_a_resolved_orphan_is_a_record_of_its_module(genealogy: Genealogy) -> None:
    """With who and why, its position, its cells, and what was in force when it was made."""
    count = await genealogy.resolve(
        station="welder-1",
        epoch=1,
        first=2,
        last=5,
        serial="M2",
        position=1,
        who="ani",
        reason="only module on the jig",
        kind="weld",
    )
    assert count == 3
    entry = PlacementEntry(parent="M2", position="2", child="C2")
    await genealogy.place([entry], who="ani")
    (life,) = (await genealogy.trace("M2")).lives
    assert [(each.seq, each.position) for each in life.part.records] == [(2, 1), (3, 2), (5, 3)]
    made = life.part.records[1]
    assert made.cells == ("C2",)
    assert made.in_force["lot"].value == "L1"
    assert made.resolved is not None
    assert (made.resolved.who, made.resolved.reason) == ("ani", "only module on the jig")
    assert await runs(genealogy) == [("weld", 7, 7), ("cell", 1, 1)]
    assert (await genealogy.trace_lot("L1")).affected[0].modules == ("M1", "M2", "M3")


async def test_a_wrong_resolution_is_resolved_again(genealogy: Genealogy) -> None:
    """The latest counts; the rows of before are kept. A wrong scan is corrected likewise."""
    for serial in ("M2", "M4"):
        await genealogy.resolve(
            station="welder-1", epoch=1, first=2, last=2, serial=serial, who="ani", reason="jig"
        )
    await genealogy.resolve(
        station="welder-1", epoch=1, first=1, last=1, serial="M4", who="budi", reason="label mixed"
    )
    (life,) = (await genealogy.trace("M4")).lives
    assert [each.seq for each in life.part.records] == [1, 2]
    for empty in ("M1", "M2"):
        (life,) = (await genealogy.trace(empty)).lives
        assert life.part.records == ()
    rows = genealogy._db.execute("SELECT count(*) FROM resolution").fetchone()
    assert rows == (3,)


@pytest.mark.parametrize(
    ("station", "first", "epoch"), [("nowhere", 2, 1), ("welder-1", 99, 1), ("welder-1", 2, 2)]
)
async def test_records_that_are_not_there_cannot_be_resolved(
    genealogy: Genealogy, station: str, first: int, epoch: int
) -> None:
    """The operator is told where to look, and nothing is stored."""
    with pytest.raises(EntryError, match="lini trace orphans"):
        await genealogy.resolve(
            station=station, epoch=epoch, first=first, last=first, serial="M2", who="a", reason="b"
        )
    assert (await genealogy.trace("M2")).is_empty
