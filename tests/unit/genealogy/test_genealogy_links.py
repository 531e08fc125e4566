"""Welds and their cells: positions by register and by count, maps that change, scans."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from agent.genealogy.count import Count
from agent.genealogy.entries import PlacementEntry
from agent.genealogy.life import Made, Part
from agent.genealogy.links import Links, PositionMap, Scan
from agent.genealogy.store import Genealogy
from agent.wire.point import Point
from tests.services.parts import SORTER, WELDER, cell, weld

TWO_EACH = PositionMap(cells=(("1",), ("1", "2"), ("2",)))
COUNTED = Links(maps={WELDER.station: TWO_EACH})


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[Genealogy]:
    """Return a genealogy that counts the welds of a module."""
    async with Genealogy(tmp_path / "g.db", COUNTED) as genealogy:
        await genealogy.set_maps([WELDER])
        yield genealogy


async def part(genealogy: Genealogy, serial: str) -> Part:
    """Return the part that is called `serial`, the only one."""
    (life,) = (await genealogy.trace(serial)).lives
    return life.part


async def positions(genealogy: Genealogy, serial: str) -> list[int | None]:
    return [each.position for each in (await part(genealogy, serial)).records]


def cells_of(records: Sequence[Made]) -> list[tuple[str, ...]]:
    return [each.cells for each in records]


async def place(genealogy: Genealogy, *rows: tuple[str, str, str], reason: str = "") -> None:
    entries = [
        PlacementEntry(parent=parent, position=position, child=child, reason=reason)
        for parent, position, child in rows
    ]
    await genealogy.place(entries, who="ani")


async def test_a_weld_is_linked_to_the_cells_it_joins(counted: Genealogy) -> None:
    """By its number in the module, and both ways."""
    await counted.keep([weld(1, "M1"), weld(2, "M1"), weld(3, "M1"), weld(4, "M2")])
    await place(counted, ("M1", "1", "C1"), ("M1", "2", "C2"), ("P1", "left", "M1"))
    module = await part(counted, "M1")
    assert cells_of(module.records) == [("C1",), ("C1", "C2"), ("C2",)]
    assert [(each.position, each.serial) for each in module.parts] == [("1", "C1"), ("2", "C2")]
    (life,) = (await counted.trace("C2")).lives
    assert [each.seq for each in life.welds] == [2, 3]
    assert [(each.parent, each.position) for each in life.inside] == [("M1", "2"), ("P1", "left")]


async def test_a_weld_is_linked_once_its_cells_are_known(counted: Genealogy) -> None:
    """Whether cells are entered before the welds or after, and after a correction anew."""
    await counted.keep([weld(1, "M1")])
    assert cells_of((await part(counted, "M1")).records) == [()]
    await place(counted, ("M1", "1", "C1"))
    assert cells_of((await part(counted, "M1")).records) == [("C1",)]
    await place(counted, ("M1", "1", "C9"), reason="C1 fell down")
    assert cells_of((await part(counted, "M1")).records) == [("C9",)]


async def test_a_register_tells_the_position_where_there_is_one(tmp_path: Path) -> None:
    """A weld made again has the position it had; nothing is counted."""
    links = Links(maps={WELDER.station: PositionMap(register="spot", cells=TWO_EACH.cells)})
    async with Genealogy(tmp_path / "g.db", links) as genealogy:
        await genealogy.set_maps([WELDER])
        await genealogy.keep(
            [weld(1, "M1", spot=2), weld(2, "M1", spot=3), weld(3, "M1", spot=2), weld(4, "M1")]
        )
        assert await positions(genealogy, "M1") == [2, 3, 2, None]


async def test_test_welds_do_not_count(counted: Genealogy) -> None:
    """An electrode dressed in the middle of a module shifts nothing."""
    await counted.keep(
        [
            weld(1, "M1"),
            weld(2, "M1-T1", result="TEST"),
            weld(3, "", result="TEST"),
            weld(4, "M1", result="NG"),
            weld(5, "M2"),
        ]
    )
    assert await positions(counted, "M1") == [1, 2]
    assert await positions(counted, "M2") == [1]


@pytest.mark.parametrize(
    ("points", "m1", "m2"),
    [
        pytest.param([weld(1, "M1"), weld(3, "M1"), weld(4, "M2")], [1, None], [1], id="lost"),
        pytest.param([weld(1, "M1"), weld(3, "M2"), weld(4, "M2")], [1], [None, None], id="change"),
        pytest.param([weld(7, "M1"), weld(8, "M1"), weld(9, "M2")], [None, None], [1], id="late"),
        pytest.param(
            [weld(1, "M1"), weld(2, ""), weld(3, "M1"), weld(4, "M2")], [1, None], [1], id="orphan"
        ),
        pytest.param(
            [weld(1, "M1"), weld(2, "M2"), weld(3, "M1"), weld(4, "M2")],
            [1, None],
            [1, None],
            id="taken up again",
        ),
        pytest.param(
            [weld(1, "M1"), weld(1, "M1", epoch=2), weld(2, "M2", epoch=2)],
            [1, None],
            [1],
            id="restarted PLC",
        ),
    ],
)
async def test_a_position_that_nobody_knows_is_not_guessed(
    counted: Genealogy, points: list[Point], m1: list[int | None], m2: list[int | None]
) -> None:
    """After a lost weld, one without serial or a module taken up again, counting means nothing."""
    await counted.keep(points)
    assert await positions(counted, "M1") == m1
    assert await positions(counted, "M2") == m2


async def test_counting_goes_on_after_a_restart(tmp_path: Path) -> None:
    """With test welds at the end, and with each weld in a run of the agent of its own."""
    made = [weld(1, "M1"), weld(2, "M1"), weld(3, "T", result="TEST"), weld(4, "M1"), weld(5, "M2")]
    for point in made:
        async with Genealogy(tmp_path / "g.db", COUNTED) as genealogy:
            await genealogy.set_maps([WELDER])
            await genealogy.keep([point])
    async with Genealogy(tmp_path / "g.db", COUNTED) as genealogy:
        assert await positions(genealogy, "M1") == [1, 2, 3]
        assert await positions(genealogy, "M2") == [1]


async def test_control_counting_without_the_rules_would_be_wrong(
    counted: Genealogy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the tests above see a counter that just counts."""

    def just_count(self: Count, *_: object, **__: object) -> int:
        self.position = (self.position or 0) + 1
        return self.position

    monkeypatch.setattr(Count, "position_of", just_count)
    await counted.keep([weld(1, "M1"), weld(3, "M1"), weld(4, "M2")])
    assert await positions(counted, "M1") != [1, None]
    assert await positions(counted, "M2") != [1]


