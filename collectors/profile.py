"""A model of equipment as data: which register holds what, and what it means.

A profile is one TOML file. A new model of machine is a new file and no code. The manual's own
name of a register stands as a comment beside it. Addresses are those of the protocol (PDU),
counted from 0: a manual's 40001 or 30001 is address 0.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from collectors import toml_file
from collectors.block import Registers
from collectors.errors import FixTheFileError
from collectors.record_source import RecordSource, Shape
from collectors.register import (
    Address,
    Name,
    Order,
    Positive,
    Register,
    Table,
    Text,
    Type,
)
from collectors.toml_file import Strict

_FOLDER = resources.files("collectors") / "profiles"


class Family(StrEnum):
    """What kind of equipment a station is; the page and the dashboards group by it."""

    WELDER = "welder"
    SORTER = "sorter"
    FORMATION = "formation"
    CHILLER = "chiller"
    TEMPERATURE = "temperature"
    METER = "meter"


class Limits(Strict):
    """What the device takes in one read, and how its registers are coded unless they say."""

    table: Table = Table.HOLDING
    order: Order = Order.ABCD
    max_registers: Annotated[int, Field(ge=1, le=125)] = 125
    max_bits: Annotated[int, Field(ge=1, le=2000)] = 2000
    max_gap: Annotated[int, Field(ge=0, le=124)] = 16  # unasked registers a joined read may cover
    timeout_s: Positive = 1.0
    answer_s: Positive = 0.02  # its usual time to think before it answers, for the bus budget
    max_in_flight: Annotated[int, Field(ge=1, le=16)] = 1  # requests at once on a TCP connection
    max_connections: Annotated[int, Field(ge=1, le=8)] = 1  # TCP connections at once


class Role(Strict):
    """A part that one register of the main map plays; `register` names it."""

    name: Annotated[Name, Field(alias="register")]


class Identity(Role):
    """A register that must hold `value`, or the device is not what the profile describes.

    Looked at on every connect, and again each `every` polls of the device.
    """

    value: int
    every: Annotated[int, Field(ge=1)] = 60


class Heartbeat(Role):
    """A register that counts while the program runs; standing still means the PLC is in STOP."""

    frozen_after_s: Positive = 5.0


StateName = Literal["stopped", "idle", "execute", "suspended", "held", "aborted"]


class StateMeaning(Strict):
    """A machine's own state in the words of PackML; `reason` tells apart what PackML does not."""

    state: StateName
    reason: Literal[
        "", "off", "starved", "blocked", "setup", "maintenance", "fault", "emergency_stop"
    ] = ""


class StateMap(Role):
    """Which register tells the state, and what its numbers mean."""

    values: Mapping[str, StateMeaning]


class Mode(Role):
    """Which register tells the mode, and in which of its numbers parts do not count."""

    test: tuple[int, ...] = ()


class EventRule(Role):
    """A register whose change means that something was done to the process.

    `goes_back` is for counters that begin anew, as the welds since dressing; `rises` for a bit
    (`bit` of the register, or bit 0) that becomes 1. A lot that changes is one ended, one begun.
    """

    kind: Literal[
        "electrode_dressed",
        "electrode_changed",
        "recipe_changed",
        "lot_changed",
        "calibration",
        "maintenance",
    ]
    when: Literal["changes", "goes_back", "rises"]
    bit: Annotated[int, Field(ge=0, le=63)] | None = None

    @property
    def subject(self) -> str:
        """What a register that `changes` tells: the electrode, recipe or lot in use."""
        return self.kind.partition("_")[0]


class Counters(Strict):
    """The machine's own counters."""

    total: Name
    good: Name | None = None
    reject: Name | None = None


class Channels(Strict):
    """A block of registers that repeats, once for each channel: 1 to `count`."""

    count: Annotated[int, Field(ge=1, le=1024)]
    address: Address
    stride: Annotated[int, Field(ge=1)]
    group: Name
    registers: Registers

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        longest = max((each.end for each in self.registers), default=0)
        if self.address + (self.count - 1) * self.stride + longest > 65536:
            raise ValueError("the last channel reaches beyond address 65535")
        owners: dict[tuple[Table | None, int], int] = {}
        for number in range(1, self.count + 1):
            base = (number - 1) * self.stride
            for each in self.registers:
                for address in range(base + each.address, base + each.end):
                    owner = owners.setdefault((each.table, address), number)
                    if owner != number:
                        raise ValueError(
                            f"`{each.name}` of channel {owner} reaches into channel {number}: "
                            f"`stride` {self.stride} is too short"
                        )
        return self


