"""Feed damaged streams to the engine's framers, and ask the oracle about what they accept."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from collectors.modbus.transport.frame import (
    AsciiFramer,
    DamagedError,
    Framer,
    Request,
    RtuFramer,
    TcpFramer,
)
from collectors.register import Table
from tests.fuzz import grammar, oracle
from tests.fuzz.grammar import Stream
from tests.fuzz.oracle import Outcome

FRAMERS: dict[str, Callable[[], Framer]] = {
    "tcp": TcpFramer,
    "rtu": RtuFramer,
    "ascii": AsciiFramer,
}
_MOST_KEPT = 520  # bytes: the longest frame of all kinds is an ASCII one


class WrongError(AssertionError):
    """A framer took what is no answer, or missed one, or kept too much."""


@dataclass(slots=True)
class Tally:
    """What a campaign did."""

    streams: int = 0
    answers: int = 0
    refusals: int = 0
    damaged: int = 0
    nothing: int = 0
    damages: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)


def run(
    kind: str,
    *,
    seed: int,
    streams: int,
    asked_as: Callable[[dict[int, Request]], dict[int, Request]] = dict,
    tally: Tally | None = None,
) -> Tally:
    """Judge `streams` streams; raises WrongError with the stream that shows the fault."""
    rng = random.Random(f"{kind} {seed}")
    tally = tally or Tally()
    framer = FRAMERS[kind]()
    for device_id in grammar.DEVICES:
        framer.pack(Request(device_id, Table.COIL, 0, 1), 1)
    for number in range(streams):
        stream = grammar.draw(rng, kind)
        for transaction, request in stream.asked.items():
            framer.pack(request, transaction)
        found, is_damaged = _read(framer, stream, asked_as(stream.asked), tally)
        if fault := _fault(stream, found, is_damaged=is_damaged):
            raise WrongError(f"{kind}, seed {seed}, stream {number}: {fault}\n{stream}\n{found}")
        tally.streams += 1
        tally.damages.update(stream.story)
        tally.damaged += is_damaged
        tally.nothing += not found
        tally.answers += sum(isinstance(each, bytes) for each in found.values())
        tally.refusals += sum(isinstance(each, int) for each in found.values())
    return tally


def _read(
    framer: Framer, stream: Stream, asked: dict[int, Request], tally: Tally
) -> tuple[dict[int, Outcome], bool]:
    """Read as a connection does, chunk by chunk, until everything is answered."""
    buffer = bytearray()
    found: dict[int, Outcome] = {}
    for chunk in stream.chunks:
        buffer += chunk
        try:
            while asked and (said := framer.find(buffer, asked, tally.discarded)) is not None:
                transaction, answer = said
                refusal = answer.exception
                found[transaction] = answer.payload if refusal is None else refusal
                asked.pop(transaction, None)
        except DamagedError:
            return found, True
        if asked and len(buffer) > _MOST_KEPT:
            raise WrongError(f"{len(buffer)} bytes are kept\n{stream}")
    return found, False


def _fault(stream: Stream, found: dict[int, Outcome], *, is_damaged: bool) -> str:
    whole = b"".join(stream.chunks)
    if stream.is_harmless and found != stream.truth:
        return f"the true answer {stream.truth} is not found"
    if stream.kind == "tcp":
        may = oracle.of_tcp(whole, stream.asked)
        return "" if (found, is_damaged) == may else f"it holds {may}"
    ((number, request),) = stream.asked.items()
    said = found.get(number)
    if stream.kind == "ascii":
        only = oracle.of_ascii(whole, request)
        return "" if said == only else f"it holds {only!r}"
    if stream.is_flipped and isinstance(said, bytes):
        return "a frame with wrong bits is accepted"
    may_be = oracle.of_rtu(whole, request, grammar.DEVICES)
    return "" if said is None or said in may_be else f"only {may_be} may be accepted"
