"""How to reach an MQTT broker: the same parameters for the edge and for the sink."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from collectors.errors import FixTheFileError

# "auto" is 5, or 3.1.1 where the broker does not know 5. With 3.1.1 a broker says success to what
# its access list refuses; the commits still tell.
MqttVersion = Literal["auto", "5", "3.1.1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Address and credentials of one broker. Without `tls` nothing is encrypted: loopback only."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: Path | None = None  # None: the system's authorities
    cert_file: Path | None = None  # the client's own certificate, for mutual TLS
    key_file: Path | None = None
    mqtt: MqttVersion = "auto"

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"

    def __repr__(self) -> str:  # never the password: this lands in logs
        return f"Broker({self})"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return a context that verifies the broker, or None without TLS.

        Raises FixTheFileError when a certificate file is missing or is not one.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = [str(each) for each in (self.ca_file, self.cert_file, self.key_file) if each]
            raise FixTheFileError(
                f"a certificate of {self} cannot be loaded: {error}",
                f"check that these exist, are PEM and belong together: {', '.join(files)}",
            ) from error
        return context
