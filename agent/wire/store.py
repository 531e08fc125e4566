"""What takes lines for good, and what it may answer: the border to any database."""

from collections.abc import Sequence
from typing import Protocol

from collectors.errors import LiniError


class StoreError(LiniError):
    """The store did not take the lines; the subclass says what to do about it."""


class BadLinesError(StoreError):
    """At least one line is at fault. Halve until it stands alone, and keep it apart."""


class TooLargeError(StoreError):
    """The lines are too many for one write. Halve."""


class NotAllowedError(StoreError):
    """Configuration is at fault, never the lines: hold everything and call for a person."""


class BusyError(StoreError):
    """The store asks for time: `retry_after_s` seconds, or None when it does not say."""

    def __init__(self, what: str, retry_after_s: float | None = None, hint: str = "") -> None:
        super().__init__(what, hint)
        self.retry_after_s = retry_after_s


class StoreDownError(StoreError):
    """No usable answer: the lines may be in or not. Write the same again later."""


class Store(Protocol):
    """A place where points are safe. Writing the same line again changes nothing."""

    async def write(self, lines: Sequence[str]) -> None:
        """Return once every line is safe; raise a StoreError when that cannot be said."""
        ...


class Tee:
    """Two stores as one: lines are safe when both have them."""

    def __init__(self, first: Store, second: Store) -> None:
        self._stores = (first, second)

    async def write(self, lines: Sequence[str]) -> None:
        """Write to the first, then to the second; the error of either is the error of both."""
        for store in self._stores:
            await store.write(lines)
