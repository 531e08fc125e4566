"""The planner: the fewest reads within the limits, and no register twice or left out."""

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.modbus.plan import Item, Read, plan
from collectors.profile import Limits
from collectors.register import Order, Register, Table, Type

_KINDS = {1: Type.UINT16, 2: Type.UINT32, 4: Type.UINT64}


def item(address: int, words: int = 1, table: Table = Table.HOLDING) -> Item:
    kind = Type.BOOL if table.holds_bits else _KINDS[words]
    register = Register(name=f"r{address}", address=address, type=kind)
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


def test_tables_are_read_apart() -> None:
    reads = plan([item(0), item(0, table=Table.INPUT), item(5, table=Table.COIL)], Limits())
    assert {(read.table, read.address) for read in reads} == {
        (Table.HOLDING, 0),
        (Table.INPUT, 0),
        (Table.COIL, 5),
    }


def fewest(addresses: list[int], most: int, max_gap: int) -> int:
    """Try every way to cut the sorted addresses into reads, and return the fewest reads."""
    for cuts in range(len(addresses)):
        for places in combinations(range(1, len(addresses)), cuts):
            edges = [0, *places, len(addresses)]
            parts = [addresses[start:end] for start, end in pairwise(edges)]
            if all(
                part[-1] - part[0] < most and all(b - a - 1 <= max_gap for a, b in pairwise(part))
                for part in parts
            ):
                return len(parts)
    raise AssertionError("one read each is always possible")


@given(
    addresses=st.sets(st.integers(0, 30), min_size=1, max_size=9),
    most=st.integers(1, 20),
    max_gap=st.integers(0, 8),
)
@settings(max_examples=150, deadline=None)
def test_the_number_of_reads_is_minimal(addresses: set[int], most: int, max_gap: int) -> None:
    """Brute force over all partitions finds no plan with fewer reads."""
    reads = plan(map(item, addresses), Limits(max_registers=most, max_gap=max_gap))
    assert len(reads) == fewest(sorted(addresses), most, max_gap)
    assert sorted(each.address for read in reads for each in read.items) == sorted(addresses)
    assert all(read.count <= most for read in reads)
