"""What is done over one connection: send, hear what is safe, delete that, send again the rest."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import aiomqtt

from agent.delivery.connection import Connection
from agent.delivery.entry import SpoolStats, Stored
from agent.delivery.lanes import Lanes, Unconfirmed
from agent.delivery.suspects import Suspects
from agent.delivery.trouble import TOO_LARGE, refusal
from agent.wire.message import Commit

_log = logging.getLogger(__name__)

_PACKET_ROOM = 12  # bytes of a PUBLISH besides topic and payload


class Source(Protocol):
    """The part of a spool that a session needs."""

    epoch: str

    async def peek(self, uplink: str, after: int, limit: int) -> list[Stored]:
        """Return up to `limit` messages behind `after`."""

    async def commit(self, uplink: str, epoch: str, ranges: Sequence[tuple[int, int]]) -> int:
        """Delete the messages of `ranges`; return how many there were."""

    async def stats(self, uplink: str) -> SpoolStats:
        """Return how much waits."""


@dataclass(slots=True)
class PublisherStatus:
    """How one uplink is doing. Counts are since the start; `last_error` is empty when all is well."""

    connected: bool = False
    since: float = 0.0  # Unix time of the last change of `connected`
    in_flight: int = 0
    published: int = 0  # taken by the broker, repetitions included
    committed: int = 0  # safe in the database, and deleted here
    refused: int = 0  # not taken by the broker; kept and tried again
    oversize: int = 0  # times that one was larger than the broker takes; kept as well
    disputed: bool = False  # another agent seems to use our name
    last_error: str = ""


class Session:
    """One connection's worth of publishing. `tell` reports a trouble that leaves it standing."""

    def __init__(
        self,
        source: Source,
        wake: asyncio.Event,
        connection: Connection,
        *,
        status: PublisherStatus,
        suspects: Suspects,
        tell: Callable[[str], None],
        uplink: str,
        topic: str,
        window: int,
        stall_s: float,
    ) -> None:
        self._source = source
        self._wake = wake
        self._connection = connection
        self._status = status
        self._suspects = suspects
        self._tell = tell
        self._uplink = uplink
        self._topic = topic
        self._places = min(window, connection.receive_maximum)
        self._window = asyncio.Semaphore(self._places)
        self._time = asyncio.get_running_loop().time
        self._unconfirmed = Unconfirmed(self._time(), stall_s=stall_s)

    async def serve(self) -> None:
        """Publish and listen until the connection breaks (an ExceptionGroup), or for ever."""
        stats = await self._source.stats(self._uplink)
        lanes = Lanes(self._peek, newest=stats.next_seq - 1)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(), name=f"commits of {self._uplink}")
                await self._send(lanes, group)
        except* aiomqtt.MqttError:
            self._suspects.died(self._unconfirmed.in_flight, self._time())
            raise

    async def _send(self, lanes: Lanes, group: asyncio.TaskGroup) -> None:
        while True:
            await self._window.acquire()
            message = await self._next(lanes)
            if trouble := self._unfit(message):
                self._tell(trouble)
                self._window.release()
                continue
            self._unconfirmed.sent(message.seq)
            if self._suspects.alone(message.seq):
                for _ in range(self._places - 1):
                    await self._window.acquire()
                await self._publish(message)
                for _ in range(self._places - 1):
                    self._window.release()
            else:
                name = f"message {message.seq} to {self._uplink}"
                group.create_task(self._publish(message), name=name)

    async def _next(self, lanes: Lanes) -> Stored:
        """Wait for room and for a message that is not under way already."""
        while True:
            self._wake.clear()
            overdue = self._unconfirmed.overdue(self._time())
            if overdue is not None:
                lanes.rewind(overdue)
            while self._unconfirmed.room and (message := await lanes.next()):
                if message.seq not in self._unconfirmed:
                    return message
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._unconfirmed.due_at):
                    await self._wake.wait()

    async def _publish(self, message: Stored) -> None:
        self._status.in_flight += 1
        try:
            code = await self._connection.send(self._topic, message.payload)
        finally:
            self._status.in_flight -= 1
            self._window.release()
        self._suspects.answered(message.seq)
        if code == TOO_LARGE:
            self._unconfirmed.give_up(message.seq)
            self._tell(self._oversize(message))
        else:
            trouble = refusal(code, self._topic)
            if trouble:
                self._status.refused += 1
                self._tell(trouble)
            else:
                self._status.published += 1
            self._unconfirmed.answered(message.seq, self._time(), taken=not trouble)
        self._wake.set()

    async def _listen(self) -> None:
        """Delete what the sink confirms; many commits at once when they come fast."""
        messages = self._connection.messages
        async for message in messages:
            ranges = self._ranges(message.payload)
            while len(messages):
                ranges += self._ranges((await anext(messages)).payload)
            if ranges:
                # What is deleted is counted, also when the connection ends meanwhile.
                await asyncio.shield(asyncio.create_task(self._confirm(ranges)))
                self._status.last_error = ""

    async def _confirm(self, ranges: list[tuple[int, int]]) -> None:
        self._status.committed += await self._source.commit(
            self._uplink, self._source.epoch, ranges
        )
        self._unconfirmed.confirm(ranges, self._time())
        self._wake.set()

    def _ranges(self, payload: object) -> list[tuple[int, int]]:
        try:
            commit = Commit.decode(payload if isinstance(payload, bytes) else b"")
        except ValueError as error:
            _log.warning("what came as a commit for %s is none: %s", self._uplink, error)
            return []
        return list(commit.ranges) if commit.epoch == self._source.epoch else []

    def _unfit(self, message: Stored) -> str:
        """Return why a message would only break this connection; it stays in the spool."""
        if self._suspects.guilty(message.seq, self._time()):
            self._status.refused += 1
            return (
                f"the broker hangs up at message {message.seq}, it is kept here\n"
                "  → look into the broker's log: often it is a size limit"
            )
        limit = self._connection.maximum_packet
        size = len(message.payload) + len(self._topic.encode()) + _PACKET_ROOM
        return self._oversize(message) if limit is not None and size > limit else ""

    def _oversize(self, message: Stored) -> str:
        self._status.oversize += 1
        return (
            f"a message of {len(message.payload)} bytes is larger than the broker takes, it is "
            "kept here\n  → raise max_packet_size and message_size_limit of the broker"
        )

    async def _peek(self, after: int, limit: int) -> list[Stored]:
        return await self._source.peek(self._uplink, after, limit)
