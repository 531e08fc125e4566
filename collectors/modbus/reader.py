"""Reads the parts of one machine: the rules of the record engine, carried out on a bus."""

from collections.abc import Sequence

from collectors.errors import WrongDeviceError
from collectors.modbus.decode import Decoder
from collectors.modbus.device import Device
from collectors.modbus.frame import Request
from collectors.modbus.plan import Read, place, read_of
from collectors.profile import Profile, RecordSource
from collectors.record import Cursor
from collectors.records import Batch, Head, RecordEngine, Slot

_MOST_SLOTS = 30  # fetched in one go, so that neighbours on the bus get their turn


class RecordReader:
    """Reads the record ring of one device by the rules of the record engine."""

    def __init__(self, device: Device, source: RecordSource) -> None:
        profile = device.place.profile
        self.name = f"{device.station.station}/{source.kind}"
        self.device = device
        self.period_s = source.period_s
        self._source = source
        self._engine = RecordEngine(source, device.station, Cursor())
        device_id = device.place.device_id
        self._head = Decoder(head_of(profile, source, device_id))
        self._slot = Decoder(slot_of(profile, source, device_id))
        self._per_read = max(1, profile.modbus.max_registers // source.stride)

    def start_at(self, cursor: Cursor) -> None:
        """Go on where the records on the disk end."""
        self._engine.cursor = cursor

    async def read(self) -> Batch:
        """Return what is new, oldest first; empty when nothing is. Call `stored` once it is safe.

        Raises RefusedError too: a ring that cannot be read is a fault of the profile.
        """
        device = self.device
        await device.recognise()
        head = await self._read_head()
        seqs = self._engine.wanted(head, at_ns=device.clock(), most=_MOST_SLOTS)
        slots = await self._read_slots(seqs, head)
        # Read again: what was overwritten or reset meanwhile must not be taken for a part.
        after = await self._read_head() if seqs else head
        await device.recognise()  # a connection made meanwhile may lead to another device
        return self._engine.accept(slots, after, at_ns=device.clock())

    def stored(self, batch: Batch) -> None:
        """Move the cursor on: the records of `batch` and its cursor are on the disk."""
        self._engine.advance(batch)

    def is_behind(self, batch: Batch) -> bool:
        """Whether `batch` was as large as a batch may be, so that more may be waiting."""
        return len(batch.records) >= _MOST_SLOTS

    async def _read_head(self) -> Head:
        (decoded,) = self._head.decode(await self.device.fetch(self._head.read.request))
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
                Request(
                    self.device.place.device_id,
                    self._slot.read.table,
                    self._source.address + first * stride,
                    len(run) * stride,
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


def head_of(profile: Profile, source: RecordSource, device_id: int) -> Read:
    """Return the read of index and sequence: one, since both must be of one moment."""
    items = [place(profile, profile.named(name)) for name in (source.sequence, source.write_index)]
    return read_of(sorted(items, key=lambda item: item.address), device_id)


def slot_of(profile: Profile, source: RecordSource, device_id: int) -> Read:
    """Return the read of one slot, the first of the ring."""
    start = source.address
    return Read(
        table=profile.modbus.table,
        address=start,
        count=source.stride,
        items=tuple(place(profile, register, base=start) for register in source.registers),
        device_id=device_id,
    )
