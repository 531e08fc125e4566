"""The equipment around the line: a chiller and an energy meter. They make no parts."""

import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from collectors.profile import Profile
from collectors.simulated.memory import Memory

_LIVE_PERIOD_S = 0.5


class Utility(ABC):
    """Equipment whose values follow from how long it has been running."""

    def __init__(
        self,
        *,
        station: str,
        profile: Profile,
        seed: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.station = station
        self.memory = Memory(profile, self._refresh)
        self._noise = random.Random(f"{seed}/{station}")
        self._monotonic = monotonic
        self._started_at = self._live_at = monotonic()
        self.live(0.0)

    @abstractmethod
    def live(self, uptime_s: float) -> None:
        """Set the values."""

    def _refresh(self) -> None:
        now = self._monotonic()
        if now - self._live_at >= _LIVE_PERIOD_S:
            self._live_at = now
            self.live(now - self._started_at)


class Chiller(Utility):
    """Holds 20 °C, and runs short of water for a minute each half hour.

    `units` are the flags of the units that its panel is set to, °C and MPa when empty.
    """

    units: frozenset[str] = frozenset()

    def live(self, uptime_s: float) -> None:
        set_point = 20.0
        is_short = 600 <= uptime_s % 1800 < 660
        flags = {"run", "remote_serial"} | self.units
        put = self.memory.set
        # The flags first: they tell in which unit the others are shown.
        put("status_flags", flags | ({"operation_continued_alarm"} if is_short else {"temp_ready"}))
        put("outlet_temperature", set_point + 0.3 * math.sin(uptime_s / 40) + 1.5 * is_short)
        put("flow", 24 - 6 * is_short + self._noise.gauss(0, 0.2))
        put("outlet_pressure", 0.32 - 0.08 * is_short)
        put("set_temperature", set_point)
        put("alarm_flags_1", {"tank_level_low"} if is_short else set())
        put("alarm_flags_2", set())


class Meter(Utility):
    """Three phases of a small workshop on a tired grid."""

    def live(self, uptime_s: float) -> None:
        put, noise = self.memory.set, self._noise.gauss
        total = 0.0
        for phase, load in enumerate((9.0, 6.5, 7.5), start=1):
            voltage = 219 + 4 * math.sin(uptime_s / 300 + phase) + noise(0, 0.4)
            current = load * (1 + 0.15 * math.sin(uptime_s / 20 + phase)) + noise(0, 0.1)
            put(f"voltage_l{phase}", voltage)
            put(f"current_l{phase}", current)
            total += 0.93 * voltage * current
        put("power_total", total)
        put("frequency", 50 + noise(0, 0.02))
        put("energy_import", 18_250 + 4.7 * uptime_s / 3600)
