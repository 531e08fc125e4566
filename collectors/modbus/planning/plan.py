"""Which registers are read together: the fewest reads that the device takes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from collectors.modbus.planning.holes import Holes, Spot
from collectors.modbus.transport.frame import QueueRequest, Request
from collectors.profile import Limits, Profile
from collectors.record_source import QUEUE_REGISTERS
from collectors.register import Order, Register, Table

_ASKING = 5  # bytes of every request but to a queue: function, address, count
_ANSWERING = 2  # bytes of every such answer but its data: function, byte count
_ASKING_QUEUE = 3  # function, address
_ANSWERING_QUEUE = 5  # function, byte count and number of registers, of two bytes each


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

    @property
    def spot(self) -> Spot:
        """Where the value stands, whatever it is called."""
        return self.table, self.address, self.register.words


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One request: `count` addresses of `table` from `address` on, and what they hold.

    `request` is made once, so that polling makes no objects. The sizes are those of the request
    and its answer together, in bytes on the wire.
    """

    table: Table
    address: int
    count: int
    items: tuple[Item, ...]
    device_id: int = 1
    request: Request = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        request = Request(self.device_id, self.table, self.address, self.count)
        object.__setattr__(self, "request", request)

    @property
    def end(self) -> int:
        """The first address behind the read."""
        return self.address + self.count

    @property
    def spots(self) -> set[Spot]:
        """Where its values stand."""
        return {item.spot for item in self.items}

    @property
    def tcp_bytes(self) -> int:
        """Two headers of 7 bytes."""
        return self._pdu_bytes + 2 * 7

    @property
    def rtu_bytes(self) -> int:
        """Two frames of device id and CRC: also the number of characters."""
        return self._pdu_bytes + 2 * 3

    @property
    def ascii_bytes(self) -> int:
        """Two characters a byte, and `:`, device id, LRC and line end twice."""
        return 2 * self._pdu_bytes + 2 * 7

    @property
    def _pdu_bytes(self) -> int:
        return _ASKING + _ANSWERING + self.request.byte_count


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRead(Read):
    """One look into a FIFO queue. The sizes are those of a full one."""

    table: Table = field(init=False, default=Table.HOLDING)
    count: int = field(init=False, default=QUEUE_REGISTERS)
    items: tuple[Item, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "request", QueueRequest(self.device_id, self.address))

    @property
    def _pdu_bytes(self) -> int:
        return _ASKING_QUEUE + _ANSWERING_QUEUE + self.request.byte_count


def groups_of(profile: Profile) -> dict[str, tuple[Item, ...]]:
    """Return what each poll group reads."""
    return {group: tuple(items_of(profile, group)) for group in profile.groups}


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


def plan(
    items: Iterable[Item], limits: Limits, *, holes: Holes | None = None, device_id: int = 1
) -> tuple[Read, ...]:
    """Join items into the fewest reads, and of those plans take one with the fewest addresses.

    Every way to cut the sorted items into runs is weighed, from the last item to the first. What
    `holes` says of walls and counts is kept; what is refused for itself is the caller's to leave
    out. An item alone is a read in any case.
    """
    holes = holes or Holes()
    reads: list[Read] = []
    ordered = sorted(items, key=lambda item: (item.table, item.address, item.end))
    for table, group in groupby(ordered, key=lambda item: item.table):
        most = limits.max_bits if table.holds_bits else limits.max_registers
        run = list(group)
        reach = holes.reach(table, most)
        cuts = _cuts(run, [reach(item.address) for item in run], limits.max_gap)
        reads += (read_of(batch, device_id) for batch in _batches(run, cuts))
    return tuple(reads)


def read_of(items: Sequence[Item], device_id: int) -> Read:
    """Return the read of `items` of one table, the lowest address first."""
    start = items[0].address
    count = max(item.end for item in items) - start
    return Read(
        table=items[0].table,
        address=start,
        count=count,
        items=tuple(items),
        device_id=device_id,
    )


def _cuts(items: list[Item], ends: list[int], max_gap: int) -> list[int]:
    """Return for each item where the next read begins, if a read begins with this one.

    `ends` says how far a read that begins with the item may go.
    """
    size = len(items)
    spans = [(item.address, item.end) for item in items]
    nexts = [0] * size
    cost = [(0, 0)] * (size + 1)  # fewest reads and their addresses, from the item to the last
    for first in range(size - 1, -1, -1):
        start, end = spans[first]
        best = (cost[first + 1][0] + 1, cost[first + 1][1] + end - start)
        nexts[first] = first + 1
        for last in range(first + 1, size):
            address, item_end = spans[last]
            gap, end = address - end, max(end, item_end)
            if gap > max_gap or end > ends[first]:
                break
            reads, addresses = cost[last + 1]
            if (reads + 1, addresses + end - start) <= best:
                best = (reads + 1, addresses + end - start)
                nexts[first] = last + 1
        cost[first] = best
    return nexts


def _batches(items: list[Item], nexts: list[int]) -> Iterator[list[Item]]:
    first = 0
    while first < len(items):
        yield items[first : nexts[first]]
        first = nexts[first]