async def test_a_new_map_holds_for_new_welds_only(tmp_path: Path) -> None:
    """What was made by the old map stays linked as it was."""
    path = tmp_path / "g.db"
    async with Genealogy(path, COUNTED) as genealogy:
        await genealogy.set_maps([WELDER])
        await genealogy.keep([weld(1, "M1")])
        await place(genealogy, ("M1", "1", "C1"), ("M1", "2", "C2"))
        await place(genealogy, ("M2", "1", "C3"), ("M2", "2", "C4"))
    other = Links(maps={WELDER.station: PositionMap(cells=(("2",),))})
    for _ in range(2):  # a restart with the same map is no change
        async with Genealogy(path, other) as genealogy:
            await genealogy.set_maps([WELDER])
            await genealogy.keep([weld(2, "M2")])
            assert cells_of((await part(genealogy, "M1")).records) == [("C1",)]
            assert cells_of((await part(genealogy, "M2")).records) == [("C4",)]
            rows = genealogy._db.execute("SELECT count(*) FROM event WHERE kind = 'map_set'")
            assert rows.fetchone() == (2,)


async def test_a_scan_puts_a_part_where_its_record_says(tmp_path: Path) -> None:
    """A later scan takes its place; both stay on file."""
    links = Links(scans={SORTER.station: Scan(parent="module", position="slot")})
    async with Genealogy(tmp_path / "g.db", links) as genealogy:
        points = [
            cell(1, "C1", module="M1", slot=4),
            cell(2, "C2", module="M1", slot=5),
            cell(3, "C3", module="M1", slot=4),
            cell(4, "C4", module="", slot=0),
        ]
        await genealogy.keep(points)
        await genealogy.keep(points)  # a replay places nothing again
        (life,) = (await genealogy.trace("M1")).lives
        assert {each.position: each.serial for each in life.part.parts} == {"4": "C3", "5": "C2"}
        told = [(each.child, each.position, each.superseded) for each in life.placements]
        assert told == [("C1", "4", True), ("C3", "4", False)]
        (first,) = (await genealogy.trace("C1")).lives
        assert first.inside == ()
        scans = [(each.child, each.who, each.reason) for each in first.placements]
        assert scans == [("C1", "sorter-1", "scan"), ("C3", "sorter-1", "scan")]


async def test_a_correction_is_told_with_what_it_corrected(counted: Genealogy) -> None:
    """By the module, by the cell that was taken out, and by the one that came; each with why."""
    await place(counted, ("M1", "1", "C1"), ("M1", "2", "C2"))
    await place(counted, ("M1", "2", "C3"), reason="C2 fell down")
    await place(counted, ("M2", "1", "C1"), reason="wrong tray")

    async def told(serial: str) -> list[tuple[str, str, str, bool]]:
        (life,) = (await counted.trace(serial)).lives
        return [
            (each.child, f"{each.parent} {each.position}", each.reason, each.superseded)
            for each in life.placements
        ]

    moved = [("C1", "M1 1", "", True), ("C1", "M2 1", "wrong tray", False)]
    replaced = [("C2", "M1 2", "", True), ("C3", "M1 2", "C2 fell down", False)]
    assert await told("M1") == [moved[0], *replaced, moved[1]]
    assert await told("C1") == moved
    assert await told("C2") == replaced
    assert await told("C3") == replaced[1:]
    assert await told("M2") == []