class Profile(Strict):
    """Everything Lini knows of one model of equipment."""

    title: Text
    family: Family
    maker: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]  # where the map comes from
    grade: Literal["bronze", "silver", "gold"]  # from a manual; against a simulator; on a machine
    modbus: Limits = Limits()
    groups: Annotated[Mapping[Name, Positive], Field(min_length=1)]  # poll group → period in s
    registers: Registers
    identity: Identity | None = None
    heartbeat: Heartbeat | None = None
    state: StateMap | None = None
    mode: Mode | None = None
    counters: Counters | None = None
    events: tuple[EventRule, ...] = ()
    channels: Channels | None = None
    records: RecordSource | None = None

    def named(self, name: str) -> Register:
        """Return the register `name` of the main map."""
        return next(each for each in self.registers if each.name == name)

    def group_of(self, register: Register) -> str:
        """Return the poll group that a register of the main map belongs to."""
        return register.group or next(iter(self.groups))

    def table_of(self, register: Register) -> Table:
        """Return the table a register stands in."""
        return register.table or self.modbus.table

    def in_order(self, order: Order) -> Self:
        """Return the profile of a machine that is set to another byte order."""
        return self.model_copy(update={"modbus": self.modbus.model_copy(update={"order": order})})

    def order_of(self, register: Register) -> Order:
        """Return the byte order of a register."""
        return register.order or self.modbus.order

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        known = {each.name for each in self.registers}
        for role, name in self._named_roles():
            if name not in known:
                raise ValueError(f"{role} names the register `{name}`, which does not exist")
        used = {each.group for each in self.registers} | (
            {self.channels.group} if self.channels else set()
        )
        if unknown := sorted(group for group in used if group and group not in self.groups):
            raise ValueError(f"there is no poll group {', '.join(unknown)} in [groups]")
        if fault := next(self._faults_of_registers(), None):
            raise ValueError(fault)
        return self

    def _faults_of_registers(self) -> Iterator[str]:
        for each in (*self.registers, *(self.records.registers if self.records else ())):
            if self.table_of(each).holds_bits and each.type is not Type.BOOL:
                yield f"`{each.name}` is in a table of bits: its type must be bool"
        for each in self.registers:
            decider = each.scaled_by and self.named(each.scaled_by.register_name)
            if decider and self.group_of(decider) != self.group_of(each):
                yield (
                    f"`{each.name}` is scaled by `{decider.name}` of another poll group: "
                    "read both in one, so that they are of one moment"
                )
            if each.address + each.words > 65536:
                yield f"`{each.name}` reaches beyond address 65535"
        if self.records and self.records.shape is Shape.RING:
            yield from self._faults_of_pair(self.records.sequence, self.records.write_index)
        if self.records and self.records.acknowledge:
            told = self.named(self.records.acknowledge)
            if self.table_of(told) is not Table.HOLDING or told.type is not Type.UINT16:
                yield f"`{told.name}` is written: it must be a uint16 holding register"

    def _faults_of_pair(self, *names: str | None) -> Iterator[str]:
        pair = [self.named(name) for name in names if name]
        span = max(each.end for each in pair) - min(each.address for each in pair)
        if len({self.table_of(each) for each in pair}) > 1 or span > self.modbus.max_registers:
            told = " and ".join(f"`{each.name}`" for each in pair)
            yield f"{told} cannot be read at once, so they would not be of one moment"

    @model_validator(mode="after")
    def _can_tell_events(self) -> Self:
        registers = {each.name: each for each in self.registers}
        for rule in self.events:
            register = registers.get(rule.name)
            if register is None:
                raise ValueError(
                    f"[[events]] names the register `{rule.name}`, which does not exist"
                )
            is_code = register.is_whole or register.type in {Type.BOOL, Type.BITFIELD}
            if rule.when != "changes" and not is_code:
                raise ValueError(f"[[events]]: `{rule.name}` is no counter and has no bits")
        return self

    def _named_roles(self) -> Iterator[tuple[str, str]]:
        for role in ("identity", "heartbeat", "state", "mode"):
            part = getattr(self, role)
            if part is not None:
                yield f"[{role}]", part.name
        if self.counters:
            for name in (self.counters.total, self.counters.good, self.counters.reject):
                if name:
                    yield "[counters]", name
        if self.records:
            for name in self.records.main_registers():
                yield "[records]", name


def load(path: Path) -> Profile:
    """Read and check one profile file."""
    return toml_file.load(path, Profile)


def shipped() -> dict[str, Profile]:
    """Return all profiles of the package by name, the file's name without `.toml`."""
    return {name: _packaged(name) for name in _packaged_names()}


def find(name: str, *, folder: Path | None = None) -> Profile:
    """Return the profile `name`: from the site's own `folder` first, then from the package."""
    if folder is not None and (folder / f"{name}.toml").is_file():
        return load(folder / f"{name}.toml")
    names = _packaged_names()
    if name not in names:
        raise FixTheFileError(f"there is no profile `{name}`", f"choose one of: {', '.join(names)}")
    return _packaged(name)


def _packaged_names() -> list[str]:
    files = (each.name for each in _FOLDER.iterdir())
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


@cache  # many stations share a model, and the schema wants them all
def _packaged(name: str) -> Profile:
    text = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return toml_file.parse(text, Profile, name=f"{name}.toml")
