"""The spool on real disks that are full or read-only: nothing is lost, and all of it is told."""

import asyncio
import itertools
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from agent.control.requests import SpoolOverview, SpoolPage
from agent.delivery.entry import Draft, Dropped, Limits, SpoolError
from agent.delivery.outbox import Outbox, UplinkSpec
from agent.delivery.spool import Spool
from agent.delivery.view import Overview, Page
from agent.model.points import event_point
from agent.runtime.spool_watch import SpoolWatch
from agent.wire import line
from agent.wire.message import decode
from agent.wire.point import Point
from agent.wire.schema import Schema
from collectors.profile import shipped
from collectors.record import Event
from collectors.sample import StationId
from tests.services.waiting import eventually
from tests.unit.delivery.spool_conformance import draft, told

STATION = StationId(site="s", line="l", station="pi")
NOW_NS = 1_700_000_000 * 10**9
ROOMY = Limits(max_bytes=10**9)


class Rig:
    """An agent's spool, outbox and watch; `events` are those told to the line."""

    def __init__(self, spool: Spool, limits: Limits, memory_bytes: int) -> None:
        self.spool = spool
        self.now_s = 0.0
        self.events: list[Event] = []
        self.outbox = Outbox(
            spool,
            [UplinkSpec(name="oem")],
            Schema.of(shipped().values()),
            agent="pi",
            config_hash="0badcafe",
            flush_s=0.02,
            memory_bytes=memory_bytes,
        )
        self.watch = SpoolWatch(
            spool,
            self.outbox,
            limits,
            self._happened,
            station=STATION,
            clock=lambda: NOW_NS,
            monotonic=lambda: self.now_s,
        )
        self.writing: set[asyncio.Task[None]] = set()

    def _happened(self, event: Event) -> None:
        self.events.append(event)
        self.record(event_point(event))

    def record(self, point: Point) -> asyncio.Task[None]:
        """Begin to store evidence, as the line does."""
        task = asyncio.create_task(self.outbox.add_evidence([point]))
        self.writing.add(task)
        return task

    async def rows(self) -> list[Point]:
        """Return all that is in the spool."""
        stored = await self.spool.peek("oem", 0, 10_000)
        return [line.parse(each) for one in stored for each in decode(one.payload).lines]

    def kinds(self) -> list[str]:
        """Return the kinds of the events told."""
        return [each.kind for each in self.events]


@asynccontextmanager
async def rig_at(
    path: Path, limits: Limits = ROOMY, *, memory_bytes: int = 8_000_000
) -> AsyncIterator[Rig]:
    async with Spool(path, clock=lambda: NOW_NS) as spool:
        rig = Rig(spool, limits, memory_bytes)
        running = asyncio.create_task(rig.outbox.run())
        yield rig
        await asyncio.gather(*rig.writing)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await rig.outbox.close()


def point(n: int, detail: str = "") -> Point:
    return event_point(
        Event(station=STATION, kind="test", time_ns=n, values={"count": n, "detail": detail})
    )


class Disk(Protocol):
    """A disk that can be made to fail, and to work again."""

    folder: Path

    def fail(self) -> None: ...

    def mend(self) -> None: ...


class FullDisk:
    """A small disk that something else fills to the last byte."""

    options = ("-t", "tmpfs", "-o", "size=4m", "none")

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fail(self) -> None:
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            file.writelines(itertools.repeat(bytes(4096)))

    def mend(self) -> None:
        (self.folder / "filler").unlink()


