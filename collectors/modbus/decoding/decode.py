"""Turn the bytes of an answer into values, by a plan made once.

What one register says may decide the scale of others: a decimal point, or a bit for the unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collectors.modbus.decoding.layout import Layout, picker
from collectors.modbus.decoding.meaning import Failed, Raw, columns, converter, explain
from collectors.modbus.planning.plan import Item, Read
from collectors.quality import Fault, Reason
from collectors.register import Type
from collectors.sample import Value
from collectors.scaling import ScaledBy

Key = tuple[str, str]  # channel and name of a register
Decided = dict[Key, int]  # what the deciding registers hold


@dataclass(frozen=True, slots=True)
class Decoded:
    """Values and faults of one channel ("" for the station itself), by register name."""

    channel: str
    values: Mapping[str, Value]
    faults: Mapping[str, Fault]


class Decoder:
    """Decodes the answers to one read."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self._layout = Layout(read)
        items = self._items = read.items
        self._scaled = [
            (place, _Scaled(item, item.register.scaled_by))
            for place, item in enumerate(items)
            if item.register.scaled_by
        ]
        # A decoding fills a pool: the raw contents of all items, behind them the values of each
        # column, then those that another register scales. `at` is where each item's value is.
        at = list(range(len(items)))
        placed = [(place, item.register) for place, item in enumerate(items)]
        made = [] if read.table.holds_bits else columns(placed)
        self._columns = [finish for _, finish in made]
        behind = [place for places, _ in made for place in places]
        behind += [place for place, _ in self._scaled]
        for used, place in enumerate(behind, start=len(items)):
            at[place] = used
        self._deciders = [
            (
                place,
                (item.channel, item.register.name),
                place if item.register.type is Type.ENUM else at[place],
            )
            for place, item in enumerate(items)
            if item.register.decides
        ]
        self._channels = _Channels(items, at)

    @property
    def decides(self) -> bool:
        """Whether a value of this read scales others of the poll: read it before them."""
        return bool(self._deciders)

    def decode(self, payload: bytes, decided: Decided | None = None) -> list[Decoded]:
        """Return what `payload`, the data bytes of the answer, holds: one entry a channel.

        `decided` is what the deciding registers have shown so far in this poll: one fresh dict
        for all its reads, which a read that `decides` adds to; None: this read stands alone. A
        value whose decider is not in it is Fault UNSCALED.
        Raises ValueError if the payload is not as long as the read asks for; any other decodes.
        """
        raw = self._layout.unpack(payload)
        pool = list(raw)
        failed: Failed = {}
        for finish in self._columns:
            pool += finish(raw, failed)
        faults = {place: explain(self._items[place].register, failed[place]) for place in failed}
        if self._deciders or self._scaled:
            decided = {} if decided is None else decided
            decided.update(
                (key, pool[at]) for place, key, at in self._deciders if place not in faults
            )
            for place, scaled in self._scaled:
                value = scaled.value_of(raw[place], decided)
                pool.append(value)
                if isinstance(value, Fault):
                    faults[place] = value
        return self._channels.part(pool, faults)


class _Scaled:
    """A value that another register scales."""

    def __init__(self, item: Item, by: ScaledBy) -> None:
        self._register = item.register
        self._decider = (item.channel, by.register_name)
        self._bit = by.bit
        self._converters = {
            int(number): converter(item.register, scaling) for number, scaling in by.values.items()
        }

    def value_of(self, raw: Raw, decided: Decided) -> Value | Fault:
        number = decided.get(self._decider)
        if number is not None and self._bit is not None:
            number = number >> self._bit & 1
        convert = None if number is None else self._converters.get(number)
        if convert is None:
            return Fault(reason=Reason.UNSCALED, raw=raw if isinstance(raw, (int, float)) else None)
        value = convert(raw)
        return explain(self._register, raw) if value is None else value


class _Channels:
    """Parts the values of a read by channel."""

    def __init__(self, items: Sequence[Item], at: Sequence[int]) -> None:
        by_channel: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            by_channel.setdefault(item.channel, []).append(place)
        self._arrange = picker([at[place] for each in by_channel.values() for place in each])
        self._parts: list[tuple[str, list[str], slice]] = []
        self._part_of: dict[int, tuple[int, str]] = {}
        end = 0
        for part, (channel, places) in enumerate(by_channel.items()):
            names = [items[place].register.name for place in places]
            start, end = end, end + len(places)
            self._parts.append((channel, names, slice(start, end)))
            self._part_of |= {
                place: (part, name) for place, name in zip(places, names, strict=True)
            }

    def part(self, pool: Sequence[Any], faults: Mapping[int, Fault]) -> list[Decoded]:
        """Return the values of `pool` under their names, but for those that are faults."""
        row = self._arrange(pool)
        parts: list[tuple[str, dict[str, Value], dict[str, Fault]]] = [
            (channel, dict(zip(names, row[where], strict=True)), {})
            for channel, names, where in self._parts
        ]
        for place, fault in faults.items():
            part, name = self._part_of[place]
            _, values, missing = parts[part]
            del values[name]
            missing[name] = fault
        return [Decoded(*part) for part in parts]
