"""When to ask a device again that does not answer, so that its neighbours hardly notice."""

import random

_FIRST_PAUSE_S = 1.0
_LAST_PAUSE_S = 30.0
_RARELY = 500  # time-outs: what a probe may cost neighbours on a bus that is never idle is 0.2 %
_MANY_DOUBLINGS = 10
_GAP_USED = 0.9  # of a gap: a probe that ends with it would already hold up the next poll


class Probing:
    """The pauses between the probes of one device.

    After a random part of a pause that doubles (full jitter), a probe waits for a gap in which
    nothing else is due, and listens no longer than the gap lasts: so it costs nobody anything.
    A gap shorter than `least_s`, in which even a healthy device could not answer, is not used.
    Since a slow device never answers within a gap, and a busy bus has none, a probe that listens
    for the whole time-out comes too: after ever more time-outs, at last one in 500.
    """

    def __init__(self, *, timeout_s: float, least_s: float) -> None:
        self.failures = 0  # in a row
        self._timeout_s = timeout_s
        self._least_s = min(timeout_s, least_s)
        self._probe_at = 0.0
        self._force_at = 0.0
        self._whole_at = 0.0  # when it last failed to answer within the whole time-out
        self._doublings = 0

    def failed(self, now: float, *, waited_s: float) -> None:
        """Take note that the device did not answer within `waited_s`, or not as it should."""
        self.failures += 1
        pause_s = min(_LAST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self.failures - 1, _MANY_DOUBLINGS))
        self._probe_at = now + random.uniform(0, pause_s)  # noqa: S311 - jitter, no secret
        if waited_s >= self._timeout_s:
            self._whole_at = now
            self._doublings = min(self._doublings + 1, _MANY_DOUBLINGS)
        else:
            self._doublings = _MANY_DOUBLINGS  # there are gaps: no need to hold up anybody soon
        time_outs = min(_RARELY, 2**self._doublings)
        self._force_at = max(self._probe_at, self._whole_at + time_outs * self._timeout_s)

    def unreachable(self, now: float) -> None:
        """Take note that the bus is down: not the device's fault, and the bus paces itself."""
        self.failures += 1
        self._probe_at = now + random.uniform(0, _FIRST_PAUSE_S)  # noqa: S311 - jitter, no secret
        self._force_at = self._probe_at

    def answered(self) -> None:
        """Take note that the device is back."""
        self.failures = self._doublings = 0

    def listen_s(self, now: float, gap_s: float) -> float:
        """Return how long a probe may listen now that nothing is due for `gap_s`; 0: no probe."""
        if now >= self._force_at:
            return self._timeout_s
        usable_s = _GAP_USED * gap_s
        if now >= self._probe_at and usable_s >= self._least_s:
            return min(usable_s, self._timeout_s)
        return 0.0

    def next_at(self, now: float) -> float:
        """Return when it makes sense to look at `listen_s` again, if no other gap opens before."""
        return self._probe_at if now < self._probe_at else self._force_at
