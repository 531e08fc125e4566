"""The comparison against an oracle of plain sets, over lines that lose, double and invent."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from agent.model.ledger import HOUR_NS
from agent.verify.check import Check, Entry, Finding, Findings, Lost, Row, Source
from agent.verify.report import report
from agent.wire.ranges import Ranges, joined, ranges_of, size, without
from tests.services.parts import SORTER, WELDER

WELDS = Source(station=WELDER, kind="weld", epoch=1)
SOURCES = (
    WELDS,
    Source(station=WELDER, kind="weld", epoch=2),
    Source(station=SORTER, kind="cell", epoch=1),
)
LONG_AGO = 100 * HOUR_NS  # as seen from the hours of these tests

spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)).map(lambda at: (at[0], sum(at))))


def numbers_of(ranges: Ranges) -> set[int]:
    return {number for low, high in ranges for number in range(low, high + 1)}


@given(spans, spans)
def test_ranges_are_sets(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    """Joined, taken away and counted as sets are."""
    left, right = joined(some), joined(others)
    assert numbers_of(left) == numbers_of(tuple(some))
    assert left == ranges_of(sorted(numbers_of(left)))
    assert without(left, right) == ranges_of(sorted(numbers_of(left) - numbers_of(right)))
    assert size(left) == len(numbers_of(left))


@dataclass(frozen=True)
class Made:
    """A record as it fared."""

    source: Source
    seq: int
    hour: int
    fate: str


@st.composite
def histories(draw: st.DrawFn) -> list[Made]:
    """Return records of some sources, in the order of their numbers, over three hours."""
    fates = st.sampled_from(["good"] * 6 + ["missing", "doubled", "invented", "lost", "vanished"])
    made: list[Made] = []
    for source in SOURCES:
        hours = sorted(draw(st.lists(st.integers(0, 2), max_size=12)))
        made += [Made(source, seq, hour, draw(fates)) for seq, hour in enumerate(hours, 5)]
    return made


def checked(made: list[Made]) -> Findings:
    entries = [
        Entry(source=source, hour_ns=hour * HOUR_NS, numbers=ranges_of(seqs))
        for source in SOURCES
        for hour in range(3)
        if (
            seqs := [
                each.seq
                for each in made
                if (each.source, each.hour) == (source, hour)
                and each.fate in {"good", "missing", "doubled"}
            ]
        )
    ]
    losses = [
        Lost(source=each.source, first=each.seq, last=each.seq, reason="torn", time_ns=0)
        for each in made
        if each.fate == "lost"
    ]
    check = Check(entries, losses, now_ns=LONG_AGO)
    copies = Counter(good=1, doubled=2, invented=1)
    for hour in range(3):
        check.hour(
            hour * HOUR_NS,
            [
                Row(source=each.source, seq=each.seq)
                for each in made
                if each.hour == hour
                for _ in range(copies[each.fate])
            ],
        )
    return check.close(0, 3 * HOUR_NS)


def told(findings: list[Finding]) -> set[tuple[Source, int]]:
    return {(each.source, number) for each in findings for number in numbers_of(each.numbers)}


def having(made: list[Made], *fates: str) -> set[tuple[Source, int]]:
    return {(each.source, each.seq) for each in made if each.fate in fates}


@given(histories())
def test_each_fate_is_told_as_what_it_is(made: list[Made]) -> None:
    """Missing, doubled, invented, lost; and what left no trace, if there is one on both sides."""
    found = checked(made)
    vanished = {
        (source, seq)
        for source, seq in having(made, "vanished")
        for seen in [
            [
                each.seq
                for each in made
                if each.source == source and each.fate in {"good", "missing", "doubled"}
            ]
        ]
        if seen and min(seen) < seq < max(seen)
    }
    assert told(found.missing) == having(made, "missing") | vanished
    assert told(found.doubled) == having(made, "doubled")
    assert told(found.unknown) == having(made, "invented")
    assert told(found.lost) == having(made, "lost")
    assert found.records == len(having(made, "good", "missing", "doubled"))
    assert found.is_complete == (
        not vanished and not having(made, "missing", "doubled", "invented")
    )


def one_hour(numbers: Ranges | None, seqs: list[int], *, now_ns: int = LONG_AGO) -> Findings:
    entries = [Entry(source=WELDS, hour_ns=0, numbers=numbers)]
    check = Check(entries, [], now_ns=now_ns)
    check.hour(0, [Row(source=WELDS, seq=seq) for seq in seqs])
    return check.close(0, HOUR_NS)


def test_what_was_just_made_may_be_there_before_the_ledger_tells_it() -> None:
    """Only for an hour, and only numbers after all that the ledger knows."""
    young = one_hour(((1, 3),), [1, 2, 3, 4], now_ns=HOUR_NS // 2)
    assert young.is_complete
    assert told(young.young) == {(WELDS, 4)}
    assert not one_hour(((1, 3),), [1, 2, 3, 4]).is_complete
    assert not one_hour(((2, 3),), [1, 2, 3], now_ns=HOUR_NS // 2).is_complete


def test_an_hour_whose_numbers_are_not_listed_proves_nothing() -> None:
    """Better to say so than to count it as complete."""
    found = one_hour(None, [1, 2])
    assert not found.is_complete
    unreadable, outcome = report(found)
    assert unreadable == "ledger unreadable: s/l/welder-1 weld epoch 1 hour 1970-01-01T00:00Z"
    assert outcome.startswith("NOT complete: ")
    assert outcome.endswith("1 hours cannot be compared")


def test_a_number_in_an_hour_that_is_not_compared_is_not_missing() -> None:
    """A machine's clock that was put back stamps a later part into an earlier hour."""
    entries = [
        Entry(source=WELDS, hour_ns=HOUR_NS, numbers=((1, 1), (3, 3))),
        Entry(source=WELDS, hour_ns=0, numbers=((2, 2),)),
    ]
    for known, missing in ((entries, set[int]()), (entries[:1], {2})):
        check = Check(known, [], now_ns=LONG_AGO)
        check.hour(HOUR_NS, [Row(source=WELDS, seq=seq) for seq in (1, 3)])
        found = check.close(HOUR_NS, 2 * HOUR_NS)
        assert told(found.missing) == {(WELDS, number) for number in missing}


def test_two_books_of_one_hour_add_up() -> None:
    """What the edge knew before it lost its memory still counts."""
    entries = [
        Entry(source=WELDS, hour_ns=0, numbers=numbers) for numbers in (((1, 5),), ((4, 9),))
    ]
    check = Check(entries, [], now_ns=LONG_AGO)
    check.hour(0, [Row(source=WELDS, seq=seq) for seq in range(1, 10) if seq != 2])
    found = check.close(0, HOUR_NS)
    assert found.records == 9
    assert told(found.missing) == {(WELDS, 2)}
