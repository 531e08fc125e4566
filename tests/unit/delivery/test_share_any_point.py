"""Whatever points come: nothing leaves that a share policy does not name."""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.delivery.outbox import all_of
from agent.delivery.share import EVENTS, SerialMode, Share
from agent.wire import line
from agent.wire.point import Field, Point
from agent.wire.schema import TAGS, Schema
from tests.unit.delivery.share_policies import (
    AGENT,
    PROFILES,
    RIVAL,
    SCHEMA,
    UPLINK,
    left,
    point,
    share,
)

RECORDS = ("weld", "cell", "formation_step")
POLLED = ("telemetry", "formation_curve")
POLLED_NAMES = {name for each in POLLED for name in SCHEMA.fields[each]}
# Without the words that any event may hold.
REGISTERS = POLLED_NAMES - {*SCHEMA.fields["event"], *TAGS["event"], *TAGS}
KINDS = [*sorted(EVENTS), *["duplicate_serial"] * 5]
CANARY, NUMBER = "CANARY", 7_775_557_775_557  # stand in whatever must not leave


@dataclass(frozen=True, slots=True)
class Site:
    """A random policy, and random points that hold canaries in all that it does not name."""

    chance: random.Random
    serial: SerialMode
    stations: Sequence[str]
    fields: Mapping[str, Sequence[str]]

    @classmethod
    def drawn(cls, chance: random.Random) -> "Site":
        serial: SerialMode = chance.choice(["plain", "hashed", "none"])
        never = {"serial", "good"} | (set() if serial == "plain" else {"note", "by"})
        stations = chance.sample([*PROFILES, AGENT], k=chance.randint(1, 4))
        kinds = [each for each in TAGS if "agent" not in TAGS[each] or AGENT in stations]
        drawn = {}
        for kind in sorted({"event", *chance.sample(kinds, k=chance.randint(1, 6))}):
            known = sorted(set(SCHEMA.fields[kind]) - never - _foreign(kind, stations))
            drawn[kind] = chance.sample(known, k=chance.randint(1, len(known)))
        return cls(chance, serial, stations, drawn)

    @property
    def share(self) -> Share:
        return share(self.fields, stations=self.stations, serial=self.serial)

    def point(self) -> Point:
        kind = self.chance.choice([*TAGS, *["event"] * 10])  # has the most ways to tell of others
        place = self.chance.choice([AGENT] if "agent" in TAGS[kind] else list(PROFILES))
        types = SCHEMA.fields[kind]
        names = self.chance.sample(sorted(types), k=self.chance.randint(1, len(types)))
        tags = {"kind": self.chance.choice([*RECORDS] if kind == "ledger" else KINDS)}
        bare = {name: self._value(kind, name) for name in names}
        sent = point(kind, bare, station=place)
        tags = {tag: tags[tag] for tag in sent.tags.keys() & tags.keys()}
        fields = self._of_event(tags["kind"], bare) if kind == "event" else self._earlier(bare)
        return point(kind, fields, station=place, **tags)

    def _value(self, kind: str, name: str) -> Field:
        is_hidden = name not in self.fields.get(kind, ())
        match SCHEMA.fields[kind][name]:
            case "int":
                return NUMBER if is_hidden or name in {"bad", "good"} else 1
            case "float":
                return float(NUMBER) if is_hidden else 1.5
        if name == "quality":
            faults = self.chance.sample(sorted(SCHEMA.fields[kind]), k=2)
            return self.chance.choice(["*:comm", " ".join(f"{each}:comm" for each in faults)])
        may_tell = self.serial == "plain" if name == "serial" else not is_hidden
        return "told" if may_tell else CANARY

    def _earlier(self, fields: Mapping[str, Field]) -> Mapping[str, Field]:
        """Have the earlier measurement made by any station."""
        station = self.chance.choice(list(PROFILES))
        told = dict(fields)
        for name in fields:
            if name.startswith("k_from_") and station not in self.stations:
                told[name] = NUMBER if SCHEMA.fields["cell"][name] == "int" else float(NUMBER)
        return told | ({"k_from_station": station} if "k_from_station" in fields else {})

    def _of_event(self, kind: str, fields: Mapping[str, Field]) -> Mapping[str, Field]:
        """Have the event tell of anything, hidden or not."""
        registers = sorted(SCHEMA.fields["telemetry"])
        words: dict[str, Sequence[str]] = {
            "detail": self.chance.choice([[*TAGS], registers, [UPLINK, RIVAL]]),
            "register": registers,
        }
        if kind == "duplicate_serial":
            words["value_before"] = list(PROFILES)
        told = {
            name: self.chance.choice(words[name]) if name in words else value
            for name, value in fields.items()
        }
        for name in {"value", "value_before"} & told.keys() - words.keys():
            if "register" not in told or kind == "duplicate_serial":
                told[name] = "told" if self.serial == "plain" else CANARY
        return told


