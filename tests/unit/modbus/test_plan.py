"""The planner: the fewest reads within the limits, and no register twice or left out."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.modbus.planning.holes import Counts, Holes, Wall
from collectors.modbus.planning.plan import Item, QueueRead, Read, plan
from collectors.modbus.transport.frame import Answer, AsciiFramer, Framer, RtuFramer, TcpFramer
from collectors.profile import Limits
from collectors.register import Order, Register, Table, Type

KINDS = {1: Type.UINT16, 2: Type.UINT32, 4: Type.UINT64}


def item(address: int, words: int = 1, table: Table = Table.HOLDING) -> Item:
    kind = Type.BOOL if table.holds_bits else KINDS[words]
    register = Register(name=f"r{address}_{words}", address=address, type=kind)
    return Item(register=register, table=table, order=Order.ABCD, address=address)


def spans(reads: tuple[Read, ...]) -> list[tuple[int, int]]:
    return [(read.address, read.count) for read in reads]


def test_neighbours_are_one_read() -> None:
    assert spans(plan([item(0), item(1, 2), item(3, 4)], Limits())) == [(0, 7)]


def test_a_gap_within_the_limit_is_read_through_and_one_beyond_it_is_not() -> None:
    limits = Limits(max_gap=2)
    assert spans(plan([item(0), item(3)], limits)) == [(0, 4)]
    assert spans(plan([item(0), item(4)], limits)) == [(0, 1), (4, 1)]


def test_a_read_never_passes_the_limit_of_the_device() -> None:
    reads = plan([item(address, 2) for address in range(0, 200, 2)], Limits(max_registers=60))
    assert spans(reads) == [(0, 60), (60, 60), (120, 60), (180, 20)]


def test_a_value_is_never_split_over_two_reads() -> None:
    reads = plan([item(0, 4), item(4, 4)], Limits(max_registers=7))
    assert spans(reads) == [(0, 4), (4, 4)]


def test_of_plans_with_as_few_reads_the_one_with_the_fewest_bytes_is_taken() -> None:
    """Two reads are needed: the cut belongs into the large gap, not where the first read ends."""
    items = [item(0), item(1), item(14), item(15), item(16)]
    assert spans(plan(items, Limits(max_registers=15))) == [(0, 2), (14, 3)]


def test_tables_are_read_apart() -> None:
    reads = plan([item(0), item(0, table=Table.INPUT), item(5, table=Table.COIL)], Limits())
    assert {(read.table, read.address) for read in reads} == {
        (Table.HOLDING, 0),
        (Table.INPUT, 0),
        (Table.COIL, 5),
    }


def test_no_read_crosses_a_wall_of_its_table() -> None:
    holes = Holes(walls=frozenset({Wall(Table.HOLDING, 4, 7), Wall(Table.INPUT, 1, 2)}))
    items = [item(address) for address in (0, 4, 7, 9)]
    assert spans(plan(items, Limits(), holes=holes)) == [(0, 5), (7, 3)]


def test_the_sizes_of_a_read_are_those_of_its_frames() -> None:
    """What the budget reckons with is what really goes over the wire, for every kind of line."""
    for table, count in ((Table.HOLDING, 125), (Table.INPUT, 1), (Table.COIL, 2000)):
        read = Read(table=table, address=7, count=count, items=(), device_id=3)
        assert read.tcp_bytes == framed(read, TcpFramer(), 6)
        assert read.rtu_bytes == framed(read, RtuFramer(), 2)
        assert read.ascii_bytes == 2 * framed(read, RtuFramer(), 2) - 2 * 2 + 2 * 3
        assert len(AsciiFramer().pack(read.request, 1)) == 2 * 8 + 1


def test_the_size_of_a_look_into_a_queue_is_that_of_a_full_one() -> None:
    read = QueueRead(address=100, device_id=3)
    answer = bytes([24, 0, 64, 0, 31]) + bytes(62)
    assert read.request.read(answer) == Answer(bytes(62))
    assert read.tcp_bytes == len(TcpFramer().pack(read.request, 1)) + 7 + len(answer)
    assert read.rtu_bytes == len(RtuFramer().pack(read.request, 1)) + 3 + len(answer)


def framed(read: Read, framer: Framer, around: int) -> int:
    """Return the size of the request and of an answer with `around` bytes beside unit and PDU."""
    answer = around + 1 + 2 + read.request.byte_count
    return len(framer.pack(read.request, 1)) + answer


@st.composite
def item_sets(draw: st.DrawFn) -> list[Item]:
    """Draw up to seven values of 1, 2 or 4 registers, which may overlap."""
    places = draw(
        st.sets(st.tuples(st.integers(0, 24), st.sampled_from([1, 2, 4])), min_size=1, max_size=7)
    )
    return [item(*place) for place in sorted(places)]


def best_of_all(items: list[Item], limits: Limits, walls: frozenset[Wall]) -> tuple[int, int]:
    """Try every way to share out the items among reads; return the fewest reads and addresses."""
    costs = [
        (len(parts), sum(max(each.end for each in part) - part[0].address for part in parts))
        for parts in partitions(items)
        if all(is_allowed(part, limits, walls) for part in parts)
    ]
    return min(costs) if items else (0, 0)


def partitions(items: list[Item]) -> list[list[list[Item]]]:
    """Return every way to part the items into sets, neighbours or not."""
    if not items:
        return [[]]
    first, rest = items[0], items[1:]
    parted = []
    for parts in partitions(rest):
        parted.append([[first], *parts])
        parted += [
            [*parts[:place], [first, *part], *parts[place + 1 :]]
            for place, part in enumerate(parts)
        ]
    return parted


def is_allowed(part: list[Item], limits: Limits, walls: frozenset[Wall]) -> bool:
    if len(part) == 1:
        return True
    asked = {address for each in part for address in range(each.address, each.end)}
    return (
        max(asked) - min(asked) < limits.max_registers
        and all(after - before - 1 <= limits.max_gap for before, after in pairwise(sorted(asked)))
        and not crosses(walls, min(asked), max(asked) + 1)
    )


def crosses(walls: frozenset[Wall], start: int, end: int) -> bool:
    return any(start <= wall.low and wall.high < end for wall in walls)


@given(
    items=item_sets(),
    most=st.integers(4, 20),
    max_gap=st.integers(0, 8),
    walls=st.frozensets(
        st.builds(
            lambda low, size: Wall(Table.HOLDING, low, low + size),
            st.integers(0, 26),
            st.integers(1, 4),
        ),
        max_size=2,
    ),
)
@settings(max_examples=250, deadline=None)
def test_the_reads_are_the_fewest_and_of_those_the_shortest(
    items: list[Item], most: int, max_gap: int, walls: frozenset[Wall]
) -> None:
    """Brute force over all ways to share out the registers finds no better plan."""
    items = [each for each in items if not crosses(walls, each.address, each.end)]
    limits = Limits(max_registers=most, max_gap=max_gap)
    reads = plan(items, limits, holes=Holes(walls=walls))
    planned = [each for read in reads for each in read.items]
    assert sorted(planned, key=lambda each: each.register.name) == sorted(
        items, key=lambda each: each.register.name
    )
    assert all(is_allowed(list(read.items), limits, walls) for read in reads)
    cost = (len(reads), sum(read.count for read in reads))
    assert cost == best_of_all(items, limits, walls)


def test_holes_are_the_same_after_a_round_through_their_facts() -> None:
    holes = Holes(
        walls=frozenset({Wall(Table.INPUT, 4, 9), Wall(Table.HOLDING, 1, 2)}),
        counts={Table.COIL: Counts(100, 101)},
    )
    assert Holes.of(holes.facts()) == holes
    assert Holes().facts() == {}
