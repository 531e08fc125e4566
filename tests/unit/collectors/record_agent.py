"""An agent that reads one simulated machine and may die at any moment, and what it has on disk."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Literal, cast

from collectors.errors import LiniError, NoAnswerError, RefusedError
from collectors.modbus.reading.device import Device, Place
from collectors.modbus.reading.reader import RecordReader, reader_of
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Answer, Request
from collectors.record import Cursor, Event, Record
from collectors.records import Batch
from collectors.sample import StationId
from collectors.simulated.server import answer
from tests.unit.collectors.record_machine import Clock, Machine

LATENCY_S = 0.01
STATION = StationId(site="s", line="l", station="welder-1")

# What happens at one request: so many steps of the machine, or something worse.
Act = int | Literal["lost", "answer lost", "killed", "reset"]
Fate = Literal["stored", "not stored", "killed before", "killed after"]


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which nothing takes time but sleeping, and that none of ours."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._virtual = clock

    def time(self) -> float:
        return self._virtual.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._virtual.now = max(self._virtual.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class KilledError(Exception):
    """The agent is gone."""


class Wire:
    """The bus: before each request something may happen."""

    window = 1
    generation = 1

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self.script: Iterator[Act] = iter(())
        self._machine = machine
        self._clock = clock

    async def read(self, request: Request, timeout_s: float) -> bytes:
        del timeout_s
        self._clock.now += LATENCY_S
        act = next(self.script, 0)
        match act:
            case int():
                for _ in range(act):
                    self._machine.step()
            case "killed":
                raise KilledError
            case "lost":
                raise NoAnswerError("lost")
            case "reset":
                self._machine.reset()
        self._machine.catch_up()
        said = answer(self._machine.memory, request.pdu)
        if act == "answer lost":
            raise NoAnswerError("lost")
        if said[0] & 0x80:
            raise RefusedError(str(request), said[1])
        read = request.read(said)
        assert isinstance(read, Answer)
        return read.payload


class Disk:
    """What survives: a cursor, and what was stored with it."""

    def __init__(self) -> None:
        self.cursor = Cursor()
        self.log: list[Record | Event] = []
        self.baseline = 0
        """The newest part that was made when something was stored for the first time."""

    def store(self, batch: Batch) -> None:
        self.cursor = batch.cursor
        self.log += [*batch.events, *batch.records]

    @property
    def records(self) -> list[Record]:
        """All records, as they were stored."""
        return [each for each in self.log if isinstance(each, Record)]

    @property
    def lost(self) -> list[Event]:
        """All losses that were told with their numbers."""
        return [
            each for each in self.log if isinstance(each, Event) and each.kind == "records_lost"
        ]


class Agent:
    """Reads the machine; `poll` is what the runner of the bus does once each period."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self.disk = Disk()
        self.wire = Wire(machine, clock)
        self._machine = machine
        self._clock = clock
        self.may_acknowledge = machine.variant.waits
        self._loop = Loop(clock)
        self.start()

    def close(self) -> None:
        """Close the event loop."""
        self._loop.close()

    def start(self) -> None:
        """Start anew, with what is on the disk."""
        place = Place(
            station=STATION,
            device_id=1,
            profile=self._machine.profile,
            timeout_s=1.0,
            acknowledge=self.may_acknowledge,
        )
        device = Device(place, cast(Bus, self.wire), lambda: int(1e18 + self._clock.now * 1e9))
        self._reader: RecordReader = reader_of(device, self._machine.source, self.disk.cursor)

    def poll(self, script: Sequence[Act] = (), fate: Fate = "stored") -> Batch | None:
        """Read once and store; return the batch that is on the disk now, None when none is."""
        self.wire.script = iter(script)
        try:
            batch = self._loop.run_until_complete(self._reader.read())
        except LiniError:
            return None
        except KilledError:
            self.start()
            return None
        finally:
            self._machine.is_booting = False
        if not batch or fate == "not stored":
            return None
        if fate == "killed before":
            self.start()
            return None
        if self.disk.cursor.seq is None and self._machine.made:
            self.disk.baseline = self._machine.made[-1].id
        self.disk.store(batch)
        if fate == "killed after":
            self.start()
        else:
            self._reader.stored(batch)
        return batch