def _foreign(kind: str, stations: Sequence[str]) -> set[str]:
    """Return the fields of a kind that only other stations have."""
    own = Schema.of(PROFILES[name] for name in stations if name in PROFILES)
    return set(SCHEMA.fields[kind]) - set(own.fields[kind])


def leaks(site: Site, text: str) -> Iterator[str]:
    """Yield what a line tells that its policy does not name; it reads words, and knows no rules."""
    measurement, *words = re.split(r"[^\w.-]+", text)
    if measurement not in site.fields:
        yield measurement
    yield from {CANARY, str(NUMBER), f"{NUMBER}i", f"{NUMBER}.0", RIVAL} & {*words}
    if site.serial == "none":
        yield from {each for each in words if re.fullmatch("[0-9a-f]{32}", each)}
    yield from ({*PROFILES} - {*site.stations}) & {*words}
    keys = {*re.findall(r'[ ,](\w+)=(?="|-?\d)', text[text.index(" ") :])}
    named = {*site.fields.get(measurement, ())} | ({"serial"} if site.serial != "none" else set())
    yield from keys - named
    if measurement in {"event", "ledger"}:
        yield from (TAGS.keys() - site.fields.keys() - POLLED_NAMES) & {*words}
    if measurement == "event":
        shared = {name for each in POLLED for name in site.fields.get(each, ())}
        yield from (REGISTERS - shared) & {*words}
    for quality in re.findall(r'quality="([^"]*)"', text):
        yield from {each.partition(":")[0] for each in quality.split()} - named - {"*"}


def passed(site: Site, select: Callable[[Sequence[str]], Sequence[str]]) -> list[str]:
    return [*select([line.encode(site.point()) for _ in range(20)])]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_nothing_leaves_that_the_policy_does_not_name(seed: int) -> None:
    site = Site.drawn(random.Random(seed))
    for text in passed(site, site.share.select):
        assert [*leaks(site, text)] == [], text


def test_control_without_the_filter_nearly_every_line_leaks() -> None:
    """The oracle sees each way to leak: rows, stations, fields, numbers, texts, names, rivals."""
    found: list[str] = []
    for seed in range(50):
        site = Site.drawn(random.Random(seed))
        found += [leak for text in passed(site, all_of) for leak in leaks(site, text)]
    assert {CANARY, RIVAL, "welder-2", "weld", "ocv", "lot"} <= {*found}
    assert any(str(NUMBER) in each for each in found)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_all_that_the_policy_names_leaves(seed: int) -> None:
    """Of a row that tells of nothing else: the filter does not just hold everything back."""
    site = Site.drawn(random.Random(seed))
    kept = {"bad", "quality", "k_rest_h"}
    for sent in (site.point() for _ in range(20)):
        place = sent.tags.get("station", AGENT)
        if sent.measurement in {"event", "ledger"} or place not in site.stations:
            continue
        named = {*site.fields.get(sent.measurement, ())} - kept
        told = {name: value for name, value in sent.fields.items() if name in named}
        told = {name: value for name, value in told.items() if not name.startswith("k_from_")}
        came = left(site.share, sent) or {}
        assert told.items() <= came.items()
