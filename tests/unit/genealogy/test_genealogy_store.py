"""The file: indexes used, one process at a time, full, damaged, cut off; and serials nearly right."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.genealogy import affected, entries, near, trace
from agent.genealogy.entries import PlacementEntry
from agent.genealogy.errors import EntryError, GenealogyDownError
from agent.genealogy.links import Links
from agent.genealogy.store import Genealogy
from agent.wire.point import Point
from tests.services.parts import SORTER, START_NS, WELDER, cell, event, weld

MODULES, WELDS, CELLS_A_MODULE = 1_000, 80, 20


def a_year(modules: int) -> Iterator[list[Point]]:
    """Yield a batch of rows a module: its cells, its welds, and now and then a lot."""
    for module in range(modules):
        first = 1 + module * WELDS
        lots = [event("lot_started", module, register="lot", value=f"L{module // 10}")]
        yield [
            *(lots if module % 10 == 0 else []),
            *(
                cell(number, f"C{number:07d}")
                for number in range(module * CELLS_A_MODULE + 1, (module + 1) * CELLS_A_MODULE + 1)
            ),
            *(weld(first + place, f"MOD-{module:06d}") for place in range(WELDS)),
        ]


async def fill(path: Path) -> None:
    async with Genealogy(path) as store:
        batch: list[Point] = []
        for module in a_year(MODULES):
            batch += module
            if len(batch) > 20_000:
                await store.keep(batch)
                batch = []
        await store.keep(batch)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 100 000 records."""
    path = tmp_path_factory.mktemp("large") / "g.db"
    asyncio.run(fill(path))
    return path


@pytest.fixture
async def large(large_file: Path) -> AsyncIterator[Genealogy]:
    """Return a store of 100 000 records, not to be written to."""
    async with Genealogy(large_file) as store:
        yield store


async def test_every_question_is_answered_from_indexes(large: Genealogy) -> None:
    """No query reads a table from end to end, whatever its size."""
    questions = {
        trace.CHILDREN: [1],
        trace.PARENT: [1],
        trace.HISTORY: {"part": 1},
        trace.SUPERSEDING: {"id": 1, "parent": 1, "position": "1", "child": 1},
        trace.RECORDS: {"part": 1},
        affected.SPANS: [1],
        affected.NEXT: [1, "lot", 1, 1],
        affected.BY_SEQUENCE: [1, 1, 1, 2, 1],
        affected.BY_TIME: [1, 0, 1],
        entries.ORPHANS: [10],
        near.EXISTS: ["x"],
        near.FROM: ["x", 5],
        near.UNTIL: ["x", 5],
    }
    for query, values in questions.items():
        scans = await large._run(lambda db, q=query, v=values: scanned(db, q, v))  # type: ignore[misc]
        assert scans == [], query


def plan(db: sqlite3.Connection, query: str, values: object) -> list[str]:
    """Return the steps of a query's plan."""
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values)]  # type: ignore[arg-type]


def scanned(db: sqlite3.Connection, query: str, values: object) -> list[str]:
    """Return the steps of a query's plan that read a large table from end to end."""
    small = ("own", "source", "station", "outcome", "r USING INDEX record_orphan")
    return [
        step
        for step in plan(db, query, values)
        if step.startswith("SCAN") and not step.removeprefix("SCAN ").startswith(small)
    ]


async def test_what_is_in_force_is_found_by_epoch_and_sequence(large: Genealogy) -> None:
    """An index used for the epoch alone would read a year of lots for each record."""
    steps = await large._run(lambda db: plan(db, trace.RECORDS, {"part": 1}))
    found = [each for each in steps if each.startswith("SEARCH f ")]
    assert {each.partition("subject=? AND ")[2] for each in found} == {
        "epoch=? AND seq<?)",
        "epoch<?)",
    }


async def test_control_a_query_without_an_index_is_seen(large: Genealogy) -> None:
    """The check above can fail."""
    query = "SELECT * FROM record WHERE position = ?"
    assert await large._run(lambda db: scanned(db, query, [1])) == ["SCAN record"]


async def test_a_trace_in_a_large_store_is_whole(large: Genealogy) -> None:
    """One module of a thousand, its lot, and an interval of its station."""
    assert await large.count() == MODULES * (WELDS + CELLS_A_MODULE)
    (life,) = (await large.trace("MOD-000123")).lives
    assert [each.seq for each in life.part.records] == list(range(123 * 80 + 1, 124 * 80 + 1))
    assert {each.in_force["lot"].value for each in life.part.records} == {"L12"}
    (lot,) = (await large.trace("L12")).affected
    assert lot.modules == tuple(f"MOD-{module:06d}" for module in range(120, 130))
    from_ns = START_NS + (123 * 80 + 1) * 10**9
    (span,) = (await large.trace_interval("welder-1", from_ns, from_ns + 80 * 10**9)).affected
    assert span.modules == ("MOD-000123",)
    assert [each.records for each in span.intervals] == [80]


