"""An event loop whose clock jumps to the next timer: hours of polling in seconds, and exact."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """A selector that waits by moving a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("everything waits, and nothing is to come")
            self.now += max(0.0, timeout)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, selector: _Jumping) -> None:
        super().__init__(selector)
        self._clock = selector

    def time(self) -> float:
        return self._clock.now


def run_virtually(work: Coroutine[None, None, T]) -> T:
    """Run `work` on a loop of its own whose time passes only while all wait; return its result.

    Computing takes no time, so what is measured does not depend on how busy the machine is.
    """
    loop = _VirtualLoop(_Jumping())
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
