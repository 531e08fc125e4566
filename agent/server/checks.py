"""What the sink lets through: anybody with a password can publish, so nothing is believed."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.wire import line as line_protocol
from agent.wire import message
from agent.wire.message import Header
from agent.wire.schema import Schema
from collectors.errors import LiniError

FUTURE_NS = 5 * 60 * 1_000_000_000  # a stamp may be this far ahead: clocks differ

Allow = Callable[[str, str], bool]  # (agent, uplink) → may it deliver here?


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One line that may not enter the database, and why."""

    line: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A message whose sender is right: its good lines, and the bad ones beside them."""

    header: Header
    lines: tuple[str, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time that points may have, in ns since 1970, both ends included."""

    first_ns: int
    last_ns: int

    @classmethod
    def around(cls, now_ns: int, retention_ns: int) -> "Window":
        """Return the window of a database that keeps `retention_ns`."""
        return cls(first_ns=now_ns - retention_ns, last_ns=now_ns + FUTURE_NS)


class RefusedMessageError(LiniError):
    """A whole message is not to be believed; keep it as a dead letter.

    `header` is there when the sender is right and could still be read: its number is settled,
    or the agent would send the same broken bytes for ever.
    """

    def __init__(self, what: str, header: Header | None = None) -> None:
        super().__init__(what)
        self.header = header


def check(
    topic: str, payload: bytes, *, schema: Schema, window: Window, allow: Allow | None = None
) -> Accepted:
    """Return what `payload` brings; bad lines are set apart without losing their neighbours.

    Raises RefusedMessageError when the message as a whole is not what an allowed agent sends.
    """
    if len(payload) > message.MAX_BYTES:
        raise RefusedMessageError(f"{len(payload)} bytes are more than {message.MAX_BYTES}")
    try:
        found = message.decode(payload)
    except ValueError as error:
        raise RefusedMessageError(str(error), _salvaged(topic, payload, allow)) from error
    if reason := _stranger(topic, found.header, allow):
        raise RefusedMessageError(reason)
    lines: list[str] = []
    refused: list[Refused] = []
    for line in found.lines:
        reason = _fault(line, schema, window)
        if reason:
            refused.append(Refused(line=line, reason=reason))
        else:
            lines.append(line)
    return Accepted(header=found.header, lines=tuple(lines), refused=tuple(refused))


def _stranger(topic: str, header: Header, allow: Allow | None) -> str:
    wanted = message.data_topic(header.agent, header.uplink)
    if topic != wanted:
        return f"the header belongs to {wanted}: somebody sends under a name that is not theirs"
    if allow is not None and not allow(header.agent, header.uplink):
        return f"agent {header.agent} with uplink {header.uplink} is not on the list of this sink"
    return ""


def _salvaged(topic: str, payload: bytes, allow: Allow | None) -> Header | None:
    try:
        header = message.decode(payload.split(b"\n", 1)[0] + b"\n").header
    except ValueError:
        return None
    return None if _stranger(topic, header, allow) else header


def _fault(line: str, schema: Schema, window: Window) -> str:
    try:
        point = line_protocol.parse(line)
        schema.check(point)
    except ValueError as error:
        return str(error)
    if point.time_ns < window.first_ns:
        return f"time {point.time_ns} is older than the database keeps"
    if point.time_ns > window.last_ns:
        return f"time {point.time_ns} lies in the future"
    return ""
