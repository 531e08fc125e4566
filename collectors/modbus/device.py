"""One device on a bus: what its profile asks of it, as polls that return or raise."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from collectors.errors import RefusedError, WrongDeviceError
from collectors.modbus.bus import Bus
from collectors.modbus.decode import Decoded, Decoder
from collectors.modbus.frame import Request
from collectors.modbus.plan import Item, Read, items_of, place, plan
from collectors.profile import Profile, RecordSource
from collectors.quality import Fault, Reason
from collectors.record import Cursor
from collectors.records import Batch, Head, RecordEngine, Slot
from collectors.sample import Sample, StationId

_MOST_SLOTS = 30  # fetched in one go, so that neighbours on the bus get their turn

Clock = Callable[[], int]  # wall clock in ns since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device is, and how it is read: a station of the plant behind a device id of a bus."""

    station: StationId
    device_id: int
    profile: Profile
    timeout_s: float


class Device:
    """Reads one device. Every method may raise BusDownError or NoAnswerError."""

    def __init__(self, place: Place, bus: Bus, clock: Clock) -> None:
        self.place = place
        self._bus = bus
        self.clock = clock
        limits = place.profile.modbus
        self._groups = {
            group: _decoders(plan(items_of(place.profile, group), limits))
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

    def _one(self, name: str) -> Decoder:
        item = place(self.place.profile, self.place.profile.named(name))
        (decoder,) = _decoders(plan([item], self.place.profile.modbus))
        return decoder


class RecordReader:
    """Reads the record ring of one device by the rules of the record engine."""

    def __init__(self, device: Device, source: RecordSource) -> None:
        profile = device.place.profile
        self.name = f"{device.station.station}/{source.kind}"
        self.device = device
        self.period_s = source.period_s
        self._source = source
        self._engine = RecordEngine(source, device.station, Cursor())
        # Index and sequence must be of one moment, so they are one read, whatever lies between.
        names = (source.sequence, source.write_index)
        (self._head,) = _decoders(
            plan(
                [place(profile, profile.named(name)) for name in names],
                profile.modbus.model_copy(update={"max_gap": 124}),
            )
        )
        self._table = profile.modbus.table
        self._per_read = max(1, profile.modbus.max_registers // source.stride)
        self._slot = Decoder(
            Read(
                table=self._table,
                address=0,
                count=source.stride,
                items=tuple(place(profile, register) for register in source.registers),
            )
        )

    def start_at(self, cursor: Cursor) -> None:
        """Go on where the records on the disk end."""
        self._engine.cursor = cursor

    async def read(self) -> Batch:
        """Return what is new, oldest first; empty when nothing is. Call `stored` once it is safe.

        Raises RefusedError too: a ring that cannot be read is a fault of the profile.
        """
        device = self.device
        head = await self._read_head()
        seqs = self._engine.wanted(head, at_ns=device.clock(), most=_MOST_SLOTS)
        slots = await self._read_slots(seqs, head)
        # Read again: what was overwritten or reset meanwhile must not be taken for a part.
        after = await self._read_head() if seqs else head
        return self._engine.accept(slots, after, at_ns=device.clock())

    def stored(self, batch: Batch) -> None:
        """Move the cursor on: the records of `batch` and its cursor are on the disk."""
        self._engine.advance(batch)

    def is_behind(self, batch: Batch) -> bool:
        """Whether `batch` was as large as a batch may be, so that more may be waiting."""
        return len(batch.records) >= _MOST_SLOTS

    async def _read_head(self) -> Head:
        (decoded,) = self._head.decode(await self.device.fetch(self._head.read))
        seq = decoded.values.get(self._source.sequence)
        index = decoded.values.get(self._source.write_index)
        if not isinstance(seq, int) or not isinstance(index, int):
            raise WrongDeviceError(
                f"{self.device.station}: the head of the record ring is not a pair of numbers",
                "check the registers that [records] of the profile names",
            )
        return Head(seq=seq, write_index=index)

    async def _read_slots(self, seqs: Sequence[int], head: Head) -> dict[int, Slot]:
        stride = self._source.stride
        slots: dict[int, Slot] = {}
        for run in self._runs(seqs, head):
            first = self._engine.slot_of(run[0], head)
            payload = await self.device.fetch(
                Read(
                    table=self._table,
                    address=self._source.address + first * stride,
                    count=len(run) * stride,
                    items=(),
                )
            )
            for place_in_run, seq in enumerate(run):
                start = 2 * stride * place_in_run
                (part,) = self._slot.decode(payload[start : start + 2 * stride])
                slots[seq] = Slot(part.values, part.faults)
        return slots

    def _runs(self, seqs: Sequence[int], head: Head) -> list[list[int]]:
        """Split sequences into runs of neighbouring slots that one read can take."""
        runs: list[list[int]] = []
        for seq in seqs:
            follows = runs and self._engine.slot_of(seq, head) == (
                self._engine.slot_of(runs[-1][-1], head) + 1
            )
            if follows and len(runs[-1]) < self._per_read:
                runs[-1].append(seq)
            else:
                runs.append([seq])
        return runs


def _decoders(reads: Iterable[Read]) -> tuple[Decoder, ...]:
    return tuple(Decoder(read) for read in reads)


def _faults(items: Iterable[Item], reason: Reason) -> list[Decoded]:
    faults: dict[str, dict[str, Fault]] = {}
    for item in items:
        faults.setdefault(item.channel, {})[item.register.name] = Fault(reason=reason)
    return [Decoded(channel, {}, names) for channel, names in faults.items()]
