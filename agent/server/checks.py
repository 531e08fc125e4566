"""What the sink lets through: anybody with a password can publish, so nothing is believed."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.server.lines import LineCheck
from agent.server.window import Window
from agent.wire import message
from agent.wire.message import Header
from collectors.errors import LiniError

MOST_REFUSED = 100  # lines of one message: a packed kilobyte may hold a million

Allow = Callable[[str, str], bool]  # (agent, uplink) → may it deliver here?


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One line that may not enter the database, and why."""

    line: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A message whose sender is right: its good lines, and the bad ones beside them.

    `more` counts bad lines beyond those in `refused`.
    """

    header: Header
    lines: tuple[str, ...]
    refused: tuple[Refused, ...]
    more: int = 0


class RefusedMessageError(LiniError):
    """A whole message is not to be believed; keep it as a dead letter.

    `header` is there when the sender is right and could still be read: its number is settled,
    or the agent would send the same broken bytes for ever.
    """

    def __init__(self, what: str, header: Header | None = None) -> None:
        super().__init__(what)
        self.header = header


def check(
    topic: str, payload: bytes, *, lines: LineCheck, window: Window, allow: Allow | None = None
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
    good: list[str] = []
    refused: list[Refused] = []
    more = 0
    for line in found.lines:
        reason = lines.fault(line, window)
        if not reason:
            good.append(line)
        elif len(refused) < MOST_REFUSED:
            refused.append(Refused(line=line, reason=reason))
        else:
            more += 1
    return Accepted(header=found.header, lines=tuple(good), refused=tuple(refused), more=more)


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
