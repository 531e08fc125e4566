"""One MQTT connection of the sink, from CONNECT to its loss; a later one is another object.

So an acknowledgement can only ever reach the connection that its message came by: broker and
client number the messages of each connection anew, and a late ack would settle a stranger.
paho's loop runs in a thread, that a busy event loop does not miss a keepalive.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from paho.mqtt.client import Client, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.wire.broker import Broker
from agent.wire.message import MAX_BYTES
from collectors.errors import LiniError

RECEIVE_MAXIMUM = 500  # messages in hand: what bounds the memory of a sink whose store is down
_UNSUPPORTED_VERSION = 0x84
KEEPALIVE_S = 10
SESSION_S = 7 * 24 * 3600
_PACKET_BYTES = MAX_BYTES + 1_000  # the broker itself keeps larger ones from us
_POLL_S = 0.25
_CLOSE_S = 1.0


class BrokerRefusedError(LiniError):
    """The broker is there but does not let us: a matter of password or access list."""


class ConnectionLostError(LiniError):
    """No broker, or not any more. Connect again later."""


class Told(Enum):
    """What became of a message of ours."""

    YES = "the broker has it"
    REFUSED = "the broker's access list forbids it"
    LOST = "the connection ended before the broker said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message and the connection it came by, which alone may acknowledge it."""

    connection: "Connection"
    mid: int
    topic: str
    payload: bytes
    retained: bool = False


class Connection:
    """Subscribed to `topic` with a session that outlives it. Make it inside the event loop.

    `arrived` gets every QoS 1 message, in the event loop; the others bear no promise and are
    ignored.
    """

    def __init__(
        self, broker: Broker, *, client_id: str, topic: str, arrived: Callable[[Arrival], None]
    ) -> None:
        self._broker = broker
        self._is_5 = broker.mqtt != "3.1.1"
        self._topic = topic
        self._arrived = arrived
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._over: asyncio.Future[ConnectionLostError] = self._loop.create_future()
        self._unsure: dict[int, asyncio.Future[Told]] = {}
        self._farewell = ""  # what the broker said at the end
        self._abandoned = False
        self.understood = True
        """False: the broker ended the try for the version of MQTT, or without saying why."""
        self._client: Client | None = self._make_client(client_id)
        self._thread = threading.Thread(target=self._run, name=f"mqtt {client_id}", daemon=True)

    async def open(self) -> None:
        """Return once connected and subscribed.

        Raises BrokerRefusedError or ConnectionLostError, and is closed then.
        """
        self._thread.start()
        try:
            await self._ready
        except (LiniError, asyncio.CancelledError):
            await self.close()
            raise

    async def lost(self) -> None:
        """Wait for the end of the connection. Raises ConnectionLostError, which says why."""
        raise await asyncio.shield(self._over)

    async def close(self) -> None:
        """Send what is queued, say goodbye and end the thread, within about a second."""
        client = self._client
        if client is not None:
            client.disconnect()
        await asyncio.wait([self._over], timeout=_CLOSE_S)
        # A frozen broker takes no goodbye, and a slow name server cannot be interrupted.
        self._abandoned = True
        await asyncio.wait([self._over], timeout=2 * _POLL_S)

    def ack(self, mid: int) -> bool:
        """Acknowledge a message of this connection; return False when that is over."""
        client = self._client
        if client is None:
            return False
        client.ack(mid, qos=1)
        return True

    def publish(self, topic: str, payload: bytes) -> asyncio.Future[Told]:
        """Publish with QoS 1; the future tells what became of it."""
        told: asyncio.Future[Told] = self._loop.create_future()
        client = self._client
        if client is None or self._over.done():
            told.set_result(Told.LOST)
        else:
            self._unsure[client.publish(topic, payload, qos=1).mid] = told
        return told

    # In paho's thread: ---------------------------------------------------------------------

    def _run(self) -> None:
        client = self._client
        if client is None:
            return
        why = "the connection is lost"
        try:
            session: dict[str, Any] = (
                {"clean_start": False, "properties": _session()} if self._is_5 else {}
            )
            client.connect(self._broker.host, self._broker.port, KEEPALIVE_S, **session)
            self.understood = False
            while not self._abandoned:
                if client.loop(_POLL_S) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                    break
        except (OSError, ValueError) as error:
            why = str(error) or type(error).__name__
        finally:
            self._client = None  # the last reference: paho closes its sockets
            self._post(self._end, why)

    def _make_client(self, client_id: str) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTv5 if self._is_5 else MQTTv311,
            clean_session=None if self._is_5 else False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        context = self._broker.ssl_context()
        if context is not None:
            client.tls_set_context(context)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        # With this set paho leaves all writing to its loop; without, every thread that acks
        # or publishes writes to the socket itself, across the others.
        client.on_socket_register_write = lambda *_: None
        return client

    def _on_connect(
        self, client: Client, _: object, __: object, reason: ReasonCode, ___: object
    ) -> None:
        self.understood = reason.value != _UNSUPPORTED_VERSION
        if reason.is_failure:
            hint = "check user name and password"
            if not self.understood:
                hint = 'set `mqtt = "auto"` for this broker'
            self._refuse(f"{self._broker}: {reason}", hint)
            return
        if self._is_5:
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            client.subscribe(self._topic, options=options)
        else:
            client.subscribe(self._topic, qos=1)

    def _on_subscribe(
        self, _: object, __: object, ___: object, reasons: list[ReasonCode], ____: object
    ) -> None:
        if reasons[0].is_failure:
            self._refuse(
                f"{self._broker}: {self._topic}: {reasons[0]}",
                "the broker's access list must let this user read it",
            )
        else:
            self._post(_settle, self._ready, None)

    def _on_message(self, _: object, __: object, message: MQTTMessage) -> None:
        if message.qos == 1:
            arrival = Arrival(
                connection=self,
                mid=message.mid,
                topic=message.topic,
                payload=bytes(message.payload),
                retained=message.retain,
            )
            self._post(self._arrived, arrival)

    def _on_publish(self, _: object, __: object, mid: int, reason: ReasonCode, ___: object) -> None:
        self._post(self._resolve, mid, Told.REFUSED if reason.is_failure else Told.YES)

    def _on_disconnect(
        self, _: object, __: object, flags: DisconnectFlags, reason: ReasonCode, ___: object
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._farewell = str(reason)

    def _refuse(self, what: str, hint: str) -> None:
        self._post(_fail, self._ready, BrokerRefusedError(what, hint))

    def _post(self, work: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the event loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(work, *args)

    # In the event loop: --------------------------------------------------------------------

    def _resolve(self, mid: int, told: Told) -> None:
        _settle(self._unsure.pop(mid), told)

    def _end(self, why: str) -> None:
        error = ConnectionLostError(
            f"{self._broker}: {self._farewell or why}",
            "check that the broker runs, its address and its certificate",
        )
        _fail(self._ready, error)
        _settle(self._over, error)
        for told in self._unsure.values():
            _settle(told, Told.LOST)
        self._unsure.clear()


def _session() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's gap
    properties.SessionExpiryInterval = SESSION_S
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.MaximumPacketSize = _PACKET_BYTES
    return properties


def _settle(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
