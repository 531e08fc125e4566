"""The server role: from the broker into the store, and back to each agent what is safe there.

Stateless: a message is acknowledged only when the store, or the file of dead letters, has it.
Whatever this process forgets, the broker or the agent sends again, and the points overwrite
themselves.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from agent.server.batch import Batch
from agent.server.checks import Allow, RefusedMessageError, check
from agent.server.commits import Commits, Stream
from agent.server.connection import (
    Arrival,
    BrokerRefusedError,
    Connection,
    Told,
)
from agent.server.dead_letters import DeadLetter, DeadLetters, DiskError
from agent.server.lines import LineCheck
from agent.server.window import Window
from agent.server.writer import HOLD_S, Writer
from agent.wire.backoff import Backoff
from agent.wire.broker import Broker
from agent.wire.dialect import Dialect
from agent.wire.message import TOPIC_ROOT, Commit, commit_topic
from agent.wire.schema import Schema
from agent.wire.store import Store
from collectors.errors import LiniError

GATHER_S = 1.0  # at most, from the first message of a batch
QUIET_S = 0.05  # without a message: nothing more is coming, write
DRAIN_S = 2.0
# A shorter connection leaves the backoff as it is: two sinks of one name, which throw each
# other out, slow each other down.
STABLE_S = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a sink has done since it started, and how it is now."""

    messages: int
    lines: int
    dead: int
    commits: int
    stale_acks: int
    held: str  # why nothing is written or told; empty while all is well
    connected: bool


