"""The store against plain dicts that know everything: any order of records, corrections, crashes."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.genealogy import trace
from agent.genealogy.entries import PlacementEntry
from agent.genealogy.errors import EntryError, GenealogyDownError
from agent.genealogy.facts import EventFact, RecordFact
from agent.genealogy.life import Made, Part
from agent.genealogy.links import Links, PositionMap
from agent.genealogy.store import Genealogy
from agent.genealogy.write import Writer
from agent.sqlite_file import SqliteFile
from agent.wire.point import Point
from collectors.errors import LiniError
from tests.services.parts import WELDER, cell, event, weld

CELLS, MODULES, PACKS, LOTS = ("C1", "C2", "C3"), ("M1", "M2"), ("P1", "P2"), ("L1", "L2")
MAP = PositionMap(register="spot", cells=(("a",), ("a", "b")))
LINKS = Links(maps={WELDER.station: MAP})

Key = tuple[str, int, int]  # kind, epoch, seq


@dataclass(frozen=True)
class Make:
    """A part is made; `skip` parts before it were lost, or the PLC was restarted."""

    kind: Literal["weld", "cell"]
    serial: str
    spot: int
    skip: int = 0
    restart: bool = False


@dataclass(frozen=True)
class Lot:
    """A lot begins at the welder."""

    lot: str


@dataclass(frozen=True)
class Keep:
    """The agent stores what was made since. With a crash, only half of it gets into the file."""

    crash: bool = False


@dataclass(frozen=True)
class Replay:
    """The spool delivers again what was stored already."""

    batch: int


@dataclass(frozen=True)
class Place:
    """Someone enters that a part is in another."""

    parent: str
    position: str
    child: str


@dataclass(frozen=True)
class Resolve:
    """Someone says whose a weld is."""

    which: int
    serial: str


@dataclass(frozen=True)
class Restart:
    """The agent is stopped and started."""


Step = Make | Lot | Keep | Replay | Place | Resolve | Restart

placing = st.one_of(
    st.builds(
        Place, parent=st.sampled_from(MODULES), position=st.sampled_from("ab"),
        child=st.sampled_from(CELLS),
    ),
    st.builds(
        Place, parent=st.sampled_from(PACKS), position=st.sampled_from("xy"),
        child=st.sampled_from(MODULES),
    ),
)  # fmt: skip
making = st.one_of(
    st.builds(
        Make, kind=st.just("weld"), serial=st.sampled_from((*MODULES, "")), spot=st.integers(1, 3),
        skip=st.integers(0, 2), restart=st.booleans(),
    ),
    st.builds(
        Make, kind=st.just("cell"), serial=st.sampled_from(CELLS), spot=st.just(0),
    ),
)  # fmt: skip
steps = st.lists(
    st.one_of(
        making,
        making,
        st.builds(Lot, lot=st.sampled_from(LOTS)),
        st.builds(Keep, crash=st.booleans()),
        st.builds(Replay, batch=st.integers(0, 20)),
        placing,
        placing,
        st.builds(Resolve, which=st.integers(0, 20), serial=st.sampled_from(MODULES)),
        st.builds(Restart),
    ),
    max_size=30,
)


@dataclass
class Oracle:
    """What is true, in plain dicts. A record's value: serial, position, lot in force."""

    records: dict[Key, tuple[str, int, str]] = field(default_factory=dict)
    places: list[tuple[str, str, str]] = field(default_factory=list)

    def children(self, parent: str) -> dict[str, str]:
        """Return child by position: replayed from the first placement on."""
        at: dict[tuple[str, str], str] = {}
        for each, position, child in self.places:
            at = {place: inside for place, inside in at.items() if inside != child}
            at[each, position] = child
        return {position: child for (each, position), child in at.items() if each == parent}

    def parent(self, child: str) -> str:
        holders = (each for each in (*MODULES, *PACKS) if child in self.children(each).values())
        return next(holders, "")

    def records_of(self, serial: str) -> set[tuple[Key, int, str, tuple[str, ...]]]:
        return {
            (key, position, lot, self.joined(serial, key, position))
            for key, (whose, position, lot) in self.records.items()
            if whose == serial
        }

    def joined(self, module: str, key: Key, position: int) -> tuple[str, ...]:
        children = self.children(module) if key[0] == "weld" else {}
        return tuple(children[each] for each in MAP.joined(position) if each in children)

    def affected(self, lot: str) -> set[str]:
        made = {serial for serial, _, each in self.records.values() if each == lot and serial}
        return made | {self.parent(each) for each in made} - {""}


