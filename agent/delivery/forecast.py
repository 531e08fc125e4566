"""When the spool will be full, if it goes on as in the last hour. Pure: fed with time and room."""

from collections import deque

_EVERY_S = 60.0
_LEAST_S = 600.0  # a shorter look at it would cry at every burst
_LOOKS = 61
_WARN_H = (4, 12)
_CALM_H = 24


class Forecast:
    """Looks at how fast the room shrinks, and warns once at 12 and once at 4 hours."""

    def __init__(self) -> None:
        self.full_in_h: float | None = None
        """None while the room does not shrink, or it is too early to tell."""
        self._seen: deque[tuple[float, int]] = deque(maxlen=_LOOKS)
        self._warned_h: float = _CALM_H

    def look(self, now_s: float, room: int) -> int | None:
        """Take the room at a (monotonic) time; return 12 or 4 when that has just to be told."""
        if not self._seen or now_s - self._seen[-1][0] >= _EVERY_S:
            self._seen.append((now_s, room))
        since_s, room_then = self._seen[0]
        used = room_then - room
        if now_s - since_s < _LEAST_S:
            return None
        self.full_in_h = None
        if used > 0:
            self.full_in_h = max(0, room) * (now_s - since_s) / used / 3600
        return self._warning()

    def _warning(self) -> int | None:
        if self.full_in_h is None or self.full_in_h > _CALM_H:
            self._warned_h = _CALM_H
            return None
        for hours in _WARN_H:
            if self.full_in_h <= hours < self._warned_h:
                self._warned_h = hours
                return hours
        return None
