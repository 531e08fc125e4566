"""One service process of a test: started, watched, hurt and stopped by its own pid."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Self

import pytest

from tests.services.waiting import wait_until


def binary(name: str) -> str:
    """Return the path of a Debian program, or skip the test.

    With LINI_REQUIRE_SERVICES=1 a missing program fails the test instead.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    if found is None:
        missing(name)
    return found


def missing(name: str) -> NoReturn:
    """Skip the test for want of a Debian package; with LINI_REQUIRE_SERVICES=1, fail it."""
    reason = f"{name} IS NOT INSTALLED: what this test proves is not proven here"
    if os.environ.get("LINI_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Process:
    """A server on 127.0.0.1:`port`. Ready means: it accepts connections."""

    def __init__(self, argv: Sequence[str], *, port: int, log: Path) -> None:
        self.argv = argv
        self.port = port
        self.log = log
        self._popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id; only while it runs."""
        if self._popen is None:
            raise RuntimeError(f"{self.argv[0]} does not run")
        return self._popen.pid

    def start(self) -> None:
        """Start the process and return once it accepts connections."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(self.argv, stdout=log, stderr=log)
        wait_until(self._accepts, timeout_s=30, what=f"{self.argv[0]} listens on {self.port}")

    def stop(self) -> None:
        """End the process as its service manager would: SIGTERM, and SIGKILL after 10 s."""
        if self._popen is None:
            return
        self._popen.send_signal(signal.SIGCONT)
        self._popen.terminate()
        try:
            self._popen.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._popen = None

    def kill(self) -> None:
        """End the process at once, as a power cut would (but for the disk cache)."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None

    def restart(self) -> None:
        """Stop, and start again on the same port with what persisted."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the process's time (SIGSTOP): connections stay open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(self._stands_still, what=f"{self.argv[0]} stands still")

    def thaw(self) -> None:
        """Let a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _stands_still(self) -> bool:
        """Whether the signal has reached every thread: until then some go on answering."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        states = ((each / "stat").read_text().rpartition(")")[2].split()[0] for each in threads)
        return all(state == "T" for state in states)

    def _accepts(self) -> bool:
        if self._popen is not None and self._popen.poll() is not None:
            text = self.log.read_text(errors="replace")[-2_000:]
            raise RuntimeError(f"{self.argv[0]} ended with {self._popen.returncode}:\n{text}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
