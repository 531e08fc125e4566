"""How parts are seen in a machine's memory: each shape of `[records]` as reads on the bus."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2s

from collectors.errors import WrongDeviceError
from collectors.modbus.decode import Decoder
from collectors.modbus.device import Device, decoders
from collectors.modbus.plan import Item, Read, place, plan
from collectors.quality import Fault
from collectors.record_source import RecordSource
from collectors.records.batch import Slot
from collectors.records.counted import Look
from collectors.records.numbered import Head
from collectors.sample import Value

_ANY_GAP = 124


class MainRegisters:
    """The registers of the main map that tell of parts: those of `at_once` by one read."""

    def __init__(self, device: Device, at_once: Iterable[str], others: Iterable[str]) -> None:
        profile = device.place.profile
        self._device = device
        limits = profile.modbus.model_copy(update={"max_gap": _ANY_GAP})
        pair = [place(profile, profile.named(name)) for name in at_once]
        rest = [place(profile, profile.named(name)) for name in others]
        joined = plan([*pair, *rest], limits)
        self._decoders = decoders(
            joined if len(joined) == 1 else [*plan(pair, limits), *plan(rest, limits)]
        )

    async def read(self) -> Mapping[str, int]:
        """Return the registers' numbers, a bit as 0 or 1; raises WrongDeviceError for any other."""
        found: dict[str, int] = {}
        for decoder in self._decoders:
            (decoded,) = decoder.decode(await self._device.fetch(decoder.read))
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
        self._strip = _Strip(device, source)
        self._per_read = max(1, device.place.profile.modbus.max_registers // source.stride)

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
            read = Read(
                table=self._device.place.profile.modbus.table,
                address=address + self._slot_of(run[0], head) * stride,
                count=len(run) * stride,
                items=(),
            )
            payload = await self._device.fetch(read)
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
        self._strip = _Strip(device, source)
        self._seen: Sequence[Slot] = ()
        self.stood_still = False
        """Whether the last two heads saw the same: words shifted by one can look like a part."""

    async def look(self) -> Look:
        """Return what the machine shows."""
        found = await self._main.read()
        slots = await self._queue()
        return Look(total=found.get(self._source.total or ""), slots=tuple(slots))

    async def head(self) -> Head | None:
        """Return the newest number in the queue; None while it is empty, or being filled."""
        found = await self._main.read()
        before, self._seen = self._seen, self._whole(await self._queue())
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

    async def _queue(self) -> Sequence[Slot]:
        payload = await self._device.queue(self._source.address)
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
        self._decoders = decoders(plan(items, profile.modbus))
        self._identity = source.identity
        self._layout = _layout(item for item in items if item.register.name in self._identity)

    async def read(self) -> Slot:
        """Return what the block holds."""
        values: dict[str, Value] = {}
        faults: dict[str, Fault] = {}
        content: list[bytes] = []
        for decoder in self._decoders:
            payload = await self._device.fetch(decoder.read)
            (part,) = decoder.decode(payload)
            values.update(part.values)
            faults.update(part.faults)
            known = (item for item in decoder.read.items if item.register.name in self._identity)
            content += (_bytes_of(item, decoder.read, payload) for item in known)
        return Slot(values, faults, _digest(self._layout, content))


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
