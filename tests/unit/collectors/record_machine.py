"""A machine that shows its parts in one of the four shapes, word by word as a PLC does."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from collectors.profile import Profile
from collectors.record_source import QUEUE_REGISTERS, RecordSource, Shape
from collectors.simulated.memory import Memory
from tests.services.profiles import small_profile

SETTLE_S = 0.05  # a part, once begun, is finished within this
CYCLE_S = 0.5  # of machines without numbers: parts begin no closer together
BOOT_S = 1.0
MAP_ID = 7


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way in which a machine may show its parts."""

    shape: Shape
    slots: int = 4
    wrap: int = 2**32
    wrap_to: int = 0
    start: int = 0  # the counter when the simulation begins
    is_guarded: bool = True  # the part has its number at both ends
    is_backwards: bool = False  # it writes the last word first
    edge: str = "rising"
    has_total: bool = True
    waits: bool = False  # for an acknowledgement, before it makes the next part

    @property
    def is_numbered(self) -> bool:
        """Whether the parts have numbers."""
        if self.shape is Shape.FIFO:
            return self.is_guarded
        return self.shape is not Shape.SIGNAL

    @property
    def is_exact(self) -> bool:
        """Whether it can be told how many parts were missed."""
        return self.is_numbered or self.has_total

    def profile(self) -> Profile:
        """Return the profile that describes such a machine."""
        records: dict[str, Any] = {
            "kind": "weld",
            "shape": self.shape,
            "period_s": CYCLE_S / 2,
            "address": 100,
            "registers": self._registers(),
        }
        if self.is_guarded and self.shape is not Shape.SIGNAL:
            records |= {"begin": "begin", "end": "end"}
        if self.is_numbered:
            records |= {"wrap": self.wrap, "wrap_to": self.wrap_to}
        elif self.has_total:
            records |= {"total": "total"}
        if self.shape is Shape.RING:
            records |= {"sequence": "seq", "write_index": "index", "slots": self.slots, "stride": 8}
        if self.shape is Shape.BLOCK:
            records |= {"sequence": "seq", "settle_s": SETTLE_S}
        if self.shape is Shape.SIGNAL:
            records |= {"signal": "signal", "edge": self.edge, "cycle_s": CYCLE_S}
        if self.shape is Shape.FIFO:
            records |= {"stride": 6 if self.is_guarded else 4}
        if self.waits:
            records |= {"acknowledge": "ack"}
        return small_profile(
            [
                {"name": "seq", "address": 0, "type": "uint32"},
                {"name": "index", "address": 2, "type": "uint16"},
                {"name": "total", "address": 4, "type": "uint32"},
                {"name": "ack", "address": 6, "type": "uint16"},
                {"name": "map_id", "address": 8, "type": "uint16"},
                {"name": "signal", "address": 0, "type": "bool", "table": "discrete"},
            ],
            groups={"fast": 1.0},
            modbus={"max_registers": 24, "max_gap": 8},
            identity={"register": "map_id", "value": MAP_ID},
            records=records,
        )

    def _registers(self) -> list[dict[str, Any]]:
        """Two words of one value, so that a mixture of two parts shows."""
        if self.shape is Shape.FIFO:
            ends, middle = ("uint16", (0, 5)), (1, 3)
        else:
            ends, middle = ("uint32", (0, 6)), (2, 4)
        if self.shape is Shape.FIFO and not self.is_guarded:
            middle = (0, 2)
        registers = [
            {"name": name, "address": address, "type": "uint32"}
            for name, address in zip("ab", middle, strict=True)
        ]
        if self.is_guarded and self.shape is not Shape.SIGNAL:
            kind, places = ends
            registers += [
                {"name": name, "address": address, "type": kind}
                for name, address in zip(("begin", "end"), places, strict=True)
            ]
        return registers


@dataclass(frozen=True)
class Part:
    """One part that was made: `number` counts from the start of the machine's epoch."""

    id: int
    epoch: int
    number: int


