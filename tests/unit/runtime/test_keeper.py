"""From the spool into the genealogy: nothing missing and nothing twice, whatever fails when."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.delivery.entry import SpoolError
from agent.delivery.outbox import Outbox, UplinkSpec
from agent.delivery.spool import Spool
from agent.genealogy.errors import GenealogyDownError
from agent.genealogy.store import Genealogy
from agent.model.station import StationModel
from agent.runtime.keeper import RECEIVER, Keeper
from agent.runtime.line import Line
from agent.wire import line, message
from agent.wire.point import Point
from agent.wire.schema import Schema
from collectors.process import ProcessWatch
from collectors.profile import shipped
from collectors.record import Cursor
from collectors.sample import Sample, Value
from tests.services.parts import START_NS, WELDER, event, weld
from tests.services.waiting import eventually

PROFILE = shipped()["spot-welder-plc"]
UPLINK = UplinkSpec(name="oem")


def outbox_of(spool: Spool) -> Outbox:
    schema = Schema.of([PROFILE])
    return Outbox(spool, [UPLINK, RECEIVER], schema, agent="pi", config_hash="0badcafe")


class Agent:
    """The part of an agent between the machines and the two files."""

    def __init__(self, spool: Spool, genealogy: Genealogy, watch: ProcessWatch) -> None:
        self.spool = spool
        self.genealogy = genealogy
        self.watch = watch
        self.outbox = outbox_of(spool)
        self.keeper = Keeper(
            spool, genealogy, [WELDER], lambda: {WELDER: watch.known}, self.outbox.store
        )
        model = StationModel(WELDER, PROFILE.title, PROFILE, now_ns=START_NS)
        self.line = Line(
            {WELDER: model}, self.outbox, clock=lambda: START_NS, watches={WELDER: watch}
        )

    async def store(self, points: Sequence[Point]) -> None:
        """Store evidence as a record source does."""
        seq = max((int(each.fields.get("seq", 0)) for each in points), default=0)
        await self.outbox.add_evidence(points, ("welder-1/weld", Cursor(epoch=1, seq=seq)))

    async def see(self, seconds: int, **values: Value) -> None:
        """Sample the welder, and wait until what that tells is stored."""
        time_ns = START_NS + seconds * 10**9
        self.line.sampled(Sample(station=WELDER, group="live", time_ns=time_ns, values=values))
        await self.line.drain()


@asynccontextmanager
async def agent_in(folder: Path, *, caught_up: bool = True) -> AsyncIterator[Agent]:
    """Run one; leaving is as a kill: what it has not taken from the spool stays there."""
    async with Spool(folder / "spool.db") as spool, Genealogy(folder / "g.db") as genealogy:
        if caught_up:
            await Keeper(spool, genealogy, [], dict, outbox_of(spool).store).catch_up()
        watch = ProcessWatch(PROFILE, WELDER, await genealogy.known(WELDER))
        agent = Agent(spool, genealogy, watch)
        running = asyncio.create_task(agent.outbox.run())
        yield agent
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await agent.outbox.close()


async def seqs(genealogy: Genealogy, serial: str = "M1") -> list[int]:
    return [
        each.seq for life in (await genealogy.trace(serial)).lives for each in life.part.records
    ]


async def test_records_go_from_the_spool_into_the_genealogy(tmp_path: Path) -> None:
    """And leave the spool, but not the uplink's share of it; telemetry and states never come."""
    async with agent_in(tmp_path) as agent:
        state = Point(
            measurement="state",
            tags={"site": "s", "line": "l", "station": "welder-1"},
            fields={"code": 1},
            time_ns=START_NS,
        )
        await agent.store([weld(1, "M1"), weld(2, "M1"), state, event("gap", 1)])
        assert (await agent.spool.stats(RECEIVER.name)).messages == 1
        await agent.keeper.catch_up()
        assert await seqs(agent.genealogy) == [1, 2]
        assert (await agent.spool.stats(RECEIVER.name)).messages == 0
        sent, ledger = await agent.spool.peek("oem", 0, 10)
        assert b'numbers="1-2"' in ledger.payload
        assert sent.payload.count(b"\n") == 5


