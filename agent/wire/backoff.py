"""Waiting longer and longer, each sender at another moment."""

import random
from collections.abc import Callable

Uniform = Callable[[float, float], float]

_uniform: Uniform = random.SystemRandom().uniform


class Backoff:
    """Full jitter: each wait is random between 0 and a ceiling that doubles up to `high_s`."""

    def __init__(
        self,
        *,
        low_s: float = 0.5,
        high_s: float = 30.0,
        uniform: Uniform = _uniform,
    ) -> None:
        self._low_s = low_s
        self._high_s = high_s
        self._uniform = uniform
        self._ceiling_s = low_s

    def next_s(self) -> float:
        """Return the next wait in seconds."""
        ceiling = self._ceiling_s
        self._ceiling_s = min(2 * ceiling, self._high_s)
        return self._uniform(0, ceiling)

    def reset(self) -> None:
        """Start again from the shortest wait."""
        self._ceiling_s = self._low_s
