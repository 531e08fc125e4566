"""Which message goes next, and which may still be on its way. Pure: fed with time and messages.

After an outage the newest messages go first-class: one live message to four of the backlog, so
that a partner sees the present while the past is still being filled in.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from agent.delivery.entry import Stored

Peek = Callable[[int, int], Awaitable[Sequence[Stored]]]  # (after, limit) → messages in order

_CHUNK = 20  # messages held in memory per lane
_TURNS = 5  # one of them is live
_REFUSED_S = 2.0


class _Lane:
    """Messages in order of their numbers, read a few at a time."""

    def __init__(self, peek: Peek, after: int, until: int | None = None) -> None:
        self.after = after  # the number handed out last
        self._peek = peek
        self._until = until
        self._read: deque[Stored] = deque()

    async def next(self) -> Stored | None:
        if not self._read and (self._until is None or self.after < self._until):
            self._read.extend(await self._peek(self.after, _CHUNK))
        if not self._read or (self._until is not None and self._read[0].seq > self._until):
            return None
        found = self._read.popleft()
        self.after = found.seq
        return found


class Lanes:
    """The live lane begins behind `newest`, the backlog lane ends there."""

    def __init__(self, peek: Peek, newest: int) -> None:
        self._peek = peek
        self._turn = 0
        self._live = _Lane(peek, newest)
        self._backlog = _Lane(peek, 0, newest)

    async def next(self) -> Stored | None:
        """Return the message whose turn it is, or None when both lanes are empty now."""
        lanes = (self._live, self._backlog)
        for lane in lanes if self._turn == 0 else reversed(lanes):
            if found := await lane.next():
                self._turn = (self._turn + 1) % _TURNS
                return found
        return None

    def rewind(self, seq: int) -> None:
        """Let the backlog lane start again at `seq`, and include what was live until now."""
        after = min(self._backlog.after, seq - 1)
        self._backlog = _Lane(self._peek, after, self._live.after)


class Unconfirmed:
    """Messages handed to the broker and not yet named by a commit of the sink.

    At most `limit` of them: a broker without a sink drops what it cannot queue, and a metered
    link is paid for. Those that wait longer than `stall_s` are given back to be sent again. While
    the sink or the broker says no or nothing, only `probe` at a time are; those the broker refused
    return sooner, after a pause that doubles up to `stall_s`.
    """

    def __init__(self, now: float, *, stall_s: float, limit: int = 500, probe: int = 5) -> None:
        self.in_flight: set[int] = set()
        self._due: dict[int, float] = {}  # when to send it again
        self._stall_s = stall_s
        self._limit = limit
        self._probe = probe
        self._quiet = False
        self._pause_s = min(_REFUSED_S, stall_s)
        self._confirmed_at = now

    def __contains__(self, seq: int) -> bool:
        return seq in self.in_flight or seq in self._due

    @property
    def room(self) -> bool:
        """Whether one more may be sent."""
        held = len(self.in_flight) + len(self._due)
        return held < (self._probe if self._quiet else self._limit)

    @property
    def due_at(self) -> float | None:
        """When the next one will have waited too long; None: nothing waits."""
        return min(self._due.values(), default=None)

    def sent(self, seq: int) -> None:
        """Note that `seq` is on its way to the broker."""
        self.in_flight.add(seq)

    def answered(self, seq: int, now: float, *, taken: bool) -> None:
        """Note the broker's answer. A commit may have come first."""
        self._quiet = self._quiet or not taken
        if seq in self.in_flight:
            self.in_flight.remove(seq)
            self._due[seq] = now + (self._stall_s if taken else self._pause_s)

    def give_up(self, seq: int) -> None:
        """Forget `seq`: this broker will never take it."""
        self.in_flight.discard(seq)

    def confirm(self, ranges: Sequence[tuple[int, int]], now: float) -> None:
        """Note a commit: its messages are safe, and the sink is there."""
        for seq in [*self.in_flight, *self._due]:
            if any(low <= seq <= high for low, high in ranges):
                self.in_flight.discard(seq)
                self._due.pop(seq, None)
        self._quiet = False
        self._pause_s = min(_REFUSED_S, self._stall_s)
        self._confirmed_at = now

    def overdue(self, now: float) -> int | None:
        """Give back what waited too long; return the lowest of the numbers."""
        late = [seq for seq, due in self._due.items() if due <= now]
        for seq in late:
            del self._due[seq]
        if late and self._confirmed_at + self._stall_s <= now:
            self._quiet = True
        if late and self._quiet:
            self._pause_s = min(2 * self._pause_s, self._stall_s)
        return min(late, default=None)
