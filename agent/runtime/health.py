"""How the agent itself fares: its own row in the database, and the uplinks on the page."""

import asyncio
import logging
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from agent.delivery.entry import SpoolError, SpoolStats
from agent.delivery.outbox import Outbox
from agent.delivery.publisher import Publisher
from agent.delivery.spool import Spool
from agent.model.board import Board, UplinkView
from agent.runtime.gauges import Gauges
from agent.runtime.line import Line
from agent.runtime.spool_watch import SpoolWatch
from agent.wire.point import Point
from collectors.record import Event
from collectors.sample import StationId, Value

log = logging.getLogger(__name__)

VERSION = version("lini")
_LOOK_S = 1.0
_STORE_EVERY = 10  # looks between two rows


class Health:
    """Looks after the agent: has its spool watched, and tells how it fares."""

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
        watch: SpoolWatch,
    ) -> None:
        self._line = line
        self._outbox = outbox
        self._spool = spool
        self._publishers = publishers
        self._board = board
        self._gauges = gauges
        self._station = station  # the agent itself
        self._clock = clock
        self._watch = watch
        self._disputed: set[str] = set()  # uplinks
        self._started = time.monotonic()

    async def run(self) -> None:
        """Look every second, for ever."""
        look = 0
        while True:
            await self._watch.look()
            self._tell_disputes()
            with suppress(SpoolError):  # of which the watch tells
                stats = {name: await self._spool.stats(name) for name in self._publishers}
                self._board.uplinks = [self._view(name, each) for name, each in stats.items()]
                if look % _STORE_EVERY == 0:
                    rows = self._gauges.rows(self._clock())
                    self._outbox.add([self._point(list(stats.values())), *rows])
            look += 1
            await asyncio.sleep(_LOOK_S)

    def _tell_disputes(self) -> None:
        """Tell when an uplink's name is used by a second agent too: once, and not for its end."""
        disputed = {name for name, each in self._publishers.items() if each.status.disputed}
        for name in sorted(disputed - self._disputed):
            values: dict[str, Value] = {"reason": "two_agents_of_one_name", "detail": name}
            log.error("%s: another agent uses the name of this one", name)
            event = Event(
                station=self._station, kind="name_disputed", time_ns=self._clock(), values=values
            )
            self._line.happened(event)
        self._disputed = disputed

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


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)