class World:
    """The store and the oracle, walked through the same steps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Genealogy(path, LINKS)
        self.oracle = Oracle()
        self.waiting: list[Point] = []
        self.batches: list[list[Point]] = []
        self.heads = {"weld": (1, 0), "cell": (1, 0)}
        self.lot = ""
        self.clock = 0

    async def walk(self, walked: Iterable[Step]) -> None:
        await self.store.__aenter__()
        try:
            await self.store.set_maps([WELDER])
            for step in (*walked, Keep()):
                await self.take(step)
            await self.check()
        finally:
            await self.store.__aexit__()

    async def take(self, step: Step) -> None:
        match step:
            case Make():
                self.make(step)
            case Lot(lot):
                self.clock += 1
                self.lot = lot
                self.waiting.append(event("lot_started", self.clock, register="lot", value=lot))
            case Keep(crash):
                await self.keep(crash=crash)
            case Replay(batch):
                if self.batches:
                    await self.store.keep(self.batches[batch % len(self.batches)])
            case Place():
                await self.place(step)
            case Resolve(which, serial):
                await self.resolve(which, serial)
            case Restart():
                await self.store.__aexit__()
                self.store = Genealogy(self.path, LINKS)
                await self.store.__aenter__()

    def make(self, step: Make) -> None:
        epoch, seq = self.heads[step.kind]
        epoch, seq = (epoch + 1, 1) if step.restart else (epoch, seq + 1 + step.skip)
        self.heads[step.kind] = (epoch, seq)
        self.clock += 1
        time_ns = 1_790_000_000_000_000_000 + self.clock
        if step.kind == "weld":
            point = weld(seq, step.serial, epoch=epoch, time_ns=time_ns, spot=step.spot)
        else:
            point = cell(seq, step.serial, epoch=epoch, time_ns=time_ns)
        self.waiting.append(point)
        lot = self.lot if step.kind == "weld" else ""
        self.oracle.records[step.kind, epoch, seq] = (step.serial, step.spot, lot)

    async def keep(self, *, crash: bool) -> None:
        if crash and self.waiting:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Writer, "keep", _half)
                with pytest.raises(GenealogyDownError):
                    await self.store.keep(self.waiting)
        await self.store.keep(self.waiting)
        self.batches.append(self.waiting)
        self.waiting = []

    async def place(self, step: Place) -> None:
        entry = PlacementEntry(
            parent=step.parent, position=step.position, child=step.child, reason="a test"
        )
        placed = await self.store.place([entry], who="ani")
        is_known = self.oracle.children(step.parent).get(step.position) == step.child
        assert placed.known == is_known
        if not is_known:
            self.oracle.places.append((step.parent, step.position, step.child))

    async def resolve(self, which: int, serial: str) -> None:
        stored = {
            (int(point.fields["epoch"]), int(point.fields["seq"]))
            for batch in self.batches
            for point in batch
            if point.measurement == "weld"
        }
        if not stored:
            return
        epoch, seq = sorted(stored)[which % len(stored)]
        await self.store.resolve(
            station="welder-1", epoch=epoch, first=seq, last=seq, serial=serial, who="a", reason="b"
        )
        _, position, lot = self.oracle.records["weld", epoch, seq]
        self.oracle.records["weld", epoch, seq] = (serial, position, lot)

    async def check(self) -> None:
        """Trace everything, both ways, and compare."""
        oracle = self.oracle
        for serial in (*CELLS, *MODULES, *PACKS):
            lives = (await self.store.trace(serial)).lives
            assert len(lives) <= 1
            if not lives:
                assert not oracle.records_of(serial)
                assert not oracle.parent(serial)
                continue
            (life,) = lives
            self.check_part(life.part)
            above = [each.parent for each in life.inside]
            parent = oracle.parent(serial)
            grandparent = oracle.parent(parent)
            assert above == [each for each in (parent, grandparent) if each]
            joining = {
                key
                for key, (whose, position, _) in oracle.records.items()
                if whose == parent and serial in oracle.joined(parent, key, position)
            }
            assert {_key(each) for each in life.welds} == joining
        for lot in LOTS:
            found = (await self.store.trace_lot(lot)).affected
            told = {
                serial for each in found for serial in (*each.cells, *each.modules, *each.packs)
            }
            assert told == oracle.affected(lot)
        orphans = {
            ("weld", run.epoch, seq)
            for run in await self.store.orphans()
            for seq in range(run.first, run.last + 1)
        }
        assert orphans == {key for key, (serial, *_) in oracle.records.items() if not serial}
        assert await self.store.count() == len(oracle.records)

    def check_part(self, part: Part) -> None:
        records = [_told(each) for each in part.records]
        assert len(records) == len(set(records))
        assert set(records) == self.oracle.records_of(part.serial)
        children = {each.position: each.serial for each in part.parts}
        assert len(children) == len(part.parts)
        assert children == self.oracle.children(part.serial)
        for each in part.parts:
            self.check_part(each)


def _half(self: Writer, facts: Sequence[RecordFact | EventFact]) -> None:
    for fact in facts[: (len(facts) + 1) // 2]:
        if isinstance(fact, RecordFact):
            self._keep_record(fact)
        else:
            self._keep_event(fact)
    raise sqlite3.OperationalError("disk I/O error")


def _key(made: Made) -> Key:
    return made.kind, made.epoch, made.seq


def _told(made: Made) -> tuple[Key, int, str, tuple[str, ...]]:
    lot = made.in_force["lot"].value if "lot" in made.in_force else ""
    return _key(made), made.position or 0, lot, made.cells


def walk(walked: Iterable[Step]) -> None:
    """Walk through the steps with a file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(World(Path(folder) / "genealogy.db").walk(walked))


