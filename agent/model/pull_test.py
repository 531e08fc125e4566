"""Pull tests: a weld torn apart to learn its strength, entered by hand.

How a weld is pulled decides what it bears (a lap shear takes four to seven times a T-peel), so
no force is kept without its type. Beside it stands how the joint failed.
"""

import math
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from agent.model.points import place_tags
from agent.wire.point import Field, Point
from collectors.errors import LiniError
from collectors.record import Result
from collectors.sample import StationId

_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,19}")  # a tag: few and short
_MOST_N = 20_000.0
_LENGTHS = {"serial": 64, "by": 64, "note": 500}
_EARLIEST_NS = 1_577_836_800 * 10**9  # 2020: before it the clock was not set


class PullType(StrEnum):
    """How the joint is pulled."""

    PEEL = "peel"  # at 90°
    T_PEEL = "t_peel"
    LAP_SHEAR = "lap_shear"
    CROSS_TENSION = "cross_tension"


class FailureMode(StrEnum):
    """Where the joint failed."""

    BUTTON = "button"  # the nugget stays whole and is torn out of the tab: as it should be
    INTERFACIAL = "interfacial"  # the nugget itself parted
    TAB = "tab"  # the tab tore beside the weld


class PullTestError(LiniError):
    """What was entered is no pull test: correct it and enter it again. Nothing was stored."""


def pull_test_point(
    station: StationId,
    *,
    time_ns: int,
    program: str,
    pull_type: str,
    force_n: float,
    failure_mode: str,
    result: str,
    by: str,
    minimum_n: float | None = None,
    serial: str = "",
    position: int | None = None,
    note: str = "",
) -> Point:
    """Return the row of one pull test at the welder `station`, as people entered it.

    `time_ns` (ns since 1970) is its identity at that station, with program, type and result: a
    second entry needs another time. `force_n` is the highest force, in N; `minimum_n` what it had
    to reach, as far as there is a limit. `by` is a person's code, not a name. `serial` and
    `position` tell which weld it was; a test strip has neither.

    Raises PullTestError that names every fault. The judgement stays with people, but for one: a
    weld below its minimum is not OK.
    """
    texts = {"serial": serial.strip(), "by": by.strip(), "note": note.strip()}
    faults = [
        *_faults_of_words(program.strip(), pull_type, failure_mode, result),
        *_faults_of_numbers(force_n, minimum_n, position),
        *(
            f"`{name}` is longer than {_LENGTHS[name]} characters"
            for name, text in texts.items()
            if len(text) > _LENGTHS[name]
        ),
    ]
    if not texts["by"]:
        faults.append("`by` is missing: the code of who pulled")
    if not _EARLIEST_NS <= time_ns < 2**63:
        faults.append("the time is not one of our days: is the clock set?")
    if not faults and minimum_n is not None and force_n < minimum_n and result == Result.OK:
        faults.append(f"{force_n:g} N is below the minimum of {minimum_n:g} N: that is not OK")
    if faults:
        raise PullTestError("; ".join(faults), "correct it and enter the pull test again")
    fields: dict[str, Field] = {
        "force": float(force_n),
        "failure_mode": FailureMode(failure_mode).value,
        "ok": int(result == Result.OK),
        **texts,
    }
    if minimum_n is not None:
        fields["force_lsl"] = float(minimum_n)
    if position is not None:
        fields["position"] = position
    return Point(
        measurement="pull_test",
        tags={
            **place_tags(station),
            "program": program.strip(),
            "type": PullType(pull_type).value,
            "result": Result(result).value,
        },
        fields=fields,
        time_ns=time_ns,
    )


def _faults_of_words(program: str, pull_type: str, failure_mode: str, result: str) -> Iterator[str]:
    if not _PROGRAM.fullmatch(program):
        yield (
            f"`{program}` is no weld program: up to 20 letters, digits and `_.-`, as the welder "
            "itself calls it"
        )
    yield from _unless_one_of("type", pull_type, PullType)
    yield from _unless_one_of("failure mode", failure_mode, FailureMode)
    yield from _unless_one_of("result", result, (Result.OK, Result.NG))


def _unless_one_of(what: str, given: str, known: Iterable[str]) -> Iterator[str]:
    names = [str(each) for each in known]
    if given not in names:
        yield f"there is no {what} `{given}`: choose one of {', '.join(names)}"


def _faults_of_numbers(
    force_n: float, minimum_n: float | None, position: int | None
) -> Iterator[str]:
    for name, newtons in (("force", force_n), ("minimum", minimum_n)):
        if newtons is not None and not (math.isfinite(newtons) and 0 <= newtons <= _MOST_N):
            yield f"a {name} of {newtons:g} N cannot be: from 0 to {_MOST_N:g} N"
    if position is not None and not 0 <= position < 2**31:
        yield f"there is no position {position}"
