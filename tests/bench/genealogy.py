"""A trace in a year's data, ten million records: how long it takes, and what the file weighs.

The store is filled by SQL, since a year of records through the front door takes a quarter of an
hour; what a record costs there is measured with the last of them.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from agent.genealogy.life import Answer
from agent.genealogy.store import Genealogy
from agent.genealogy.tables import TABLES
from agent.wire.point import Point
from tests.bench.figures import Figure, show
from tests.services.parts import START_NS, weld

_WELDERS = 2
_MODULES = 37_500  # of each welder
_WELDS = 80  # of each module
_CELLS = 1_000_000
_CELLS_A_MODULE = 13
_STEPS = 3  # formation steps of each cell
_MODULES_A_PACK = 15
_KEPT = 20_000  # records through the front door
_SECOND = 10**9

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)"
_FIRST_MODULE, _FIRST_PACK = 2_000_000, 3_000_000


def _fill(path: Path) -> int:
    """Write a year into a new file; return how many records there are."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    db.executescript(TABLES)

    def many(sql: str, count: int, **values: int) -> None:
        db.execute(f"{_NUMBERS} {sql}", {"count": count, **values})

    stations = [f"welder-{number + 1}" for number in range(_WELDERS)]
    for number, name in enumerate([*stations, "sorter-1", "formation-1"], start=1):
        db.execute("INSERT INTO station VALUES (?, 's', 'l', ?)", (number, name))
        kind = {"sorter-1": "cell", "formation-1": "formation_step"}.get(name, "weld")
        db.execute("INSERT INTO source VALUES (?, ?, ?)", (number, number, kind))
    db.execute("INSERT INTO outcome VALUES (1, 'OK', 'none', '{\"program\":\"1\"}')")
    modules = _WELDERS * _MODULES
    for first, letter, kind, count in (
        (1, "C", "cell", _CELLS),
        (_FIRST_MODULE, "M", "module", modules),
        (_FIRST_PACK, "P", "", modules // _MODULES_A_PACK),
    ):
        sql = f"INSERT INTO object SELECT :first + i, '{letter}' || printf('%08d', i), 0, '{kind}' FROM n"  # noqa: S608 - texts from here
        many(sql, count, first=first)
    placing = "INSERT INTO placement SELECT NULL, :parent + i / :each, i % :each + 1, :child + i, 0, '', '' FROM n"
    many(placing, modules * _CELLS_A_MODULE, parent=_FIRST_MODULE, each=_CELLS_A_MODULE, child=1)
    many(placing, modules, parent=_FIRST_PACK, each=_MODULES_A_PACK, child=_FIRST_MODULE)
    for welder in range(_WELDERS):
        _welds(db, many, welder)
    start = {"start": START_NS}
    many(
        "INSERT INTO record SELECT 3, 1, i + 1, :start + i * 30000000000, i + 1, NULL, 1 FROM n",
        _CELLS,
        **start,
    )
    many(
        "INSERT INTO record SELECT 4, 1, i + 1, :start + i * 10000000000, i / 3 + 1, NULL, 1 FROM n",
        _STEPS * _CELLS,
        **start,
    )
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return _WELDERS * _MODULES * _WELDS + (1 + _STEPS) * _CELLS


def _welds(db: sqlite3.Connection, many: Callable[..., None], welder: int) -> None:
    """Write the welds of one welder, its lots of twelve modules, its dressings of 350 welds."""
    source, welds = welder + 1, _MODULES * _WELDS
    many(
        "INSERT INTO record SELECT :source, 1, i + 1, :start + i * 10000000000,"
        " :module + i / 80, i % 80 + 1, 1 FROM n",
        welds,
        source=source,
        start=START_NS,
        module=_FIRST_MODULE + welder * _MODULES,
    )
    for subject, kind, every in (
        ("lot", "lot_started", 960),
        ("dressing", "electrode_dressed", 350),
    ):
        count = welds // every
        (before,) = db.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()
        lots = _FIRST_PACK + 1_000_000 * (welder + 1)
        many(
            f"INSERT INTO event SELECT NULL, :source, '{kind}', :start + i * {every} * 10000000000,"  # noqa: S608 - texts from here
            f" {':lots + i' if subject == 'lot' else 'NULL'}, '{{\"value\":\"L' || i || '\"}}' FROM n",
            count,
            source=source,
            start=START_NS,
            **({"lots": lots} if subject == "lot" else {}),
        )
        many(
            f"INSERT INTO in_force SELECT :source, '{subject}', 1, i * {every} + 1, :before + i + 1 FROM n",  # noqa: S608 - texts from here
            count,
            source=source,
            before=before,
        )
        if subject == "lot":
            sql = "INSERT INTO object SELECT :lots + i, 'L' || :source || '-' || i, 1, 'lot' FROM n"
            many(sql, count, lots=lots, source=source)


async def _seconds(ask: Callable[[], Awaitable[Answer]], *, found: bool = True) -> float:
    start = time.perf_counter()
    answer = await ask()
    taken = time.perf_counter() - start
    if answer.is_empty is found:
        raise AssertionError("the bench asks for what is not there")
    return taken


async def _measured(path: Path, records: int) -> list[Figure]:
    weight = path.stat().st_size / records  # noqa: ASYNC240 - nothing else runs
    figures = [Figure(name="file, a record with its indexes", value=weight, unit="B", most=150)]
    day = 86_400 * _SECOND
    questions: tuple[tuple[str, Callable[[Genealogy], Awaitable[Answer]], bool], ...] = (
        ("trace of a cell", lambda store: store.trace("C00654321"), True),
        ("trace of a module", lambda store: store.trace("M00034567"), True),
        ("trace of a pack of 15 modules", lambda store: store.trace("P00002222"), True),
        ("what a lot went into", lambda store: store.trace_lot("L2-1234"), True),
        (
            "what a day of one welder went into",
            lambda store: store.trace_interval(
                "welder-1", START_NS + 200 * day, START_NS + 201 * day
            ),
            True,
        ),
        ("an unknown serial and those like it", lambda store: store.trace("M0O034567"), False),
    )
    for name, ask, found in questions:
        async with Genealogy(path) as store:  # opened anew: nothing is in SQLite's cache
            taken = await _seconds(lambda s=store, a=ask: a(s), found=found)  # type: ignore[misc]
        figures.append(Figure(name=name, value=taken, unit="s", most=1.0))
    async with Genealogy(path) as store:
        batches = list(_batches())
        start = time.process_time()
        for batch in batches:
            await store.keep(batch)
        cost = (time.process_time() - start) / _KEPT * 1e6
    figures.append(Figure(name="CPU, a record kept", value=cost, unit="µs", most=300))
    return figures


def _batches() -> Iterator[list[Point]]:
    """Yield batches of ten seconds of two fast welders."""
    first = _MODULES * _WELDS + 1
    for start in range(first, first + _KEPT, 20):
        yield [
            weld(seq, f"N{seq // _WELDS:06d}", time_ns=START_NS + seq * 10 * _SECOND)
            for seq in range(start, start + 20)
        ]


def _figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "genealogy.db"
        start = time.perf_counter()
        records = _fill(path)
        taken = time.perf_counter() - start
        yield Figure(name="records", value=records, unit="")
        yield Figure(name="filling the file by SQL", value=taken, unit="s")
        yield from asyncio.run(_measured(path, records))


if __name__ == "__main__":
    show(_figures())
