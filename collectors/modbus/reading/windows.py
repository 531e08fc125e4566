"""How parts are seen in a machine's memory: each shape of `[records]` as reads on the bus.

What a window `reads` is what it costs: each read of a look that finds one new part, and how often
it is done.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2s

from collectors.errors import WrongDeviceError
from collectors.modbus.decoding.decode import Decided, Decoder
from collectors.modbus.planning.plan import Item, QueueRead, Read, place, plan
from collectors.modbus.reading.device import Device
from collectors.modbus.transport.frame import Request
from collectors.quality import Fault
from collectors.record_source import RecordSource, Shape
from collectors.records.batch import Slot
from collectors.records.counted import Look
from collectors.records.numbered import Head
from collectors.sample import Value

_ANY_GAP = 124
_TWICE = 2  # looked at: once to find a part, and once more to know that it stood still

Cost = tuple[Read, int]


class MainRegisters:
    """The registers of the main map that tell of parts: those of `at_once` by one read."""

    def __init__(self, device: Device, at_once: Iterable[str], others: Iterable[str]) -> None:
        profile, device_id = device.place.profile, device.place.device_id
        self._device = device
        limits = profile.modbus.model_copy(update={"max_gap": _ANY_GAP})
        pair = [place(profile, profile.named(name)) for name in at_once]
        rest = [place(profile, profile.named(name)) for name in others]
        joined = plan([*pair, *rest], limits, device_id=device_id)
        apart = [plan(each, limits, device_id=device_id) for each in (pair, rest)]
        self.reads = joined if len(joined) == 1 else (*apart[0], *apart[1])
        self._decoders = [Decoder(read) for read in self.reads]

    async def read(self) -> Mapping[str, int]:
        """Return the registers' numbers, a bit as 0 or 1; raises WrongDeviceError for any other."""
        found: dict[str, int] = {}
        for decoder in self._decoders:
            (decoded,) = decoder.decode(await self._device.fetch(decoder.read.request))
            for item in decoder.read.items:
                name = item.register.name
                value = decoded.values.get(name)
                if not isinstance(value, int):
                    raise WrongDeviceError(
                        f"{self._device.station}: `{name}` is no number, so parts are not found",
                        "check the registers that [records] of the profile names",
                    )
                found[name] = int(value)
        return found


