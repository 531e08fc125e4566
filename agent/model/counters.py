"""The counters of one station: the totals beside them, and what is told when one begins anew."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from collectors.counter import Counter, Reset, total_name
from collectors.profile import Profile
from collectors.record import Event
from collectors.register import Register, Rollover
from collectors.sample import Sample, StationId, Value

_REMEMBER_NS = 10_000_000_000

Facts = Mapping[str, object]  # counter → [count, total]


class Remember(Protocol):
    """Keeps facts over a restart; with `at_once`, over a power cut in a moment too."""

    def __call__(self, facts: Facts, *, at_once: bool = False) -> None:
        """Keep `facts`."""


def forget(facts: Facts, *, at_once: bool = False) -> None:
    """Keep nothing: for stations whose totals may begin anew with the agent."""
    del facts, at_once


class CounterTracker:
    """Follows the counters of one station. `recalled` is what was remembered of them."""

    def __init__(
        self, profile: Profile, station: StationId, *, recalled: Facts, remember: Remember
    ) -> None:
        self._station = station
        self._rules = _rules(profile.registers)
        self._channel_rules = _rules(profile.channels.registers) if profile.channels else {}
        self._recalled = recalled
        self._remember = remember
        self._remembered_ns = 0
        self._counters: dict[str, Counter] = {}

    def sampled(self, sample: Sample) -> tuple[Sample, list[Event]]:
        """Return the sample with the totals of its counters, and an event for each reset."""
        rules = self._channel_rules if sample.channel else self._rules
        counts = [(name, sample.values[name]) for name in rules if name in sample.values]
        if not counts:
            return sample, []
        totals: dict[str, int] = {}
        events: list[Event] = []
        for name, count in counts:
            key = f"{sample.channel}.{name}" if sample.channel else name
            counter = self._counter(key, rules[name])
            if reset := counter.take(int(count)):
                # Counters are reset together, and rows of one time overwrite each other.
                events.append(self._event(key, reset, sample.time_ns + len(events)))
            totals[total_name(name)] = counter.total
        is_old = not 0 <= sample.time_ns - self._remembered_ns < _REMEMBER_NS
        if events or is_old:
            self._remembered_ns = sample.time_ns
            self.remember(at_once=bool(events))
        return replace(sample, values={**sample.values, **totals}), events

    def remember(self, *, at_once: bool = False) -> None:
        """Have the counts kept as they stand."""
        seen = {key: [each.count, each.total] for key, each in self._counters.items()}
        self._remember({**self._recalled, **seen}, at_once=at_once)

    def _event(self, key: str, reset: Reset, time_ns: int) -> Event:
        facts: dict[str, Value] = {
            "detail": key,
            "before": reset.before,
            "after": reset.after,
        }
        return Event(station=self._station, kind="counter_reset", time_ns=time_ns, values=facts)

    def _counter(self, key: str, rule: Rollover) -> Counter:
        if key not in self._counters:
            match self._recalled.get(key):
                case [int(count), int(total)]:
                    self._counters[key] = Counter(rule, count=count, total=total)
                case _:
                    self._counters[key] = Counter(rule)
        return self._counters[key]


def _rules(registers: tuple[Register, ...]) -> dict[str, Rollover]:
    return {each.name: each.rollover for each in registers if each.rollover is not None}
