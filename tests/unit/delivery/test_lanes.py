"""Order of sending, and what is sent again: no broker needed."""

from collections.abc import Sequence

from agent.delivery.entry import Stored
from agent.delivery.lanes import Lanes, Unconfirmed


class Rows:
    """A spool of numbers; remembers how much was asked for at once."""

    def __init__(self, newest: int) -> None:
        self.held = set(range(1, newest + 1))
        self.largest_peek = 0

    async def peek(self, after: int, limit: int) -> Sequence[Stored]:
        """Return up to `limit` messages behind `after`."""
        self.largest_peek = max(self.largest_peek, limit)
        seqs = sorted(seq for seq in self.held if seq > after)[:limit]
        return [Stored(seq=seq, kind="telemetry", payload=b"") for seq in seqs]


async def _take(lanes: Lanes, count: int) -> list[int]:
    found = [await lanes.next() for _ in range(count)]
    return [each.seq for each in found if each]


async def test_a_backlog_alone_goes_in_order() -> None:
    """Without live messages the backlog has every turn."""
    rows = Rows(100)
    assert await _take(Lanes(rows.peek, 100), 101) == list(range(1, 101))


async def test_live_messages_have_every_fifth_turn() -> None:
    """One live to four of the backlog, each lane in order."""
    rows = Rows(1_000)
    lanes = Lanes(rows.peek, 900)
    sent = await _take(lanes, 500)
    live = [seq for seq in sent if seq > 900]
    backlog = [seq for seq in sent if seq <= 900]
    assert live == list(range(901, 1_001))
    assert backlog == list(range(1, 401))
    assert sent[:6] == [901, 1, 2, 3, 4, 902]


async def test_a_new_message_overtakes_the_backlog() -> None:
    """It leaves within five messages, however long the backlog is."""
    rows = Rows(2_000)
    lanes = Lanes(rows.peek, 2_000)
    await _take(lanes, 33)
    rows.held.add(2_001)
    assert 2_001 in await _take(lanes, 5)


async def test_both_lanes_together_send_each_message_once() -> None:
    """Nothing falls between the lanes, and messages already deleted are passed over."""
    rows = Rows(300)
    rows.held -= {7, 8, 150, 199}
    lanes = Lanes(rows.peek, 200)
    assert sorted(await _take(lanes, 400)) == sorted(rows.held)
    assert await lanes.next() is None


async def test_memory_is_bounded() -> None:
    """The backlog is never loaded: a few messages at a time."""
    rows = Rows(5_000)
    await _take(Lanes(rows.peek, 4_000), 5_000)
    assert 0 < rows.largest_peek <= 20


async def test_rewind_sends_again_what_is_still_held() -> None:
    """From the given number on, with what was live; live messages keep their turns."""
    rows = Rows(30)
    lanes = Lanes(rows.peek, 10)
    await _take(lanes, 99)
    rows.held = {4, 9, 22, 31, 32}
    lanes.rewind(9)
    assert await _take(lanes, 99) == [31, 9, 22, 32]


async def test_rewind_never_skips_backlog_not_yet_sent() -> None:
    """When a late message is rewound, the lane goes on from where it was."""
    rows = Rows(200)
    lanes = Lanes(rows.peek, 100)
    sent = await _take(lanes, 50)
    lanes.rewind(105)
    assert set(sent) | set(await _take(lanes, 500)) == set(range(1, 201))


def _unconfirmed() -> Unconfirmed:
    return Unconfirmed(0, stall_s=60, limit=10, probe=2)


def _send(unconfirmed: Unconfirmed, seqs: range, now: float, *, taken: bool = True) -> None:
    for seq in seqs:
        unconfirmed.sent(seq)
        unconfirmed.answered(seq, now, taken=taken)


def test_room_ends_at_the_limit_and_comes_back_by_a_commit() -> None:
    """Not by a PUBACK: that is not safety."""
    unconfirmed = _unconfirmed()
    _send(unconfirmed, range(1, 10), 0)
    assert unconfirmed.room
    unconfirmed.sent(10)
    assert not unconfirmed.room
    unconfirmed.answered(10, 1, taken=True)
    assert not unconfirmed.room
    unconfirmed.confirm([(3, 4)], 2)
    assert unconfirmed.room
    assert 3 not in unconfirmed
    assert 5 in unconfirmed


def test_a_commit_may_overtake_the_puback() -> None:
    """The message does not come back then."""
    unconfirmed = _unconfirmed()
    unconfirmed.sent(1)
    unconfirmed.confirm([(1, 1)], 1)
    unconfirmed.answered(1, 2, taken=True)
    assert 1 not in unconfirmed
    assert unconfirmed.due_at is None


def test_what_waits_too_long_is_given_back() -> None:
    """Only that, and once; a hole among confirmed messages does not stop the others."""
    unconfirmed = _unconfirmed()
    _send(unconfirmed, range(1, 4), 0)
    _send(unconfirmed, range(4, 6), 30)
    unconfirmed.confirm([(1, 1), (3, 3)], 31)
    assert unconfirmed.due_at == 60
    assert unconfirmed.overdue(59) is None
    assert unconfirmed.overdue(60) == 2
    assert 2 not in unconfirmed
    assert unconfirmed.overdue(60) is None
    assert unconfirmed.due_at == 90
    _send(unconfirmed, range(6, 13), 60)
    assert unconfirmed.room


def test_without_any_commit_only_a_probe_is_sent_again() -> None:
    """A dead sink does not cost a workshop its data plan; the first commit opens the window."""
    unconfirmed = _unconfirmed()
    _send(unconfirmed, range(1, 11), 0)
    assert unconfirmed.overdue(60) == 1
    _send(unconfirmed, range(1, 3), 60)
    assert not unconfirmed.room
    assert unconfirmed.overdue(119) is None
    assert unconfirmed.overdue(120) == 1
    assert unconfirmed.room
    _send(unconfirmed, range(1, 3), 120)
    unconfirmed.confirm([(1, 1)], 121)
    assert unconfirmed.room


def test_a_message_in_flight_is_not_overdue() -> None:
    """A slow link is no reason to send it twice."""
    unconfirmed = _unconfirmed()
    unconfirmed.sent(1)
    assert unconfirmed.due_at is None
    assert unconfirmed.overdue(999) is None


def test_refused_messages_return_after_growing_pauses() -> None:
    """2 s, 4 s … up to the stall time, a probe at a time, until a commit comes."""
    unconfirmed = _unconfirmed()
    now = 0.0
    pauses = []
    for _ in range(7):
        _send(unconfirmed, range(1, 3), now, taken=False)
        assert not unconfirmed.room
        due = unconfirmed.due_at
        assert due is not None
        pauses.append(due - now)
        now = due
        assert unconfirmed.overdue(now) == 1
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    unconfirmed.confirm([(1, 1)], now)
    _send(unconfirmed, range(1, 2), now, taken=False)
    assert unconfirmed.due_at == now + 2


def test_what_is_given_up_makes_room() -> None:
    """A message that no broker takes holds no place."""
    unconfirmed = _unconfirmed()
    unconfirmed.sent(1)
    unconfirmed.give_up(1)
    assert 1 not in unconfirmed
    assert unconfirmed.due_at is None
