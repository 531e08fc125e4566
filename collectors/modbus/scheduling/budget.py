"""What a plan asks of its bus: the time of every read, summed up before the first one is sent.

A read takes its characters on the line, the silence around its two frames, and the device's usual
time to think. On a network only the thinking counts, shared by what may be in flight at once.

Assumed, because it cannot be known: every look at the records finds one new part, so that what
tells of parts is read twice, and the last stored part beside the new one; a queue is full; and a
refused read is not asked again. Looks at the identity are left out: they are one in some sixty
polls. So is what an acknowledgement takes, a look and a write for each part.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from collectors.errors import FixTheFileError
from collectors.modbus.planning.plan import Read
from collectors.modbus.reading.device import Device
from collectors.modbus.reading.windows import reads_of
from collectors.modbus.transport.link import Link, SerialLine

_FULL = 1.0
_TIGHT = 0.8
_LITTLE = 0.02  # of a bus: no group can be slowed down to this
_BAUDS = (9600, 19200, 38400, 57600, 115200)
_ROUND = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One read that is done each period. Times are in s."""

    station: str
    group: str  # the poll group, or the kind of the records
    read: Read
    times: int  # how often it is done a period
    wire_bytes: int  # of its requests and answers
    wire_s: float
    think_s: float
    period_s: float

    @property
    def takes_s(self) -> float:
        """How long the bus is busy with it."""
        return self.wire_s + self.think_s

    @property
    def share(self) -> float:
        """The part of the bus's time that it takes; 1.0 is all of it."""
        return self.takes_s / self.period_s

    def __str__(self) -> str:
        twice = ", twice" if self.times == 2 else ""
        return (
            f"`{self.group}` of {self.station}, {self.read.table} {self.span}{twice}: "
            f"{1000 * self.takes_s:.0f} ms each {self.period_s:g} s"
        )

    @property
    def span(self) -> str:
        """The addresses, from the first to the last."""
        read = self.read
        return f"{read.address}" if read.count == 1 else f"{read.address}-{read.end - 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """All that is asked of one bus. `baud` is None on a network."""

    bus: str
    baud: int | None
    loads: tuple[Load, ...]

    @property
    def share(self) -> float:
        """The part of the bus's time that is needed; more than 1.0 cannot be had."""
        return sum(load.share for load in self.loads)

    @property
    def is_over(self) -> bool:
        """Whether more is asked than there is time for."""
        return self.share > _FULL

    @property
    def is_tight(self) -> bool:
        """Whether little time is left for what goes wrong."""
        return self.share > _TIGHT

    @property
    def words(self) -> str:
        """What is needed, and which reads need most of it."""
        speed = f" at {self.baud} baud" if self.baud else ""
        longest = sorted(self.loads, key=lambda load: load.share, reverse=True)[:3]
        return (
            f"bus {self.bus} needs {_percent(self.share)} of its time{speed}; most of it for\n"
            + "\n".join(f"    {load} ({_percent(load.share)})" for load in longest)
        )

    @property
    def advice(self) -> str:
        """What brings it down to 80 %, as far as one change can."""
        ways = [self._slower_group(), self._faster_line()]
        return ", or ".join(filter(None, ways)) or "poll less often, or put machines on another bus"

    def _slower_group(self) -> str:
        """Name the group that takes most, and the period at which it would fit."""
        shares: dict[tuple[str, str], float] = {}
        for load in self.loads:
            key = (load.station, load.group)
            shares[key] = shares.get(key, 0.0) + load.share
        (station, group), share = max(shares.items(), key=lambda each: each[1])
        left = _TIGHT - (self.share - share)
        if left <= _LITTLE:
            return ""
        period_s = next(
            each.period_s for each in self.loads if (each.station, each.group) == (station, group)
        )
        wanted_s = _rounded_up(period_s * share / left)
        return f"slow `{group}` of {station} from {period_s:g} s to {wanted_s:g} s in its profile"

    def _faster_line(self) -> str:
        for baud in _BAUDS:
            if self.baud and baud > self.baud and self._share_at(baud) <= _TIGHT:
                return f"raise the baud rate to {baud}, here and in every device on the line"
        return ""

    def _share_at(self, baud: int) -> float:
        faster = (self.baud or baud) / baud
        return sum((each.wire_s * faster + each.think_s) / each.period_s for each in self.loads)


def budget(bus: str, link: Link, devices: Iterable[Device], *, in_flight: int = 1) -> Budget:
    """Return what `devices` ask of a bus, as they are planned now."""
    return Budget(
        bus=bus,
        baud=link.baud if isinstance(link, SerialLine) else None,
        loads=tuple(
            Load(
                station=device.station.station,
                group=group,
                read=read,
                times=times,
                wire_bytes=times * (read.tcp_bytes if link.is_numbered else read.rtu_bytes),
                wire_s=times * (read.rtu_bytes * link.character_s + 2 * link.silence_s),
                think_s=times * device.place.profile.modbus.answer_s / in_flight,
                period_s=period_s,
            )
            for device in devices
            for group, read, times, period_s in _reads(device)
        ),
    )


def refuse_overload(budgets: Sequence[Budget]) -> None:
    """Raise FixTheFileError if a bus cannot do what is asked of it, naming every such bus."""
    over = [each for each in budgets if each.is_over]
    if over:
        raise FixTheFileError(
            "\n".join(each.words for each in over), "\n    ".join(each.advice for each in over)
        )


def _reads(device: Device) -> Iterator[tuple[str, Read, int, float]]:
    """Yield each read of a device: its group, how often it is done a period, and the period."""
    profile = device.place.profile
    for group, period_s in profile.groups.items():
        for read in device.reads(group):
            is_confirmed = any(item.register.confirm for item in read.items)
            yield group, read, 2 if is_confirmed else 1, period_s
    if source := profile.records:
        for read, times in reads_of(device, source):
            yield source.kind, read, times, source.period_s


def _rounded_up(period_s: float) -> float:
    """Return a period that people would choose, and that is no shorter."""
    power = 10.0 ** math.floor(math.log10(period_s))
    return next(power * step for step in _ROUND if power * step >= period_s * (1 - 1e-9))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
