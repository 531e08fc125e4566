"""Late answers on lines whose answers carry no number: which may still come, and how to get past.

Serial devices answer in the order they were asked, or not at all. So once a device has answered a
later request with data, nothing of before can come any more. Until then a late answer would be
taken for the answer to a request of the same shape, which is how its answer must open: function
and byte count are all that tells about what was asked, of a queue it is the function alone, and of
an acknowledgement all of it. Such a request is preceded by a probe, a read of another shape at the
same address, and only data of *that* shape settle the debts of the device. A refusal has no shape:
while one of the same function is owed it may be anybody's, so it settles nothing.

A device that refuses every probe, or is dead, would hold its readers off for ever. So a debt is
given up after ten time-outs, at least 5 s, in which no unasked byte was heard, and after a minute
on a line that is never without such bytes: no device thinks as long, and a serial server that
holds answers back longer has given its connection up.

An answer sent twice, with a pause in which the next request went out, is beyond all this: nothing
in it tells it from the true one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from collectors.modbus.transport.frame import Request

_LEAST_PATIENCE_S = 5.0
_PATIENCE_TIMEOUTS = 10
_NOISY_PATIENCE_S = 60.0
_MOST_PROBES = 8  # of one device at a time: more would only read ever more of what nobody wants


class DoubtfulError(TimeoutError):
    """What comes may be the answer to an earlier request."""


@dataclass(frozen=True, slots=True)
class _Debt:
    request: Request
    asked_at: float
    patience_s: float

    def may_come(self, now: float, stray_at: float) -> bool:
        """Whether the answer may still come; `stray_at` is when the last unasked byte came."""
        limit = max(
            self.patience_s, min(stray_at - self.asked_at + self.patience_s, _NOISY_PATIENCE_S)
        )
        return now - self.asked_at < limit


class Debts:
    """Requests that were sent and whose answers have not come. Times are those of any one clock."""

    def __init__(self) -> None:
        self._owed: dict[int, list[_Debt]] = {}
        self._stray_at = float("-inf")

    def ask(self, request: Request, timeout_s: float, *, now: float) -> None:
        """Note that `request` goes out."""
        patience_s = max(_LEAST_PATIENCE_S, _PATIENCE_TIMEOUTS * timeout_s)
        debts = self._owed.setdefault(request.device_id, [])
        debts.append(_Debt(request, now, patience_s))

    def settle(self, device_id: int) -> None:
        """Note that the device has answered what it was asked last."""
        self._owed.pop(device_id, None)

    def stray(self, now: float) -> None:
        """Note bytes that nobody asked for: answers are still under way."""
        self._stray_at = now

    def makes_refusals_doubtful(self, request: Request, *, now: float) -> bool:
        """Whether a refusal of `request` may be that of an earlier one."""
        return any(owed.function == request.function for owed in self._of(request.device_id, now))

    def probe(self, request: Request, *, now: float) -> Request | None:
        """Return what to ask before `request`, or None when no late answer looks like its own.

        Raises DoubtfulError when all probes are owed themselves.
        """
        owed = {each.opening for each in self._of(request.device_id, now)}
        if request.opening not in owed:
            return None
        step = 8 if request.table.holds_bits else 1
        for count in range(1, _MOST_PROBES * step + 2, step):
            address = min(request.address, 65536 - count)
            probe = Request(request.device_id, request.table, address, count)
            if probe.opening not in owed:
                return probe
        raise DoubtfulError("earlier answers are still owed; waiting until they must have passed")

    def _of(self, device_id: int, now: float) -> Iterator[Request]:
        debts = self._owed.get(device_id)
        if not debts:
            return
        debts[:] = [debt for debt in debts if debt.may_come(now, self._stray_at)]
        yield from (debt.request for debt in debts)
