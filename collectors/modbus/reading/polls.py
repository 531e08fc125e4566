"""What is asked of a device in one poll, and what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collectors.modbus.decoding.confirm import Confirmation, needs_confirmation
from collectors.modbus.decoding.decode import Decided, Decoded, Decoder
from collectors.modbus.planning.healing import Answered, Plan
from collectors.modbus.planning.plan import Item, Read
from collectors.quality import Fault, Reason


class Poll:
    """A read made ready: its decoder, and what must be looked at twice."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.decoder = Decoder(read)
        is_doubtful = any(needs_confirmation(item.register) for item in read.items)
        self.confirmation = Confirmation(read) if is_doubtful else None


@dataclass(slots=True)
class Outcome:
    """What came of a poll at `at_ns`: data bytes, or the code of an exception."""

    poll: Poll
    at_ns: int
    payload: bytes = b""
    code: int | None = None
    torn: Sequence[Item] = ()

    @property
    def answered(self) -> Answered:
        """The outcome without its data."""
        return Answered(self.poll.read, self.code)

    def decode(self, decided: Decided) -> list[Decoded]:
        """Return values and faults; `decided` is that of the whole poll group."""
        if self.code is not None:
            fault = Fault(reason=Reason.REFUSED, raw=self.code)
            return faults((item, fault) for item in self.poll.read.items)
        parts = self.poll.decoder.decode(self.payload, decided)
        return _without(self.torn, parts) if self.torn else parts


class Work:
    """A plan made ready: the polls of its reads, then of its suspects' halves, two and two."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.polls = tuple(
            Poll(read) for read in (*plan.reads, *(half for pair in plan.pairs for half in pair))
        )
        self.left_out = faults(
            (item, Fault(reason=Reason.REFUSED, raw=code)) for item, code in plan.left_out
        )


def decode(outcomes: Sequence[Outcome]) -> Iterable[tuple[Outcome, list[Decoded]]]:
    """Return what each outcome of one poll group holds, in their order; deciders decide first."""
    decided: Decided = {}
    if len(outcomes) == 1:
        return [(outcomes[0], outcomes[0].decode(decided))]
    ranked = sorted(outcomes, key=lambda outcome: not outcome.poll.decoder.decides)
    parts = {id(outcome): outcome.decode(decided) for outcome in ranked}
    return [(outcome, parts[id(outcome)]) for outcome in outcomes]


def faults(missing: Iterable[tuple[Item, Fault]]) -> list[Decoded]:
    """Return the faults of items that have no value, one entry a channel."""
    channels: dict[str, dict[str, Fault]] = {}
    for item, fault in missing:
        channels.setdefault(item.channel, {})[item.register.name] = fault
    return [Decoded(channel, {}, names) for channel, names in channels.items()]


def _without(torn: Sequence[Item], parts: Iterable[Decoded]) -> list[Decoded]:
    names = {(item.channel, item.register.name) for item in torn}
    return [
        Decoded(
            part.channel,
            {name: each for name, each in part.values.items() if (part.channel, name) not in names},
            {
                **part.faults,
                **{
                    name: Fault(reason=Reason.TORN)
                    for channel, name in names
                    if channel == part.channel
                },
            },
        )
        for part in parts
    ]
