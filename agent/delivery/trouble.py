"""What can be wrong between an agent and its broker, in words for a technician."""

import ssl
from dataclasses import dataclass
from enum import Enum

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from agent.delivery.connection import MuteBrokerError
from agent.wire.broker import Broker

NOBODY_LISTENS = 0x10
NOT_AUTHORISED = 0x87
TOO_LARGE = 0x95

_REFUSED = 0x80  # this code and all above
_HUNG_UP = 0x80  # paho's word for a connection that ended without any
_UNSUPPORTED_VERSION = 0x84
_BAD_PASSWORD = 0x86
_NO_PONG = 0x8D
_TAKEN_OVER = 0x8E


class Cause(Enum):
    """What a trouble asks of the publisher."""

    LINK = "try again soon"
    HUNG_UP = "try again soon, and suspect a second agent of the same name"
    MUTE = "perhaps speak another version of MQTT"
    VERSION = "speak another version of MQTT"
    SETTINGS = "trying again soon is no use"
    TAKEN_OVER = "leave the name to the other agent for a while"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why there is no connection, for a technician."""

    text: str
    cause: Cause

    @property
    def weight(self) -> int:
        """How much it tells: when a connection breaks, each of its tasks has its own view."""
        return list(Cause).index(self.cause)


_WRONG_LOGIN = (
    "{broker} refuses user {user!r}\n"
    "  → check username and password here and in the broker's password file"
)
_WRONG_VERSION = '{broker} does not speak MQTT {v}\n  → set `mqtt = "auto"` for this broker'
_NAMESAKE = (
    "{broker}: another client took over the name {name!r}\n"
    "  → two agents have the same name: give one of them another"
)
_SILENCE = (
    "{broker} hung up\n  → if it does so again and again: does another agent use the name "
    "{name!r}? The broker's log tells"
)
_STANDSTILL = (
    "{broker} stopped answering\n  → is the link gone, or does the broker's machine stand still?"
)
_TROUBLES: dict[int, tuple[str, Cause]] = {
    _BAD_PASSWORD: (_WRONG_LOGIN, Cause.SETTINGS),
    NOT_AUTHORISED: (_WRONG_LOGIN, Cause.SETTINGS),
    _UNSUPPORTED_VERSION: (_WRONG_VERSION, Cause.VERSION),
    _NO_PONG: (_STANDSTILL, Cause.LINK),
    _TAKEN_OVER: (_NAMESAKE, Cause.TAKEN_OVER),
    _HUNG_UP: (_SILENCE, Cause.HUNG_UP),
}


def explain(error: BaseException, broker: Broker, identifier: str) -> Trouble:
    """Return what is wrong and what to do about it."""
    cause = error.__cause__ or error.__context__
    code = _reason(error) or _reason(cause)
    if code in _TROUBLES:
        text, kind = _TROUBLES[code]
        words = {"broker": broker, "user": broker.username, "name": identifier, "v": broker.mqtt}
        return Trouble(text=text.format_map(words), cause=kind)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Trouble(
            text=f"{broker} shows a certificate that is not trusted: {cause.verify_message}\n"
            "  → check ca_file, the host name, and the date of this machine",
            cause=Cause.SETTINGS,
        )
    if isinstance(cause, ssl.SSLError):
        return Trouble(
            text=f"{broker}: no TLS connection: {cause.reason or cause}\n"
            "  → check that this port speaks TLS, and the client's own certificate",
            cause=Cause.SETTINGS,
        )
    return Trouble(
        text=f"{broker}: {str(cause or error) or 'no connection'}\n"
        "  → does the broker run, and does this machine reach it?",
        cause=Cause.MUTE if isinstance(error, MuteBrokerError) else Cause.LINK,
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
