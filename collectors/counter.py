"""Counters of machines: they wrap, and are reset; the total of what was counted does neither."""

from dataclasses import dataclass

from collectors.register import Rollover


def total_name(counter: str) -> str:
    """Return the name of the total that is stored beside a counter."""
    return f"{counter}_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """A counter began anew, without having reached its end."""

    before: int
    after: int


class Counter:
    """Counts on through wraps and resets.

    The total begins with what the counter shows at first sight, so the two agree until it begins
    anew. A step back is a wrap if it means at most `max_step` counts, else a reset; that holds
    after lost communication too, since a device that was away has most likely been restarted.
    After a reset a counter begins at 0: what it shows by then was counted since, unless that is
    more than `max_step`, which it was set to. What was made between the last look and the reset is
    not known, and a reset after which the counter has passed its last look is not seen. So the
    total may be too low; too high only if a counter was set to something small.

    `count` and `total` are those of the last look, from before a restart of the agent.
    """

    def __init__(self, rule: Rollover, *, count: int | None = None, total: int = 0) -> None:
        self.count = count
        self.total = total
        self._wrap = rule.wrap
        self._max_step = rule.max_step or max(1, rule.wrap // 16)

    def take(self, count: int) -> Reset | None:
        """Take what the counter shows now; return the reset that this must mean, if it must."""
        before, self.count = self.count, count
        if before is None:
            self.total = count
            return None
        if count >= before:
            self.total += count - before
            return None
        wrapped = count - before + self._wrap
        if 0 < wrapped <= self._max_step:
            self.total += wrapped
            return None
        if 0 <= count <= self._max_step:
            self.total += count
        return Reset(before=before, after=count)