async def test_what_a_killed_agent_left_in_the_spool_is_taken_after_the_start(
    tmp_path: Path,
) -> None:
    """The records were safe in the spool, and the machine is not asked for them again."""
    async with agent_in(tmp_path) as agent:
        await agent.store([weld(1, "M1")])
    async with agent_in(tmp_path) as agent:
        assert await seqs(agent.genealogy) == [1]


async def test_a_kill_between_the_two_commits_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The genealogy has the records, the spool still has them too."""
    async with agent_in(tmp_path) as agent:
        await agent.store([event("lot_started", 0, register="lot", value="L1"), weld(1, "M1")])

        async def killed(*_: object) -> int:
            raise SpoolError("the power failed")

        with monkeypatch.context() as patch:
            patch.setattr(agent.spool, "commit", killed)
            with pytest.raises(SpoolError):
                await agent.keeper.catch_up()
        assert (await agent.spool.stats(RECEIVER.name)).messages == 1
    async with agent_in(tmp_path) as agent:
        assert await seqs(agent.genealogy) == [1]
        assert await agent.genealogy.count() == 1
        assert (await agent.spool.stats(RECEIVER.name)).messages == 0
        (lot,) = (await agent.genealogy.trace_lot("L1")).affected
        assert lot.modules == ("M1",)


async def test_a_genealogy_that_is_full_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Records are stored and sent meanwhile; once there is room, it has them all. Told once."""
    caplog.set_level(logging.INFO)
    async with agent_in(tmp_path) as agent:
        await agent.keeper.catch_up()
        database = agent.genealogy._db
        [pages] = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        for first in range(1, 601, 200):
            points = [weld(seq, f"M{seq}") for seq in range(first, first + 200)]
            await agent.store(points)
            await agent.keeper.try_to_catch_up()
        with pytest.raises(GenealogyDownError, match="full"):
            await agent.keeper.catch_up()
        assert len(await agent.spool.peek("oem", 0, 100)) >= 3
        assert caplog.text.count("the genealogy is behind") == 1
        database.execute("PRAGMA max_page_count = 100000")
        await agent.keeper.try_to_catch_up()
        assert "has caught up" in caplog.text
        assert await agent.genealogy.count() == 600


