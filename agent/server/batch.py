"""The lines of several messages on their way into the store, and whose they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.server.checks import Accepted, RefusedMessageError
from agent.server.connection import Arrival
from agent.server.dead_letters import DeadLetter
from agent.server.writer import MAX_LINES
from agent.wire.message import Header

_MAX_BYTES = 8 * 2**20  # of text: a packed message may hold 20 times its size


@dataclass(slots=True)
class Batch:
    """Messages in the order of their arrival, their good lines, and what was refused of them."""

    arrivals: list[tuple[Arrival, Header | None]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    _origins: list[tuple[Arrival, Header]] = field(default_factory=list)  # of each line
    _bytes: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to write."""
        return len(self.lines) + len(self.letters) >= MAX_LINES or self._bytes >= _MAX_BYTES

    def skip(self, arrival: Arrival) -> None:
        """Add a message that brings nothing but must be acknowledged in its turn."""
        self.arrivals.append((arrival, None))

    def accept(self, arrival: Arrival, found: Accepted, now_ns: int) -> None:
        """Add a message's good lines, and dead letters for its bad ones.

        Where too many are bad, the message becomes a dead letter itself: no line is lost.
        """
        self.arrivals.append((arrival, found.header))
        self.lines += found.lines
        self._origins += [(arrival, found.header)] * len(found.lines)
        self._bytes += sum(map(len, found.lines)) + sum(len(each.line) for each in found.refused)
        self.letters += [
            _letter(arrival, found.header, each.line, each.reason, now_ns) for each in found.refused
        ]
        if found.more:
            reason = f"{found.more} more of its lines are refused"
            self.letters.append(_letter(arrival, found.header, arrival.payload, reason, now_ns))

    def refuse(self, arrival: Arrival, error: RefusedMessageError, now_ns: int) -> None:
        """Add a message that becomes a dead letter as a whole."""
        self.arrivals.append((arrival, error.header))
        self.letters.append(_letter(arrival, error.header, arrival.payload, error.what, now_ns))

    def bury(self, refused: Mapping[int, str], now_ns: int) -> None:
        """Add dead letters for lines that the store refused: index → reason."""
        for index, reason in refused.items():
            arrival, header = self._origins[index]
            self.letters.append(_letter(arrival, header, self.lines[index], reason, now_ns))


def _letter(
    arrival: Arrival, header: Header | None, content: str | bytes, reason: str, now_ns: int
) -> DeadLetter:
    return DeadLetter(
        time_ns=now_ns,
        topic=arrival.topic,
        header=_told(header) if header else "",
        reason=reason,
        content=content.encode() if isinstance(content, str) else content,
    )


def _told(header: Header) -> str:
    return (
        f"agent={header.agent} uplink={header.uplink} epoch={header.epoch}"
        f" seq={header.seq} config={header.config}"
    )
