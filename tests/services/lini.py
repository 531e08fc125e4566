"""Lini's own roles as processes of a test: started by their command, killed as by a power cut."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.services.waiting import wait_until

COMMAND = Path(sys.executable).with_name("lini")


class Role:
    """`lini ROLE --config FILE` in a process of its own, with its log in a file."""

    def __init__(self, role: str, config: Path) -> None:
        self.log = config.with_name(f"{role}.log")
        self._argv = [str(COMMAND), role, "--config", str(config)]
        self._popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; it may not be ready yet."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(self._argv, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill -9."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None

    def stop(self) -> int:
        """Send SIGTERM as systemd does; return the exit code."""
        if self._popen is None:
            return 0
        self._popen.send_signal(signal.SIGTERM)
        code = self._popen.wait(20)
        self._popen = None
        return code

    def logged(self, words: str, timeout_s: float = 20) -> None:
        """Wait until `words` are in the log."""
        wait_until(
            lambda: words in self.log.read_text(encoding="utf-8", errors="replace"),
            timeout_s=timeout_s,
            what=f"{words!r} in {self.log.name}",
        )


def run_once(*arguments: str | Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `lini` to its end; the output is kept, colours and width fixed."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb"}
    return subprocess.run(
        [COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment,
    )
