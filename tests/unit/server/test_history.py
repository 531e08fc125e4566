"""The embedded store behaves as InfluxDB does for what Lini writes."""

import random
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.history import History
from agent.wire import line
from agent.wire.point import Field, Point
from agent.wire.store import BadLinesError, StoreDownError


def weld(time_ns: int, station: str = "w1", *, fields: Mapping[str, Field] | None = None) -> Point:
    return Point(
        measurement="weld",
        tags={"site": "s", "station": station},
        fields=fields or {"seq": time_ns},
        time_ns=time_ns,
    )


def encoded(*points: Point) -> list[str]:
    return [line.encode(point) for point in points]


async def test_points_come_back_with_their_types(tmp_path: Path) -> None:
    """Whole floats stay floats, 64-bit integers keep every digit, text any letter."""
    fields: dict[str, Field] = {
        "whole": 2.0,
        "tiny": 1e-300,
        "large": 2**63 - 1,
        "text": 'é "quoted", \\ and = 電池',
        "number": "1.0",
    }
    point = weld(1_800_000_000_000_000_042, fields=fields)
    async with History(tmp_path / "history.db") as history:
        await history.write(encoded(point))
        await history.write(encoded(point))
    async with History(tmp_path / "history.db") as history:
        (back,) = await history.rows("weld")
    assert back == point
    assert {name: type(value) for name, value in back.fields.items()} == {
        name: type(value) for name, value in fields.items()
    }


async def test_the_same_point_again_is_one_row_with_merged_fields(tmp_path: Path) -> None:
    """Measurement, tags and time are the identity; the last write of a field wins."""
    async with History(tmp_path / "history.db") as history:
        await history.write(encoded(weld(1, fields={"a": 1, "b": 1}), weld(1, "w2")))
        await history.write(
            encoded(weld(1, fields={"b": 2.5, "c": "x"}), weld(1, fields={"b": 3.5}))
        )
        assert await history.count("weld") == 2
        (first,) = await history.rows("weld", tags={"station": "w1"})
    assert first.fields == {"a": 1, "b": 3.5, "c": "x"}


async def test_order_and_repetition_do_not_matter(tmp_path: Path) -> None:
    """Lines delivered twice and shuffled leave the same rows."""
    lines = encoded(*(weld(number % 40, f"w{number % 3}") for number in range(120)))
    shuffled = lines * 2
    random.Random(1).shuffle(shuffled)
    async with History(tmp_path / "a.db") as one, History(tmp_path / "b.db") as two:
        await one.write(lines)
        for each in shuffled:
            await two.write([each])
        assert await one.rows("weld") == await two.rows("weld")
        assert await two.count("weld") == 120


async def test_rows_are_chosen_by_tags_and_time(tmp_path: Path) -> None:
    """`since` counts, `until` does not; a limit keeps the newest, in the order of time."""
    async with History(tmp_path / "history.db") as history:
        await history.write(
            encoded(*(weld(number, station) for number in range(10) for station in ("w1", "w2")))
        )
        times = [
            point.time_ns
            for point in await history.rows(
                "weld", tags={"station": "w2"}, since_ns=2, until_ns=8, limit=4
            )
        ]
        assert times == [4, 5, 6, 7]
        assert len(await history.rows("weld", tags={"site": "s"})) == 20
        assert await history.rows("weld", tags={"station": "none"}) == []
        assert await history.rows("cell") == []
        assert await history.count("cell") == 0


async def test_old_points_can_be_forgotten(tmp_path: Path) -> None:
    """What is older than the limit goes, the rest stays."""
    async with History(tmp_path / "history.db") as history:
        await history.write(encoded(*(weld(number) for number in range(10))))
        assert await history.forget(4) == 4
        assert [point.time_ns for point in await history.rows("weld")] == [4, 5, 6, 7, 8, 9]


async def test_a_bad_line_keeps_all_of_its_write_out(tmp_path: Path) -> None:
    """The writer halves until it stands alone, so half a write must leave nothing."""
    async with History(tmp_path / "history.db") as history:
        with pytest.raises(BadLinesError):
            await history.write([*encoded(weld(1)), "rubbish"])
        with pytest.raises(BadLinesError, match="64 bits"):
            await history.write([*encoded(weld(1)), "weld f=1i 9223372036854775808"])
        assert await history.count("weld") == 0


async def test_written_is_synced(tmp_path: Path) -> None:
    """What is written here may be deleted at its source, so each commit is synced in full."""
    async with History(tmp_path / "history.db") as history:
        await history.write(encoded(weld(1)))
        assert history._db.execute("PRAGMA synchronous").fetchone() == (2,)
        other = sqlite3.connect(tmp_path / "history.db")
        assert other.execute("SELECT count(*) FROM point").fetchone() == (1,)
        other.close()


async def test_a_full_disk_is_a_store_that_is_down(tmp_path: Path) -> None:
    """The same lines are written when there is room again."""
    async with History(tmp_path / "history.db") as history:
        history._db.execute("PRAGMA max_page_count = 10")
        lines = encoded(*(weld(number) for number in range(5_000)))
        with pytest.raises(StoreDownError, match="full"):
            await history.write(lines)
        assert await history.count("weld") == 0
        history._db.execute("PRAGMA max_page_count = 100000")
        await history.write(lines)
        assert await history.count("weld") == 5_000


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(StoreDownError, match=r"none/history\.db"):
        await History(tmp_path / "none" / "history.db").__aenter__()