class RingWindow:
    """A ring of slots."""

    stood_still = True  # a slot tells by itself whether it is whole

    def __init__(self, device: Device, source: RecordSource) -> None:
        self._device = device
        self._source = source
        self._main = MainRegisters(
            # Index and sequence must be of one moment.
            device,
            _named(source.sequence, source.write_index),
            _acknowledge(device, source),
        )
        self._table = device.place.profile.modbus.table
        self._strip = _Strip(device, source)
        self._per_read = max(1, device.place.profile.modbus.max_registers // source.stride)

    @property
    def reads(self) -> list[Cost]:
        """The last stored part and the new one stand side by side, but where the ring ends."""
        joined = min(2, self._per_read)
        read = Read(
            table=self._table,
            address=self._source.address,
            count=joined * self._source.stride,
            items=(),
            device_id=self._device.place.device_id,
        )
        return [*_each(self._main.reads, _TWICE), (read, 2 // joined)]

    async def head(self) -> Head:
        """Return where the ring stands."""
        found = await self._main.read()
        return Head(
            seq=found[self._source.sequence or ""],
            held=self._source.slots,
            write_index=found[self._source.write_index or ""],
            acknowledged=found.get(self._source.acknowledge or ""),
        )

    async def slots(self, seqs: Sequence[int], head: Head) -> dict[int, Slot]:
        """Return what the slots hold in which `head` has these sequences."""
        stride, address = self._source.stride, self._source.address
        found: dict[int, Slot] = {}
        for run in self._runs(seqs, head):
            first = address + self._slot_of(run[0], head) * stride
            request = Request(self._device.place.device_id, self._table, first, len(run) * stride)
            payload = await self._device.fetch(request)
            found.update(zip(run, self._strip.cut(payload), strict=True))
        return found

    def _slot_of(self, seq: int, head: Head) -> int:
        age = (head.seq - seq) % self._source.wrap
        return (head.write_index - 1 - age) % self._source.slots

    def _runs(self, seqs: Sequence[int], head: Head) -> list[list[int]]:
        """Split sequences into runs of neighbouring slots that one read can take."""
        runs: list[list[int]] = []
        for seq in seqs:
            last = runs[-1] if runs else []
            follows = last and self._slot_of(seq, head) == self._slot_of(last[-1], head) + 1
            if follows and len(last) < self._per_read:
                last.append(seq)
            else:
                runs.append([seq])
        return runs


class BlockWindow:
    """One block and its counter."""

    stood_still = True  # the counter tells

    def __init__(self, device: Device, source: RecordSource) -> None:
        self._source = source
        others = _acknowledge(device, source)
        self._main = MainRegisters(device, _named(source.sequence), others)
        self._block = _Block(device, source)

    @property
    def reads(self) -> list[Cost]:
        """The block stands still while its counter does."""
        return [*_each(self._main.reads, _TWICE), *_each(self._block.reads, 1)]

    async def head(self) -> Head:
        """Return the counter; the block holds its part."""
        found = await self._main.read()
        seq = found[self._source.sequence or ""]
        acknowledged = found.get(self._source.acknowledge or "")
        return Head(seq=seq, held=1, acknowledged=acknowledged)

    async def slots(self, seqs: Sequence[int], head: Head) -> dict[int, Slot]:
        """Return the block as the newest of `seqs`."""
        del head
        return {seqs[-1]: await self._block.read()}


class SignalWindow:
    """One block and the bit that tells of it."""

    def __init__(self, device: Device, source: RecordSource) -> None:
        self._source = source
        others = [*_named(source.total), *_acknowledge(device, source)]
        self._main = MainRegisters(device, _named(source.signal), others)
        self._block = _Block(device, source)

    @property
    def reads(self) -> list[Cost]:
        """All of it is looked at twice."""
        return _each([*self._main.reads, *self._block.reads], _TWICE)

    async def look(self) -> Look:
        """Return what the machine shows: the bit first, then the block."""
        found = await self._main.read()
        return Look(
            level=bool(found[self._source.signal or ""]),
            total=found.get(self._source.total or ""),
            slots=(await self._block.read(),),
            acknowledged=found.get(self._source.acknowledge or ""),
        )


class QueueWindow:
    """A FIFO queue, whose entries may be numbered."""

    def __init__(self, device: Device, source: RecordSource) -> None:
        self._device = device
        self._source = source
        others = [*_named(source.total), *_acknowledge(device, source)]
        self._main = MainRegisters(device, (), others)
        self._queue = QueueRead(address=source.address, device_id=device.place.device_id)
        self._strip = _Strip(device, source)
        self._seen: Sequence[Slot] = ()
        self.stood_still = False
        """Whether the last two heads saw the same: words shifted by one can look like a part."""

    @property
    def reads(self) -> list[Cost]:
        """All of it is looked at twice."""
        return _each([*self._main.reads, self._queue], _TWICE)

    async def look(self) -> Look:
        """Return what the machine shows."""
        found = await self._main.read()
        slots = await self._held()
        return Look(total=found.get(self._source.total or ""), slots=tuple(slots))

    async def head(self) -> Head | None:
        """Return the newest number in the queue; None while it is empty, or being filled."""
        found = await self._main.read()
        before, self._seen = self._seen, self._whole(await self._held())
        self.stood_still = before == self._seen
        if not self._seen:
            return None
        acknowledged = found.get(self._source.acknowledge or "")
        seq = int(self._seen[-1].values[self._source.begin or ""])
        return Head(seq=seq, held=len(self._seen), acknowledged=acknowledged)

    async def slots(self, seqs: Sequence[int], head: Head) -> dict[int, Slot]:
        """Return the entries that came with `head`: one answer is one moment."""
        ages = {seq: (head.seq - seq) % self._source.wrap for seq in seqs}
        held = len(self._seen)
        return {seq: self._seen[-1 - age] for seq, age in ages.items() if age < held}

    def _whole(self, slots: Sequence[Slot]) -> Sequence[Slot]:
        """Return the last entries that are whole and follow each other.

        A machine that drops the oldest word for each that it adds shows none for a moment.
        """
        begin, end = self._source.begin or "", self._source.end or ""
        whole: list[Slot] = []
        for slot in reversed(slots):
            number = slot.values.get(begin)
            if not isinstance(number, int) or number != slot.values.get(end):
                break
            if whole and whole[-1].values[begin] != self._source.number_of(number + 1):
                break
            whole.append(slot)
        return whole[::-1]

    async def _held(self) -> Sequence[Slot]:
        payload = await self._device.fetch(self._queue.request)
        size = 2 * self._source.stride
        return self._strip.cut(payload[: len(payload) // size * size])


class _Strip:
    """Slots of one size, one behind the other."""

    def __init__(self, device: Device, source: RecordSource) -> None:
        profile = device.place.profile
        self._size = 2 * source.stride
        items = tuple(place(profile, register) for register in source.registers)
        table = profile.modbus.table
        self._slot = Decoder(Read(table=table, address=0, count=source.stride, items=items))
        self._identity = [item for item in items if item.register.name in source.identity]
        self._layout = _layout(self._identity)

    def cut(self, payload: bytes) -> list[Slot]:
        """Return the slots that `payload` holds."""
        starts = range(0, len(payload), self._size)
        return [self._one(payload[start : start + self._size]) for start in starts]

    def _one(self, payload: bytes) -> Slot:
        (part,) = self._slot.decode(payload)
        content = (_bytes_of(item, self._slot.read, payload) for item in self._identity)
        return Slot(part.values, part.faults, _digest(self._layout, content))


class _Block:
    """The registers of one part, wherever they stand."""

    def __init__(self, device: Device, source: RecordSource) -> None:
        profile = device.place.profile
        self._device = device
        items = [place(profile, each, base=source.address) for each in source.registers]
        self.reads = plan(items, profile.modbus, device_id=device.place.device_id)
        self._decoders = [Decoder(read) for read in self.reads]
        self._identity = source.identity
        self._layout = _layout(item for item in items if item.register.name in self._identity)

    async def read(self) -> Slot:
        """Return what the block holds."""
        values: dict[str, Value] = {}
        faults: dict[str, Fault] = {}
        content: list[bytes] = []
        payloads = [await self._device.fetch(read.request) for read in self.reads]
        decided: Decided = {}
        answers = zip(self._decoders, payloads, strict=True)
        for decoder, payload in sorted(answers, key=lambda each: not each[0].decides):
            (part,) = decoder.decode(payload, decided)
            values.update(part.values)
            faults.update(part.faults)
        for read, payload in zip(self.reads, payloads, strict=True):
            known = (item for item in read.items if item.register.name in self._identity)
            content += (_bytes_of(item, read, payload) for item in known)
        return Slot(values, faults, _digest(self._layout, content))


NUMBERED: Mapping[Shape, type[RingWindow | BlockWindow | QueueWindow]] = {
    Shape.RING: RingWindow,
    Shape.BLOCK: BlockWindow,
    Shape.FIFO: QueueWindow,
}
COUNTED: Mapping[Shape, type[SignalWindow | QueueWindow]] = {
    Shape.SIGNAL: SignalWindow,
    Shape.FIFO: QueueWindow,
}


def reads_of(device: Device, source: RecordSource) -> list[Cost]:
    """Return what one look at `source` costs."""
    windows = {**NUMBERED, **COUNTED}
    return windows[source.shape](device, source).reads


def _each(reads: Iterable[Read], times: int) -> list[Cost]:
    return [(read, times) for read in reads]


def _bytes_of(item: Item, read: Read, payload: bytes) -> bytes:
    """Return what belongs to `item`: what lies between may change without a part."""
    first = item.address - read.address
    if read.table.holds_bits:
        return bytes([payload[first >> 3] >> (first & 7) & 1])
    return payload[2 * first : 2 * (item.end - read.address)]


def _layout(items: Iterable[Item]) -> str:
    """Return what changes when a profile's edit makes its digests another thing."""
    places = sorted((item.table, item.address, item.end) for item in items)
    return blake2s(repr(places).encode(), digest_size=4).hexdigest()


def _digest(layout: str, content: Iterable[bytes]) -> str:
    return f"{layout}-{blake2s(b''.join(content), digest_size=8).hexdigest()}"


def _named(*names: str | None) -> list[str]:
    return [name for name in names if name]


def _acknowledge(device: Device, source: RecordSource) -> list[str]:
    return _named(source.acknowledge) if device.place.acknowledge else []
