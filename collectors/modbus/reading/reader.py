"""Reads the parts of one machine: the rules of the record engine, carried out on a bus."""

import asyncio
from abc import ABC, abstractmethod

from collectors.modbus.reading.device import Device
from collectors.modbus.reading.windows import COUNTED, NUMBERED
from collectors.record import Cursor
from collectors.record_source import RecordSource, Shape
from collectors.records.batch import Batch
from collectors.records.counted import CountedEngine
from collectors.records.numbered import NumberedEngine

_MOST_SLOTS = 30  # fetched in one go, so that neighbours on the bus get their turn


class RecordReader(ABC):
    """Reads the records of one device, from where those on the disk end."""

    def __init__(self, device: Device, source: RecordSource) -> None:
        self.name = name_of(device, source)
        self.device = device
        self.period_s = source.period_s
        self._owes = False  # an acknowledgement

    @abstractmethod
    async def read(self) -> Batch:
        """Return what is new, oldest first; empty when nothing is. Call `stored` once it is safe.

        Raises RefusedError too: records that cannot be read are a fault of the profile.
        """

    @abstractmethod
    def stored(self, batch: Batch) -> None:
        """Move the cursor on: the records of `batch` and its cursor are on the disk."""

    def is_behind(self, batch: Batch) -> bool:
        """Whether to read again at once: more is waiting, or the machine waits for us."""
        return batch.more or self._owes

    async def _acknowledge(self, acknowledged: int | None, due: int | None) -> None:
        """Tell the machine what is stored, unless its register says so already.

        Whether it took the last telling is seen in the register: so it may be told twice, a
        machine that forgot is told again, and nothing of it needs to be remembered.
        """
        self._owes = False
        if self.device.place.acknowledge and due is not None and acknowledged != due:
            await self.device.acknowledge(due)


class NumberedReader(RecordReader):
    """Reads a machine that numbers its parts."""

    def __init__(self, device: Device, source: RecordSource, cursor: Cursor) -> None:
        super().__init__(device, source)
        self._window = NUMBERED[source.shape](device, source)
        self._engine = NumberedEngine(source, device.station, cursor)
        is_guarded = source.begin is not None and source.shape is not Shape.FIFO
        self._settle_s = 0.0 if is_guarded else source.settle_s

    async def read(self) -> Batch:
        engine, window, device = self._engine, self._window, self.device
        await device.recognise()
        head = await window.head()
        if head is None:
            return Batch(cursor=engine.cursor)
        seqs = engine.wanted(head, at_ns=device.clock(), most=_MOST_SLOTS)
        slots = await window.slots(seqs, head) if seqs else {}
        await device.recognise()  # a connection made meanwhile may lead to another device
        if engine.is_as_stored(slots):
            # Only now: a machine that began anew must not be told the number of an older part.
            await self._acknowledge(head.acknowledged, engine.acknowledgement)
            return Batch(cursor=engine.cursor)
        # Look again: what was overwritten or reset meanwhile must not be taken for a part.
        await asyncio.sleep(self._settle_s)
        after = await window.head()
        await device.recognise()
        if after is None or not window.stood_still:
            return Batch(cursor=engine.cursor)
        return engine.accept(slots, after, at_ns=device.clock())

    def stored(self, batch: Batch) -> None:
        self._engine.advance(batch)
        self._owes = self.device.place.acknowledge and bool(batch.records)


class CountedReader(RecordReader):
    """Reads a machine whose parts we must count."""

    def __init__(self, device: Device, source: RecordSource, cursor: Cursor) -> None:
        super().__init__(device, source)
        self._window = COUNTED[source.shape](device, source)
        self._engine = CountedEngine(
            source, device.station, cursor, is_acknowledged=device.place.acknowledge
        )
        self._settle_s = source.settle_s
        self._watched_at: float | None = None  # when the last accepted look began
        self._looked_at = 0.0

    async def read(self) -> Batch:
        engine, window, loop = self._engine, self._window, asyncio.get_running_loop()
        await self.device.recognise()
        self._looked_at = loop.time()
        look = await window.look()
        await self.device.recognise()  # a connection made meanwhile may lead to another device
        unwatched_s = None if self._watched_at is None else loop.time() - self._watched_at
        if not engine.is_news(look, unwatched_s):
            self._watched_at = self._looked_at
            await self._acknowledge(look.acknowledged, engine.acknowledgement)
            return Batch(cursor=engine.cursor)
        await asyncio.sleep(self._settle_s)
        again = await window.look()
        await self.device.recognise()
        return engine.accept(
            look,
            again,
            at_ns=self.device.clock(),
            took_s=loop.time() - self._looked_at,
            unwatched_s=unwatched_s,
        )

    def stored(self, batch: Batch) -> None:
        self._engine.advance(batch)
        self._watched_at = self._looked_at
        self._owes = self.device.place.acknowledge


def name_of(device: Device, source: RecordSource) -> str:
    """Return the name that the cursor of a source is stored under."""
    return f"{device.station.station}/{source.kind}"


def reader_of(device: Device, source: RecordSource, cursor: Cursor) -> RecordReader:
    """Return what reads `source`, going on at `cursor`."""
    kind = NumberedReader if source.is_numbered else CountedReader
    return kind(device, source, cursor)
