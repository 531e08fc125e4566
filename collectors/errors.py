"""Errors of the machine side, each named by what its receiver can do about it."""


class LiniError(Exception):
    """An error for people: says what happened, where, and what to do next.

    `str(error)` is the whole message; `hint` alone is the next step.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what}\n  → {hint}" if hint else what)
        self.what = what
        self.hint = hint


class FixTheFileError(LiniError):
    """A profile or configuration file is wrong; every fault of it is listed at once."""


class BusDownError(LiniError):
    """The connection or serial port is not there. Retry later; look at cable, power, address."""


class NoAnswerError(LiniError):
    """The device did not answer in time. Retry later; the bus itself may be fine."""


class RefusedError(LiniError):
    """The device answered with a Modbus exception: the request, not the wire, is at fault."""

    def __init__(self, what: str, code: int, hint: str = "") -> None:
        super().__init__(what, hint)
        self.code = code


class WrongDeviceError(LiniError):
    """The device is not the one its profile describes; nothing of it may be decoded."""
