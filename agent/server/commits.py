"""Which messages are safe, gathered into few commits: agents delete what they are told."""

from dataclasses import dataclass, field

from agent.wire.message import Commit, Header
from agent.wire.ranges import ranges_of

PERIOD_S = 1.0  # of commits to one stream; the first after a pause goes at once
_MAX_RANGES = 1_000  # about 40 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One unbroken sequence of messages."""

    agent: str
    uplink: str
    epoch: str


@dataclass(slots=True)
class _Pending:
    numbers: set[int] = field(default_factory=set)
    due_s: float = 0.0  # not before this time


class Commits:
    """What is safe but not yet told. Times are seconds of any steady clock."""

    def __init__(self) -> None:
        self._streams: dict[Stream, _Pending] = {}

    def add(self, header: Header) -> None:
        """Take note that the message of `header` is safe."""
        stream = Stream(agent=header.agent, uplink=header.uplink, epoch=header.epoch)
        self._streams.setdefault(stream, _Pending()).numbers.add(header.seq)

    def put_back(self, stream: Stream, commit: Commit) -> None:
        """Take note that nobody knows whether `commit` arrived."""
        numbers = self._streams.setdefault(stream, _Pending()).numbers
        for low, high in commit.ranges:
            numbers.update(range(low, high + 1))

    def wait_s(self, now_s: float) -> float | None:
        """Return how long nothing is due, or None while there is nothing to tell."""
        dues = [each.due_s for each in self._streams.values() if each.numbers]
        return max(0.0, min(dues) - now_s) if dues else None

    def take(self, now_s: float, *, everything: bool = False) -> list[tuple[Stream, Commit]]:
        """Return the commits that are due now, or all of them, and forget them."""
        taken: list[tuple[Stream, Commit]] = []
        for stream, pending in list(self._streams.items()):
            if pending.due_s > now_s and not everything:
                continue
            if not pending.numbers:
                del self._streams[stream]  # quiet for a period: its next commit goes at once
                continue
            ranges = ranges_of(pending.numbers)
            for start in range(0, len(ranges), _MAX_RANGES):
                some = ranges[start : start + _MAX_RANGES]
                taken.append((stream, Commit(epoch=stream.epoch, ranges=some)))
            self._streams[stream] = _Pending(due_s=now_s + PERIOD_S)
        return taken