class Sink:
    """Takes messages of agents from `broker` into `store`; any number may share the load.

    `retention` is how long the store keeps points: older ones are refused. `allow` says which
    (agent, uplink) may deliver; None allows whom the broker allows. `share_group` names the
    sinks that share one subscription. `clock` gives ns since 1970.
    """

    def __init__(
        self,
        broker: Broker,
        store: Store,
        schema: Schema,
        dead_letters: DeadLetters,
        *,
        client_id: str = "lini-sink",
        retention: timedelta,
        allow: Allow | None = None,
        share_group: str | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._broker = broker
        self._dialect = Dialect(broker)
        self._line_check = LineCheck(schema)
        self._dead_letters = dead_letters
        self._client_id = client_id
        self._retention_ns = round(retention.total_seconds() * 1e9)
        self._allow = allow
        self._topic = f"$share/{share_group}/" * bool(share_group) + f"{TOPIC_ROOT}/data/+/+"
        self._clock = clock
        self._writer = Writer(store)
        self._connection: Connection | None = None
        self._arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
        self._commits = Commits()
        self._news = asyncio.Event()  # there may be commits to tell
        self._messages = self._lines = self._dead = self._told = self._stale_acks = 0
        self._unconnected = self._disk_held = self._commits_held = ""

    @property
    def stats(self) -> Stats:
        """Counts since the start, and the present state."""
        return Stats(
            messages=self._messages,
            lines=self._lines,
            dead=self._dead,
            commits=self._told,
            stale_acks=self._stale_acks,
            held=self._writer.held or self._disk_held or self._commits_held or self._unconnected,
            connected=self._connection is not None,
        )

    async def run(self) -> None:
        """Work until cancelled; then finish the batch in hand, within 2 s, and disconnect.

        Raises BrokerRefusedError or ConnectionLostError when the first connection fails: that
        is a matter of configuration. Later losses are repaired, for ever.
        """
        await self._connect()
        try:
            await self._try_to_commit()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stay_connected(), name="sink: connection")
                tasks.create_task(self._store_all(), name="sink: store")
                tasks.create_task(self._tell_all(), name="sink: commits")
        finally:
            if self._connection is not None:
                self._tell(everything=True)
                await self._connection.close()
                self._connection = None

    # The connection ------------------------------------------------------------------------

    async def _connect(self) -> None:
        self._dialect.ended()
        connection = self._make_connection()
        try:
            await connection.open()
        except LiniError:
            if connection.understood or not self._dialect.hung_up():
                raise
            connection = self._make_connection()
            await connection.open()
        self._dialect.took()
        self._connection = connection
        self._news.set()

    def _make_connection(self) -> Connection:
        return Connection(
            self._dialect.broker,
            client_id=self._client_id,
            topic=self._topic,
            arrived=self._arrivals.put_nowait,
        )

    async def _try_to_commit(self) -> None:
        """Raise BrokerRefusedError unless we may tell agents what is safe.

        Without that, agents would keep all they have for ever, and nobody would know why.
        """
        if self._connection is None:
            return
        topic = commit_topic(self._client_id, "start")
        if await self._connection.publish(topic, b"") is Told.REFUSED:
            raise BrokerRefusedError(
                f"{self._broker}: this user may not write to {topic}",
                f"the broker's access list must let it write {TOPIC_ROOT}/commit/#",
            )

    async def _stay_connected(self) -> None:
        backoff = Backoff()
        since_s = time.monotonic()
        while True:
            try:
                if self._connection is None:
                    await self._connect()
                    since_s = time.monotonic()
                    _log.info("connected again, after: %s", self._unconnected)
                    self._unconnected = ""
                else:
                    await self._connection.lost()
            except LiniError as error:
                if self._connection is not None and time.monotonic() - since_s >= STABLE_S:
                    backoff.reset()
                self._forget_connection(error)
                await asyncio.sleep(backoff.next_s())

    def _forget_connection(self, error: LiniError) -> None:
        self._connection = None
        if self._unconnected != error.what:
            _log.warning("not connected: %s", error)
        self._unconnected = error.what
        # The broker sends them again; kept, every reconnect would add another 500.
        while not self._arrivals.empty():
            self._arrivals.get_nowait()

    # From arrival to acknowledgement -------------------------------------------------------

    async def _store_all(self) -> None:
        while True:
            batch = await self._gather()
            await _finish(self._settle(batch), DRAIN_S)

    async def _gather(self) -> Batch:
        """Return a batch: full, or 1 s old, or followed by a short silence."""
        batch = Batch()
        self._take(batch, await self._arrivals.get())
        deadline_s = time.monotonic() + GATHER_S
        while not batch.is_full and (left_s := deadline_s - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left_s, QUIET_S)):
                    arrival = await self._arrivals.get()
            except TimeoutError:
                break
            self._take(batch, arrival)
        return batch

    def _take(self, batch: Batch, arrival: Arrival) -> None:
        now_ns = self._clock()
        if arrival.retained:
            batch.skip(arrival)
            return
        try:
            found = check(
                arrival.topic,
                arrival.payload,
                lines=self._line_check,
                window=Window.around(now_ns, self._retention_ns),
                allow=self._allow,
            )
        except RefusedMessageError as error:
            batch.refuse(arrival, error, now_ns)
        else:
            batch.accept(arrival, found, now_ns)

    async def _settle(self, batch: Batch) -> None:
        """Return once every line of the batch is in the store or among the dead letters."""
        refused = await self._writer.write(batch.lines)
        batch.bury(refused, self._clock())
        await self._bury(batch.letters)
        self._messages += len(batch.arrivals)
        self._lines += len(batch.lines) - len(refused)
        self._dead += len(batch.letters)
        for arrival, header in batch.arrivals:
            self._ack(arrival)
            if header is not None:
                self._commits.add(header)
        self._news.set()

    async def _bury(self, letters: list[DeadLetter]) -> None:
        while letters:
            try:
                await self._dead_letters.add(letters)
            except DiskError as error:
                if not self._disk_held:
                    _log.error("nothing is acknowledged: %s", error)
                self._disk_held = error.what
                await asyncio.sleep(HOLD_S)
            else:
                self._disk_held = ""
                return

    def _ack(self, arrival: Arrival) -> None:
        if not arrival.connection.ack(arrival.mid):
            self._stale_acks += 1

    # Commits -------------------------------------------------------------------------------

    async def _tell_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._connection is not None:
                wait_s = self._commits.wait_s(time.monotonic())
                if wait_s is None:
                    break
                await asyncio.sleep(wait_s)
                self._tell()

    def _tell(self, *, everything: bool = False) -> None:
        if self._connection is None:
            return
        for stream, commit in self._commits.take(time.monotonic(), everything=everything):
            topic = commit_topic(stream.agent, stream.uplink)
            told = self._connection.publish(topic, commit.encode())
            told.add_done_callback(partial(self._on_told, stream, commit))

    def _on_told(self, stream: Stream, commit: Commit, told: "asyncio.Future[Told]") -> None:
        match told.result():
            case Told.YES:
                self._told += 1
                self._commits_held = ""
            case Told.LOST:
                self._commits.put_back(stream, commit)
            case Told.REFUSED:
                if not self._commits_held:
                    _log.error("the broker refuses commits for %s", stream.agent)
                self._commits_held = f"the broker refuses commits for {stream.agent}"


async def _finish(work: Coroutine[None, None, None], drain_s: float) -> None:
    """Await `work`; when cancelled, let it go on for `drain_s` before it is cancelled too."""
    task = asyncio.create_task(work, name="sink: batch")
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(TimeoutError):
            await asyncio.wait_for(task, drain_s)
        raise
