"""The comparison: the numbers of the ledger against those in the database, hour by hour."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.model.ledger import HOUR_NS
from agent.wire.ranges import Ranges, joined, ranges_of, size, without
from collectors.sample import StationId

_YOUNG_NS = HOUR_NS  # the ledger may be so late with what was just made


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What numbers its records in one unbroken count: a station, a kind, an epoch."""

    station: StationId
    kind: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the ledger. `numbers` is None where it does not list them, or contradicts itself."""

    source: Source
    hour_ns: int
    numbers: Ranges | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Records that the machine made and the agent never saw, as an event told at `time_ns`."""

    source: Source
    first: int
    last: int
    reason: str
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One record in the database."""

    source: Source
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Numbers of one source that share a fate. `hour_ns` is None where no hour is known."""

    source: Source
    numbers: Ranges
    hour_ns: int | None = None
    reason: str = ""


@dataclass(slots=True)
class Findings:
    """What the comparison came to. `lost` and `young` are told, but no fault of the delivery."""

    records: int = 0  # in the ledger, of the hours compared
    missing: list[Finding] = field(default_factory=list)
    unknown: list[Finding] = field(default_factory=list)  # in the database, not in the ledger
    doubled: list[Finding] = field(default_factory=list)
    unlisted: list[Finding] = field(default_factory=list)  # hours whose row cannot be compared
    young: list[Finding] = field(default_factory=list)  # just made, and not in the ledger yet
    lost: list[Finding] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether each record of the ledger is in the database once, and nothing else is."""
        return not (self.missing or self.unknown or self.doubled or self.unlisted)


class Check:
    """Takes the rows of hour after hour; then `close`.

    `entries` and `losses` should reach beyond the hours compared: a number that stands in another
    hour, or was lost earlier, is not missing.
    """

    def __init__(self, entries: Iterable[Entry], losses: Sequence[Lost], *, now_ns: int) -> None:
        self.findings = Findings()
        self._losses = losses
        self._now_ns = now_ns
        self._hours: dict[int, list[Entry]] = defaultdict(list)
        self._issued: dict[Source, list[tuple[int, int]]] = defaultdict(list)
        self._newest: dict[tuple[StationId, str], tuple[int, int]] = {}
        for entry in entries:
            self._hours[entry.hour_ns].append(entry)
            if entry.numbers:
                self._issued[entry.source] += entry.numbers
                newest = (entry.source.epoch, entry.numbers[-1][1])
                key = (entry.source.station, entry.source.kind)
                self._newest[key] = max(newest, self._newest.get(key, newest))
        self._compared: dict[Source, list[tuple[int, int]]] = defaultdict(list)
        self._stored: dict[Source, list[tuple[int, int]]] = defaultdict(list)

    def hour(self, hour_ns: int, rows: Iterable[Row]) -> None:
        """Compare one hour; `rows` are all the records that the database has in it."""
        stored: dict[Source, set[int]] = defaultdict(set)
        twice: dict[Source, set[int]] = defaultdict(set)
        for row in rows:
            if row.seq in stored[row.source]:
                twice[row.source].add(row.seq)
            stored[row.source].add(row.seq)
        issued: dict[Source, list[tuple[int, int]]] = defaultdict(list)
        unlisted = set[Source]()
        for entry in self._hours.get(hour_ns, ()):
            if entry.numbers is None:
                unlisted.add(entry.source)
            else:
                issued[entry.source] += entry.numbers
        found = self.findings
        for source in sorted({*stored, *issued} - unlisted, key=_order):
            told, there = joined(issued[source]), ranges_of(stored[source])
            found.records += size(told)
            _add(found.missing, source, without(told, there), hour_ns)
            unknown = without(there, told)
            is_young = self._is_young(source, unknown, hour_ns)
            _add(found.young if is_young else found.unknown, source, unknown, hour_ns)
            self._compared[source] += told
            self._stored[source] += there
        for source in sorted(twice, key=_order):
            _add(found.doubled, source, ranges_of(twice[source]), hour_ns)
        for source in sorted(unlisted, key=_order):
            found.unlisted.append(Finding(source=source, numbers=(), hour_ns=hour_ns))
            self._stored[source] += ranges_of(stored[source])

    def close(self, from_ns: int, to_ns: int) -> Findings:
        """Return all that was found, between the hours too.

        A number between two others of its source is in the ledger, or was told as lost, or a row
        of the ledger itself is missing.
        """
        seen = {each: joined(self._compared[each]) for each in sorted(self._compared, key=_order)}
        for source, numbers in seen.items():
            losses = [(each.first, each.last) for each in self._losses if each.source == source]
            known = joined([*self._issued[source], *self._stored[source], *losses])
            if numbers:
                span = ((numbers[0][0], numbers[-1][1]),)
                _add(self.findings.missing, source, without(span, known), None)
        for each in self._losses:
            among = seen.get(each.source)
            is_among = among and among[0][0] <= each.last and each.first <= among[-1][1]
            if is_among or from_ns <= each.time_ns < to_ns:
                lost = Finding(
                    source=each.source, numbers=((each.first, each.last),), reason=each.reason
                )
                self.findings.lost.append(lost)
        return self.findings

    def _is_young(self, source: Source, unknown: Ranges, hour_ns: int) -> bool:
        """Whether numbers may be in the database before the ledger: the newest, just made."""
        newest = self._newest.get((source.station, source.kind), (0, 0))
        is_recent = self._now_ns - hour_ns < HOUR_NS + _YOUNG_NS
        return bool(unknown) and is_recent and (source.epoch, unknown[0][0]) > newest


def _add(findings: list[Finding], source: Source, numbers: Ranges, hour_ns: int | None) -> None:
    if numbers:
        findings.append(Finding(source=source, numbers=numbers, hour_ns=hour_ns))


def _order(source: Source) -> tuple[str, str, int]:
    return str(source.station), source.kind, source.epoch
