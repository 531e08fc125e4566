"""What is to be polled next: ticks without drift, and of what is due, the earliest deadline first."""

import heapq
import math
from dataclasses import dataclass
from typing import Generic, TypeVar

_SAME_TICK = 1e-6  # of a period: what rounding of the clock may take off


@dataclass(slots=True, eq=False)
class Periodic:
    """Something to do each period. Its ticks are the multiples of the period on the clock."""

    period_s: float
    tick: int = 0  # the one it is due for next

    @property
    def due_at(self) -> float:
        """When it is due: no sum of periods, so the k-th tick is as exact as the first."""
        return self.tick * self.period_s

    @property
    def deadline(self) -> float:
        """When it must be done: at the end of its period."""
        return (self.tick + 1) * self.period_s

    def newest_tick(self, now: float) -> int:
        """Return the last tick that has come."""
        return int(now / self.period_s + _SAME_TICK)


J = TypeVar("J", bound=Periodic)


class Agenda(Generic[J]):
    """Jobs in order. Each is in it at most once; what is popped is planned again by its owner."""

    def __init__(self) -> None:
        self._later: list[tuple[float, int, J]] = []  # by when they are due
        self._due: list[tuple[float, int, J]] = []  # by deadline
        self._count = 0  # those of equal times come in the order they were planned

    def plan(self, job: J, *, at: float | None = None) -> None:
        """Put a job in, due at its tick or at another time."""
        self._count += 1
        heapq.heappush(self._later, (job.due_at if at is None else at, self._count, job))

    def pop(self, now: float) -> J | None:
        """Take out what is to be done first of all that is due, if anything is."""
        return heapq.heappop(self._due)[2] if self.gap_s(now) <= 0 else None

    def gap_s(self, now: float) -> float:
        """Return for how long nothing is due."""
        while self._later and self._later[0][0] <= now:
            _, number, job = heapq.heappop(self._later)
            heapq.heappush(self._due, (job.deadline, number, job))
        if self._due:
            return 0.0
        return self._later[0][0] - now if self._later else math.inf

    @property
    def next_at(self) -> float:
        """When the next job is due that is not due yet; infinite without one."""
        return self._later[0][0] if self._later else math.inf

    def remove(self, jobs: set[J]) -> None:
        """Take out `jobs`, as far as they are in it."""
        self._later = [entry for entry in self._later if entry[2] not in jobs]
        self._due = [entry for entry in self._due if entry[2] not in jobs]
        heapq.heapify(self._later)
        heapq.heapify(self._due)
