"""The total beside a counter goes on through wraps and resets, and never goes back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.counter import Counter, Reset
from collectors.register import Rollover

WRAPS = (2**16, 2**32, 10_000, 1_000_000)  # 16 and 32 bits; four and six decimal digits
MAX_STEP = 500
each_wrap = pytest.mark.parametrize("wrap", WRAPS)


@dataclass(slots=True)
class Machine:
    """The oracle: a machine that knows what it made. The counter it shows has an end."""

    wrap: int
    count: int
    made: int = 0  # what can be known: since the first look
    resets: list[Reset] = field(default_factory=list)

    def make(self, parts: int) -> None:
        self.made += parts
        self.count = (self.count + parts) % self.wrap

    def reset(self, parts: int) -> None:
        """Begin at 0, right after a look, and make so many parts before the next one."""
        self.resets.append(Reset(before=self.count, after=parts))
        self.made += parts
        self.count = parts


Moves = Sequence[tuple[bool, int]]  # whether it is reset, and the parts before the next look
MOVES = st.lists(st.tuples(st.booleans(), st.integers(0, MAX_STEP)), max_size=40)


def can_be_known(machine: Machine, parts: int) -> bool:
    """Return whether a reset shows: as a step back, further back than a wrap would be."""
    return parts < machine.count and machine.wrap - machine.count + parts > MAX_STEP


def follow(wrap: int, start: int, moves: Moves) -> tuple[Machine, Counter, list[Reset]]:
    machine = Machine(wrap, start)
    counter = Counter(Rollover(wrap=wrap, max_step=MAX_STEP))
    found = [counter.take(machine.count)]
    for is_reset, parts in moves:
        if is_reset and can_be_known(machine, parts):
            machine.reset(parts)
        else:
            machine.make(parts)
        found.append(counter.take(machine.count))
    return machine, counter, [each for each in found if each]


@each_wrap
@given(st.integers(0, MAX_STEP * 2), st.sampled_from([0, -1]), MOVES)
def test_the_total_is_what_the_machine_made(
    wrap: int,
    offset: int,
    start_at: int,
    moves: Moves,
) -> None:
    """Through wraps and resets, from the first look on; one event a reset, none for a wrap."""
    start = (start_at - offset) % wrap if start_at else offset
    machine, counter, found = follow(wrap, start, moves)
    assert counter.total == start + machine.made
    assert found == machine.resets


@each_wrap
def test_control_without_the_rule_a_wrap_is_lost(
    wrap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain differences go back at a wrap, so the oracle above can fail."""

    def plain(counter: Counter, count: int) -> None:
        counter.total += count - (counter.count or 0)
        counter.count = count

    moves = [(False, 400)] * 5
    machine, counter, _ = follow(wrap, wrap - 1000, moves)
    assert counter.total == wrap - 1000 + machine.made
    monkeypatch.setattr(Counter, "take", plain)
    machine, counter, _ = follow(wrap, wrap - 1000, moves)
    assert counter.total < wrap - 1000 + machine.made


@each_wrap
@given(st.lists(st.integers(0, 2**32)))
def test_the_total_never_goes_back_whatever_is_read(wrap: int, counts: list[int]) -> None:
    """Nonsense too: a counter set at will, beyond its own end."""
    counter = Counter(Rollover(wrap=wrap))
    totals: list[int] = []
    for count in counts:
        counter.take(count)
        totals.append(counter.total)
    assert all(before <= after for before, after in pairwise(totals))


PARTS = st.lists(st.integers(0, MAX_STEP), max_size=8)


@each_wrap
@given(PARTS, PARTS, st.integers(0, MAX_STEP))
def test_a_memory_that_is_old_leads_to_the_same_total(
    wrap: int, seen: list[int], lost: list[int], after: int
) -> None:
    """After a power cut, what was counted since the memory was saved is counted once more."""
    rule = Rollover(wrap=wrap, max_step=9 * MAX_STEP)
    machine, counter = Machine(wrap, wrap - 1700), Counter(rule)
    counter.take(machine.count)
    saved = (counter.count, counter.total)
    for index, parts in enumerate([*seen, *lost]):
        machine.make(parts)
        counter.take(machine.count)
        if index < len(seen):
            saved = (counter.count, counter.total)
    machine.make(after)
    again = Counter(rule, count=saved[0], total=saved[1])
    again.take(machine.count)
    assert again.total == wrap - 1700 + machine.made
    assert again.total >= counter.total


@pytest.mark.parametrize(
    ("before", "after", "total", "reset"),
    [
        (7, 9, 9, None),
        (65_530, 4, 65_540, None),  # ten parts over the end
        (60_000, 0, 60_000, Reset(before=60_000, after=0)),
        (60_000, 12, 60_012, Reset(before=60_000, after=12)),
        (60_000, 50_000, 60_000, Reset(before=60_000, after=50_000)),  # set, nobody knows why
        (
            60_000,
            1_000,
            60_000,
            Reset(before=60_000, after=1_000),
        ),  # too much for a wrap or a start
        (1_000, 9_000, 9_000, None),  # a long silence: counted in full
        (5, 5, 5, None),
    ],
)
def test_one_step(before: int, after: int, total: int, reset: Reset | None) -> None:
    """Each kind of step of a 16-bit counter that makes at most 500 parts between two looks."""
    counter = Counter(Rollover(wrap=2**16, max_step=500))
    counter.take(before)
    assert counter.take(after) == reset
    assert counter.total == total
    assert counter.count == after


def test_two_resets_in_a_row_are_two() -> None:
    """What was made between them counts."""
    counter = Counter(Rollover(wrap=2**16, max_step=500))
    found = [counter.take(count) for count in (900, 30, 10)]
    assert found == [None, Reset(before=900, after=30), Reset(before=30, after=10)]
    assert counter.total == 940


def test_without_a_max_step_a_sixteenth_of_the_wrap_is_taken() -> None:
    """4096 counts of a 16-bit counter are a wrap, one more is a reset."""
    for after, is_reset in ((95, False), (96, True)):
        counter = Counter(Rollover(wrap=2**16))
        counter.take(2**16 - 4001)
        assert (counter.take(after) is not None) == is_reset
