"""The state of one station, in the words of PackML, or `unknown` when nobody can tell.

Lost communication and a heartbeat that stands still are `unknown`: neither running nor idle.
"""

from dataclasses import dataclass
from enum import StrEnum

from collectors.profile import Profile
from collectors.quality import Reason
from collectors.sample import Sample, Value

_PERIODS_TO_STALE = 3  # polls that may be missed before what is shown counts as old
_LEAST_STALE_S = 3.0
_SILENCE = {Reason.COMM, Reason.REFUSED, Reason.WRONG_DEVICE}  # no answer that could be read


class State(StrEnum):
    """States of a station. `NONE` is for equipment that has no state, such as a meter."""

    UNKNOWN = "unknown"
    STOPPED = "stopped"
    IDLE = "idle"
    EXECUTE = "execute"
    SUSPENDED = "suspended"
    HELD = "held"
    ABORTED = "aborted"
    NONE = "none"


STATE_CODES: dict[State, int] = {
    state: code for code, state in enumerate(State) if state is not State.NONE
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSpan:
    """A state, why, and since when (ns since 1970)."""

    state: State
    reason: str
    since_ns: int


def stale_after_s(period_s: float) -> float:
    """Return the age in s beyond which something polled every `period_s` is not known any more."""
    return max(_LEAST_STALE_S, _PERIODS_TO_STALE * period_s)


class StateTracker:
    """Follows the state of one station through its samples and the passing of time."""

    def __init__(self, profile: Profile, *, now_ns: int) -> None:
        self.span = StateSpan(state=State.UNKNOWN, reason=Reason.COMM, since_ns=now_ns)
        self.seen_ns: int | None = None  # the last good answer
        self._profile = profile
        self._beat: Value | None = None
        self._beat_ns = now_ns
        self._machine: Value | None = None
        self._trouble = Reason.COMM

    @property
    def stale_after_s(self) -> float:
        """Age of the last good answer in s, beyond which nothing is known any more."""
        return stale_after_s(next(iter(self._profile.groups.values())))

    def sampled(self, sample: Sample) -> None:
        """Take what a sample says of state and heartbeat."""
        reasons = {fault.reason for fault in sample.faults.values()}
        if sample.values or reasons - _SILENCE:
            self.seen_ns = sample.time_ns
        elif reasons:
            self._trouble = reasons.pop()
        heartbeat, state = self._profile.heartbeat, self._profile.state
        if heartbeat is not None and heartbeat.name in sample.values:
            beat = sample.values[heartbeat.name]
            if beat != self._beat:
                self._beat, self._beat_ns = beat, sample.time_ns
        if state is not None and state.name in sample.values:
            self._machine = sample.values[state.name]

    def at(self, now_ns: int) -> StateSpan:
        """Return the state now. `since_ns` is kept as long as state and reason stay."""
        state, reason = self._judge(now_ns)
        if (state, reason) != (self.span.state, self.span.reason):
            self.span = StateSpan(state=state, reason=reason, since_ns=now_ns)
        return self.span

    def _judge(self, now_ns: int) -> tuple[State, str]:
        if self.seen_ns is None or now_ns - self.seen_ns > self.stale_after_s * 1e9:
            return State.UNKNOWN, self._trouble
        heartbeat, states = self._profile.heartbeat, self._profile.state
        if heartbeat is not None and now_ns - self._beat_ns > heartbeat.frozen_after_s * 1e9:
            return State.UNKNOWN, Reason.FROZEN
        if states is None:
            return State.NONE, ""
        code = int(self._machine) if isinstance(self._machine, bool) else self._machine
        meaning = states.values.get(str(code))
        if meaning is None:
            return State.UNKNOWN, Reason.UNKNOWN_CODE
        return State(meaning.state), meaning.reason
