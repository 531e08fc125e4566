"""Takes records and events from the spool into the genealogy.

The genealogy is one more receiver of the spool: what it is to get is stored in the same commit
as the place in the machine's ring, and leaves the spool only once the genealogy has it. So a
genealogy that is slow, full or killed at any moment misses nothing and holds nothing up, and
what it gets twice changes nothing. It is written seldom, many records at once, to spare the card.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from agent.delivery.entry import SpoolError, Stored
from agent.delivery.outbox import UplinkSpec
from agent.delivery.spool import Spool
from agent.genealogy.errors import GenealogyDownError
from agent.genealogy.facts import MEASUREMENTS
from agent.genealogy.store import Genealogy
from agent.model.ledger import ledger_point
from agent.wire import line, message
from agent.wire.point import Point
from collectors.process import Seen
from collectors.sample import StationId

log = logging.getLogger(__name__)


def _facts(lines: Sequence[str]) -> Sequence[str]:
    return [each for each in lines if each.partition(",")[0] in MEASUREMENTS]


# No uplink of a site can be called so: their names begin with a letter or digit.
RECEIVER = UplinkSpec(name="_genealogy", select=_facts)
_EVERY_S = 10.0
_AT_ONCE = 50  # messages of about 20 kB

Tell = Callable[[Sequence[Point]], Awaitable[None]]
AllSeen = Mapping[StationId, Mapping[str, Seen]]


class Keeper:
    """Keeps the genealogy up to date, and tells the ledger that follows from it.

    `seen` tells what the watched registers held last; `tell` stores points in the spool, or raises
    SpoolError.
    """

    def __init__(
        self,
        spool: Spool,
        genealogy: Genealogy,
        stations: Sequence[StationId],
        seen: Callable[[], AllSeen],
        tell: Tell,
    ) -> None:
        self._spool = spool
        self._genealogy = genealogy
        self._stations = stations
        self._seen = seen
        self._tell = tell
        self._has_maps = False
        self._written: AllSeen = {}
        self._taking = asyncio.Lock()
        self._is_down = False

    async def run(self) -> None:
        """Catch up every few seconds, for ever. What fails is told once, and tried again."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.try_to_catch_up()

    async def try_to_catch_up(self) -> None:
        """Catch up, or say in the log why not."""
        try:
            await self.catch_up()
        except (SpoolError, GenealogyDownError) as error:
            if not self._is_down:
                log.error("the genealogy is behind, nothing of it is lost: %s", error)  # noqa: TRY400 - the error says it all
            self._is_down = True
        else:
            if self._is_down:
                log.info("the genealogy has caught up")
            self._is_down = False

    async def catch_up(self) -> None:
        """Take all that waits. Raises SpoolError or GenealogyDownError, and can be called again."""
        async with self._taking:
            while waiting := await self._spool.peek(RECEIVER.name, 0, _AT_ONCE):
                await self._keep(waiting)
                numbers = (waiting[0].seq, waiting[-1].seq)
                await self._spool.commit(RECEIVER.name, self._spool.epoch, [numbers])
            if not self._has_maps:  # and not before: what waited was made by the old ones
                await self._genealogy.set_maps(self._stations)
                self._has_maps = True
            if _texts(self._seen()) != _texts(self._written):
                await self._keep(())
            # Last: a spool too full for the ledger must yet be rid of what the genealogy has.
            while due := await self._genealogy.due_hours():
                book = await self._genealogy.book()
                await self._tell([ledger_point(hour, book) for hour in due])
                await self._genealogy.told(due)

    async def _keep(self, waiting: Sequence[Stored]) -> None:
        seen = {station: dict(each) for station, each in self._seen().items()}
        points = [point for each in waiting for point in _points(each)]
        await self._genealogy.keep(points, seen)
        self._written = seen


def _points(stored: Stored) -> list[Point]:
    return [line.parse(each) for each in message.decode(stored.payload).lines]


def _texts(seen: AllSeen) -> dict[StationId, dict[str, str]]:
    return {
        station: {name: each.text for name, each in registers.items()}
        for station, registers in seen.items()
    }
