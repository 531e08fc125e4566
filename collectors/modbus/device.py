"""One device on a bus: what its profile asks of it, as polls that return or raise."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from collectors.errors import FixTheFileError, RefusedError, WrongDeviceError
from collectors.modbus.bus import Bus
from collectors.modbus.decode import Decoded, Decoder
from collectors.modbus.frame import Acknowledgement, QueueRequest, Request
from collectors.modbus.plan import Item, Read, items_of, place, plan
from collectors.profile import Profile
from collectors.quality import Fault, Reason
from collectors.sample import Sample, StationId

Clock = Callable[[], int]  # wall clock in ns since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device is, and how it is read: a station of the plant behind a device id of a bus.

    `acknowledge` is the site's leave to write the one register that the profile names for it.
    """

    station: StationId
    device_id: int
    profile: Profile
    timeout_s: float
    acknowledge: bool = False


class Device:
    """Reads one device. Every method may raise BusDownError or NoAnswerError."""

    def __init__(self, place: Place, bus: Bus, clock: Clock) -> None:
        self.place = place
        self._bus = bus
        self.clock = clock
        limits = place.profile.modbus
        self._groups = {
            group: decoders(plan(items_of(place.profile, group), limits))
            for group in place.profile.groups
        }
        self._identity = self._one(place.profile.identity.name) if place.profile.identity else None

    @property
    def station(self) -> StationId:
        """The station this device is."""
        return self.place.station

    async def identify(self) -> None:
        """Raise WrongDeviceError unless the identity register holds what the profile says."""
        identity = self.place.profile.identity
        if identity is None or self._identity is None:
            return
        try:
            (decoded,) = await self._decode(self._identity)
            found: object = decoded.values.get(identity.name)
        except RefusedError as error:
            found = f"refused (exception {error.code})"
        if found != identity.value:
            raise WrongDeviceError(
                f"{self.station}: `{identity.name}` is {found}, "
                f"the profile is made for {identity.value}",
                "the machine's program was changed, or another machine answers: "
                "check its address and its profile",
            )

    async def sample(self, group: str) -> list[Sample]:
        """Read a poll group. A refused read gives faults for its registers, not an error."""
        samples: list[Sample] = []
        for decoder in self._groups[group]:
            try:
                parts = await self._decode(decoder)
            except RefusedError:
                parts = _faults(decoder.read.items, Reason.REFUSED)
            samples += self._samples(group, parts)
        return samples

    def silent(self, group: str, reason: Reason) -> list[Sample]:
        """Return a poll group in which every value is missing, for `reason`."""
        items = (item for decoder in self._groups[group] for item in decoder.read.items)
        return self._samples(group, _faults(items, reason))

    def _samples(self, group: str, parts: Iterable[Decoded]) -> list[Sample]:
        at_ns = self.clock()
        return [
            Sample(
                station=self.station,
                group=group,
                time_ns=at_ns,
                values=part.values,
                faults=part.faults,
                channel=part.channel,
            )
            for part in parts
        ]

    async def _decode(self, decoder: Decoder) -> list[Decoded]:
        return decoder.decode(await self.fetch(decoder.read))

    async def fetch(self, read: Read) -> bytes:
        """Return the data bytes of one read."""
        request = Request(self.place.device_id, read.table, read.address, read.count)
        return await self._bus.read(request, self.place.timeout_s)

    async def queue(self, address: int) -> bytes:
        """Return the registers in the FIFO queue at `address`, oldest first; it stays as it is."""
        request = QueueRequest(self.place.device_id, address)
        return await self._bus.read(request, self.place.timeout_s)

    async def acknowledge(self, value: int) -> None:
        """Tell the machine which part is stored: the one write of this engine.

        Raises FixTheFileError unless both the profile and the site allow it.
        """
        records = self.place.profile.records
        if records is None or records.acknowledge is None or not self.place.acknowledge:
            raise FixTheFileError(
                f"{self.station}: nothing may be written to this device",
                "name the register in [records] of the profile, and set `acknowledge = true`",
            )
        address = self.place.profile.named(records.acknowledge).address
        request = Acknowledgement(self.place.device_id, address, value)
        await self._bus.read(request, self.place.timeout_s)

    def _one(self, name: str) -> Decoder:
        item = place(self.place.profile, self.place.profile.named(name))
        (decoder,) = decoders(plan([item], self.place.profile.modbus))
        return decoder


def decoders(reads: Iterable[Read]) -> tuple[Decoder, ...]:
    """Return what decodes the answers to `reads`."""
    return tuple(Decoder(read) for read in reads)


def _faults(items: Iterable[Item], reason: Reason) -> list[Decoded]:
    faults: dict[str, dict[str, Fault]] = {}
    for item in items:
        faults.setdefault(item.channel, {})[item.register.name] = Fault(reason=reason)
    return [Decoded(channel, {}, names) for channel, names in faults.items()]
