"""Time of a simulated machine: `speed` times as fast as ours, and it can stand still."""

import math
from collections.abc import Callable


class Pace:
    """Turns our time into the machine's, which is 0 s at first, and back.

    `clock` gives seconds since 1970 and stamps the parts; `monotonic` drives.
    """

    def __init__(
        self, *, speed: float, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._speed = speed
        self._clock = clock
        self._monotonic = monotonic
        self._origin: float | None = None  # our time when the machine's was `_past`
        self._past = 0.0

    def now(self) -> float:
        """Return the machine's time in s."""
        if self._origin is None:
            return self._past
        return self._past + (self._monotonic() - self._origin) * self._speed

    @property
    def is_paused(self) -> bool:
        """Whether time stands still."""
        return self._origin is None

    def resume(self) -> None:
        """Let time run; a new pace stands still."""
        if self._origin is None:
            self._origin = self._monotonic()

    def pause(self) -> None:
        """Let time stand still."""
        self._past, self._origin = self.now(), None

    def seconds_until(self, at: float) -> float:
        """Return how long it takes, in s of our time, until the machine's time is `at`."""
        return math.inf if self._origin is None else (at - self.now()) / self._speed

    def wall_ms(self, at: float) -> int:
        """Return when the machine's time was or will be `at`, in ms since 1970."""
        return round(1000 * (self._clock() + (at - self.now()) / self._speed))
