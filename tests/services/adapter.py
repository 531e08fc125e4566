"""A serial adapter that can be pulled and plugged in again, with a device behind it."""

import asyncio
import os
import tty
from pathlib import Path

from tests.services.rogue import own_addresses, rtu_frame, rtu_request


class Adapter:
    """A serial adapter with device 1 behind it, found under `path` while it is plugged in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: tuple[int, int] = (0, 0)

    def plug(self) -> None:
        self._ends = os.openpty()
        tty.setraw(self._ends[1])
        self.path.symlink_to(os.ttyname(self._ends[1]))
        asyncio.get_running_loop().add_reader(self._ends[0], self._answer)

    def pull(self) -> None:
        asyncio.get_running_loop().remove_reader(self._ends[0])
        for end in self._ends:
            os.close(end)
        self.path.unlink()

    def _answer(self) -> None:
        request = rtu_request(os.read(self._ends[0], 64))
        if request.address < 100:  # what is above is not answered
            os.write(self._ends[0], rtu_frame(1, own_addresses(request)))