@settings(max_examples=50, deadline=None)
@given(steps)
def test_every_trace_is_what_the_oracle_knows(walked: list[Step]) -> None:
    """Both ways, for cells, modules, packs, lots and orphans, in one run with some restarts."""
    walk(walked)


@settings(max_examples=10, deadline=None)
@given(steps)
def test_nothing_depends_on_what_the_agent_remembers(walked: list[Step]) -> None:
    """The same when the agent is restarted after each single step."""
    walk(each for step in walked for each in (step, Restart()))


STORY: tuple[Step, ...] = (
    Lot("L1"),
    Make("weld", "M1", 1),
    Make("weld", "M1", 2),
    Keep(crash=True),
    Place("M1", "a", "C1"),
    Place("P1", "x", "M1"),
    Lot("L2"),
    Make("weld", "", 2),
    Make("weld", "M2", 2, skip=1),
    Keep(),
    Resolve(2, "M2"),
    Place("M1", "a", "C2"),
    Place("M2", "b", "C1"),
    Replay(0),
)


def test_the_story_of_the_controls_holds() -> None:
    """What the controls below break is whole before."""
    walk(STORY)


def test_control_without_superseding_the_oracle_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that was moved would be in two modules."""
    both = "SELECT * FROM placement p WHERE p.parent = ? ORDER BY p.id"
    monkeypatch.setattr(trace, "CHILDREN", both)
    with pytest.raises((AssertionError, EntryError)):
        walk(STORY)


def test_control_a_writer_that_outlives_a_rollback_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It remembers ids and events that are not in the file."""
    monkeypatch.setattr(Genealogy, "_transact", SqliteFile._transact)
    with pytest.raises((AssertionError, LiniError, TypeError)):
        walk(STORY)


def test_control_a_lot_that_is_not_told_to_its_records_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the rows of `in_force` no record knows its lot."""
    monkeypatch.setattr(Writer, "_latest_of", lambda _self, _station: {})
    with pytest.raises(AssertionError):
        walk(STORY)
