"""A certificate authority of the test's own, made with openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.services.process import binary


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """PEM files: a certificate, its private key, and the authority that signed it."""

    cert: Path
    key: Path
    ca: Path


class Authority:
    """Signs certificates for `localhost` and 127.0.0.1; `ca` is what clients trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ca = folder / "ca.crt"
        self._key = folder / "ca.key"
        self._openssl("req", "-x509", "-subj", "/CN=test authority", "-out", self.ca)

    def issue(self, name: str, *, days: int = 30) -> KeyPair:
        """Return a key pair for the subject `name`."""
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self._openssl(
            *("req", "-x509", "-CA", self.ca, "-CAkey", self._key, "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:false"),
            *("-days", str(days), "-out", cert),
            key=key,
        )
        return KeyPair(cert=cert, key=key, ca=self.ca)

    def _openssl(self, *args: str | Path, key: Path | None = None) -> None:
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        argv = [binary("openssl"), *map(str, args), *new_key, "-keyout", str(key or self._key)]
        subprocess.run(argv, check=True, capture_output=True)
