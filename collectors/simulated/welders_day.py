"""What a welder's day is made of beside welds, by whatever means it welds."""

from collections.abc import Iterator
from random import Random

from collectors.simulated.plc import Plc, State


def disturbance(plc: Plc, rng: Random, *alarms: str) -> Iterator[float]:
    """Let something stand in the way every few hundred parts; one of `alarms` when it is a fault."""
    what = rng.random()
    if what < 0.0002:
        yield from plc.stop(State.EMERGENCY_STOP, rng.uniform(40, 90), "emergency_stop")
    elif what < 0.0008:
        alarm = rng.choice(alarms)
        yield from plc.stop(State.FAULT, rng.uniform(30, 90), alarm)
    elif what < 0.0030:
        yield from plc.stop(State.STARVED, rng.uniform(20, 60))
    elif what < 0.0045:
        yield from plc.stop(State.BLOCKED, rng.uniform(15, 40))
