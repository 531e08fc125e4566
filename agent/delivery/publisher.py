"""The publisher: sends what the spool holds, until the sink has said that it is safe.

A PUBACK only frees a place in the window. Messages leave the spool when a commit names them, and
go again when none does.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from agent.delivery.connection import KEEPALIVE_S, Connection
from agent.delivery.pauses import Disputes, Pauses
from agent.delivery.session import PublisherStatus, Session, Source
from agent.delivery.suspects import Suspects
from agent.delivery.trouble import NOBODY_LISTENS, Cause, Trouble, explain, refusal
from agent.wire.broker import Broker
from agent.wire.dialect import Dialect
from agent.wire.message import commit_topic, data_topic, status_topic
from collectors.errors import LiniError

_log = logging.getLogger(__name__)

_FAREWELL_S = 1.0
_SAID_ONCE_S = 600.0
_OLD = (
    "was reached in MQTT 3.1.1 only: it cannot say when its access list refuses a message\n"
    "  → messages are kept until the database confirms them, as always"
)


class Publisher:
    """Serves one uplink: `run` it in a task. No broker and no disk makes it end.

    `stored` is set by the outbox when the spool has something new. `window` bounds the messages
    in flight, as does the broker's Receive Maximum. What no commit names for `stall_s` is sent
    again. `pauses` are those between two tries to connect. `clock` is Unix time.
    """

    def __init__(
        self,
        source: Source,
        stored: asyncio.Event,
        broker: Broker,
        *,
        agent: str,
        uplink: str,
        version: str,
        window: int = 20,
        stall_s: float = 60.0,
        keepalive_s: int = KEEPALIVE_S,
        pauses: Pauses | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.status = PublisherStatus(since=clock())
        self._source = source
        self._stored = stored
        self._dialect = Dialect(broker)
        self._agent = agent
        self._uplink = uplink
        self._version = version
        self._window = window
        self._stall_s = stall_s
        self._keepalive_s = keepalive_s
        self._clock = clock
        self._pauses = pauses or Pauses(random.SystemRandom())
        self._disputes = Disputes()
        self._identifier = f"lini-{agent}-{uplink}"
        self._suspects = Suspects()
        self._told: dict[str, float] = {}  # what is in the log, since when

    async def run(self) -> None:
        """Connect and publish for ever; every trouble is in `status` and told once."""
        time_s = asyncio.get_running_loop().time
        while True:
            started = time_s()
            broker = self._dialect.broker
            try:
                await self._connect_and_serve(broker)
            except* aiomqtt.MqttError as errors:
                found = [explain(each, broker, self._identifier) for each in _leaves(errors)]
                trouble = max(found, key=lambda each: each.weight)
            except* LiniError as errors:
                trouble = Trouble(text=str(_leaves(errors)[0]), cause=Cause.SETTINGS)
            _heed_cancellation()
            self._change(connected=False)
            if self._try_another_version(trouble.cause):
                continue
            self._tell(trouble.text)
            lasted_s = time_s() - started
            self.status.disputed = self._disputes.ended(lasted_s, trouble.cause)
            await asyncio.sleep(self._pauses.pause(lasted_s, trouble.cause))

    def _try_another_version(self, cause: Cause) -> bool:
        """Choose the version of MQTT for the next try; return whether that is due at once."""
        if cause is Cause.VERSION:
            return self._dialect.refused()
        if cause is Cause.MUTE:
            return self._dialect.hung_up()
        self._dialect.ended()
        return False

    async def _connect_and_serve(self, broker: Broker) -> None:
        """Serve one connection until it breaks."""
        topic = status_topic(self._agent)
        offline = json.dumps({"online": False}).encode()
        will = aiomqtt.Will(topic, offline, qos=1, retain=True)
        async with Connection(
            broker, identifier=self._identifier, will=will, keepalive_s=self._keepalive_s
        ) as connection:
            self._dialect.took()
            await self._subscribe(connection)
            _heed_cancellation()
            session = Session(
                self._source,
                self._stored,
                connection,
                status=self.status,
                suspects=self._suspects,
                tell=self._tell,
                uplink=self._uplink,
                topic=data_topic(self._agent, self._uplink),
                window=self._window,
                stall_s=self._stall_s,
            )
            self._change(connected=True)
            birth = {"online": True, "version": self._version, "since": int(self.status.since)}
            code = await connection.send(topic, json.dumps(birth).encode(), retain=True)
            if code != NOBODY_LISTENS and (trouble := refusal(code, topic)):
                self._tell(trouble)
            try:
                await session.serve()
            except asyncio.CancelledError:
                # A clean goodbye makes the broker forget the will.
                with suppress(aiomqtt.MqttError, TimeoutError):
                    async with asyncio.timeout(_FAREWELL_S):
                        await connection.send(topic, offline, retain=True)
                raise

    async def _subscribe(self, connection: Connection) -> None:
        topic = commit_topic(self._agent, self._uplink)
        for code in await connection.subscribe(topic, qos=1):
            if isinstance(code, ReasonCode) and code.is_failure:
                raise LiniError(
                    f"{self._dialect.broker} does not let {self._identifier} listen to {topic}: {code}",
                    "allow it in the broker's access list: without it nothing is ever confirmed",
                )

    def _change(self, *, connected: bool) -> None:
        if self.status.connected != connected:
            self.status.connected = connected
            self.status.since = self._clock()
        if connected:
            self.status.last_error = ""
            self._log(logging.INFO, f"connected to {self._dialect.broker}")
            if self._dialect.fell_back:
                self._log(logging.WARNING, f"{self._dialect.broker} {_OLD}")

    def _tell(self, text: str) -> None:
        self.status.last_error = text
        self._log(logging.ERROR, text)

    def _log(self, level: int, text: str) -> None:
        """Log a text once, and then not again for ten minutes: a link may come and go for days."""
        now = asyncio.get_running_loop().time()
        self._told = {each: at for each, at in self._told.items() if now - at < _SAID_ONCE_S}
        if text not in self._told:
            self._told[text] = now
            _log.log(level, "%s: %s", self._uplink, text)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


def _heed_cancellation() -> None:
    """Raise CancelledError if this task was cancelled and something ate it.

    `asyncio.wait_for` of Python 3.11, which aiomqtt waits with, drops a cancellation that comes
    together with the answer; the agent would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
