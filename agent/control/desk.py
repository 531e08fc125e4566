"""Answers requests: the same for a running agent and for a command that finds none."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.control.requests import (
    Enter,
    Entry,
    ListOrphans,
    OfSpool,
    Place,
    Request,
    Resolve,
    Trace,
    TraceInterval,
    TraceLot,
)
from agent.genealogy.entries import Placements
from agent.genealogy.life import Answer, Queue
from agent.genealogy.store import Genealogy
from collectors.errors import LiniError


class AskTheAgentError(LiniError):
    """Only a running agent can do this: start it."""


async def _nothing() -> None:
    pass


async def _no_spool(_: OfSpool) -> object:
    raise AskTheAgentError("no agent runs that has a spool", "look at its file: `lini spool`")


async def _no_agent(request: Entry) -> None:
    what = request.kind if isinstance(request, Enter) else "a pull test"
    raise AskTheAgentError(
        f"no agent runs that could store {what}", "start it with `lini run`, then enter it again"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How many records or events were written."""

    count: int


class Desk:
    """Has the genealogy answer. Before it looks it lets `catch_up` bring in what still waits."""

    def __init__(
        self,
        genealogy: Genealogy,
        *,
        catch_up: Callable[[], Awaitable[None]] = _nothing,
        enter: Callable[[Entry], Awaitable[None]] = _no_agent,
        spool: Callable[[OfSpool], Awaitable[object]] = _no_spool,
    ) -> None:
        self._genealogy = genealogy
        self._catch_up = catch_up
        self._enter = enter
        self._spool = spool

    async def answer(self, request: Request) -> object:
        """Return the answer to a request. Raises LiniError when there is none."""
        if isinstance(request, Entry):
            await self._enter(request)
            return Done(count=1)
        if isinstance(request, OfSpool):
            return await self._spool(request)
        await self._catch_up()
        if isinstance(request, Place | Resolve):
            return await self._write(request)
        return await self._read(request)

    async def _write(self, request: Place | Resolve) -> Placements | Done:
        if isinstance(request, Place):
            return await self._genealogy.place(request.rows, who=request.by)
        count = await self._genealogy.resolve(
            station=request.station,
            kind=request.kind,
            epoch=request.epoch,
            first=request.first,
            last=request.last,
            serial=request.serial,
            position=request.position,
            who=request.by,
            reason=request.reason,
        )
        return Done(count=count)

    async def _read(
        self, request: Trace | TraceLot | TraceInterval | ListOrphans
    ) -> Answer | Queue:
        match request:
            case Trace():
                return await self._genealogy.trace(request.serial)
            case TraceLot():
                return await self._genealogy.trace_lot(request.lot)
            case TraceInterval():
                span = (request.from_ns, request.to_ns)
                return await self._genealogy.trace_interval(request.station, *span)
            case ListOrphans():
                return Queue(runs=await self._genealogy.orphans())
