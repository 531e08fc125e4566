"""What the ledger is to tell next: known to the genealogy, whatever is killed when."""

from collections.abc import Sequence
from pathlib import Path

from agent.genealogy.store import Genealogy
from agent.model.ledger import HOUR_NS, Hour, hour_of
from agent.wire.point import Point
from tests.services.parts import SORTER, START_NS, WELDER, cell, event, weld

HOUR = hour_of(START_NS)


def plain(hours: Sequence[Hour]) -> dict[tuple[str, str, int, int], object]:
    return {
        (
            each.station.station,
            each.kind,
            each.epoch,
            (each.start_ns - HOUR) // HOUR_NS,
        ): each.numbers
        for each in hours
    }


async def kept(path: Path, points: Sequence[Point]) -> dict[tuple[str, str, int, int], object]:
    async with Genealogy(path) as genealogy:
        await genealogy.keep(points)
        return plain(await genealogy.due_hours())


async def test_hours_are_told_by_station_kind_and_epoch(tmp_path: Path) -> None:
    """By the stamp of the record; events have no numbers."""
    next_hour = HOUR + HOUR_NS
    points = [
        weld(1, "M1"),
        weld(2, "M1"),
        weld(3, "M1", time_ns=next_hour - 1),
        weld(5, "M1", time_ns=next_hour),
        weld(1, "M1", epoch=2, time_ns=next_hour + 9),
        cell(1, "C1", station=SORTER),
        event("gap", 1),
    ]
    assert await kept(tmp_path / "g.db", points) == {
        ("welder-1", "weld", 1, 0): ((1, 3),),
        ("welder-1", "weld", 1, 1): ((5, 5),),
        ("welder-1", "weld", 2, 1): ((1, 1),),
        ("sorter-1", "cell", 1, 0): ((1, 1),),
    }


async def test_an_hour_stays_due_until_it_is_told_and_is_told_whole_again(tmp_path: Path) -> None:
    """A kill before `told` tells it twice; a record that comes twice makes nothing due."""
    path = tmp_path / "g.db"
    await kept(path, [weld(1, "M1")])
    async with Genealogy(path) as genealogy:
        due = await genealogy.due_hours()
        assert plain(due) == {("welder-1", "weld", 1, 0): ((1, 1),)}
        await genealogy.told(due)
        assert await genealogy.due_hours() == ()
        await genealogy.keep([weld(1, "M1")])
        assert await genealogy.due_hours() == ()
    assert await kept(path, [weld(2, "M1")]) == {("welder-1", "weld", 1, 0): ((1, 2),)}


async def test_more_hours_than_fit_are_told_one_after_the_other(tmp_path: Path) -> None:
    """A backlog of weeks must not become one huge transaction."""
    async with Genealogy(tmp_path / "g.db") as genealogy:
        await genealogy.keep([weld(n, "M1", time_ns=START_NS + n * HOUR_NS) for n in range(1, 251)])
        told: list[Hour] = []
        while due := await genealogy.due_hours():
            told += due
            await genealogy.told(due)
    assert [each.numbers for each in told] == [((n, n),) for n in range(1, 251)]
    assert {each.station for each in told} == {WELDER}


async def test_the_name_of_the_book_is_drawn_once(tmp_path: Path) -> None:
    """A genealogy that replaces a damaged one has another."""
    names = []
    for path in ("a.db", "a.db", "b.db"):
        async with Genealogy(tmp_path / path) as genealogy:
            names.append(await genealogy.book())
    assert names[0] == names[1] != names[2]
