"""The outbox: what is gathered, when it is committed, and what happens when that fails."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import pytest

from agent.delivery.entry import Draft, SpoolError
from agent.delivery.outbox import Outbox, UplinkSpec, gather
from agent.wire.message import MAX_BYTES
from agent.wire.point import Field, Point
from agent.wire.schema import Schema
from collectors.record import Cursor
from tests.services.waiting import eventually


class FakeStore:
    """Keeps what is appended; `gate` holds commits back, `error` makes them fail."""

    def __init__(self) -> None:
        self.commits: list[tuple[list[Draft], dict[str, Cursor]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = 0
        self.error: SpoolError | None = None

    async def append(self, drafts: Sequence[Draft], cursors: Mapping[str, Cursor]) -> None:
        """Do as a spool does."""
        self.begun += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        self.commits.append((list(drafts), dict(cursors)))

    def lines(self, uplink: str = "oem") -> list[str]:
        """Return the lines of one uplink in order."""
        drafts = [each for commit, _ in self.commits for each in commit]
        return [line for each in drafts if each.uplink == uplink for line in each.lines]


def _point(n: int, **fields: Field) -> Point:
    return Point(
        measurement="event",
        tags={"site": "s", "line": "l", "station": "w", "kind": "k"},
        fields=fields or {"count": n},
        time_ns=n,
    )


def _numbers(lines: Sequence[str]) -> list[int]:
    return [int(line.rsplit(" ", 1)[1]) for line in lines]


@asynccontextmanager
async def _running(
    store: FakeStore,
    *,
    flush_s: float = 60,
    target_bytes: int = 20_000,
    memory_bytes: int = 8_000_000,
    uplinks: Sequence[UplinkSpec] = (UplinkSpec(name="oem"),),
) -> AsyncIterator[Outbox]:
    outbox = Outbox(
        store,
        uplinks,
        Schema.of([]),
        agent="ws1",
        config_hash="0badcafe",
        flush_s=flush_s,
        target_bytes=target_bytes,
        memory_bytes=memory_bytes,
    )
    running = asyncio.create_task(outbox.run())
    yield outbox
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
    await outbox.close()


async def test_telemetry_is_gathered_up_to_the_target() -> None:
    """A full message goes at once, without waiting for the interval; the rest at the end."""
    store = FakeStore()
    async with _running(store, target_bytes=1_000) as outbox:
        outbox.add(_point(n) for n in range(5))
        outbox.add(_point(n) for n in range(5, 50))
        await eventually(lambda: store.commits)
        outbox.add([_point(50)])
    assert _numbers(store.lines()) == list(range(51))
    drafts = [each for commit, _ in store.commits for each in commit]
    sizes = [sum(len(line) + 1 for line in each.lines) for each in drafts]
    assert all(1_000 <= size < 1_100 for size in sizes[:-2])
    assert {each.kind for each in drafts} == {"telemetry"}
    assert len(store.commits) == 2


async def test_telemetry_is_flushed_at_the_interval() -> None:
    """A single value is safe soon, also while evidence keeps the outbox busy."""
    store = FakeStore()
    async with _running(store, flush_s=0.05) as outbox:
        outbox.add([_point(1)])
        stop = asyncio.Event()

        async def busy() -> None:
            while not stop.is_set():
                await outbox.add_evidence([_point(2)])

        busily = asyncio.create_task(busy())
        await eventually(lambda: 1 in _numbers(store.lines()))
        stop.set()
        await busily


async def test_evidence_returns_only_after_its_commit() -> None:
    """And the cursor is in the same commit."""
    store = FakeStore()
    store.gate.clear()
    async with _running(store) as outbox:
        adding = asyncio.create_task(
            outbox.add_evidence([_point(1), _point(2)], ("welder", Cursor(seq=2)))
        )
        await eventually(lambda: store.begun)
        assert not adding.done()
        assert not outbox.stored("oem").is_set()
        store.gate.set()
        await adding
        assert outbox.stored("oem").is_set()
        [(drafts, cursors)] = store.commits
        assert [(each.kind, len(each.lines)) for each in drafts] == [("evidence", 2)]
        assert cursors == {"welder": Cursor(seq=2)}


async def test_evidence_of_one_moment_shares_a_commit() -> None:
    """What arrives while a commit is under way goes with the next one, all together, in order."""
    store = FakeStore()
    store.gate.clear()
    async with _running(store) as outbox:
        first = asyncio.create_task(outbox.add_evidence([_point(0)]))
        await eventually(lambda: store.begun)
        others = [
            asyncio.create_task(outbox.add_evidence([_point(n)], (f"{n}", Cursor(seq=n))))
            for n in range(1, 10)
        ]
        await asyncio.sleep(0)
        store.gate.set()
        await asyncio.gather(first, *others)
    assert [len(drafts) for drafts, _ in store.commits] == [1, 1]
    assert _numbers(store.lines()) == list(range(10))
    assert store.commits[1][1] == {f"{n}": Cursor(seq=n) for n in range(1, 10)}


async def test_evidence_does_not_wait_for_the_interval_nor_drag_telemetry_along() -> None:
    """Small telemetry messages would wear the card out."""
    store = FakeStore()
    async with _running(store) as outbox:
        outbox.add([_point(1)])
        await outbox.add_evidence([_point(2)])
        assert _numbers(store.lines()) == [2]
    assert _numbers(store.lines()) == [2, 1]


async def test_each_uplink_gets_its_own_messages() -> None:
    """All lines go to all uplinks, packed or not as each of them wants it."""
    store = FakeStore()
    uplinks = [UplinkSpec(name="oem", pack=True), UplinkSpec(name="own")]
    async with _running(store, uplinks=uplinks) as outbox:
        await outbox.add_evidence([_point(1)])
        assert outbox.stored("own").is_set()
    [(drafts, _)] = store.commits
    assert [(each.uplink, each.pack) for each in drafts] == [("oem", True), ("own", False)]
    assert drafts[0].lines == drafts[1].lines


@pytest.mark.parametrize("kind", ["telemetry", "evidence"])
@pytest.mark.parametrize(
    "bad",
    [
        Point(measurement="nothing", tags={}, fields={"a": 1}, time_ns=1),
        _point(1, count=float("nan")),
        _point(1, count=float("inf")),
        _point(1, count=2**63),
        _point(1, detail="half a pair: \ud800"),
        _point(1, detail="x" * MAX_BYTES),
        _point(1, nonsense=1),
    ],
    ids=["measurement", "nan", "inf", "large", "surrogate", "long", "field"],
)
async def test_a_bad_point_is_counted_and_told_once(
    bad: Point, kind: Literal["telemetry", "evidence"], caplog: pytest.LogCaptureFixture
) -> None:
    """It holds back neither its neighbours nor the loop."""
    store = FakeStore()
    async with _running(store) as outbox:
        for _ in range(3):
            points = [_point(10), bad, _point(11)]
            if kind == "telemetry":
                outbox.add(points)
            else:
                await outbox.add_evidence(points)
        assert outbox.status.bad_points == 3
    assert _numbers(store.lines()) == [10, 11] * 3
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1


async def test_while_the_disk_fails_everything_waits_and_then_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Evidence callers wait on, nothing is lost or reordered, both ends are told once."""
    caplog.set_level(logging.INFO)
    store = FakeStore()
    store.error = SpoolError("disk full", "free some")
    async with _running(store, flush_s=0.01) as outbox:
        outbox.add([_point(1)])
        adding = asyncio.create_task(outbox.add_evidence([_point(2)], ("welder", Cursor(seq=2))))
        await eventually(lambda: outbox.status.failed_commits >= 3)
        outbox.add([_point(3)])
        assert "disk full" in outbox.status.last_error
        assert not adding.done()
        store.error = None
        await adding
        await eventually(lambda: len(store.lines()) == 3)
        assert outbox.status.last_error == ""
        assert outbox.status.dropped_lines == 0
    assert sorted(_numbers(store.lines())) == [1, 2, 3]
    assert _numbers(store.lines()).index(1) < _numbers(store.lines()).index(3)
    assert [each.levelname for each in caplog.records] == ["ERROR", "INFO"]


