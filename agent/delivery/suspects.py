"""Finds the message that breaks every connection it is sent over, and gets the others past it.

A broker that cannot bear a message often just hangs up: for a size limit that it does not
announce, a filter, a bug. Sent first at every reconnect, such a message would block all others.
"""

from collections.abc import Collection

_PROOFS = 3  # connections that died with this message alone in flight
_LEFT_OUT_S = 600.0


class Suspects:
    """Messages in flight when a connection died are sent alone from then on, until answered.

    One that is alone in flight at three deaths is left out for ten minutes.
    """

    def __init__(self) -> None:
        self._deaths: dict[int, int] = {}  # of connections with only this message in flight
        self._guilty: dict[int, float] = {}  # until when

    def died(self, in_flight: Collection[int], now: float) -> None:
        """Note that a connection died while these had no answer yet."""
        for seq in in_flight:
            deaths = self._deaths.setdefault(seq, 0)
            if len(in_flight) == 1:
                self._deaths[seq] = deaths + 1
                if self._deaths[seq] >= _PROOFS:
                    self._guilty[seq] = now + _LEFT_OUT_S

    def answered(self, seq: int) -> None:
        """Note that the broker survived a message."""
        self._deaths.pop(seq, None)
        self._guilty.pop(seq, None)

    def alone(self, seq: int) -> bool:
        """Return whether a message must be sent without company."""
        return seq in self._deaths

    def guilty(self, seq: int, now: float) -> bool:
        """Return whether a message is to be left out for now."""
        return self._guilty.get(seq, 0) > now
