"""What must be true of a disk, given the truth of the machine."""

from collections import defaultdict

from collectors.record import Event, Record
from collectors.record_source import Shape
from tests.unit.collectors.record_agent import Disk
from tests.unit.collectors.record_machine import Machine, Part


def check(machine: Machine, disk: Disk) -> None:
    """At any moment: each record is one part, whole, once; nothing between them is silent."""
    parts = {part.id: part for part in machine.made}
    records = disk.records
    stored: dict[int, dict[int, Part]] = defaultdict(dict)
    for record in records:
        assert record.values["a"] == record.values["b"], f"mixed: {record}"
        part = parts[int(record.values["a"])]
        assert record.seq not in stored[record.epoch], f"twice: {record}"
        stored[record.epoch][record.seq] = part
    ids = [part.id for epoch in stored.values() for part in epoch.values()]
    assert len(ids) == len(set(ids)), "one part under two numbers"
    if not machine.variant.is_exact:
        _doubt_is_told(machine, disk)
        return
    for number, epoch in stored.items():
        assert len({part.epoch for part in epoch.values()}) == 1, f"epoch {number} is mixed"
        offsets = {part.number - seq for seq, part in epoch.items()}
        assert len(offsets) == 1, f"wrong numbers in epoch {number}"
    _nothing_is_silent(machine, disk, stored)


def check_all_seen(machine: Machine, disk: Disk) -> None:
    """After an undisturbed look: what the machine shows is stored, the rest is told."""
    check(machine, disk)
    if disk.cursor.seq is None:
        return
    stored = {int(record.values["a"]) for record in disk.records}
    # A ring is taken whole at the first look. Of a bit, and of a counter at 0, only what comes
    # after it is surely a part.
    is_taken = machine.variant.shape is not Shape.SIGNAL and stored and min(stored) <= disk.baseline
    since = min(stored) if is_taken else disk.baseline
    missing = [part for part in machine.shown() if part.id > since and part.id not in stored]
    assert not missing, f"still there, but not stored: {missing}"
    if machine.variant.is_numbered and machine.made and machine.made[-1].epoch == machine.epoch:
        newest = machine.source.number_of(machine.made[-1].number)
        assert machine.source.number_of(disk.cursor.seq) == newest


def _nothing_is_silent(machine: Machine, disk: Disk, stored: dict[int, dict[int, Part]]) -> None:
    covered = {epoch: set(seqs) for epoch, seqs in stored.items()}
    for event in disk.lost:
        first, last, epoch, count = (
            int(event.values[key]) for key in ("from_seq", "to_seq", "epoch", "count")
        )
        assert 0 < last - first + 1 == count < 10_000, event
        told = set(range(first, last + 1))
        assert not told & covered.setdefault(epoch, set()), f"lost, but known: {event}"
        covered[epoch] |= told
    for epoch, seqs in covered.items():
        assert len(seqs) == max(seqs) - min(seqs) + 1, f"silent gap in epoch {epoch}: {seqs}"
        assert epoch == min(covered) or min(seqs) == 1, f"epoch {epoch} begins with {min(seqs)}"
        if parts := stored.get(epoch):
            seq, part = next(iter(parts.items()))
            made = max(each.number for each in machine.made if each.epoch == part.epoch)
            assert max(seqs) <= made - part.number + seq, "lost, but never made"


def _doubt_is_told(machine: Machine, disk: Disk) -> None:
    """Where parts are missing between two that are stored, something was said between them."""
    place = {part.id: place for place, part in enumerate(machine.made)}
    known = sum(part.id <= disk.baseline for part in machine.made)
    last: int | None = None
    is_told = False
    for each in disk.log:
        if isinstance(each, Record):
            here = place[int(each.values["a"])]
            assert last is None or here > last, "out of order"
            before = last if last is not None else min(here, known) - 1
            silent = [
                part for part in machine.made[before + 1 : here] if not _is_wiped(machine, part)
            ]
            assert is_told or not silent, f"silent: {silent}"
            last, is_told = here, False
        else:
            is_told = is_told or _is_doubt(each)


def _is_wiped(machine: Machine, part: Part) -> bool:
    """Whether a reset took a part that nobody can know of: one waited for, one in a queue."""
    is_unseen = machine.variant.waits or machine.variant.shape is Shape.FIFO
    return is_unseen and any(each.epoch > part.epoch for each in machine.made)


def _is_doubt(event: Event) -> bool:
    return event.kind in {"records_maybe_lost", "epoch_started"}
