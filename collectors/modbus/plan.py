"""Which registers are read together: the fewest reads within the limits of the device."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from collectors.profile import Limits, Profile
from collectors.register import Order, Register, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One register at its place on the device; `channel` is "" outside a channel block."""

    register: Register
    table: Table
    order: Order
    address: int
    channel: str = ""

    @property
    def end(self) -> int:
        """The first address behind the value."""
        return self.address + self.register.words


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One request: `count` addresses of `table` from `address` on, and what they hold."""

    table: Table
    address: int
    count: int
    items: tuple[Item, ...]


def items_of(profile: Profile, group: str) -> Iterator[Item]:
    """Yield what a poll group reads, channels included."""
    for register in profile.registers:
        if profile.group_of(register) == group:
            yield place(profile, register)
    channels = profile.channels
    if channels is None or channels.group != group:
        return
    for number in range(channels.count):
        base = channels.address + number * channels.stride
        for register in channels.registers:
            yield place(profile, register, base=base, channel=str(number + 1))


def place(profile: Profile, register: Register, *, base: int = 0, channel: str = "") -> Item:
    """Return `register` as an item whose address counts from `base`."""
    return Item(
        register=register,
        table=profile.table_of(register),
        order=profile.order_of(register),
        address=base + register.address,
        channel=channel,
    )


def plan(items: Iterable[Item], limits: Limits) -> tuple[Read, ...]:
    """Join items into reads.

    Walking up the addresses and starting a new read only when a limit forces one gives the
    fewest reads: any other split starts its reads no later.
    """
    ordered = sorted(items, key=lambda item: (item.table, item.address, item.end))
    reads: list[Read] = []
    for table, group in groupby(ordered, key=lambda item: item.table):
        most = limits.max_bits if table.holds_bits else limits.max_registers
        batch: list[Item] = []
        end = 0
        for item in group:
            fits = item.end - batch[0].address <= most if batch else True
            if batch and (not fits or item.address - end > limits.max_gap):
                reads.append(_read(table, batch, end))
                batch = []
                end = 0
            batch.append(item)
            end = max(end, item.end)
        if batch:
            reads.append(_read(table, batch, end))
    return tuple(reads)


def _read(table: Table, items: list[Item], end: int) -> Read:
    start = items[0].address
    return Read(table=table, address=start, count=end - start, items=tuple(items))
