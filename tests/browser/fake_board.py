"""A line of six stations as the agent would show it, with a clock that starts where we say."""

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Station = dict[str, Any]

# 14.05.12 WIB on a Thursday: far from any browser's own clock, so a page that uses it is caught.
START_MS = int(datetime(2026, 5, 14, 7, 5, 12, tzinfo=UTC).timestamp() * 1000)
MINUTE = 60_000


class FakeBoard:
    """A `Source` whose stations answer every second until they are told to fall silent."""

    def __init__(self, stations: list[Station] | None = None) -> None:
        self._began = time.monotonic_ns()
        self._lock = threading.Lock()
        self._version = 0
        self._second = 0
        self._changed: dict[str, int] = {}
        self._silent: dict[str, int | None] = {}
        self._stations = {each["name"]: each for each in stations or line()}
        self._uplink: dict[str, Any] = {
            "name": "server",
            "connected": True,
            "queue": 0,
            "oldest_s": None,
        }

    def clock(self) -> int:
        """Return the wall clock of this line, in ns."""
        return START_MS * 1_000_000 + time.monotonic_ns() - self._began

    @property
    def now_ms(self) -> int:
        """The wall clock of this line, in ms."""
        return self.clock() // 1_000_000

    def put(self, name: str, **changes: object) -> None:
        """Change fields of a station."""
        with self._lock:
            self._version += 1
            self._stations[name] = {**self._stations[name], **changes}
            self._changed[name] = self._version

    def silence(self, name: str, age_s: float | None) -> None:
        """Let a station answer no more; its last answer was `age_s` ago (None: never)."""
        seen = None if age_s is None else self.now_ms - int(age_s * 1000)
        self._silent[name] = seen
        self.put(name)

    def uplink(self, **changes: object) -> None:
        """Change fields of the one uplink."""
        with self._lock:
            self._version += 1
            self._uplink = {**self._uplink, **changes}

    def snapshot(self) -> Mapping[str, object]:
        """Return the whole frame."""
        with self._lock:
            return {**self._frame(self._stations), "site": SITE}

    def changes(self, since: int) -> tuple[int, Mapping[str, object] | None]:
        """Return what changed since; stations that answer do so once a second."""
        with self._lock:
            second = self.now_ms // 1000
            if second != self._second:
                self._second = second
                self._version += 1
                alive = self._stations.keys() - self._silent.keys()
                self._changed.update(dict.fromkeys(alive, self._version))
            if self._version == since:
                return since, None
            return self._version, self._frame(
                [name for name in self._stations if self._changed.get(name, 0) > since]
            )

    def _frame(self, names: Mapping[str, Station] | list[str]) -> dict[str, object]:
        stations = [self._as_seen(self._stations[name]) for name in names]
        return {"time_ms": self.now_ms, "uplinks": [self._uplink], "stations": stations}

    def _as_seen(self, station: Station) -> Station:
        seen = self._silent.get(station["name"], self.now_ms)
        values = [{**value, "time_ms": seen} for value in station["values"]]
        return {**station, "seen_ms": seen, "values": values}


SITE = {
    "name": "Bengkel Baterai Cikarang",
    "line": "Lini 1",
    "timezone": "Asia/Jakarta",
    "agent": "pi-cikarang",
    "version": "0.1.0",
}


def station(name: str, title: tuple[str, str], family: str, **more: object) -> Station:
    """Return a station with nothing but what `more` says."""
    return {
        "name": name,
        "title": {"id": title[0], "en": title[1]},
        "family": family,
        "state": "execute",
        "reason": "",
        "since_ms": START_MS - 12 * MINUTE,
        "stale_after_s": 5.0,
        "values": [],
        "counts": None,
        "parts": None,
        "last": None,
        "alarms": [],
        "channels": [],
        **more,
    }


def value(
    name: str,
    label: tuple[str, str],
    reading: tuple[float | str | None, str, int | None],
    limits: tuple[float | None, float | None] = (None, None),
    **more: object,
) -> dict[str, Any]:
    """Return a value; `reading` is number, unit and decimals."""
    number, unit, decimals = reading
    return {
        "name": name,
        "label": {"id": label[0], "en": label[1]},
        "show": 1,
        "value": number,
        "unit": unit,
        "decimals": decimals,
        "quality": "good",
        "why": "",
        "stale_after_s": 15.0,
        "low": limits[0],
        "high": limits[1],
        **more,
    }


