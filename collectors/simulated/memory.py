"""The registers of one simulated machine, as the bytes that go over the wire."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pymodbus.constants import ExcCodes

from collectors.profile import Profile
from collectors.record_source import QUEUE_REGISTERS, Shape
from collectors.register import Order, Register, Table, Type
from collectors.simulated.encode import Content, Encode, encoder

_TABLES = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}
_ADDRESSES = 65536

Put = Callable[[int, Content], None]  # puts a value into the block that begins at an address


@dataclass(frozen=True, slots=True)
class _Area:
    """One table: a byte an address for bits, two for registers; and which addresses exist."""

    holds_bits: bool
    data: bytearray
    exists: bytearray = field(default_factory=lambda: bytearray(_ADDRESSES))

    def add(self, address: int, count: int) -> None:
        self.exists[address : address + count] = b"\1" * count

    def has(self, address: int, count: int) -> bool:
        end = address + count
        return end <= _ADDRESSES and self.exists.find(0, address, end) < 0

    def fill_gaps(self, longest: int) -> None:
        """Let the gaps of up to `longest` addresses exist too, holding 0."""
        last = -1
        for address in [each for each, there in enumerate(self.exists) if there]:
            if last >= 0 and address - last - 1 <= longest:
                self.add(last, address - last)
            last = address

    def read(self, address: int, count: int) -> bytes:
        if not self.holds_bits:
            return bytes(self.data[2 * address : 2 * (address + count)])
        bits = self.data[address : address + count]
        number = sum(bit << place for place, bit in enumerate(bits))
        return number.to_bytes((count + 7) // 8, "little")


class Memory:
    """What a machine of one profile answers: its registers, its channels, its ring of records.

    Only what the profile names exists, and the gaps that it says a read may bridge. `refresh`
    is called before each read, so that slow values need no clockwork of their own.
    """

    def __init__(self, profile: Profile, refresh: Callable[[], None] = lambda: None) -> None:
        self.profile = profile
        self.queue = bytearray()  # registers that wait in the FIFO queue
        self._refresh = refresh
        self._areas: dict[Table, _Area] = {}
        self._numbers: dict[tuple[int, str], int] = {}  # of registers that decide, by base and name
        self._main = self._puts(profile.registers)
        self._channel: Mapping[str, Put] = {}
        self._slot: Mapping[str, Put] = {}
        for register in profile.registers:
            self._area(profile.table_of(register)).add(register.address, register.words)
        if channels := profile.channels:
            self._channel = self._puts(channels.registers)
            self._area(profile.modbus.table).add(channels.address, channels.count * channels.stride)
        if records := profile.records:
            self._slot = self._puts(records.registers)
            if records.shape is Shape.RING:
                area = self._area(profile.modbus.table)
                area.add(records.address, records.slots * records.stride)
            elif records.shape is not Shape.FIFO:
                for each in records.registers:
                    area = self._area(profile.table_of(each))
                    area.add(records.address + each.address, each.words)
        for area in self._areas.values():
            area.fill_gaps(profile.modbus.max_gap)

    def set(self, name: str, value: Content) -> None:
        """Put `value`, in the profile's unit, into the register `name` of the main map."""
        self._main[name](0, value)

    def remove(self, name: str) -> None:
        """Let a register of the main map not exist, as on another model."""
        register = self.profile.named(name)
        area = self._area(self.profile.table_of(register))
        area.exists[register.address : register.end] = bytes(register.words)

    def set_channel(self, index: int, name: str, value: Content) -> None:
        """Put `value` into a register of channel `index`, counting from 0."""
        channels = self.profile.channels
        if channels is None or not 0 <= index < channels.count:
            raise IndexError(f"there is no channel {index}")
        self._channel[name](channels.address + index * channels.stride, value)

    def write_slot(self, index: int, values: Mapping[str, Content]) -> None:
        """Put `values` into slot `index` of the ring, counting from 0; the rest of it stays.

        A block is a ring of one slot.
        """
        records = self.profile.records
        if records is None or not 0 <= index < records.entries:
            raise IndexError(f"there is no slot {index}")
        base = records.address + index * records.stride
        for name, value in values.items():
            self._slot[name](base, value)

    def push(self, values: Mapping[str, Content]) -> None:
        """Put a part at the end of the queue; the oldest one goes when there is no room."""
        records = self.profile.records
        if records is None or records.shape is not Shape.FIFO:
            raise IndexError("there is no queue")
        size = 2 * records.stride
        if len(self.queue) + size > 2 * QUEUE_REGISTERS:
            del self.queue[:size]
        area = self._area(self.profile.modbus.table)
        area.data[2 * records.address : 2 * records.address + size] = bytes(size)
        for name, value in values.items():
            self._slot[name](records.address, value)
        self.queue += area.data[2 * records.address : 2 * records.address + size]

    def clear_slots(self) -> None:
        """Put 0 into the whole ring, and empty the queue."""
        self.queue.clear()
        records = self.profile.records
        if records is not None and records.shape is Shape.RING:
            size = 2 * records.slots * records.stride
            start = 2 * records.address
            self._area(self.profile.modbus.table).data[start : start + size] = bytes(size)

    def read(self, function: int, address: int, count: int) -> bytes | ExcCodes:
        """Return the data bytes of an answer, or the exception the machine refuses with."""
        table = _TABLES.get(function)
        if table is None:
            return ExcCodes.ILLEGAL_FUNCTION
        limits = self.profile.modbus
        if not 1 <= count <= (limits.max_bits if table.holds_bits else limits.max_registers):
            return ExcCodes.ILLEGAL_VALUE
        area = self._areas.get(table)
        if area is None or not area.has(address, count):
            return ExcCodes.ILLEGAL_ADDRESS
        self._refresh()
        return area.read(address, count)

    def read_queue(self, address: int) -> bytes | ExcCodes:
        """Return the registers in the queue at `address`, or an exception. They stay there."""
        records = self.profile.records
        if records is None or records.shape is not Shape.FIFO:
            return ExcCodes.ILLEGAL_FUNCTION
        return bytes(self.queue) if address == records.address else ExcCodes.ILLEGAL_ADDRESS

    def write(self, address: int, value: int) -> ExcCodes | None:
        """Take an acknowledgement; nothing else is to be written."""
        records = self.profile.records
        if records is None or records.acknowledge is None:
            return ExcCodes.ILLEGAL_FUNCTION
        if address != self.profile.named(records.acknowledge).address:
            return ExcCodes.ILLEGAL_ADDRESS
        self.set(records.acknowledge, value)
        return None

    def acknowledged(self) -> int:
        """Return what was last acknowledged."""
        records = self.profile.records
        if records is None or records.acknowledge is None:
            raise IndexError("nothing can be acknowledged")
        address = self.profile.named(records.acknowledge).address
        return int.from_bytes(self._area(Table.HOLDING).read(address, 1), "big")

    def _area(self, table: Table) -> _Area:
        if table not in self._areas:
            size = _ADDRESSES if table.holds_bits else 2 * _ADDRESSES
            self._areas[table] = _Area(table.holds_bits, bytearray(size))
        return self._areas[table]

    def _puts(self, block: Iterable[Register]) -> Mapping[str, Put]:
        deciders = {each.scaled_by.register_name for each in block if each.scaled_by}
        puts = {each.name: self._put_for(each) for each in block}
        return {
            each.name: self._noted(each, puts[each.name])
            if each.name in deciders
            else puts[each.name]
            for each in block
        }

    def _noted(self, decider: Register, put: Put) -> Put:
        """Return `put`, remembering the number that the register then holds."""
        is_bit = decider.type is Type.BOOL
        encode = None if is_bit else encoder(decider, Order.ABCD)

        def put_noted(base: int, value: Content) -> None:
            put(base, value)
            number = int.from_bytes(encode(value), "big") if encode else int(bool(value))
            self._numbers[base, decider.name] = number

        return put_noted

    def _put_for(self, register: Register) -> Put:
        table, order = self.profile.table_of(register), self.profile.order_of(register)
        data, address = self._area(table).data, register.address
        if table.holds_bits:
            return _put_bit(data, address)
        is_swapped = order in {Order.BADC, Order.DCBA}
        if register.type is Type.BOOL:
            bit = register.bit or 0
            is_second = (bit < 8) != is_swapped
            return _put_bit_of_word(data, 2 * address + is_second, 1 << bit % 8)
        is_second = (register.byte != "high") != is_swapped
        offset = int(register.type in {Type.INT8, Type.UINT8} and is_second)
        encoder_at = self._encoder_at(register, order)

        def put(base: int, value: Content) -> None:
            content = encoder_at(base)(value)
            start = 2 * (base + address) + offset
            data[start : start + len(content)] = content

        return put

    def _encoder_at(self, register: Register, order: Order) -> Callable[[int], Encode]:
        """Return what knows the encoder of a register in the block that begins at an address."""
        by = register.scaled_by
        if by is None:
            encode = encoder(register, order)
            return lambda _base: encode
        encoders = {
            int(number): encoder(
                register.model_copy(
                    update={"scale": each.scale, "offset": each.offset, "scaled_by": None}
                ),
                order,
            )
            for number, each in by.values.items()
        }
        shift, mask = (by.bit, 1) if by.bit is not None else (0, -1)
        name = by.register_name
        return lambda base: encoders[self._numbers.get((base, name), 0) >> shift & mask]


def _put_bit(data: bytearray, address: int) -> Put:
    def put(base: int, value: Content) -> None:
        data[base + address] = bool(value)

    return put


def _put_bit_of_word(data: bytearray, place: int, mask: int) -> Put:
    def put(base: int, value: Content) -> None:
        rest = data[2 * base + place] & ~mask
        data[2 * base + place] = rest | mask if value else rest

    return put