async def test_memory_is_bounded_while_the_disk_fails() -> None:
    """The oldest telemetry goes and is counted; evidence stays."""
    store = FakeStore()
    store.error = SpoolError("disk full", "free some")
    async with _running(store, flush_s=0.01, target_bytes=500, memory_bytes=2_000) as outbox:
        adding = asyncio.create_task(outbox.add_evidence([_point(0)]))
        for n in range(1, 201):
            outbox.add([_point(n)])
            await asyncio.sleep(0)
        await eventually(lambda: outbox.status.failed_commits >= 2)
        assert 100 < outbox.status.dropped_lines < 199
        store.error = None
        await adding
    kept = sorted(_numbers(store.lines()))
    assert kept == [0, *range(201 - len(kept) + 1, 201)]
    assert len(kept) - 1 == 200 - outbox.status.dropped_lines


async def test_a_commit_under_way_survives_cancellation() -> None:
    """Stopping the agent in the middle of a commit neither loses nor doubles its lines."""
    store = FakeStore()
    store.gate.clear()
    outbox = Outbox(
        store, [UplinkSpec(name="oem")], Schema.of([]), agent="ws1", config_hash="0badcafe"
    )
    running = asyncio.create_task(outbox.run())
    adding = asyncio.create_task(outbox.add_evidence([_point(1)]))
    await eventually(lambda: store.begun)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    outbox.add([_point(2)])
    store.gate.set()
    await outbox.close()
    await adding
    assert _numbers(store.lines()) == [1, 2]


async def test_closing_on_a_dead_disk_tells_the_callers() -> None:
    """They must not believe that their record is safe."""
    store = FakeStore()
    store.error = SpoolError("disk gone", "look")
    async with _running(store) as outbox:
        outbox.add([_point(1)])
        adding = asyncio.create_task(outbox.add_evidence([_point(2)]))
        await eventually(lambda: store.begun)
    with pytest.raises(SpoolError, match="disk gone"):
        await adding
    assert outbox.status.dropped_lines == 1


async def test_a_closed_outbox_takes_no_evidence() -> None:
    """Its caller would wait for ever."""
    store = FakeStore()
    async with _running(store) as outbox:
        pass
    with pytest.raises(SpoolError, match="stopping"):
        await outbox.add_evidence([_point(1)])
    assert not store.commits


def test_gather_keeps_order_and_limits() -> None:
    """Groups pass the target by less than a line, unless the limit is nearer."""
    lines = [f"{n:0{n % 40 + 4}d}" for n in range(500)]
    groups = list(gather(lines, 100, 120))
    assert [line for group in groups for line in group] == lines
    sizes = [sum(len(line) + 1 for line in group) for group in groups]
    assert all(60 < size <= 120 for size in sizes[:-1])
    assert list(gather([], 100, 120)) == []