class Machine:
    """A PLC. `step` does the next small thing; between two of them anybody may look."""

    def __init__(self, variant: Variant, clock: "Clock") -> None:
        self.variant = variant
        profile = variant.profile()
        assert profile.records is not None
        self.profile = profile
        self.source: RecordSource = profile.records
        self.memory = Memory(profile)
        self.made: list[Part] = []
        self.epoch = 1
        self.number = variant.start
        self.may_begin: Callable[[], bool] = lambda: True
        self.is_booting = False
        self._clock = clock
        self._ids = 1_000_000
        self._work: Iterator[None] | None = None
        self._begun_at = -CYCLE_S
        self._index = 0
        self._level = False
        self.memory.set("map_id", MAP_ID)
        if variant.start:  # there is a past, and its last part still stands there
            self.number = variant.start - 1
            self.make(1)
        self._show()

    def step(self) -> None:
        """Do the next small thing; begin a part when none is under way."""
        self._serve_acknowledgement()
        if self._work is None:
            if self.is_booting or not self.may_begin() or not self._is_free():
                return
            if not self.variant.is_numbered:
                self._clock.now = max(self._clock.now, self._begun_at + CYCLE_S)
            self._begun_at = self._clock.now
            self._work = self._make()
        if next(self._work, self) is self:
            self._work = None

    def make(self, parts: int) -> None:
        """Finish so many parts, or as many as it may."""
        for _ in range(parts):
            before = len(self.made)
            for _ in range(20):
                if len(self.made) == before:
                    self.step()
            self.finish()

    def finish(self) -> None:
        """Finish the part that is under way."""
        while self._work is not None:
            self.step()

    def catch_up(self) -> None:
        """Let the time that passed take effect."""
        self._serve_acknowledgement()
        if self._clock.now >= self._begun_at + SETTLE_S:
            self.finish()

    def reset(self) -> None:
        """Lose power: the part under way, counters and memory are gone. Booting takes a while."""
        self._work = None
        self.epoch += 1
        self.number = self._index = 0
        self._show_level(at=0)
        self.is_booting = True
        self._clock.now += BOOT_S
        self.memory.clear_slots()
        if self.variant.shape in {Shape.BLOCK, Shape.SIGNAL}:
            self.memory.write_slot(0, dict.fromkeys(self._names(), 0))
        self.memory.set("ack", 0)
        self.memory.set("total", 0)
        self._show()

    def shown(self) -> list[Part]:
        """Return the parts of this epoch that can still be read, once it stands still."""
        mine = [part for part in self.made if part.epoch == self.epoch]
        if self.variant.shape is Shape.SIGNAL and self.variant.edge == "rising" and not self._level:
            return []
        if self.variant.shape is Shape.FIFO:
            size = 2 * self.source.stride
            return mine[len(mine) - len(self.memory.queue) // size :]
        return mine[-self.source.entries :]

    # -- inside -------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        return [each.name for each in self.source.registers]

    def _show(self) -> None:
        count = self.source.number_of(self.number) if self.number else 0
        self.memory.set("seq", count)
        self.memory.set("index", self._index)

    def _is_free(self) -> bool:
        """Whether the machine need not wait for the agent."""
        variant = self.variant
        if not variant.waits:
            return True
        acknowledged = self.memory.acknowledged()
        match variant.shape:
            case Shape.SIGNAL if variant.edge == "rising":
                return not self._level and acknowledged == 0
            case Shape.SIGNAL:
                return acknowledged == int(self._level)
            case Shape.FIFO:
                return len(self.memory.queue) < 2 * self.source.stride * self.source.entries
        mine = [part for part in self.made if part.epoch == self.epoch]
        return not mine or acknowledged == self.source.number_of(self.number) & 0xFFFF

    def _serve_acknowledgement(self) -> None:
        variant = self.variant
        if not variant.waits or self.is_booting:
            return
        acknowledged = self.memory.acknowledged()
        if variant.shape is Shape.SIGNAL and variant.edge == "rising":
            if self._level and acknowledged == 1 and self._work is None:
                self._show_level(at=0)
        elif variant.shape is Shape.FIFO and self._work is None:
            size = 2 * self.source.stride
            while self.memory.queue and acknowledged:  # 0 is no number of such a machine
                (oldest,) = struct.unpack_from(">H", self.memory.queue)
                if (acknowledged - oldest) % self.source.wrap > self.source.wrap // 2:
                    break
                del self.memory.queue[:size]

    def _show_level(self, *, at: int) -> None:
        self._level = bool(at)
        self.memory.set("signal", self._level)

    def _make(self) -> Iterator[None]:
        self._ids += 1
        self.number += 1
        part = Part(self._ids, self.epoch, self.number)
        count = self.source.number_of(self.number)
        match self.variant.shape:
            case Shape.FIFO:
                yield from self._push(part, count)
            case Shape.SIGNAL:
                if self.variant.edge == "rising":
                    self._show_level(at=0)
                    yield
                yield from self._write(0, part, count)
            case _:
                yield from self._write(self._index, part, count)
        self.memory.set("total", self.number % 2**32)
        if self.variant.shape is Shape.SIGNAL:
            yield
            self._show_level(at=1 if self.variant.edge == "rising" else not self._level)
        if self.variant.shape is Shape.RING:
            self._index = (self._index + 1) % self.variant.slots
        if self.variant.shape in {Shape.RING, Shape.BLOCK}:
            self._show()
        self.made.append(part)

    def _write(self, slot: int, part: Part, count: int) -> Iterator[None]:
        values = [("begin", count), ("a", part.id), ("b", part.id), ("end", count)]
        for name, value in values[::-1] if self.variant.is_backwards else values:
            if name in self._names():
                self.memory.write_slot(slot, {name: value})
                yield

    def _push(self, part: Part, count: int) -> Iterator[None]:
        """Push word by word; of a full queue the oldest word goes for each."""
        queue, size = self.memory.queue, 2 * self.source.stride
        words = struct.pack(">II", part.id, part.id)
        if self.variant.is_guarded:
            words = struct.pack(">HIIH", count, part.id, part.id, count)
        full = size * (QUEUE_REGISTERS * 2 // size)
        for start in range(0, len(words), 2):
            if len(queue) + 2 > full:
                del queue[:2]
            queue += words[start : start + 2]
            if start + 2 < len(words):
                yield


class Clock:
    """Time that passes when it is told to."""

    now = 0.0
