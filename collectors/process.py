"""Process events out of registers: an electrode dressed, a recipe or a lot changed.

Pure: a watch is fed with samples and told when its events are stored. What a register held when
it was last seen outlives the agent, so a change while the agent was down is seen once, and none
is invented.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collectors.profile import EventRule, Profile
from collectors.record import Event
from collectors.sample import Sample, StationId, Value

# What an event opens an interval of, at its station.
SUBJECTS: Mapping[str, str] = {
    "electrode_seen": "electrode",
    "electrode_changed": "electrode",
    "electrode_dressed": "dressing",
    "recipe_seen": "recipe",
    "recipe_changed": "recipe",
    "lot_seen": "lot",
    "lot_started": "lot",
    "lot_ended": "lot",
    "calibration": "calibration",
    "maintenance": "maintenance",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a register held, as text, and when (ns since 1970)."""

    text: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class Happened:
    """Events of one sample, and what their registers held then."""

    events: tuple[Event, ...]
    seen: Mapping[str, Seen]


class ProcessWatch:
    """Watches the registers of one station that its profile names under `[[events]]`.

    `known` is what each register held when it was last seen, by an earlier run of the agent too.
    """

    def __init__(self, profile: Profile, station: StationId, known: Mapping[str, Seen]) -> None:
        self._station = station
        self._rules: dict[str, list[EventRule]] = {}
        for rule in profile.events:
            self._rules.setdefault(rule.name, []).append(rule)
        self._known = {name: seen for name, seen in known.items() if name in self._rules}
        self._storing: set[str] = set()

    @property
    def known(self) -> Mapping[str, Seen]:
        """What each register held last, as far as the events it made are stored."""
        return self._known

    def sampled(self, sample: Sample) -> Happened | None:
        """Return what happened since the last sample, if anything did.

        Call `stored` once that is safe; until then the registers concerned are not looked at.
        """
        if sample.channel:
            return None
        found: list[tuple[str, dict[str, Value]]] = []
        moved: dict[str, Seen] = {}
        for name, rules in self._rules.items():
            if name not in sample.values or name in sample.faults or name in self._storing:
                continue
            before, now = self._known.get(name), Seen(_text(sample.values[name]), sample.time_ns)
            if told := [each for rule in rules for each in _happened(rule, before, now)]:
                moved[name] = now
                found += told
            else:
                self._known[name] = now
        if not found:
            return None
        self._storing |= moved.keys()
        if any(kind == "electrode_changed" for kind, _ in found):
            # A new electrode has no welds either, but nobody dressed it.
            found = [each for each in found if each[0] != "electrode_dressed"]
        events = tuple(
            Event(
                station=self._station,
                kind=kind,
                time_ns=sample.time_ns + number,  # no two events of a station at one time
                values=values,
            )
            for number, (kind, values) in enumerate(found)
        )
        return Happened(events, moved)

    def stored(self, happened: Happened) -> None:
        """Go on from what happened: it is on the disk."""
        self._known.update(happened.seen)
        self._storing -= happened.seen.keys()


def _happened(
    rule: EventRule, before: Seen | None, now: Seen
) -> Iterator[tuple[str, dict[str, Value]]]:
    """Yield kind and facts of what a register's step from `before` to `now` means."""
    facts: dict[str, Value] = {"register": rule.name, "value": now.text}
    if before is None:
        if rule.when == "changes" and now.text:
            yield f"{rule.subject}_seen", facts
        return
    if not _fires(rule, before.text, now.text):
        return
    facts |= {"value_before": before.text, "since_ms": before.time_ns // 1_000_000}
    if rule.kind != "lot_changed":
        yield rule.kind, facts
        return
    if before.text:
        yield "lot_ended", facts
    if now.text:
        yield "lot_started", facts


def _fires(rule: EventRule, before: str, now: str) -> bool:
    match rule.when:
        case "changes":
            return before != now
        case "goes_back":
            return float(now) < float(before)
        case "rises":
            bit = rule.bit or 0
            return bool(int(now) >> bit & ~(int(before) >> bit) & 1)


def _text(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value).strip()
