"""The outbox: gathers points into messages and hands them to the spool.

Telemetry waits for company, so that a card is not worn out by small commits: a flush interval, or
until there is enough for a message. Evidence is committed at once, together with the cursor of
its source, and the source goes on only when that commit has returned.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from agent.delivery.entry import Draft, Kind, SpoolError
from agent.wire import line
from agent.wire.encoder import Encoder
from agent.wire.message import MAX_BYTES
from agent.wire.point import Point
from agent.wire.schema import Schema
from collectors.record import Cursor

_log = logging.getLogger(__name__)

_HEADER_ROOM = 300  # bytes; the longest header has 273
_MEMORY_BYTES = 8_000_000


class Store(Protocol):
    """The part of a spool that an outbox needs."""

    async def append(self, drafts: Sequence[Draft], cursors: Mapping[str, Cursor]) -> None:
        """Store all of it durably, or raise SpoolError and store nothing."""


def all_of(lines: Sequence[str]) -> Sequence[str]:
    """Hold nothing back: what a receiver gets that is not told otherwise."""
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkSpec:
    """One receiver of messages; `pack` compresses them. `select` makes what it gets of all lines."""

    name: str
    pack: bool = False
    select: Callable[[Sequence[str]], Sequence[str]] = all_of


@dataclass(slots=True)
class OutboxStatus:
    """Counts since the start, for the health page. `last_error` is empty when all is well."""

    bad_points: int = 0
    dropped_lines: int = 0  # telemetry for which there was neither disk nor memory
    failed_commits: int = 0
    last_error: str = ""


@dataclass(slots=True)
class _Evidence:
    lines: list[str]
    cursor: tuple[str, Cursor] | None
    safe: asyncio.Future[None]


@dataclass(slots=True)
class _Telemetry:
    lines: deque[tuple[str, int]] = field(default_factory=deque)  # with their size in bytes
    bytes: int = 0

    def add(self, text: str, size: int) -> None:
        self.lines.append((text, size))
        self.bytes += size

    def drop_oldest(self, limit: int) -> int:
        """Shrink to `limit` bytes and return how many lines that cost."""
        dropped = 0
        while self.bytes > limit:
            self.bytes -= self.lines.popleft()[1]
            dropped += 1
        return dropped


class Outbox:
    """Between the line model and the spool. Needs `run` in a task, and `close` after it.

    While the disk fails, telemetry waits in memory (`memory_bytes`, the oldest goes first) and
    evidence keeps its callers waiting; both are tried again every `flush_s` seconds.
    """

    def __init__(
        self,
        store: Store,
        uplinks: Sequence[UplinkSpec],
        schema: Schema,
        *,
        agent: str,
        config_hash: str,
        flush_s: float = 1.0,
        target_bytes: int = 20_000,
        memory_bytes: int = _MEMORY_BYTES,
    ) -> None:
        self.status = OutboxStatus()
        self._store = store
        self._uplinks = uplinks
        self._schema = schema
        self._encoder = Encoder(schema)
        self._agent = agent
        self._config = config_hash
        self._flush_s = flush_s
        self._target = min(target_bytes, MAX_BYTES - _HEADER_ROOM)
        self._memory = memory_bytes
        self._telemetry = _Telemetry()
        self._evidence: list[_Evidence] = []
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()
        self._stored = {uplink.name: asyncio.Event() for uplink in uplinks}
        self._told: set[str] = set()
        self._closed = False

    def stored(self, uplink: str) -> asyncio.Event:
        """Return the event that is set whenever something new for `uplink` is in the spool."""
        return self._stored[uplink]

    def add(self, points: Iterable[Point]) -> None:
        """Take telemetry; it is safe within the flush interval."""
        for text, size in self._encoded(points):
            self._telemetry.add(text, size)
        self.status.dropped_lines += self._telemetry.drop_oldest(self._memory)
        if self._telemetry.bytes >= self._target:
            self._due.set()

    async def add_evidence(
        self, points: Iterable[Point], cursor: tuple[str, Cursor] | None = None
    ) -> None:
        """Take records or events; return when they and `cursor` are durable, in one commit.

        Raises SpoolError when the outbox is closed before that.
        """
        if self._closed:
            raise SpoolError("the agent is stopping", "the source is read again after the start")
        lines = [text for text, _ in self._encoded(points)]
        safe: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._evidence.append(_Evidence(lines, cursor, safe))
        self._due.set()
        await safe

    async def store(self, points: Sequence[Point]) -> None:
        """Store evidence that has no hurry and no cursor at once, even after `close`.

        Raises SpoolError when the disk does not take it: the caller comes again.
        """
        lines = [text for text, _ in self._encoded(points)]
        async with self._writing:
            await self._store.append([*self._drafts("evidence", lines)], {})
        for event in self._stored.values():
            event.set()

    def drafts(self, point: Point) -> list[Draft]:
        """Return the messages that bring one point to all who want it. Any thread may call it."""
        text = line.encode(self._schema.coerce(point))
        return [*self._drafts("evidence", [text])]

    async def run(self) -> None:
        """Write what comes, until cancelled; then `close`."""
        loop = asyncio.get_running_loop()
        next_flush = loop.time() + self._flush_s
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_flush):
                    await self._due.wait()
            self._due.clear()
            flush = loop.time() >= next_flush
            if flush:
                next_flush = loop.time() + self._flush_s
            full = self._telemetry.bytes >= self._target
            # A commit under way is not to be cut off from its consequences by a cancellation.
            write = asyncio.create_task(self._write(telemetry=flush or full), name="outbox write")
            if not await asyncio.shield(write):
                await asyncio.sleep(self._flush_s)
                self._due.set()

    async def close(self) -> None:
        """Write the rest. What the disk does not take now is lost, and its callers are told."""
        self._closed = True
        if not await self._write(telemetry=True):
            self.status.dropped_lines += self._telemetry.drop_oldest(0)
            for each in self._evidence:
                if not each.safe.done():
                    each.safe.set_exception(SpoolError(self.status.last_error))

    async def _write(self, *, telemetry: bool) -> bool:
        """Commit all evidence, and `telemetry` if asked; return whether the disk took it."""
        async with self._writing:
            evidence = self._evidence
            waiting = self._telemetry if telemetry else _Telemetry()
            if not evidence and not waiting.lines:
                return True
            drafts = [
                *self._drafts("evidence", [text for each in evidence for text in each.lines]),
                *self._drafts("telemetry", [text for text, _ in waiting.lines]),
            ]
            cursors = dict(each.cursor for each in evidence if each.cursor)
            self._evidence = []
            if telemetry:
                self._telemetry = _Telemetry()
            try:
                await self._store.append(drafts, cursors)
            except SpoolError as error:
                self._take_back(evidence, waiting, error)
                return False
            self._settle(evidence)
            return True

    def _settle(self, evidence: Iterable[_Evidence]) -> None:
        for each in evidence:
            if not each.safe.done():  # its caller may have been cancelled
                each.safe.set_result(None)
        for event in self._stored.values():
            event.set()
        if self.status.last_error:
            self.status.last_error = ""
            _log.info("the spool takes messages again")

    def _take_back(
        self, evidence: list[_Evidence], telemetry: _Telemetry, error: SpoolError
    ) -> None:
        if not self.status.last_error:
            _log.error("the spool takes no messages, they wait in memory: %s", error)
        self.status.last_error = str(error)
        self.status.failed_commits += 1
        self._evidence = evidence + self._evidence
        for text, size in self._telemetry.lines:
            telemetry.add(text, size)
        self._telemetry = telemetry
        self.status.dropped_lines += telemetry.drop_oldest(self._memory)

    def _drafts(self, kind: Kind, lines: Sequence[str]) -> Iterator[Draft]:
        """Split `lines` into messages, for each uplink."""
        for uplink in self._uplinks:
            for part in gather(uplink.select(lines), self._target, MAX_BYTES - _HEADER_ROOM):
                yield Draft(
                    agent=self._agent,
                    uplink=uplink.name,
                    config=self._config,
                    kind=kind,
                    lines=part,
                    pack=uplink.pack,
                )

    def _encoded(self, points: Iterable[Point]) -> Iterator[tuple[str, int]]:
        """Yield lines and their sizes; a point that cannot be a line is counted and left out."""
        for point in points:
            try:
                text = self._encoder.encode(point)
                size = _size(text)
            except (ValueError, TypeError, OverflowError) as error:
                self._refuse(point, error)
                continue
            if size > MAX_BYTES - _HEADER_ROOM:
                self._refuse(point, ValueError(f"a line of {size} bytes fits no message"))
                continue
            yield text, size

    def _refuse(self, point: Point, error: Exception) -> None:
        self.status.bad_points += 1
        if point.measurement not in self._told:
            self._told.add(point.measurement)
            _log.error(
                "a point of %s at %s cannot be sent, this is said once: %s",
                point.measurement,
                "/".join(map(str, point.tags.values())),
                error,
            )


def gather(lines: Sequence[str], target: int, limit: int) -> Iterator[tuple[str, ...]]:
    """Yield groups of lines of about `target` bytes, and never more than `limit`, in order.

    No single line may be longer than `limit`.
    """
    group: list[str] = []
    gathered = 0
    for text in lines:
        size = _size(text)
        if group and (gathered >= target or gathered + size > limit):
            yield tuple(group)
            group, gathered = [], 0
        group.append(text)
        gathered += size
    if group:
        yield tuple(group)


def _size(text: str) -> int:
    """Return the bytes of a line with its line feed; ValueError for half a surrogate pair."""
    return len(text.encode()) + 1
