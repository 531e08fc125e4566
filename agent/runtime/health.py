"""How the agent itself fares: its own row in the database, the uplinks on the page, full disks."""

import asyncio
import logging
import resource
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from agent.delivery.entry import Dropped, Salvage, SpoolError, SpoolStats
from agent.delivery.outbox import Outbox
from agent.delivery.publisher import Publisher
from agent.delivery.spool import Spool
from agent.model.board import Board, UplinkView
from agent.runtime.gauges import Gauges
from agent.runtime.line import Line
from agent.wire.point import Point
from collectors.record import Event
from collectors.sample import StationId, Value

log = logging.getLogger(__name__)

VERSION = version("lini")
_LOOK_S = 1.0
_STORE_EVERY = 10  # looks between two rows


class Health:
    """Looks after the agent: tells how it fares, and keeps its spool within bounds."""

    def __init__(
        self,
        line: Line,
        outbox: Outbox,
        spool: Spool,
        publishers: Mapping[str, Publisher],
        board: Board,
        *,
        gauges: Gauges,
        station: StationId,
        clock: Callable[[], int],
    ) -> None:
        self._line = line
        self._outbox = outbox
        self._spool = spool
        self._publishers = publishers
        self._board = board
        self._gauges = gauges
        self._station = station  # the agent, as the station that its own events come from
        self._clock = clock
        self._started = time.monotonic()

    async def run(self, *, max_bytes: int) -> None:
        """Look every second, for ever."""
        if self._spool.salvage is not None:
            self._tell_salvage(self._spool.salvage)
        look = 0
        while True:
            try:
                stats = {name: await self._spool.stats(name) for name in self._publishers}
                for name in self._publishers:
                    if dropped := await self._spool.trim(name, max_bytes):
                        self._tell_gap(dropped)
            except SpoolError as error:
                log.warning("the spool cannot be looked at: %s", error)
            else:
                self._board.uplinks = [self._view(name, each) for name, each in stats.items()]
                if look % _STORE_EVERY == 0:
                    rows = self._gauges.rows(self._clock())
                    self._outbox.add([self._point(list(stats.values())), *rows])
            look += 1
            await asyncio.sleep(_LOOK_S)

    def _view(self, name: str, stats: SpoolStats) -> UplinkView:
        return UplinkView(
            name=name,
            connected=self._publishers[name].status.connected,
            queue=stats.messages,
            oldest_s=self._age_s(stats),
        )

    def _age_s(self, stats: SpoolStats) -> float | None:
        if stats.oldest_at_ns is None:
            return None
        return round(max(0, self._clock() - stats.oldest_at_ns) / 1e9, 1)

    def _point(self, stats: list[SpoolStats]) -> Point:
        ages = [self._age_s(each) or 0.0 for each in stats]
        return Point(
            measurement="agent",
            tags={"site": self._station.site, "agent": self._station.station},
            fields={
                "version": VERSION,
                "uptime_s": round(time.monotonic() - self._started, 1),
                "samples": self._line.samples,
                "records": self._line.records,
                "records_lost": self._line.records_lost,
                "queue_messages": sum(each.messages for each in stats),
                "queue_bytes": sum(each.bytes for each in stats),
                "queue_age_s": max(ages, default=0.0),
                "rss_mb": _rss_mb(),
            },
            time_ns=self._clock(),
        )

    def _tell_gap(self, dropped: Dropped) -> None:
        self._tell(
            "gap",
            from_seq=dropped.first_seq,
            to_seq=dropped.last_seq,
            count=dropped.lines,
            reason="spool_full",
            detail=dropped.uplink,
        )

    def _tell_salvage(self, salvage: Salvage) -> None:
        self._tell(
            "spool_salvaged",
            count=salvage.lost if salvage.lost is not None else -1,
            reason="damaged_file",
            detail=salvage.file.name,
        )

    def _tell(self, kind: str, **values: Value) -> None:
        log.warning("%s: %s", kind, values)
        now_ns = self._clock()
        self._line.happened(Event(station=self._station, kind=kind, time_ns=now_ns, values=values))


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)
