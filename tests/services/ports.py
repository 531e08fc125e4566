"""Free loopback ports that stay free while a service of ours is down."""

import random
import socket

# Below the ephemeral range: no outgoing connection takes the port while its server restarts.
_RANGE = range(20_000, 32_000)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    for _ in range(200):
        port = random.SystemRandom().choice(_RANGE)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free loopback port in 200 tries")