def alarm(code: str, priority: str, text: tuple[str, str], response: tuple[str, str]) -> Station:
    """Return an alarm that came two minutes ago."""
    return {
        "code": code,
        "priority": priority,
        "text": {"id": text[0], "en": text[1]},
        "response": {"id": response[0], "en": response[1]},
        "since_ms": START_MS - 2 * MINUTE,
    }


def channels() -> list[Station]:
    """Return 64 channels: most charge, some rest, one is protected, one stands apart."""
    made = []
    for n in range(1, 65):
        state, step = ("charging", "cc_charge") if n <= 44 else ("rest", "rest")
        if n > 52:
            state, step = "discharging", "cc_discharge"
        made.append(
            {
                "channel": str(n),
                "state": state,
                "step": step,
                "step_no": 2,
                "voltage": 3.652 + (n * 7 % 11 - 5) / 1000,
                "current": {"charging": 1.25, "rest": 0.0, "discharging": -1.25}[state],
                "capacity_ah": 1.204 + n / 1000,
                "temperature": 31.0 + n % 5 / 10,
                "progress": 42.5,
                "serial": f"LG2550A{n:07}",
                "quality": "good",
            }
        )
    made[18] |= {"state": "protected", "step": "none", "current": 0.0}
    made[26]["temperature"] = 38.4
    made[59] |= {"quality": "bad", "voltage": None, "current": None, "capacity_ah": None}
    return made


def line() -> list[Station]:
    """Return the demo line, all well."""
    welder = [
        value("current_peak", ("Arus las", "Weld current"), (1.482, "kA", 3), (1.2, 1.7)),
        value("energy", ("Energi las", "Weld energy"), (36.1, "J", 1), (30.0, 42.0)),
        value("head_temperature", ("Suhu kepala las", "Head temperature"), (41.2, "°C", 1), (None, 60.0)),
        value("recipe", ("Program las", "Weld schedule"), (12, "", 0), show=None),
        value("force", ("Tekanan elektroda", "Electrode force"), (38.4, "N", 1), (30.0, 50.0), show=None),
    ]  # fmt: skip
    sorter = [
        value("ocv", ("Tegangan tanpa beban (OCV)", "Open-circuit voltage"), (3652.4, "mV", 1), (3590.0, 3700.0)),
        value("acir", ("Hambatan dalam (IR)", "AC internal resistance"), (18.06, "mΩ", 2), (None, 22.0)),
        value("ambient_temperature", ("Suhu ruang", "Room temperature"), (27.8, "°C", 1)),
        value("cells_per_hour", ("Sel per jam", "Cells per hour"), (1860, "", 0)),
    ]  # fmt: skip
    formation = [
        value("cabinet_temperature", ("Suhu kabinet", "Cabinet temperature"), (31.4, "°C", 1), (15.0, 45.0)),
        value("channels_active", ("Kanal berjalan", "Channels running"), (62, "", 0)),
        value("channels_protected", ("Kanal diproteksi", "Channels protected"), (1, "", 0)),
    ]  # fmt: skip
    chiller = [
        value("outlet_temperature", ("Suhu air keluar", "Outlet temperature"), (20.1, "°C", 1), (15.0, 25.0)),
        value("set_temperature", ("Setelan suhu air", "Set temperature"), (20.0, "°C", 1)),
        value("flow", ("Aliran air", "Flow"), (7.4, "L/min", 1), (5.0, None)),
        value("outlet_pressure", ("Tekanan air keluar", "Outlet pressure"), (0.24, "MPa", 2), (None, 0.5)),
    ]  # fmt: skip
    oven = [
        value("process_value", ("Suhu sekarang", "Process value"), (60.2, "°C", 1), (57.0, 63.0)),
        value("set_point_internal", ("Setelan suhu kini", "Internal set point"), (60.0, "°C", 1)),
        value("output_heating", ("Daya pemanas", "Heating output"), (34.5, "%", 1)),
    ]  # fmt: skip
    meter = [
        value("power_total", ("Daya total", "Total power"), (12_840.0, "W", 0)),
        value("voltage_l1", ("Tegangan L1", "Voltage L1"), (228.4, "V", 1), (207.0, 242.0)),
        value("power_factor", ("Faktor daya", "Power factor"), (0.92, "", 2)),
        value("energy_import", ("Energi masuk", "Energy import"), (48_213.6, "kWh", 1)),
    ]  # fmt: skip
    return [
        station(
            "welder-1",
            ("Las titik 1", "Spot welder 1"),
            "welder",
            values=welder,
            counts={"total": 12_345, "good": 12_322, "reject": 23},
            parts={"stored": 12_345, "ng": 23, "lost": 0},
            last={"serial": "MB260514-00412", "result": "OK", "code": "none", "time_ms": START_MS},
        ),
        station(
            "sorter-1",
            ("Mesin sortir sel", "Cell sorter"),
            "sorter",
            values=sorter,
            counts={"total": 9_641, "good": 9_530, "reject": 111},
            parts={"stored": 9_641, "ng": 111, "lost": 0},
            last={"serial": "LG2550A0077319", "result": "NG", "code": "acir_high", "time_ms": START_MS},
        ),
        station(
            "formation-1",
            ("Kabinet formasi 64 kanal", "Formation cabinet, 64 channels"),
            "formation",
            since_ms=START_MS - 185 * MINUTE,
            stale_after_s=15.0,
            values=formation,
            channels=channels(),
            counts={"total": 1_204, "good": 1_195, "reject": 9},
            parts={"stored": 1_204, "ng": 9, "lost": 0},
            last={"serial": "LG2550A0071204", "result": "OK", "code": "none", "time_ms": START_MS - 9 * MINUTE},
        ),
        station(
            "chiller-1",
            ("Pendingin (chiller)", "Chiller"),
            "chiller",
            since_ms=START_MS - 384 * MINUTE,
            values=chiller,
        ),
        station(
            "oven-1",
            ("Oven pengering", "Drying oven"),
            "temperature",
            state="idle",
            since_ms=START_MS - 47 * MINUTE,
            values=oven,
        ),
        station("meter-1", ("Meter energi", "Energy meter"), "meter", state="none", values=meter),
    ]  # fmt: skip


