"""How well a device is read: percentiles and counts, cheap enough for every single answer."""

import math
from dataclasses import dataclass, field

_PER_OCTAVE = 8  # buckets from one power of two to the next: a percentile is right within 5 %
_FIRST_S = 1e-5
_BUCKETS = 30 * _PER_OCTAVE  # up to 3 hours


class Histogram:
    """Durations since the last `clear`, in buckets on a logarithmic scale."""

    def __init__(self) -> None:
        self.count = 0
        self._buckets = [0] * _BUCKETS

    def add(self, seconds: float) -> None:
        """Count one duration in s."""
        self.count += 1
        bucket = int(math.log2(seconds / _FIRST_S) * _PER_OCTAVE) if seconds > _FIRST_S else 0
        self._buckets[min(bucket, _BUCKETS - 1)] += 1

    def percentile(self, percent: float) -> float:
        """Return the duration in s that `percent` of them do not exceed; 0 without any."""
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if seen >= wanted > 0:
                return _FIRST_S * 2.0 ** ((bucket + 0.5) / _PER_OCTAVE) if bucket else 0.0
        return 0.0

    def clear(self) -> None:
        """Begin anew."""
        self.count = 0
        self._buckets = [0] * _BUCKETS


@dataclass(slots=True)
class DeviceMeasures:
    """One device, as its bus knows it. Counts are since the start."""

    polls: int = 0  # that were answered
    missed: int = 0  # left out, because the bus was busy until the next one was due
    timeouts: int = 0
    is_silent: bool = False
    latency: Histogram = field(default_factory=Histogram)  # from the request to its answer
    interval_error: Histogram = field(default_factory=Histogram)  # |interval - period| of polls
