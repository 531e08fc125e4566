"""Debian's RabbitMQ with its MQTT plugin, which speaks MQTT 3.1.1."""

from pathlib import Path
from typing import Self

from agent.wire.broker import Broker
from tests.services.ports import free_port
from tests.services.process import Process, binary, missing

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in PATH asks for another user


class RabbitMq(Process):
    """A broker on a loopback port of its own, with everything that belongs to it in `folder`.

    Erlang's nodes find each other by a name server, epmd: this one has its own.
    """

    def __init__(self, folder: Path) -> None:
        if not _SERVER.exists():
            missing("rabbitmq-server")
        folder.mkdir(parents=True, exist_ok=True)
        port, self._epmd_port = free_port(), free_port()
        config = folder / "rabbitmq.conf"
        config.write_text(
            f"""\
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:{port}
mqtt.allow_anonymous = true
loopback_users = none
log.console = true
log.file = false
"""
        )
        plugins = folder / "enabled_plugins"
        plugins.write_text("[rabbitmq_mqtt].")
        settings = {
            "HOME": folder,  # of the cookie by which nodes know each other
            "ERL_EPMD_PORT": self._epmd_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "test@localhost",
            "RABBITMQ_DIST_PORT": free_port(),
            "RABBITMQ_CONFIG_FILE": config,
            "RABBITMQ_ENABLED_PLUGINS_FILE": plugins,
            "RABBITMQ_MNESIA_BASE": folder / "mnesia",
            "RABBITMQ_LOG_BASE": folder / "log",
            "RABBITMQ_PID_FILE": folder / "pid",
            "RABBITMQ_FEATURE_FLAGS_FILE": folder / "feature_flags",
            "RUNNING_UNDER_SYSTEMD": "true",  # no process in between: ours is the broker's pid
        }
        environment = [f"{name}={value}" for name, value in settings.items()]
        argv = [binary("env"), *environment, str(_SERVER)]
        super().__init__(argv, port=port, log=folder / "rabbitmq.log")
        self._epmd = Process(
            [binary("epmd"), "-address", "127.0.0.1", "-port", str(self._epmd_port)],
            port=self._epmd_port,
            log=folder / "epmd.log",
        )

    def __enter__(self) -> Self:
        self._epmd.start()
        return super().__enter__()

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)
        self._epmd.stop()

    def broker(self) -> Broker:
        """Return how to reach this broker."""
        return Broker(host="127.0.0.1", port=self.port)
