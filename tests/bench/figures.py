"""A figure of the bench: what was measured, and what it has to be."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number, beside its target."""

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the number is within its target; a number without one always is."""
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        target = ""
        if self.least is not None:
            target = f"at least {self.least:,g}"
        elif self.most is not None:
            target = f"at most {self.most:,g}"
        verdict = ("met" if self.is_met else "MISSED") if target else ""
        return f"{self.name:<58} {self.value:>14,.4g} {self.unit:<14} {target:<18} {verdict}"


def show(figures: Iterable[Figure]) -> NoReturn:
    """Print figures as they come and end the process: 1 when a target was missed."""
    missed = 0
    for figure in figures:
        print(figure, flush=True)
        missed += not figure.is_met
    sys.exit(min(1, missed))
