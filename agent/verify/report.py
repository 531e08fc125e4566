"""The outcome in words: every text of it is here."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from agent.verify.check import Finding, Findings
from agent.wire.ranges import size


def report(findings: Findings) -> Iterator[str]:
    """Yield the lines to print: what was found, range by range, and the outcome."""
    yield from _lines("missing", findings.missing)
    yield from _lines("not in the ledger", findings.unknown)
    yield from _lines("doubled", findings.doubled)
    yield from _lines("ledger unreadable", findings.unlisted)
    yield from _lines("lost at the machine, as reported", findings.lost)
    yield from _lines("not in the ledger yet", findings.young)
    yield outcome(findings)


def outcome(findings: Findings) -> str:
    """Return the verdict in one line."""
    lost = f"; {_count(findings.lost)} lost at the machine, as reported" if findings.lost else ""
    if findings.is_complete:
        return f"complete: {findings.records} records of the ledger, each is there once{lost}"
    faults = [
        f"{_count(findings.missing)} missing",
        f"{_count(findings.unknown)} not in the ledger",
        f"{_count(findings.doubled)} doubled",
    ]
    if findings.unlisted:
        faults.append(f"{len(findings.unlisted)} hours cannot be compared")
    return f"NOT complete: of {findings.records} records {', '.join(faults)}{lost}"


def time_text(time_ns: int) -> str:
    """Return a time as ISO 8601, in UTC."""
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%dT%H:%MZ}"


def _lines(what: str, findings: Sequence[Finding]) -> Iterator[str]:
    for each in findings:
        source = each.source
        where = f"{source.station} {source.kind} epoch {source.epoch}"
        when = f" hour {time_text(each.hour_ns)}" if each.hour_ns is not None else ""
        why = f" ({each.reason})" if each.reason else ""
        yield f"{what}: {where}{when}{_numbers(each)}{why}"


def _numbers(finding: Finding) -> str:
    spans = (f"{low}-{high}" if low < high else f"{low}" for low, high in finding.numbers)
    return f" no. {', '.join(spans)}" if finding.numbers else ""


def _count(findings: Sequence[Finding]) -> int:
    return sum(size(each.numbers) for each in findings)
