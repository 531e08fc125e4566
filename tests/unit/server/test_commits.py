"""Commits: every safe number is told, in few messages, and told again when in doubt."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.server.commits import PERIOD_S, Commits, Stream
from agent.wire.message import MAX_BYTES, Commit, Header
from agent.wire.ranges import ranges_of

STREAM = Stream(agent="pi1", uplink="home", epoch="00000000000000aa")


def header(seq: int, agent: str = "pi1", epoch: str = "00000000000000aa") -> Header:
    return Header(agent=agent, uplink="home", epoch=epoch, seq=seq, first=1, config="0badcafe")


@given(st.lists(st.integers(0, 50)))
def test_ranges_hold_exactly_the_numbers(numbers: list[int]) -> None:
    """Nothing more, nothing less, no two ranges that touch."""
    ranges = ranges_of(numbers)
    told = [each for low, high in ranges for each in range(low, high + 1)]
    assert told == sorted(set(numbers))
    assert all(after[0] > before[1] + 1 for before, after in pairwise(ranges))


def test_the_first_goes_at_once_and_the_next_wait_for_their_second() -> None:
    """Idle streams hear at once, busy ones once a second."""
    commits = Commits()
    assert commits.wait_s(10.0) is None
    commits.add(header(1))
    assert commits.wait_s(10.0) == 0
    assert commits.take(10.0) == [(STREAM, Commit(epoch=STREAM.epoch, ranges=((1, 1),)))]
    commits.add(header(2))
    commits.add(header(4))
    commits.add(header(3))
    assert commits.wait_s(10.25) == PERIOD_S - 0.25
    assert commits.take(10.5) == []
    assert commits.take(11.0) == [(STREAM, Commit(epoch=STREAM.epoch, ranges=((2, 4),)))]
    assert commits.take(99.0) == []
    commits.add(header(5))
    assert commits.wait_s(99.0) == 0


def test_streams_do_not_wait_for_each_other() -> None:
    """Another agent, or another epoch, has its own second and its own numbers."""
    commits = Commits()
    for each in (header(1), header(1, agent="pi2"), header(1, epoch="00000000000000bb")):
        commits.add(each)
    assert len(commits.take(0.0)) == 3
    commits.add(header(2, agent="pi3"))
    commits.add(header(2))
    assert [stream.agent for stream, _ in commits.take(0.5)] == ["pi3"]


def test_what_may_be_lost_is_told_again() -> None:
    """A commit that no PUBACK came for joins the next one."""
    commits = Commits()
    commits.add(header(1))
    ((stream, commit),) = commits.take(0.0)
    commits.put_back(stream, commit)
    commits.add(header(2))
    assert commits.take(1.0) == [(STREAM, Commit(epoch=STREAM.epoch, ranges=((1, 2),)))]


def test_at_the_end_everything_is_told() -> None:
    """A sink that ends does not keep a second's worth to itself."""
    commits = Commits()
    commits.add(header(1))
    commits.take(0.0)
    commits.add(header(2))
    assert len(commits.take(0.1, everything=True)) == 1


def test_scattered_numbers_fit_the_message_size() -> None:
    """Ten thousand holes make several commits, none too large for the broker."""
    commits = Commits()
    for seq in range(10**17, 10**17 + 20_000, 2):
        commits.add(header(seq))
    taken = [commit for _, commit in commits.take(0.0)]
    assert len(taken) == 10
    assert sum(len(each.ranges) for each in taken) == 10_000
    assert max(len(each.encode()) for each in taken) < MAX_BYTES


def test_quiet_streams_are_forgotten() -> None:
    """Streams that come and go take no memory."""
    commits = Commits()
    for number in range(100):
        commits.add(header(1, epoch=f"{number:016x}"))
    commits.take(0.0)
    commits.take(PERIOD_S)
    assert not commits._streams