class ReadOnlyDisk:
    """A disk that the kernel makes read-only after an error, until it is mounted anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = ("-o", "loop,errors=remount-ro", str(folder.with_suffix(".img")))
        image = folder.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)

    def fail(self) -> None:
        subprocess.run(["mount", "-o", "remount,abort", self.folder], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (self.folder / "new").touch()

    def mend(self) -> None:
        subprocess.run(["umount", "-l", self.folder], check=True)
        subprocess.run(["mount", *self.options, self.folder], check=True)


class LimitedDisk:
    """A disk that takes no larger files; anyone can have it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fail(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, self._before[1]))
        with (self.folder / "large").open("wb") as file, pytest.raises(OSError, match="too large"):
            file.truncate(300_000)

    def mend(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture(params=[FullDisk, ReadOnlyDisk, LimitedDisk])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param is LimitedDisk:
        limited = LimitedDisk(folder)
        yield limited
        limited.mend()
        return
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    made: FullDisk | ReadOnlyDisk = request.param(folder)
    done = subprocess.run(
        ["mount", *made.options, folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr}")
    yield made
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_disk_that_fails_is_waited_out_in_memory(disk: Disk) -> None:
    """All records are stored once it works again; what memory could not hold is told as a gap."""
    async with rig_at(disk.folder / "spool.db", memory_bytes=1_000) as rig:
        await rig.record(point(0))
        disk.fail()
        numbers = itertools.count(1)
        async with asyncio.timeout(20):
            while rig.outbox.status.failed_commits < 2:
                rig.record(point(next(numbers), "x" * 30_000))
                await asyncio.sleep(0.005)
        assert any(not each.done() for each in rig.writing)
        rig.outbox.add([point(n) for n in range(1000, 1100)])
        lost = rig.outbox.status.dropped_lines
        assert 50 < lost < 100
        for _ in range(3):
            await rig.watch.look()
        assert rig.kinds() == ["spool_failing"]
        failing = await rig.watch.answer(SpoolOverview()) if _reads(disk) else None
        assert failing is None or (isinstance(failing, Overview) and failing.disk_error)
        disk.mend()
        await asyncio.gather(*rig.writing)
        await rig.watch.look()
        assert rig.kinds() == ["spool_failing", "spool_recovered", "gap"]
        assert rig.events[-1].values["count"] == lost
        assert rig.events[-1].values["reason"] == "memory_full"
        await asyncio.gather(*rig.writing)
        await _comes(rig, 1099)
        rows = await rig.rows()
    counts = [each.fields["count"] for each in rows if each.tags["kind"] == "test"]
    assert sorted(counts) == [*range(next(numbers)), *range(1000 + lost, 1100)]
    assert [each.tags["kind"] for each in rows if each.tags["kind"] != "test"] == rig.kinds()


def _reads(disk: Disk) -> bool:
    return isinstance(disk, FullDisk)


async def _comes(rig: Rig, count: int) -> None:
    await eventually(lambda: _has(rig, count))  # type: ignore[arg-type,return-value] # mypy takes T for the coroutine


async def _has(rig: Rig, count: int) -> bool:
    return any(each.fields.get("count") == count for each in await rig.rows())


async def test_every_gap_is_delivered(tmp_path: Path) -> None:
    """What is dropped is exactly what the gap events count, and they come in the same commit."""
    async with rig_at(tmp_path / "spool.db", Limits(max_bytes=60_000)) as rig:
        for n in range(40):
            rig.outbox.add([point(10 * n + k, "x" * 200) for k in range(10)])
            await _comes(rig, 10 * n + 9)
            await rig.watch.look()
        rows = await rig.rows()
        overview = await rig.watch.answer(SpoolOverview())
    gaps = [each for each in rows if each.tags["kind"] == "gap"]
    kept = [each for each in rows if each.tags["kind"] == "test"]
    assert len(gaps) >= 2
    assert sum(int(each.fields["count"]) for each in gaps) == 400 - len(kept)
    assert {each.fields["reason"] for each in gaps} == {"spool_full"}
    assert {each.fields["detail"] for each in gaps} == {"oem"}
    assert {each.tags["station"] for each in gaps} == {"pi"}
    assert gaps[0].fields["note"] == "2023-11-14T22:13:20Z to 2023-11-14T22:13:20Z"
    assert isinstance(overview, Overview)
    assert overview.room >= 0


async def test_nothing_goes_that_cannot_be_told(tmp_path: Path) -> None:
    """An agent that ends between the two would leave a gap that nobody knows of."""

    def killed(_: Dropped) -> list[Draft]:
        raise KeyboardInterrupt

    async with Spool(tmp_path / "spool.db") as spool:
        await spool.append([draft()] * 9)
        with pytest.raises(KeyboardInterrupt):
            await spool.trim(Limits(max_bytes=1), killed)
        assert len(await spool.peek("oem", 0, 99)) == 9
        assert await spool.trim(Limits(max_bytes=1), told) is not None
        assert [each.seq for each in await spool.peek("oem", 0, 99)] == [10]


async def test_salvage_is_told_whenever_it_happens(tmp_path: Path) -> None:
    """Also when the damage shows while the agent runs; once."""
    path = tmp_path / "spool.db"
    async with rig_at(path) as rig:
        for n in range(3):
            await rig.record(point(n, "y" * 5_000))
    path.write_bytes(path.read_bytes().replace(b"y" * 3_000, b"z" * 3_000, 1))
    async with rig_at(path) as rig:
        await rig.watch.look()
        assert rig.kinds() == []
        with pytest.raises(SpoolError, match="checksum"):
            await rig.rows()
        for _ in range(2):
            await rig.watch.look()
        await asyncio.gather(*rig.writing)
        assert rig.kinds() == ["spool_salvaged"]
        assert rig.events[0].values["count"] == 1
        assert [each.tags["kind"] for each in await rig.rows()] == [
            "test",
            "test",
            "spool_salvaged",
        ]


async def test_a_spool_that_fills_is_told_hours_before(tmp_path: Path) -> None:
    """12 hours ahead, then 4, as events that are delivered."""
    async with rig_at(tmp_path / "spool.db", Limits(max_bytes=300_000)) as rig:
        while "gap" not in {each.tags["kind"] for each in await rig.rows()}:
            rig.now_s += 600
            await rig.record(point(1, "x" * 2_000))
            rig.outbox.add([point(2)])
            await eventually(lambda: not rig.outbox._telemetry.lines)
            await rig.watch.look()
        await asyncio.gather(*rig.writing)
        rows = await rig.rows()
    told_at = [each.fields["count"] for each in rows if each.tags["kind"] == "spool_filling"]
    assert told_at == [12, 4]


async def test_people_are_shown_pages(tmp_path: Path) -> None:
    """Behind a number, so many as asked for."""
    async with rig_at(tmp_path / "spool.db") as rig:
        for n in range(5):
            await rig.record(point(n))
        page = await rig.watch.answer(SpoolPage(uplink="oem", after=2, limit=2))
    assert isinstance(page, Page)
    assert [each.seq for each in page.messages] == [3, 4]
    assert [line.parse(each.lines[0]).fields["count"] for each in page.messages] == [2, 3]
