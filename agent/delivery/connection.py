"""One MQTT connection that tells what the broker answered to each message.

`aiomqtt` drops the reason codes of PUBACK, so that a message which the broker's access list
refused looks published, and keeps the limits of CONNACK to itself. Both are added here.

MQTT 3.1.1 knows neither: there every message looks taken, and only the commit tells.
"""

import asyncio
import socket
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.wire.broker import Broker

KEEPALIVE_S = 10  # a frozen broker is noticed within twice as long
_TIMEOUT_S = 5
_ANSWER_S = 120  # a window of 20 messages takes a minute over 64 kbit/s
_ALL_PORTS_OPEN = 65_535  # Receive Maximum of a broker that names none
# More than this in the kernel would keep a PING behind it for longer than the keepalive.
_SEND_BUFFER = (socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
_V5, _V311 = aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311
_PROTOCOLS = {"auto": _V5, "5": _V5, "3.1.1": _V311}


class MuteBrokerError(aiomqtt.MqttError):
    """The broker took the connection and ended it without a word."""


class Connection(aiomqtt.Client):
    """A connection to `broker`; enter it once. Raises aiomqtt.MqttError."""

    def __init__(
        self,
        broker: Broker,
        *,
        identifier: str,
        will: aiomqtt.Will,
        keepalive_s: int = KEEPALIVE_S,
    ) -> None:
        super().__init__(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=identifier,
            protocol=_PROTOCOLS[broker.mqtt],
            will=will,
            timeout=_TIMEOUT_S,
            keepalive=keepalive_s,
            max_inflight_messages=0,  # counted by the publisher
            tls_context=broker.ssl_context(),
            socket_options=[_SEND_BUFFER],
        )
        self.receive_maximum = _ALL_PORTS_OPEN
        """How many messages the broker wants to have in flight at most."""
        self.maximum_packet: int | None = None
        """The largest packet the broker takes, in bytes; None: no limit."""
        self._is_entered = False
        self._early_end: ReasonCode | None = None
        self._answers: dict[int, asyncio.Future[ReasonCode]] = {}

    async def __aenter__(self) -> Self:
        connecting = asyncio.ensure_future(super().__aenter__())
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            with suppress(aiomqtt.MqttError):  # the thread that connects cannot be interrupted
                await connecting
            self._hang_up()
            raise
        except aiomqtt.MqttError:
            self._hang_up()
            raise
        self._is_entered = True
        if self._early_end is not None:
            self._hang_up()
            raise aiomqtt.MqttCodeError(self._early_end, "Disconnected at once")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            with suppress(aiomqtt.MqttError):
                await super().__aexit__(exc_type, exc, tb)
        finally:
            self._hang_up()

    async def send(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish with QoS 1 and return the broker's reason code; 0x80 and above: refused."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise aiomqtt.MqttCodeError(info.rc, "the connection is gone")
        answer = self._answers[info.mid] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_ANSWER_S):
                return int((await answer).value)
        except TimeoutError as error:
            raise aiomqtt.MqttError(f"no answer to a message in {_ANSWER_S} s") from error
        finally:
            del self._answers[info.mid]

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - as in aiomqtt
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", _ALL_PORTS_OPEN)
        self.maximum_packet = getattr(properties, "MaximumPacketSize", None)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - as in aiomqtt
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():  # aiomqtt would wait for its time-out
            self._connected.set_exception(MuteBrokerError("hung up without a word"))
        elif not self._is_entered:  # aiomqtt would forget what was said
            self._early_end = reason_code
        else:
            super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - as in aiomqtt
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        answer = self._answers.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_socket_register_write(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401, ARG002 - as in aiomqtt
        sock: aiomqtt.types.PahoSocket,
    ) -> None:
        """Do as aiomqtt, but not for a socket closed meanwhile: its number may be another's now."""

        def write() -> None:
            try:
                client.loop_write()
            except OSError as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            if client.socket() is sock and sock is not None:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(register)

    def _hang_up(self) -> None:
        """Close the socket, which aiomqtt leaves open when connecting or leaving fails."""
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()  # seen; asyncio complains of those never looked at
        self._client.reinitialise()
