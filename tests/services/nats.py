"""Debian's NATS server, which speaks MQTT 3.1.1 and keeps its messages in JetStream."""

from pathlib import Path

from agent.wire.broker import Broker
from tests.services.ports import free_port
from tests.services.process import Process, binary


class Nats(Process):
    """A broker on a loopback port of its own, which it keeps through restarts, as its messages."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        config = folder / "nats.conf"
        config.write_text(
            f"""\
            server_name: test
            listen: "127.0.0.1:{free_port()}"
            jetstream {{ store_dir: "{folder}/jetstream" }}
            mqtt {{ listen: "127.0.0.1:{port}" }}
            """
        )
        argv = [binary("nats-server"), "-c", str(config)]
        super().__init__(argv, port=port, log=folder / "nats.log")

    def broker(self) -> Broker:
        """Return how to reach this broker."""
        return Broker(host="127.0.0.1", port=self.port)