async def test_an_interval_of_everything_is_refused(
    large: Genealogy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question whose answer nobody could read is told to be shorter."""
    monkeypatch.setattr(affected, "_MOST_PARTS", 500)
    with pytest.raises(EntryError, match="shorter"):
        await large.trace_interval("welder-1", 0, 2**62)
    with pytest.raises(EntryError, match="no records of a station `welder-9`"):
        await large.trace_interval("welder-9", 0, 2**62)


@pytest.mark.parametrize(
    "typed",
    ["MOD-000124 ".strip().lower(), "MOD-O00124", "MOD-00124", "MOD-0000124", "MDO-000124"],
)
async def test_a_serial_typed_wrong_finds_its_like(large: Genealogy, typed: str) -> None:
    """A wrong case, a letter for a digit, one missing, one too many, two swapped."""
    answer = await large.trace(typed)
    assert answer.is_empty
    assert "MOD-000124" in answer.near


async def test_a_serial_like_none_finds_nothing(large: Genealogy) -> None:
    """Rather nothing than something far off."""
    assert (await large.trace("ZZ/99")).near == ()
    assert (await large.trace("x" * 10_000)).near == ()


async def test_no_other_process_can_open_the_file(tmp_path: Path) -> None:
    """Not while it is open, and again once it is closed."""
    code = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], timeout=0.1)\n"
        "db.execute('INSERT INTO outcome VALUES (NULL, 1, 2, 3)')\n"
        "db.commit()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "g.db")]
    async with Genealogy(tmp_path / "g.db") as store:
        await store.keep([weld(1, "M1")])
        refused = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: ASYNC221 - nothing else runs
        assert "database is locked" in refused.stderr
    assert subprocess.run(command, check=False).returncode == 0  # noqa: ASYNC221 - nothing else runs


async def test_a_full_disk_loses_nothing_and_is_over(tmp_path: Path) -> None:
    """The batch is refused whole, and taken whole when there is room again."""
    async with Genealogy(tmp_path / "g.db") as store:
        [pages] = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
        points = [weld(number, f"M{number}") for number in range(1, 2_000)]
        with pytest.raises(GenealogyDownError, match="full"):
            await store.keep(points)
        assert await store.count() == 0
        store._db.execute("PRAGMA max_page_count = 100000")
        await store.keep(points)
        assert await store.count() == 1_999
        assert len((await store.trace("M7")).lives[0].part.records) == 1


@pytest.mark.parametrize(
    "wreck", [b"not a database at all" * 500, b"SQLite format 3\0" + b"\xff" * 9000]
)
async def test_a_damaged_file_is_set_aside(
    tmp_path: Path, wreck: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent goes on with a new one, and what was there is kept for who can mend it."""
    path = tmp_path / "g.db"
    path.write_bytes(wreck)
    async with Genealogy(path) as store:
        await store.keep([weld(1, "M1")])
        assert await store.count() == 1
    (kept,) = await asyncio.to_thread(lambda: list(tmp_path.glob("g.db.damaged-*")))
    assert kept.read_bytes() == wreck
    assert "a new one is begun" in caplog.text


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """And nothing is set aside."""
    with pytest.raises(GenealogyDownError, match=r"none/g\.db"):
        await Genealogy(tmp_path / "none" / "g.db").__aenter__()


async def test_what_is_entered_wrong_is_told_whole(tmp_path: Path) -> None:
    """Every faulty row with its line, and nothing of the file is stored."""
    async with Genealogy(tmp_path / "g.db") as store:
        first = [
            PlacementEntry(parent="P1", position="1", child="M1"),
            PlacementEntry(parent="M1", position="1", child="C1"),
        ]
        assert (await store.place(first, who="ani")).added == 2
        assert (await store.place(first, who="ani")).known == 2
        wrong = [
            PlacementEntry(parent="M1", position="2", child="C2", line=2),
            PlacementEntry(parent="M2", position="1", child="C1", line=3),
            PlacementEntry(parent="M1", position="1", child="C9", line=4),
            PlacementEntry(parent="M1", position="7", child="P1", line=5),
        ]
        with pytest.raises(EntryError) as caught:
            await store.place(wrong, who="ani")
        told = str(caught.value)
        assert "line 2" not in told
        assert "line 3: C1 is in M1 1: to correct that, give a reason" in told
        assert "line 4: M1 1 holds C1: to correct that, give a reason" in told
        assert "line 5: M1 would be inside itself" in told
        (life,) = (await store.trace("M1")).lives
        assert [each.serial for each in life.part.parts] == ["C1"]
        assert (await store.trace("C2")).is_empty


async def test_a_part_has_one_kind_whoever_tells_it(tmp_path: Path) -> None:
    """Entered before it is made or after: a module is one object, and is called a module."""
    async with Genealogy(tmp_path / "g.db") as store:
        await store.place([PlacementEntry(parent="P1", position="1", child="M1")], who="ani")
        (life,) = (await store.trace("M1")).lives
        assert life.part.kind == "cell"  # the least that it can be
        await store.keep([weld(1, "M1"), cell(1, "C1")])
        for serial, kind in (("M1", "module"), ("P1", "pack"), ("C1", "cell")):
            (life,) = (await store.trace(serial)).lives
            assert life.part.kind == kind


async def test_an_electrode_is_traced_by_its_number(tmp_path: Path) -> None:
    """And a lot that ended is in force no longer."""
    async with Genealogy(tmp_path / "g.db") as store:
        await store.keep(
            [
                event("electrode_seen", 0, register="electrode", value="1"),
                event("lot_seen", 0, register="lot", value="L1"),
                weld(1, "M1"),
                event("electrode_changed", 1.5, register="electrode", value_before="1", value="2"),
                event("lot_ended", 1.6, register="lot", value_before="L1", value=""),
                weld(2, "M1"),
                event("electrode_dressed", 2.5, register="welds_since_dress", value="0"),
                weld(3, "M2"),
                cell(1, "C1"),
            ]
        )
        (life,) = (await store.trace("M1")).lives
        first, second = life.part.records
        assert (first.in_force["electrode"].value, first.in_force["lot"].value) == ("1", "L1")
        assert second.in_force["electrode"].value == "2"
        assert "lot" not in second.in_force
        assert (await store.trace("welder-1/1")).affected[0].modules == ("M1",)
        assert (await store.trace("welder-1/2")).affected[0].modules == ("M1", "M2")
        (dressed,) = (await store.trace("M2")).lives[0].part.records
        assert dressed.in_force["dressing"].time_ns == START_NS + 2_500_000_000
        (sorted_,) = (await store.trace("C1")).lives[0].part.records
        assert sorted_.in_force == {}, "the events of a station are its own"
        assert {
            (await store.known(each)).keys() <= {"electrode", "lot", "welds_since_dress"}
            for each in (WELDER, SORTER)
        } == {True}
        assert (await store.known(WELDER))["electrode"].text == "2"


async def test_what_a_record_says_of_its_electrode_counts(tmp_path: Path) -> None:
    """A weld that is read late was made with the old one; one read early, with the new one."""
    links = Links(own={WELDER.station: {"electrode": "electrode"}})
    async with Genealogy(tmp_path / "g.db", links) as store:
        changed = event("electrode_changed", 9, register="electrode", value_before="1", value="2")
        await store.keep(
            [
                event("electrode_seen", 0, register="electrode", value="1"),
                weld(1, "M1", electrode=1),
                weld(2, "M2", electrode=2),
                changed,
                weld(3, "M3", electrode=2),
                weld(1, "M4", electrode=1, epoch=2),
            ]
        )
        for electrode, modules in (("1", ("M1", "M4")), ("2", ("M2", "M3"))):
            (found,) = (await store.trace(f"welder-1/{electrode}")).affected
            assert found.modules == modules
        for serial, electrode in (("M1", "1"), ("M2", "2"), ("M3", "2"), ("M4", "1")):
            (made,) = (await store.trace(serial)).lives[0].part.records
            assert made.in_force["electrode"].value == electrode


async def test_what_was_made_while_nobody_looked_counts_to_both_lots(tmp_path: Path) -> None:
    """The agent was down from second 2 to 5: containment must not miss what may be affected."""
    async with Genealogy(tmp_path / "g.db") as store:
        since_ms = (START_NS + 2 * 10**9) // 1_000_000
        ended: dict[str, Any] = {"register": "lot", "value_before": "L1", "value": "L2"}
        ended["since_ms"] = since_ms
        await store.keep(
            [
                event("lot_seen", 0, register="lot", value="L1"),
                weld(1, "M1"),
                event("lot_ended", 5, **ended),
                event("lot_started", 5, **ended),
                *(weld(seq, f"M{seq}") for seq in range(2, 8)),
            ]
        )
        (first,) = (await store.trace_lot("L1")).affected
        assert first.modules == ("M1", "M2", "M3", "M4")
        assert [(each.records, each.is_sure) for each in first.intervals] == [(1, True), (3, False)]
        (second,) = (await store.trace_lot("L2")).affected
        assert second.modules == tuple(f"M{seq}" for seq in range(2, 8))
