"""One MQTT 5 connection that tells what the broker answered to each message.

`aiomqtt` drops the reason codes of PUBACK, so that a message which the broker's access list
refused looks published, and keeps the limits of CONNACK to itself. Both are added here.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.wire.broker import Broker

NOBODY_LISTENS = 0x10
HUNG_UP = 0x80  # paho's word for a connection that ended without any
UNSUPPORTED_VERSION = 0x84
BAD_PASSWORD = 0x86
NOT_AUTHORISED = 0x87
TAKEN_OVER = 0x8E
TOO_LARGE = 0x95

_REFUSED = 0x80  # this code and all above
_KEEPALIVE_S = 10
_TIMEOUT_S = 5
_ANSWER_S = 120  # a window of 20 messages takes a minute over 64 kbit/s
_ALL_PORTS_OPEN = 65_535  # Receive Maximum of a broker that names none
# More than this in the kernel would keep a PING behind it for longer than the keepalive.
_SEND_BUFFER = (socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}


class Connection(aiomqtt.Client):
    """A connection to `broker`; enter it once. Raises aiomqtt.MqttError."""

    def __init__(self, broker: Broker, *, identifier: str, will: aiomqtt.Will) -> None:
        super().__init__(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=identifier,
            protocol=_PROTOCOLS[broker.mqtt],
            will=will,
            timeout=_TIMEOUT_S,
            keepalive=_KEEPALIVE_S,
            max_inflight_messages=0,  # counted by the publisher
            tls_context=broker.ssl_context(),
            socket_options=[_SEND_BUFFER],
        )
        self.receive_maximum = _ALL_PORTS_OPEN
        """How many messages the broker wants to have in flight at most."""
        self.maximum_packet: int | None = None
        """The largest packet the broker takes, in bytes; None: no limit."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why there is no connection, for a technician. `slow`: trying again soon is no use."""

    text: str
    slow: bool = False


_WRONG_LOGIN = (
    "{broker} refuses user {user!r}\n"
    "  → check username and password here and in the broker's password file"
)
_TAKEN_OVER = (
    "{broker}: another client took over the name {name!r}\n"
    "  → two agents have the same name: give one of them another"
)
_HUNG_UP = (
    "{broker} hung up\n  → if it does so again and again: does another agent use the name "
    "{name!r}? The broker's log tells"
)
_TROUBLES: dict[int, tuple[str, bool]] = {  # text, and whether trying again soon is no use
    BAD_PASSWORD: (_WRONG_LOGIN, True),
    NOT_AUTHORISED: (_WRONG_LOGIN, True),
    UNSUPPORTED_VERSION: (
        '{broker} does not speak MQTT {v}\n  → set `mqtt = "3.1.1"` for this broker',
        True,
    ),
    TAKEN_OVER: (_TAKEN_OVER, True),
    HUNG_UP: (_HUNG_UP, False),
}


def explain(error: BaseException, broker: Broker, identifier: str) -> Trouble:
    """Return what is wrong and what to do about it."""
    cause = error.__cause__ or error.__context__
    code = _reason(error) or _reason(cause)
    if code in _TROUBLES:
        text, slow = _TROUBLES[code]
        words = {"broker": broker, "user": broker.username, "name": identifier, "v": broker.mqtt}
        return Trouble(text=text.format_map(words), slow=slow)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Trouble(
            text=f"{broker} shows a certificate that is not trusted: {cause.verify_message}\n"
            "  → check ca_file, the host name, and the date of this machine",
            slow=True,
        )
    if isinstance(cause, ssl.SSLError):
        return Trouble(
            text=f"{broker}: no TLS connection: {cause.reason or cause}\n"
            "  → check that this port speaks TLS, and the client's own certificate",
            slow=True,
        )
    return Trouble(
        text=f"{broker}: {str(cause or error) or 'no connection'}\n"
        "  → does the broker run, and does this machine reach it?"
    )


def refusal(code: int, topic: str) -> str:
    """Return why the broker's answer means that a message goes nowhere; empty: it was taken."""
    if code == NOBODY_LISTENS:
        return f"nobody listens to {topic}: messages wait here\n  → is the sink running?"
    if code >= _REFUSED:
        return (
            f"the broker refuses what is published to {topic} (code 0x{code:02x}): messages wait "
            "here\n  → check the broker's access list"
        )
    return ""


def _reason(error: BaseException | None) -> int | None:
    rc = error.rc if isinstance(error, aiomqtt.MqttCodeError) else None
    return int(rc.value) if isinstance(rc, ReasonCode) else None
