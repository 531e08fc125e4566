"""How far a value may be trusted, and why not further."""

from dataclasses import dataclass
from enum import StrEnum


class Quality(StrEnum):
    """The three grades of OPC: only `GOOD` may enter a statistic."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


class Reason(StrEnum):
    """Why a value is not `GOOD`; empty when it is."""

    NONE = ""
    COMM = "comm"  # the device or the bus did not answer
    REFUSED = "refused"  # the device answered with a Modbus exception
    WRONG_DEVICE = "wrong_device"  # it is not what its profile describes
    FROZEN = "frozen"  # the heartbeat stands still: the PLC is in STOP
    SENTINEL = "sentinel"  # the device's own "not measured" number
    OUT_OF_RANGE = "out_of_range"  # outside what the sensor can show
    UNKNOWN_CODE = "unknown_code"  # an enum value that the profile does not name
    UNSCALED = "unscaled"  # the register that decides its unit or decimal point is not known
    TORN = "torn"  # it changed between two looks in a way that no value does
    ENCODING = "encoding"  # text that is not text, a float that is not a number
    IMPLAUSIBLE = "implausible"  # it contradicts the part's other values
    INPUT = "input"  # a value it is computed from is missing or doubtful
    UNDEFINED = "undefined"  # its formula has no result, as when it divides by zero
    NO_EARLIER = "no_earlier"  # there is no earlier measurement of the part to compare with
    REST = "rest"  # too little time lay between two measurements
    TEMPERATURE = "temperature"  # two measurements were made at different temperatures
    CLOCK = "clock"  # the time between two measurements cannot be believed
    INCOMPLETE = "incomplete"  # records of the whole that it describes are missing
    NOT_EMPTY = "not_empty"  # the cell did not begin, or did not end, empty
    NO_MEMORY = "no_memory"  # earlier parts could not be looked up: the disk failed
    INTERRUPTED = "interrupted"  # what counts in one piece only was interrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why one value is missing (`BAD`) or doubtful (`UNCERTAIN`). Good values have none."""

    reason: Reason
    quality: Quality = Quality.BAD
    raw: int | float | str | None = None  # what the register held; of a formula, what it lacks
