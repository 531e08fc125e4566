"""What will be asked of each machine, as text: reads, bytes, times, and what they come to."""

from collections.abc import Iterator
from itertools import groupby

from agent.runtime.plant import PlannedBus
from collectors.modbus.planning.plan import Read
from collectors.modbus.reading.device import Device
from collectors.modbus.scheduling.budget import Load

_NAMES = 3  # of what a read holds, before it becomes "and 12 more"


def plan_text(planned: PlannedBus) -> str:
    """Return the plan of one bus in lines."""
    return "\n".join(_lines(planned))


def _lines(planned: PlannedBus) -> Iterator[str]:
    budget = planned.budget
    speed = f"{budget.baud} baud" if budget.baud else "network"
    yield f"bus {budget.bus}, {speed}: {_percent(budget.share)} of its time"
    for device in planned.devices:
        loads = [load for load in budget.loads if load.station == device.station.station]
        yield from _device_lines(device, loads)
    if budget.is_tight:
        yield f"  ! {budget.words}"
        yield f"  → {budget.advice}"


def _device_lines(device: Device, loads: list[Load]) -> Iterator[str]:
    title = device.place.profile.title.en
    share = sum(load.share for load in loads)
    yield f"  {device.station.station}, id {device.place.device_id}, {title}: {_percent(share)}"
    for (group, period_s), each in groupby(loads, key=lambda load: (load.group, load.period_s)):
        yield f"    {group}, each {period_s:g} s"
        yield from (f"      {_load_line(load)}" for load in each)
    for words in device.holes.words():
        yield f"    learned: {words}"


def _load_line(load: Load) -> str:
    read = load.read
    unit = "bits" if read.table.holds_bits else "registers"
    return (
        f"{read.table:<8} {load.span:<11} {read.count:>4} {unit:<9} "
        f"{load.wire_bytes:>4} bytes {1000 * load.takes_s:>6.1f} ms {100 * load.share:>5.1f} %  "
        f"{_holds(read)}{' (twice)' if load.times == 2 else ''}"
    )


def _holds(read: Read) -> str:
    """Return the names of what a read is for; those of slots of records are in its profile."""
    names = [
        f"{item.channel}/{item.register.name}" if item.channel else item.register.name
        for item in read.items
    ]
    if not names:
        return "parts"
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
