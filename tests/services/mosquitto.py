"""Debian's Mosquitto with a generated configuration."""

import getpass
import subprocess
from collections.abc import Mapping
from pathlib import Path

from agent.wire.broker import Broker
from tests.services.certificates import KeyPair
from tests.services.ports import free_port
from tests.services.process import Process, binary

_DURABLE = ("autosave_on_changes true", "autosave_interval 1")


class Mosquitto(Process):
    """A broker on a loopback port of its own, which it keeps through restarts.

    `users` maps names to passwords (None: anonymous may connect), `acl` is the text of an ACL
    file, `tls` the server's key pair (with its authority's `ca`, for clients), `settings` are
    further lines of mosquitto.conf. With `persistence` every change is saved within a second.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl: str | None = None,
        tls: KeyPair | None = None,
        persistence: bool = False,
        settings: tuple[str, ...] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.users = users
        self.tls = tls
        port = free_port()
        lines = [
            f"listener {port} 127.0.0.1",
            f"user {getpass.getuser()}",
            f"allow_anonymous {'true' if users is None else 'false'}",
            f"persistence {'true' if persistence else 'false'}",
            *settings,
        ]
        if persistence:
            lines += [f"persistence_location {folder}/", *_DURABLE]
        if users is not None:
            lines.append(f"password_file {self._passwords(users)}")
        if acl is not None:
            (folder / "acl").write_text(acl)
            (folder / "acl").chmod(0o600)
            lines.append(f"acl_file {folder / 'acl'}")
        if tls is not None:
            lines += [f"certfile {tls.cert}", f"keyfile {tls.key}", f"cafile {tls.ca}"]
        config = folder / "mosquitto.conf"
        config.write_text("\n".join([*lines, ""]))
        argv = [binary("mosquitto"), "-c", str(config)]
        super().__init__(argv, port=port, log=folder / "mosquitto.log")

    def broker(self, username: str | None = None) -> Broker:
        """Return how to reach this broker, as `username` where it asks for one."""
        password = self.users[username] if self.users and username else None
        return Broker(
            host="127.0.0.1" if self.tls is None else "localhost",
            port=self.port,
            username=username,
            password=password,
            tls=self.tls is not None,
            ca_file=self.tls.ca if self.tls else None,
        )

    def _passwords(self, users: Mapping[str, str]) -> Path:
        path = self.folder / "passwords"
        path.touch(mode=0o600)
        for name, password in users.items():
            argv = [binary("mosquitto_passwd"), "-b", str(path), name, password]
            subprocess.run(argv, check=True, capture_output=True)
        return path
