"""What each kind of record is given from the memory of earlier parts, before it is stored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from agent.parts.store import Known, Parts, PartStore
from collectors import formation, sorting
from collectors.cycle_summary import Summary, summary
from collectors.formation import Cycles, Run, StepRecord
from collectors.record import Event, Record, Result, TimeSource
from collectors.record_source import RecordSource
from collectors.sample import Value
from collectors.sorting import K, Measured, Repeats

CYCLE = "formation_cycle"
_EARLIER_CELLS = 20  # of one serial: more than anyone measures a cell
_STAMPED = "time_ns"


@dataclass(frozen=True, slots=True)
class Derived:
    """Records as they are to be stored, summaries of what ended with them, and events."""

    records: tuple[Record, ...]
    summaries: tuple[Record, ...] = ()
    events: tuple[Event, ...] = ()


async def derive(store: PartStore, source: RecordSource, records: Sequence[Record]) -> Derived:
    """Return `records` with what earlier parts tell of them; the same again gives the same.

    Raises PartsError.
    """
    if not records or not (source.k_value or source.repeats or source.cycles):
        return Derived(tuple(records))
    return await store.using(lambda parts: _derived(parts, source, records))


def _derived(parts: Parts, source: RecordSource, records: Sequence[Record]) -> Derived:
    told: list[Record] = []
    summaries: list[Record] = []
    events: list[Event] = []
    for record in records:
        if source.cycles:
            told.append(record)
            summaries += _cycles(parts, source.cycles, record)
        elif record.result is Result.TEST:
            told.append(record)  # it counts for nothing
        elif record.serial:
            cell, event = _cell(parts, source, record, record.serial)
            told.append(cell)
            events += [event] if event else []
        else:
            told.append(_with_k(source, record, sorting.NOT_SCANNED))
    return Derived(tuple(told), tuple(summaries), tuple(events))


def underived(source: RecordSource, records: Sequence[Record]) -> Derived:
    """Return `records` as they are stored while the memory of earlier parts fails."""
    return Derived(tuple(_with_k(source, each, sorting.NO_MEMORY) for each in records))


# -- sorting ---------------------------------------------------------------------------------


def _cell(
    parts: Parts, source: RecordSource, record: Record, serial: str
) -> tuple[Record, Event | None]:
    rule = source.k_value
    good = {
        name: float(value)
        for name in ((rule.ocv, rule.temperature) if rule else ())
        if name not in record.faults and isinstance(value := record.values.get(name), int | float)
    }
    facts = {
        _STAMPED: record.time_ns,
        "station": str(record.station),
        "time_source": record.time_source,
        "result": record.result,
        "code": record.code,
        "values": good,
    }
    facts |= {"epoch": record.epoch, "seq": record.seq}
    known = parts.keep(record, serial, facts, stamped=_STAMPED)
    before = islice(parts.before(record.kind, serial, known.number), _EARLIER_CELLS)
    earlier = [_measured(each) for each in before]
    now = _measured(known)
    event = _repeated(source.repeats, record, earlier, now) if source.repeats else None
    if rule is None:
        return record, event
    unit = next(each.unit for each in source.registers if each.name == rule.ocv)
    return _with_k(source, record, sorting.k_value(rule, unit, earlier, now)), event


def _measured(known: Known) -> Measured:
    facts = known.facts
    return Measured(
        station=facts["station"],
        epoch=facts["epoch"],
        seq=facts["seq"],
        time_ns=facts[_STAMPED],
        time_source=TimeSource(facts["time_source"]),
        heard_ns=known.heard_ns,
        result=Result(facts["result"]),
        code=facts["code"],
        values=facts["values"],
    )


def _with_k(source: RecordSource, record: Record, k: K) -> Record:
    """Return the cell's record with its K value, and beside it what that comes from."""
    rule = source.k_value
    if rule is None or record.result is Result.TEST:
        return record
    values: dict[str, Value] = dict(record.values)
    faults = dict(record.faults)
    if isinstance(k.value, float):
        values[rule.name] = k.value
    else:
        faults[rule.name] = k.value
    if k.earlier is not None and k.rest_h is not None:
        values["k_rest_h"] = round(k.rest_h, 3)
        values["k_from_ms"] = k.earlier.time_ns // 1_000_000
        values["k_from_station"] = k.earlier.station
        for field, name in (("k_from_ocv", rule.ocv), ("k_from_temperature", rule.temperature)):
            if name in k.earlier.values:
                values[field] = k.earlier.values[name]
    return replace(record, values=values, faults=faults)


def _repeated(
    rule: Repeats, record: Record, earlier: Sequence[Measured], now: Measured
) -> Event | None:
    last = sorting.duplicate(rule, earlier, now)
    if last is None:
        return None
    return Event(
        station=record.station,
        kind="duplicate_serial",
        time_ns=record.time_ns,
        values={
            "value": record.serial or "",
            "epoch": record.epoch,
            "to_seq": record.seq,
            "from_seq": last.seq,
            "value_before": last.station,
            "since_ms": last.time_ns // 1_000_000,
            "detail": record.kind,
        },
    )


# -- formation -------------------------------------------------------------------------------


def _cycles(parts: Parts, rule: Cycles, record: Record) -> Iterator[Record]:
    """Yield the summaries of the cycles that end with `record`."""
    step = _step(rule, record)
    channel = f"{record.station}/{record.tags.get(rule.channel, '')}"
    known = parts.keep(record, channel, step.facts(), stamped=_STAMPED)
    earlier = (_restored(each) for each in parts.before(record.kind, channel, known.number))
    for run in formation.ended(rule, chain([step], earlier)):
        is_gapless = rule.part is not None or _is_gapless(parts, record, run)
        yield _summed(record, rule, summary(rule, run, is_gapless=is_gapless))


def _is_gapless(parts: Parts, record: Record, run: Run) -> bool:
    """Whether each record of the machine, of any channel, is known since the run began."""
    first, last = run.first, run.last
    if not first.epoch == last.epoch == record.epoch:
        return False
    return parts.count(record, first.seq, last.seq) == last.seq - first.seq + 1


def _step(rule: Cycles, record: Record) -> StepRecord:
    facts: dict[str, Any] = {
        name: record.tags.get(register, record.values.get(register))
        for name, register in rule.columns.items()
        if register not in record.faults
    }
    return StepRecord(
        epoch=record.epoch,
        seq=record.seq,
        time_ns=record.time_ns,
        time_source=record.time_source,
        serial=record.serial or "",
        result=record.result,
        code=record.code,
        **facts,
    )


def _restored(known: Known) -> StepRecord:
    facts = known.facts
    result, source = Result(facts["result"]), TimeSource(facts["time_source"])
    return StepRecord(**{**facts, "result": result, "time_source": source})


def _summed(record: Record, rule: Cycles, cycle: Summary) -> Record:
    last = cycle.last
    return Record(
        station=record.station,
        kind=CYCLE,
        epoch=last.epoch,
        seq=last.seq,
        time_ns=last.time_ns,
        time_source=last.time_source,
        result=cycle.result,
        code=cycle.code,
        serial=last.serial or None,
        tags={"channel": record.tags.get(rule.channel, "")},
        values=cycle.values,
        faults=cycle.faults,
    )
