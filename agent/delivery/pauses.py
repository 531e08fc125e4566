"""How long to wait before the next try to connect, and whether somebody else has our name. Pure."""

import random

from agent.delivery.trouble import Cause
from agent.wire.backoff import Backoff

LONGEST_S = 30.0  # between two tries to connect
_STABLE_S = 30.0
_YIELDING_S = (60.0, 600.0)  # to another agent of the same name: first and longest
_SUSPICIOUS = 3


class Pauses:
    """Pauses between tries to connect, by what was wrong and how long the connection lasted.

    Whose name was taken over waits half a minute at least, and longer each time: two agents that
    throw each other out have the connection in turns, and each delivers in its own.
    """

    def __init__(self, chance: random.Random, *, longest_s: float = LONGEST_S) -> None:
        low_s, self._patience_s = _YIELDING_S
        self._slow_s = longest_s
        self._uniform = chance.uniform
        self._backoff = Backoff(high_s=longest_s, uniform=chance.uniform)
        self._yielding = Backoff(
            low_s=low_s,
            high_s=self._patience_s,
            uniform=lambda _, high: chance.uniform(high / 2, high),
        )

    def pause(self, lasted_s: float, cause: Cause) -> float:
        """Return how long to wait after a connection (or a try) that lasted `lasted_s`; in s."""
        if lasted_s >= _STABLE_S:
            self._backoff.reset()
        if lasted_s >= self._patience_s:
            self._yielding.reset()
        if cause is Cause.TAKEN_OVER:
            return self._yielding.next_s()
        if cause in {Cause.SETTINGS, Cause.VERSION}:
            return self._uniform(self._slow_s / 2, self._slow_s)
        return self._backoff.next_s()


class Disputes:
    """Tells when two agents seem to have the same name.

    Some brokers say so to the one they throw out. Others hang up without a word, as a bad link
    does; then three short connections in a row are enough to ask.
    """

    def __init__(self) -> None:
        self._cuts = 0

    def ended(self, lasted_s: float, cause: Cause) -> bool:
        """Return whether the name is disputed, after a connection ended for `cause`."""
        if cause is Cause.TAKEN_OVER:
            self._cuts = _SUSPICIOUS
        elif cause is Cause.HUNG_UP and lasted_s < _STABLE_S:
            self._cuts += 1
        else:
            self._cuts = 0
        return self._cuts >= _SUSPICIOUS
