"""Bring lines into a store whatever it answers: nothing is given up, only single bad lines."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from agent.wire.backoff import Backoff
from agent.wire.store import (
    BadLinesError,
    BusyError,
    NotAllowedError,
    Store,
    StoreError,
    TooLargeError,
)

MAX_LINES = 5_000
HOLD_S = 5.0  # between tries while the store's configuration is wrong
MAX_BUSY_S = 600.0

_log = logging.getLogger(__name__)


class Writer:
    """Writes to one store, one write at a time, so that the last of two values wins.

    Unless `patient`, trouble that is not the lines' own is raised as the StoreError it is.
    """

    def __init__(
        self,
        store: Store,
        *,
        patient: bool = True,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.held = ""  # why nothing is written now; empty while all is well
        self._told: type[StoreError] | None = None  # the kind of trouble that is in the log
        self._store = store
        self._patient = patient
        self._backoff = backoff or Backoff()
        self._sleep = sleep

    async def write(self, lines: Sequence[str]) -> dict[int, str]:
        """Return when every line is in the store, but for the bad ones: index → reason.

        One bad line among n costs at most 2·⌈log2 n⌉ writes more. Tries for ever if patient.
        """
        refused: dict[int, str] = {}
        spans = [
            (start, min(start + MAX_LINES, len(lines)))
            for start in reversed(range(0, len(lines), MAX_LINES))
        ]
        while spans:
            start, stop = spans.pop()
            try:
                await self._store.write(lines[start:stop])
            except (BadLinesError, TooLargeError) as error:
                self._answered()
                if stop - start == 1:
                    refused[start] = error.what
                    continue
                middle = (start + stop) // 2
                spans += [(middle, stop), (start, middle)]
            except StoreError as error:
                if not self._patient:
                    raise
                spans.append((start, stop))
                self._hold(error)
                await self._sleep(self._wait_s(error))
            else:
                self._answered()
        return refused

    def _wait_s(self, error: StoreError) -> float:
        if isinstance(error, NotAllowedError):
            return HOLD_S
        wait_s = self._backoff.next_s()
        if isinstance(error, BusyError) and error.retry_after_s is not None:
            return max(wait_s, min(error.retry_after_s, MAX_BUSY_S))
        return wait_s

    def _hold(self, error: StoreError) -> None:
        self.held = error.what
        if self._told is not type(error):
            self._told = type(error)
            level = logging.ERROR if isinstance(error, NotAllowedError) else logging.WARNING
            _log.log(level, "nothing is written: %s", error)

    def _answered(self) -> None:
        if self.held:
            _log.info("writing again, after: %s", self.held)
        self.held = ""
        self._told = None
        self._backoff.reset()
