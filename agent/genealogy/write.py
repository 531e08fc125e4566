"""Writes into the genealogy, inside a transaction of the caller. What is there already is left."""

import json
import sqlite3
from collections.abc import Iterable, Mapping

from agent.genealogy.count import Count
from agent.genealogy.facts import EventFact, RecordFact
from agent.genealogy.ids import Ids
from agent.genealogy.ledger import mark_due
from agent.genealogy.links import Links, PositionMap
from collectors.process import SUBJECTS, Seen
from collectors.sample import StationId

MAP_SET = "map_set"  # event: from now on this is the position map of a station
_SUBJECTS = {**SUBJECTS, MAP_SET: "map"}
_TEST = "TEST"
_RECORD = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)"


class Writer:
    """Adds facts in the order they came. Throw it away when a transaction is rolled back."""

    def __init__(self, db: sqlite3.Connection, links: Links) -> None:
        self._db = db
        self._links = links
        self.ids = Ids(db)
        self._latest: dict[int, dict[str, int]] = {}  # station → subject → event
        self._told: dict[tuple[int, str], int | None] = {}  # source, subject → event
        self._counts: dict[int, Count] = {}

    def keep(self, facts: Iterable[RecordFact | EventFact]) -> None:
        """Add records and events; those known already change nothing."""
        for fact in facts:
            if isinstance(fact, RecordFact):
                self._keep_record(fact)
            else:
                self._keep_event(fact)

    def see(self, station: StationId, seen: Mapping[str, Seen]) -> None:
        """Remember what registers held last."""
        number = self.ids.station(station)
        self._db.executemany(
            "INSERT INTO known VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET value = excluded.value, time_ns = excluded.time_ns",
            [(number, name, each.text, each.time_ns) for name, each in seen.items()],
        )

    def set_map(self, station: StationId, positions: PositionMap, time_ns: int) -> None:
        """Let `positions` hold for the records of `station` from the next one on."""
        text = json.dumps({"cells": positions.cells}, separators=(",", ":"))
        event = self._latest_of(self.ids.station(station)).get("map")
        known = self._db.execute("SELECT facts FROM event WHERE id = ?", [event]).fetchone()
        if known is None or known[0] != text:
            self._add_event(station, MAP_SET, time_ns, None, text)

    def place(
        self, parent: int, position: str, child: int, *, time_ns: int, who: str, reason: str
    ) -> None:
        """Put `child` into `parent`: that child elsewhere, and others there, count no longer."""
        self._db.execute(
            "INSERT INTO placement (parent, position, child, time_ns, who, reason)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (parent, position, child, time_ns, who, reason),
        )

    def _keep_record(self, fact: RecordFact) -> None:
        source = self.ids.source(fact.station, fact.kind)
        key = (source, fact.epoch, fact.seq)
        part = self.ids.part(fact.serial, fact.part_kind) if fact.serial else None
        known = "SELECT 1 FROM record WHERE source = ? AND epoch = ? AND seq = ?"
        if self._db.execute(known, key).fetchone():
            return
        position = self._position(source, fact, part)
        outcome = self.ids.outcome(fact.result, fact.code, fact.tags)
        self._db.execute(_RECORD, (*key, fact.time_ns, part, position, outcome))
        mark_due(self._db, source, fact.epoch, fact.time_ns)
        in_force = dict(self._latest_of(self.ids.station(fact.station)))
        in_force |= {subject: self._told_by(fact, subject, value) for subject, value in fact.own}
        for subject, event in in_force.items():
            if self._told_of(source, subject) != event:
                values = (source, subject, fact.epoch, fact.seq, event)
                self._db.execute("INSERT INTO in_force VALUES (?, ?, ?, ?, ?)", values)
                self._told[source, subject] = event
        if part is not None and fact.parent:
            self.place(
                self.ids.part(fact.parent),
                fact.slot,
                part,
                time_ns=fact.time_ns,
                who=fact.station.station,
                reason="scan",
            )

    def _told_by(self, fact: RecordFact, subject: str, value: str) -> int:
        """Return the event that put in use what the record says was; it may come after the record.

        What the record says is exact, where an event is only as good as the moment it was seen in.
        """
        thing = self.ids.in_use(fact.station.station, subject, value)
        query = "SELECT max(id) FROM event WHERE object = ?"
        (event,) = self._db.execute(query, [thing]).fetchone()
        if event is None:
            text = json.dumps({"value": value, "detail": "told by a record"}, separators=(",", ":"))
            self._add_event(fact.station, f"{subject}_seen", fact.time_ns, thing, text)
            (event,) = self._db.execute(query, [thing]).fetchone()
        return int(event)

    def _position(self, source: int, fact: RecordFact, part: int | None) -> int | None:
        positions = self._links.maps.get(fact.station.station)
        if positions is None or positions.register is not None:
            return fact.position
        count = self._counts.get(source) or self._count(source, fact)
        self._counts[source] = count
        earlier = "SELECT 1 FROM record WHERE part = ? AND source = ? LIMIT 1"
        is_new = self._db.execute(earlier, (part, source)).fetchone() is None
        counts = fact.result != _TEST
        return count.position_of(fact.epoch, fact.seq, part, counts=counts, is_new=is_new)

    def _count(self, source: int, fact: RecordFact) -> Count:
        """Return the count of a source as its records on the disk have it."""
        newest: tuple[int, int] | None = None
        expected: tuple[int, int] | None = None
        for epoch, seq, part, position, result in self._db.execute(
            "SELECT epoch, seq, part, position, result FROM record"
            " JOIN outcome ON outcome.id = outcome"
            " WHERE source = ? ORDER BY epoch DESC, seq DESC",
            [source],
        ):
            newest = newest or (epoch, seq)
            if expected is not None and (epoch, seq) != expected:
                return Count(*newest, None, None)
            if result != _TEST:
                return Count(*newest, part, position)
            expected = (epoch, seq - 1)
        if newest is None or expected is None:
            return Count.before(fact.epoch, fact.seq)
        first = Count.before(expected[0], expected[1] + 1)  # there are only test welds so far
        return Count(*newest, first.part, None)

    def _keep_event(self, fact: EventFact) -> None:
        kind, facts = fact.kind, dict(fact.facts)
        name = str(facts.get("value_before" if kind == "lot_ended" else "value", ""))
        subject = _SUBJECTS.get(kind, "")
        thing = self.ids.in_use(fact.station.station, subject, name) if name else None
        text = json.dumps(facts, separators=(",", ":"))
        if not self._add_event(fact.station, kind, fact.time_ns, thing, text):
            return
        register, value = facts.get("register"), facts.get("value")
        if isinstance(register, str) and isinstance(value, str):
            self.see(fact.station, {register: Seen(value, fact.time_ns)})

    def _add_event(
        self, station: StationId, kind: str, time_ns: int, thing: int | None, text: str
    ) -> bool:
        """Add an event; return whether it is new."""
        number = self.ids.station(station)
        latest = self._latest_of(number)
        row = self._db.execute(
            "INSERT INTO event (station, kind, time_ns, object, facts) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING RETURNING id",
            (number, kind, time_ns, thing, text),
        ).fetchone()
        if row is not None and (subject := _SUBJECTS.get(kind)):
            latest[subject] = int(row[0])
        return row is not None

    def _latest_of(self, station: int) -> dict[str, int]:
        """Return the event that holds at a station, by subject: the one that came last."""
        if (known := self._latest.get(station)) is not None:
            return known
        found: dict[str, int] = {}
        for kind, subject in _SUBJECTS.items():
            query = "SELECT max(id) FROM event WHERE station = ? AND kind = ?"
            (event,) = self._db.execute(query, (station, kind)).fetchone()
            if event is not None:
                found[subject] = max(event, found.get(subject, 0))
        self._latest[station] = found
        return found

    def _told_of(self, source: int, subject: str) -> int | None:
        if (source, subject) not in self._told:
            row = self._db.execute(
                "SELECT event FROM in_force WHERE source = ? AND subject = ?"
                " ORDER BY epoch DESC, seq DESC LIMIT 1",
                (source, subject),
            ).fetchone()
            self._told[source, subject] = row and row[0]
        return self._told[source, subject]
