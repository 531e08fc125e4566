"""A bus without a wire: each unit takes the time it is given, one request after the other."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from collectors.errors import BusDownError, NoAnswerError
from collectors.modbus.reading.device import Device, Place
from collectors.modbus.transport.frame import Request
from collectors.profile import Profile
from collectors.records import Batch
from collectors.sample import Sample, StationId
from tests.services.profiles import small_profile

CLOCK_NS = 1_790_000_000_000_000_000
SILENT = 1e9  # s: more than any time-out
BREAKS = -0.01  # s to its answer: the connection breaks then


def profile(groups: Mapping[str, float], **limits: object) -> Profile:
    """Return a profile with one register in each poll group."""
    return small_profile(
        [
            {"name": f"v_{group}", "address": 1000 * number, "type": "uint16", "group": group}
            for number, group in enumerate(groups)
        ],
        modbus=limits,
        groups=groups,
    )


class TimedBus:
    """Answers every read with zeros after the time of its unit, or not in time.

    `began` has the loop's time of each request by unit.
    """

    name = "timed"
    window = 1

    def __init__(self, answers: Mapping[int, float]) -> None:
        self.answers = dict(answers)  # unit → seconds to its answer
        self.began: defaultdict[int, list[float]] = defaultdict(list)
        self.is_open = True
        self.generation = 1
        self._is_busy = False

    async def read(self, request: Request, timeout_s: float) -> bytes:
        """Do as `Bus.read`."""
        assert not self._is_busy, "two requests at once"
        loop = asyncio.get_running_loop()
        if not self.is_open:
            raise BusDownError("the cable is pulled")
        self.began[request.device_id].append(loop.time())
        self._is_busy = True
        answer_s = self.answers[request.device_id]
        try:
            await asyncio.sleep(min(abs(answer_s), timeout_s))
        finally:
            self._is_busy = False
        if answer_s < 0:
            self.generation += 1
            raise BusDownError("the connection broke")
        if answer_s > timeout_s:
            raise NoAnswerError(f"unit {request.device_id} said nothing for {timeout_s} s")
        return bytes(request.byte_count)

    def devices(self, profiles: Mapping[int, Profile]) -> Sequence[Device]:
        """Return a device for each unit, called `unit-1` and so on."""
        return [
            Device(
                Place(
                    station=StationId(site="s", line="l", station=f"unit-{unit}"),
                    device_id=unit,
                    profile=about,
                    timeout_s=about.modbus.timeout_s,
                ),
                self,  # type: ignore[arg-type]  # all that a device wants of a bus
                clock=lambda: CLOCK_NS,
            )
            for unit, about in profiles.items()
        ]


class Notes:
    """An observer that remembers samples, and when they came."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.times: list[float] = []  # on the loop's clock, one for each sample

    def sampled(self, sample: Sample) -> None:
        """Take one sample."""
        self.samples.append(sample)
        self.times.append(asyncio.get_running_loop().time())

    async def recorded(self, source: str, batch: Batch) -> None:
        """Fail: no test with these notes has records."""
        raise AssertionError(f"no records in this test, but {source} sent {batch}")

    def good(self, station: str, group: str = "") -> list[float]:
        """Return when samples with values of a station (and group) came."""
        return [
            at
            for at, each in zip(self.times, self.samples, strict=True)
            if each.station.station == station and each.values and group in {"", each.group}
        ]
