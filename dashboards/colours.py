"""Colours after ISA-101: greys for what is normal, colour only for what is not.

They read on Grafana's light and dark theme alike. A colour never stands alone: text says it too.
"""

from collections.abc import Mapping

DARK = "#5f6b7a"
MID = "#8a94a1"
LIGHT = "#c3c9d1"
PALE = "#e4e7eb"
BLUE = "#3d71d9"  # the one accent: chosen, or worth a look
BLUE_GREY = "#7d95b5"
AMBER = "#e0a100"
RED = "#d0312d"
MAGENTA = "#b5179e"  # nobody knows

STATES: Mapping[int, tuple[str, str]] = {  # code of a state → its name, its colour
    0: ("unknown", MAGENTA),
    1: ("stopped", PALE),
    2: ("idle", LIGHT),
    3: ("execute", MID),
    4: ("suspended", BLUE_GREY),
    5: ("held", AMBER),
    6: ("aborted", RED),
}

PRIORITIES: Mapping[str, str] = {
    "low": DARK,
    "medium": AMBER,
    "high": RED,
    "critical": RED,
}