async def test_a_genealogy_that_is_slow_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its disk takes for ever, records are stored and sent."""
    gate = asyncio.Event()
    async with agent_in(tmp_path) as agent:
        keep = agent.genealogy.keep

        async def slow(points: Sequence[Point], seen: object = None) -> None:
            await gate.wait()
            await keep(points, seen)  # type: ignore[arg-type]

        monkeypatch.setattr(agent.genealogy, "keep", slow)
        await agent.store([weld(1, "M1")])
        catching_up = asyncio.create_task(agent.keeper.catch_up())
        await agent.store([weld(2, "M1")])
        await eventually(lambda: agent.outbox.stored("oem").is_set())
        assert len(await agent.spool.peek("oem", 0, 10)) == 2
        gate.set()
        await catching_up
        assert await seqs(agent.genealogy) == [1, 2]


async def test_control_without_its_place_in_the_spool_the_genealogy_misses_records(
    tmp_path: Path,
) -> None:
    """Shows that it is the spool which holds them while the genealogy cannot."""
    async with agent_in(tmp_path) as agent:
        agent.outbox._uplinks = [UPLINK]
        await agent.store([weld(1, "M1")])
    async with agent_in(tmp_path) as agent:
        assert await seqs(agent.genealogy) == []


async def test_a_change_of_the_process_is_stored_like_a_record(tmp_path: Path) -> None:
    """For every uplink, and for the genealogy, where it holds for what is made after it."""
    async with agent_in(tmp_path) as agent:
        await agent.see(0, recipe=3, lot="L1")
        await agent.store([weld(1, "M1")])
        await agent.see(2, recipe=3, lot="L2")
        await agent.store([weld(2, "M2")])
        await agent.keeper.catch_up()
        lots = [
            (await agent.genealogy.trace(serial)).lives[0].part.records[0].in_force["lot"].value
            for serial in ("M1", "M2")
        ]
        assert lots == ["L1", "L2"]
        text = b"".join(each.payload for each in await agent.spool.peek("oem", 0, 10)).decode()
    assert text.count("kind=lot_started") == text.count("kind=lot_ended") == 1
    assert text.count('value="L2",value_before="L1"') == 2


@pytest.mark.parametrize("caught_up", [True, False])
async def test_a_change_while_the_agent_was_down_is_seen_once(
    tmp_path: Path, *, caught_up: bool
) -> None:
    """Whether the killed agent had written what it saw last, or had only stored the event."""
    async with agent_in(tmp_path) as agent:
        await agent.see(0, recipe=3, welds_since_dress=300)
        await agent.see(1, recipe=4, welds_since_dress=301)
        if caught_up:
            await agent.keeper.catch_up()
    async with agent_in(tmp_path) as agent:
        await agent.see(60, recipe=5, welds_since_dress=20)
        if caught_up:
            await agent.keeper.catch_up()
    async with agent_in(tmp_path) as agent:
        await agent.see(120, recipe=5, welds_since_dress=22)
        text = b"".join(each.payload for each in await agent.spool.peek("oem", 0, 99)).decode()
    assert text.count("kind=recipe_seen") == 1
    assert text.count("kind=recipe_changed") == 2
    assert text.count("kind=electrode_dressed") == caught_up


async def test_control_an_agent_that_does_not_catch_up_first_invents_a_change(
    tmp_path: Path,
) -> None:
    """Shows why it looks into the spool before it looks at the machine."""
    async with agent_in(tmp_path) as agent:
        await agent.see(0, recipe=3)
        await agent.keeper.catch_up()
        await agent.see(1, recipe=4)
    async with agent_in(tmp_path, caught_up=False) as agent:
        await agent.see(60, recipe=4)
        text = b"".join(each.payload for each in await agent.spool.peek("oem", 0, 99)).decode()
    assert text.count("kind=recipe_changed") == 2


async def ledger(spool: Spool) -> list[str]:
    """Return the numbers that the ledger told, in the order it told them."""
    return [
        str(point.fields["numbers"])
        for stored in await spool.peek("oem", 0, 100)
        for text in message.decode(stored.payload).lines
        if (point := line.parse(text)).measurement == "ledger"
    ]


async def test_the_ledger_grows_with_what_is_stored_and_is_told_once(tmp_path: Path) -> None:
    """After the records, and not at all while nothing is new; also once the outbox is closed."""
    async with agent_in(tmp_path) as agent:
        for seq in (1, 2):
            await agent.store([weld(seq, "M1")])
            await agent.keeper.catch_up()
            await agent.keeper.catch_up()
        assert await ledger(agent.spool) == ["1-1", "1-2"]
        await agent.store([weld(4, "M1")])
        await agent.outbox.close()
        await agent.keeper.catch_up()
        assert await ledger(agent.spool) == ["1-1", "1-2", "1-2,4-4"]


@pytest.mark.parametrize("step", ["tell", "told"])
async def test_a_kill_before_the_ledger_is_told_only_delays_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before it is stored, or before that is noted: then the same row comes twice."""
    async with agent_in(tmp_path) as agent:
        await agent.store([weld(1, "M1")])

        async def killed(*_: object) -> None:
            raise SpoolError("the power failed")

        monkeypatch.setattr(
            *{"tell": (agent.keeper, "_tell"), "told": (agent.genealogy, "told")}[step], killed
        )
        with pytest.raises(SpoolError):
            await agent.keeper.catch_up()
        assert (await agent.spool.stats(RECEIVER.name)).messages == 0
    async with agent_in(tmp_path) as agent:
        assert await ledger(agent.spool) == ["1-1"] * (1 if step == "tell" else 2)
