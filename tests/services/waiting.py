"""Wait for a condition with a deadline, in place of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_STEP_S = 0.02


async def eventually(
    condition: Callable[[], T | Awaitable[T]], timeout_s: float = 10, what: str = ""
) -> T:
    """Return the first truthy value of `condition` (a plain or async function).

    Raises AssertionError with the last value seen after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(condition, value, timeout_s, what))
        await asyncio.sleep(_STEP_S)


def wait_until(condition: Callable[[], T], timeout_s: float = 10, what: str = "") -> T:
    """Do as `eventually`, for code without an event loop."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(condition, value, timeout_s, what))
        time.sleep(_STEP_S)
    return value


def _complaint(condition: object, value: object, timeout_s: float, what: str) -> str:
    return f"{what or condition} did not come true in {timeout_s} s; the last value was {value!r}"