def trouble(board: FakeBoard) -> None:
    """Bring a bad afternoon: a fault, a starved machine, one silent, the server away."""
    welder, sorter, _, chiller, *_ = line()
    chiller["values"][2] |= {"value": 3.1}
    chiller["values"][3] |= {"value": None, "quality": "bad", "why": "sentinel"}
    sorter["values"][2] |= {"quality": "uncertain", "why": "out_of_range"}
    board.put(
        "welder-1",
        state="aborted",
        reason="emergency_stop",
        since_ms=START_MS - 2 * MINUTE,
        values=welder["values"],
        parts={"stored": 12_338, "ng": 23, "lost": 7},
        alarms=[
            alarm(
                "emergency_stop",
                "critical",
                ("Tombol darurat ditekan", "Emergency stop pressed"),
                (
                    "Pastikan area aman, lepas tombol darurat, lalu reset.",
                    "Make sure the area is safe, release the button, then reset.",
                ),
            ),
            alarm(
                "electrode_life",
                "low",
                ("Elektroda waktunya diasah", "Electrode due for dressing"),
                ("Asah elektroda saat istirahat berikutnya.", "Dress the electrode at the next break."),
            ),
        ],
    )  # fmt: skip
    board.put("sorter-1", state="suspended", reason="starved", values=sorter["values"])
    board.put(
        "chiller-1",
        values=chiller["values"],
        alarms=[
            alarm(
                "outlet_temperature_rise",
                "medium",
                ("Suhu air keluar naik", "Circulating fluid discharge temp. rise"),
                (
                    "Periksa saringan debu dan udara di sekitar chiller.",
                    "Check the dust filter and the air around the chiller.",
                ),
            )
        ],
    )
    board.put("meter-1", reason="comm", state="unknown")
    board.silence("meter-1", age_s=95)
    board.silence("formation-1", age_s=42)
    board.uplink(connected=False, queue=12, oldest_s=312.0)
