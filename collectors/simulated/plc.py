"""What the simulated PLCs have in common: the reference map, its states, and its ring of records."""

import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from collectors.profile import Profile
from collectors.record import Result
from collectors.register import Register
from collectors.sample import Value
from collectors.simulated.encode import Raw
from collectors.simulated.ledger import Cycle, Deed, Ledger, Part
from collectors.simulated.memory import Memory
from collectors.simulated.pace import Pace

_SCAN_S = 0.02  # between the first and the last word of a record: meanwhile the slot is torn
_LIVE_PERIOD_S = 0.5  # live values change no faster than this


# Of each judged value: the reject codes below its lower and above its upper limit ("": no reject).
Codes = Sequence[tuple[str, str, str]]


class State(IntEnum):
    """States of the reference map, register 2."""

    OFF = 0
    IDLE = 1
    RUNNING = 2
    STARVED = 3
    BLOCKED = 4
    FAULT = 5
    SETUP = 6
    MAINTENANCE = 7
    EMERGENCY_STOP = 8


class Mode(IntEnum):
    """Modes of the reference map, register 3."""

    MANUAL = 0
    AUTO = 1
    TEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one part, as it was measured; `Raw` where it was not."""

    serial: str
    result: Result
    code: str = "none"
    tags: Mapping[str, Value]
    values: Mapping[str, Value | Raw]
    derived: Mapping[str, Value] = field(default_factory=dict)  # true, but in no register


class Plc(ABC):
    """A machine behind a PLC. `work` is its life; the rest is how that shows in the registers.

    What a part contains depends on seed, station and the parts before it, never on our clock.
    """

    def __init__(
        self,
        *,
        station: str,
        profile: Profile,
        seed: int,
        pace: Pace,
        ledger: Ledger,
        limit: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if profile.records is None or profile.identity is None:
            raise ValueError(f"{profile.title.en} is not a PLC of the reference map")
        self.station = station
        self.memory = Memory(profile, self._refresh)
        self.made = 0  # parts since the simulation began; a restart of the PLC does not clear it
        self.epoch = 1  # counts those restarts
        self.is_finished = False
        self.pace = pace
        self._records = profile.records
        self._measured = {each.name: each for each in profile.records.measured}
        self._alarm_words = {
            bit.name: register.name for register in profile.registers for bit in register.bits
        }
        self._alarms: set[str] = set()
        self._seed = seed
        self._ledger = ledger
        self._limit = limit
        self._monotonic = monotonic
        self._due = 0.0  # machine time of the next event
        self._is_open = False  # a slot is half-written
        self._seq = 0
        self._write_index = 0
        self._counts: dict[str, int] = {}
        self._process: dict[str, Value] = {}
        self._started_at = monotonic()
        self._live_at = -math.inf
        self._frozen_at: float | None = None
        self.memory.set("map_id", profile.identity.value)
        self.begin("recipe_changed", "recipe", 1)
        self._clear_counts()
        self.show(State.RUNNING)
        self.mode(Mode.AUTO)
        self.prepare()
        self._work = self.work()

    @abstractmethod
    def prepare(self) -> None:
        """Make the machine ready for its first part."""

    @abstractmethod
    def work(self) -> Iterator[float]:
        """Make parts for ever; yield how many seconds pass until the next thing happens."""

    @abstractmethod
    def live(self, uptime_s: float) -> None:
        """Set the live values."""

    # -- driven from outside ------------------------------------------------------------------

    def advance(self, most: int) -> float:
        """Do what is due, at most `most` events; return the seconds until the next one.

        Returns 0 when the last part is made, and infinity while time stands still.
        """
        if self.pace.is_paused:
            return math.inf  # what was overdue waits as well
        now = self.pace.now()
        for _ in range(most):
            if self.is_finished or self._due > now:
                break
            self._step()
        return 0.0 if self.is_finished else self.pace.seconds_until(self._due)

    def settle(self) -> None:
        """Finish the record that is being written, so that what was made can be read."""
        if self._is_open:
            self._step()

    def freeze(self) -> None:
        """Put the PLC in STOP: it answers, but its heartbeat, clock and work stand still."""
        self.pace.pause()
        self.settle()
        if self._frozen_at is None:
            self._frozen_at = self._monotonic()

    def thaw(self) -> None:
        """Put the PLC back in RUN."""
        if self._frozen_at is not None:
            self._started_at += self._monotonic() - self._frozen_at
            self._frozen_at = None
        self.pace.resume()

    @property
    def is_frozen(self) -> bool:
        """Whether the PLC is in STOP."""
        return self._frozen_at is not None

    def restart(self) -> None:
        """Lose all that a PLC without retentive memory loses: counters, sequence, ring."""
        self.settle()
        self.epoch += 1
        self.memory.clear_slots()
        self._clear_counts()
        self._started_at = self._monotonic()

    # -- for the machines ---------------------------------------------------------------------

    def draw(self, *what: object) -> random.Random:
        """Return the random numbers of one thing, the same in each run with the same seed."""
        return random.Random("/".join(map(str, (self._seed, self.station, *what))))

    def show(self, state: State) -> None:
        """Set the state register."""
        self.memory.set("state", state.value)

    def mode(self, mode: Mode) -> None:
        """Set the mode register."""
        self.memory.set("mode", mode.value)

    def set_alarms(self, alarms: set[str]) -> None:
        """Let exactly these alarm bits stand."""
        words = {self._alarm_words[name] for name in alarms | self._alarms}
        self._alarms = set(alarms)
        for word in words:
            self.memory.set(word, {name for name in alarms if self._alarm_words[name] == word})

    def stop(self, state: State, seconds: float, *alarms: str) -> Iterator[float]:
        """Stand in `state` for a while, with `alarms` up, and go on running."""
        before = set(self._alarms)
        self.show(state)
        self.set_alarms(before | set(alarms))
        yield seconds
        self.set_alarms(before)
        self.show(State.RUNNING)

    def as_measured(self, values: Mapping[str, Value | Raw]) -> dict[str, Value | Raw]:
        """Return `values` with the decimals that their registers keep."""
        return {
            name: value if isinstance(value, Raw) else _rounded(self._measured[name], value)
            for name, value in values.items()
        }

    def judge(self, values: Mapping[str, Value | Raw], codes: Codes) -> str:
        """Return the code of the first limit (`spec` of the profile) that is broken, or "none"."""
        for name, low_code, high_code in codes:
            low, high = self._measured[name].spec or (-math.inf, math.inf)
            value = values[name]
            if isinstance(value, (int, float)):
                code = low_code if value < low else high_code if value > high else ""
                if code:
                    return code
        return "none"

    @property
    def next_seq(self) -> int:
        """The number that the next record gets."""
        return self._seq + 1

    def note(self, cycle: Cycle) -> None:
        """Write down what a cycle truly was."""
        self._ledger.append(cycle)

    def begin(self, kind: str, register: str, value: Value) -> None:
        """Let `register` hold `value` from now on, a lot or a recipe; a change is in the ledger."""
        before, self._process[register] = self._process.get(register), value
        if before is not None and before != value:
            self.deed(kind, before, value)
        self.memory.set(register, value)

    def deed(self, kind: str, before: Value, after: Value) -> None:
        """Write down what is done to the process, before anyone can see it."""
        self._ledger.append(
            Deed(
                station=self.station,
                deed=kind,
                time_ms=self.pace.wall_ms(self._due),
                before=str(before),
                after=str(after),
            )
        )

    def record(self, outcome: Outcome) -> Iterator[float]:
        """Leave one record: in the ledger, then in its slot, then at the head of the ring."""
        self.made += 1
        self._seq += 1
        time_ms = self.pace.wall_ms(self._due)
        self._ledger.append(
            Part(
                station=self.station,
                kind=self._records.kind,
                epoch=self.epoch,
                seq=self._seq,
                time_ms=time_ms,
                serial=outcome.serial,
                result=outcome.result,
                code=outcome.code,
                tags={name: str(value) for name, value in outcome.tags.items()},
                values={
                    name: None if isinstance(value, Raw) else value
                    for name, value in {**outcome.values, **outcome.derived}.items()
                },
            )
        )
        slot = self._write_index
        self.memory.write_slot(
            slot,
            {
                "begin": self._seq,
                "time_s": time_ms // 1000,
                "time_ms": time_ms % 1000,
                "result": outcome.result,
                "code": outcome.code,
                "serial": outcome.serial,
                **outcome.tags,
                **outcome.values,
            },
        )
        self._is_open = True
        yield _SCAN_S
        self._is_open = False
        self.memory.write_slot(slot, {"end": self._seq})
        self._write_index = (slot + 1) % self._records.slots
        self._count(outcome.result)

    # -- inside -------------------------------------------------------------------------------

    def _step(self) -> None:
        self._due += next(self._work)
        if self._limit is not None and self.made >= self._limit and not self._is_open:
            self.is_finished = True
            self.set_alarms(set())
            self.show(State.IDLE)

    def _count(self, result: Result) -> None:
        if result is not Result.TEST:
            self._counts["count_total"] += 1
            self._counts["count_good"] += result is Result.OK
            self._counts["count_reject"] += result is Result.NG
        self._show_counts()

    def _clear_counts(self) -> None:
        self._seq = 0
        self._write_index = 0
        self._counts = dict.fromkeys(("count_total", "count_good", "count_reject"), 0)
        self._show_counts()

    def _show_counts(self) -> None:
        for name, count in self._counts.items():
            self.memory.set(name, count)
        self.memory.set("rec_seq", self._seq)
        self.memory.set("rec_write_index", self._write_index)

    def _refresh(self) -> None:
        """Bring heartbeat, clock and live values up to date; called before each read."""
        now = self._monotonic()
        if self.is_frozen or now - self._live_at < _LIVE_PERIOD_S:
            return
        self._live_at = now
        uptime_s = now - self._started_at
        self.memory.set("heartbeat", int(uptime_s) % 65536)
        clock = time.localtime(self.pace.wall_ms(self.pace.now()) / 1000)
        for place, part in enumerate(("year", "month", "day", "hour", "minute", "second")):
            self.memory.set(f"clock_{part}", clock[place])
        self.live(uptime_s)


def _rounded(register: Register, value: Value) -> Value:
    """Return `value` with the decimals that its register keeps."""
    if isinstance(value, str) or register.digits is None:
        return value
    return round(value) if register.is_whole else round(float(value), register.digits)
