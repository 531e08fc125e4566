"""An embedded MQTT broker, for the demo only: on a Pi, Mosquitto from Debian is a third of it."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.wire.broker import MqttVersion
from collectors.errors import LiniError

EMBEDDED_MQTT: MqttVersion = "3.1.1"  # amqtt speaks no other
_ANONYMOUS = "amqtt.plugins.authentication.AnonymousAuthPlugin"


@asynccontextmanager
async def embedded_broker() -> AsyncIterator[int]:
    """Run a broker on a free loopback port; yield the port."""
    try:
        from amqtt.broker import Broker  # noqa: PLC0415 - an extra, for the demo only
    except ModuleNotFoundError as error:
        raise LiniError(
            "the demo needs its embedded broker, which is not installed",
            'pip install "lini[demo]"',
        ) from error
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    port = _free_port()
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {_ANONYMOUS: {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        yield port
    finally:
        await broker.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
