"""Keeps the spool within its limits, and tells of all that happens to it as events."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from agent.config import AgentTable
from agent.control.requests import OfSpool, SpoolOverview, SpoolPage
from agent.delivery.entry import Draft, Dropped, Limits, Salvage, SpoolError
from agent.delivery.forecast import Forecast
from agent.delivery.outbox import Outbox
from agent.delivery.spool import Spool
from agent.delivery.view import Overview, Page, Queue, shown
from agent.model.points import event_point
from collectors.record import Event
from collectors.sample import StationId, Value

log = logging.getLogger(__name__)

_GAP_REASONS: Mapping[str, str] = {"thinned": "spool_thinned", "dropped": "spool_full"}


def limits_of(agent: AgentTable) -> Limits:
    """Return what the spool of `agent` may take of the disk."""
    return Limits(max_bytes=agent.max_spool_mb * 1_000_000, min_free=agent.min_free_mb * 1_000_000)


class SpoolWatch:
    """Looks after one spool. `happened` takes the events, `station` is the agent itself."""

    def __init__(
        self,
        spool: Spool,
        outbox: Outbox,
        limits: Limits,
        happened: Callable[[Event], None],
        *,
        station: StationId,
        clock: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._outbox = outbox
        self._limits = limits
        self._happened = happened
        self._station = station
        self._clock = clock
        self._monotonic = monotonic
        self._forecast = Forecast()
        self._salvage: Salvage | None = None
        self._error = ""
        self._failing_since_ns = 0
        self._dropped_lines = 0

    async def look(self) -> None:
        """Trim what is too much and tell what is new."""
        try:
            await self._spool.trim(self._limits, self._gap)
            room = await self._spool.room(self._limits)
        except SpoolError as error:
            self._tell_disk(error.what)
        else:
            self._tell_disk(self._outbox.status.last_error)
            self._tell_forecast(self._forecast.look(self._monotonic(), room), room)
        if self._spool.salvage is not self._salvage:
            self._salvage = self._spool.salvage
            self._tell_salvage()

    async def answer(self, request: OfSpool) -> Overview | Page:
        """Return what people ask on the control socket."""
        match request:
            case SpoolOverview():
                return await self._overview()
            case SpoolPage():
                found = await self._spool.peek(request.uplink, request.after, request.limit)
                return shown(found)

    async def _overview(self) -> Overview:
        queues = [
            Queue(uplink=name, stats=await self._spool.stats(name))
            for name in await self._spool.uplinks()
        ]
        return Overview(
            queues=tuple(queues),
            room=await self._spool.room(self._limits),
            full_in_h=self._forecast.full_in_h,
            disk_error=self._error,
        )

    def _gap(self, dropped: Dropped) -> list[Draft]:
        """Return the messages that tell of a gap: they are stored with what makes it."""
        values: dict[str, Value] = {
            "from_seq": dropped.first_seq,
            "to_seq": dropped.last_seq,
            "count": dropped.lines,
            "reason": _GAP_REASONS[dropped.how],
            "detail": dropped.uplink,
            "note": _span(dropped.since_ns, dropped.until_ns),
        }
        log.warning("gap: %s", values)
        return self._outbox.drafts(event_point(self._event("gap", values)))

    def _tell_disk(self, error: str) -> None:
        now_ns = self._clock()
        if error and not self._error:
            self._failing_since_ns = now_ns
            self._tell("spool_failing", reason="disk", detail=error.partition("\n")[0])
        elif self._error and not error:
            self._tell("spool_recovered", note=_span(self._failing_since_ns, now_ns))
            lost = self._outbox.status.dropped_lines - self._dropped_lines
            self._dropped_lines += lost
            if lost:
                note = _span(self._failing_since_ns, now_ns)
                self._tell("gap", count=lost, reason="memory_full", note=note)
        self._error = error

    def _tell_forecast(self, hours: int | None, room: int) -> None:
        if hours is not None:
            self._tell(
                "spool_filling",
                count=hours,
                reason=f"full_in_{hours}_h",
                detail=f"room for {max(0, room) // 1_000_000} MB",
            )

    def _tell_salvage(self) -> None:
        if self._salvage is not None:
            self._tell(
                "spool_salvaged",
                count=self._salvage.lost if self._salvage.lost is not None else -1,
                reason="damaged_file",
                detail=self._salvage.file.name,
            )

    def _tell(self, kind: str, **values: Value) -> None:
        log.warning("%s: %s", kind, values)
        self._happened(self._event(kind, values))

    def _event(self, kind: str, values: Mapping[str, Value]) -> Event:
        return Event(station=self._station, kind=kind, time_ns=self._clock(), values=values)


def _span(since_ns: int, until_ns: int) -> str:
    times = [datetime.fromtimestamp(each / 1e9, UTC) for each in (since_ns, until_ns)]
    return " to ".join(each.strftime("%Y-%m-%dT%H:%M:%SZ") for each in times)
