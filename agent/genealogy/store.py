"""The genealogy of this workshop in one SQLite file. It grows by later rows, and only by them."""

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from agent.genealogy import entries, ledger
from agent.genealogy.affected import Search
from agent.genealogy.entries import PlacementEntry, Placements
from agent.genealogy.errors import GenealogyDownError
from agent.genealogy.facts import facts_of
from agent.genealogy.ids import Space
from agent.genealogy.life import Affected, Answer, Life, Orphans
from agent.genealogy.links import Links
from agent.genealogy.near import near
from agent.genealogy.tables import TABLES
from agent.genealogy.trace import Reader
from agent.genealogy.write import Writer
from agent.model.ledger import Hour
from agent.sqlite_file import SqliteFile
from agent.wire.point import Point
from collectors.errors import LiniError
from collectors.process import Seen
from collectors.sample import StationId

T = TypeVar("T")
_log = logging.getLogger(__name__)
_KNOWN = (
    "SELECT register, value, time_ns FROM known JOIN station ON station.id = known.station"
    " WHERE site = ? AND line = ? AND name = ?"
)


class Genealogy(SqliteFile):
    """Use as `async with`; no other process can open the file meanwhile.

    Every method is one transaction: it is on the disk when it returns, or it raises and nothing
    is. `clock` is the wall clock in ns since 1970.
    """

    def __init__(
        self, path: Path, links: Links | None = None, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        super().__init__(path, tables=TABLES, failure=_down, exclusive=True, set_aside=self._aside)
        self._links = links or Links()
        self._clock = clock
        self._writer: Writer | None = None

    async def keep(
        self,
        points: Sequence[Point],
        seen: Mapping[StationId, Mapping[str, Seen]] | None = None,
    ) -> None:
        """Add records and events, and what registers held last. What is known changes nothing."""
        facts = list(facts_of(points, self._links))

        def work(writer: Writer) -> None:
            writer.keep(facts)
            for station, registers in (seen or {}).items():
                writer.see(station, registers)

        await self._write(work)

    async def set_maps(self, stations: Sequence[StationId]) -> None:
        """Let the position maps of the site hold from the next record on, where they changed."""
        now_ns = self._clock()

        def work(writer: Writer) -> None:
            for station in stations:
                if positions := self._links.maps.get(station.station):
                    writer.set_map(station, positions, now_ns)

        await self._write(work)

    async def known(self, station: StationId) -> Mapping[str, Seen]:
        """Return what the watched registers of a station held when they were last seen."""
        values = (station.site, station.line, station.station)
        rows = await self._run(lambda db: db.execute(_KNOWN, values).fetchall())
        return {name: Seen(text, time_ns) for name, text, time_ns in rows}

    async def place(self, rows: Sequence[PlacementEntry], *, who: str) -> Placements:
        """Put parts into parts, all or none. Raises EntryError with every fault."""
        now_ns = self._clock()
        return await self._write(
            lambda writer: entries.place(writer, Reader(self._db), rows, who=who, time_ns=now_ns)
        )

    async def resolve(
        self,
        *,
        station: str,
        epoch: int,
        first: int,
        last: int,
        serial: str,
        who: str,
        reason: str,
        kind: str | None = None,
        position: int | None = None,
    ) -> int:
        """Say that records are of `serial`; return how many. Raises EntryError if there are none."""
        now_ns = self._clock()
        return await self._write(
            lambda writer: entries.resolve(
                writer,
                self._db,
                station=station,
                kind=kind,
                epoch=epoch,
                first=first,
                last=last,
                part_kind=self._links.parts.get(station),
                serial=serial,
                position=position,
                who=who,
                reason=reason,
                time_ns=now_ns,
            )
        )

    async def orphans(self) -> tuple[Orphans, ...]:
        """Return the records without a serial that nobody has resolved yet."""
        return await self._run(entries.orphans)

    async def trace(self, serial: str) -> Answer:
        """Return the life of everything called `serial`, or what is called nearly so."""
        return await self._run(lambda db: _trace(db, serial))

    async def trace_lot(self, lot: str) -> Answer:
        """Return what a lot went into."""
        return await self._run(lambda db: _trace(db, lot, only_lots=True))

    async def trace_interval(self, station: str, from_ns: int, to_ns: int) -> Answer:
        """Return what `station` made from `from_ns` until before `to_ns` went into."""

        def work(db: sqlite3.Connection) -> Affected:
            search = Search(db)
            search.interval(station, from_ns, to_ns)
            return search.found(station)

        return Answer(affected=(await self._run(work),))

    async def book(self) -> str:
        """Return the name of this genealogy, which the ledger made of it bears."""
        return await self._run(ledger.book_of)

    async def due_hours(self) -> tuple[Hour, ...]:
        """Return hours with records that `told` has not heard of; call again until there is none."""
        return await self._run(ledger.due_hours)

    async def told(self, hours: Sequence[Hour]) -> None:
        """Note that the ledger of `hours` is stored. No record may have been kept meanwhile."""
        await self._run(lambda db: ledger.forget_due(db, hours))

    async def count(self) -> int:
        """Return how many records there are."""
        row = await self._run(lambda db: db.execute("SELECT count(*) FROM record").fetchone())
        return int(row[0])

    async def _write(self, work: Callable[[Writer], T]) -> T:
        def written(db: sqlite3.Connection) -> T:
            self._writer = self._writer or Writer(db, self._links)
            return work(self._writer)

        return await self._run(written)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return super()._transact(work)
        except BaseException:
            self._writer = None  # it remembers what is rolled back
            raise

    def _aside(self, error: LiniError) -> str:
        ending = f".damaged-{self._clock()}"
        _log.error("%s; a new one is begun, the old one is kept as *%s", error, ending)
        return ending


def _trace(db: sqlite3.Connection, serial: str, *, only_lots: bool = False) -> Answer:
    reader = Reader(db)
    lives: list[Life] = []
    affected: list[Affected] = []
    for number, space in reader.objects(serial):
        if space is not Space.PART:
            search = Search(db)
            search.lot_or_electrode(number)
            affected.append(search.found(serial))
        elif not only_lots:
            lives.append(reader.life(number))
    found = Answer(lives=tuple(lives), affected=tuple(affected))
    return Answer(near=near(db, serial)) if found.is_empty else found


def _down(what: str) -> GenealogyDownError:
    return GenealogyDownError(
        what, "check its folder and disk, and that no other agent or command uses it"
    )
