"""The time that points may have."""

from dataclasses import dataclass

FUTURE_NS = 5 * 60 * 1_000_000_000  # a stamp may be this far ahead: clocks differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From the first to the last ns since 1970, both included."""

    first_ns: int
    last_ns: int

    @classmethod
    def around(cls, now_ns: int, retention_ns: int) -> "Window":
        """Return the window of a database that keeps `retention_ns`."""
        return cls(first_ns=now_ns - retention_ns, last_ns=now_ns + FUTURE_NS)

    def fault(self, time_ns: int) -> str:
        """Return why a point may not have this time, or nothing when it may."""
        if time_ns < self.first_ns:
            return f"time {time_ns} is older than the database keeps"
        if time_ns > self.last_ns:
            return f"time {time_ns} lies in the future"
        return ""
