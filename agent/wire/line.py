r"""Line protocol of InfluxDB: one encoder and one strict parser, both ours.

`Point` of influxdb-client takes ten times as long and costs 56 MiB to import; a test holds this
encoder against it. The parser takes exactly what the encoder makes, so nothing odd gets past
the sink. Control characters, line feeds among them, become `_`: a line can hold but one point.
"""

import math
import re
from collections.abc import Mapping

from agent.wire.point import Field, Point

_NAME = str.maketrans({",": r"\,", " ": r"\ "})
_KEY = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})
_TEXT = str.maketrans({"\\": r"\\", '"': r"\""})
# A control character could end a line early, and a trailing backslash would eat the separator.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SPLIT = re.compile(r'("(?:[^"\\]|\\.)*")|\\.|([, =])')


def encode(point: Point) -> str:
    """Return one line, without a line feed.

    Raises ValueError for a number that is not finite, or a point without fields.
    """
    if not point.fields:
        raise ValueError(f"a point of {point.measurement} has no fields")
    head = _clean(point.measurement).translate(_NAME)
    # InfluxDB drops empty tag values, which would change the series: it is spelt out instead.
    tags = "".join(
        f",{key.translate(_KEY)}={_clean(value).translate(_KEY) or '-'}"
        for key, value in sorted(point.tags.items())
    )
    fields = ",".join(
        f"{key.translate(_KEY)}={_encode_field(value)}" for key, value in point.fields.items()
    )
    return f"{head}{tags} {fields} {point.time_ns}"


def parse(line: str) -> Point:
    """Return the point of one line.

    Raises ValueError for anything that `encode` does not make.
    """
    if _CONTROL.search(line):
        raise ValueError("a control character in the line")
    parts = _split(line, " ", limit=3)
    if len(parts) != 3:
        raise ValueError("a line is `measurement,tags fields time`")
    measurement, *tags = _split(parts[0], ",")
    return Point(
        measurement=_unescape(measurement),
        tags=_pairs(tags),
        fields={key: _parse_field(value) for key, value in _pairs_raw(_split(parts[1], ","))},
        time_ns=int(parts[2]),
    )


def _clean(name: str) -> str:
    return _CONTROL.sub("_", name).replace("\\", "/")


def _encode_field(value: Field) -> str:
    if isinstance(value, bool):
        return f"{int(value)}i"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{value} does not fit 64 bits")
        return f"{value}i"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a number")
        return repr(value)
    return f'"{_CONTROL.sub("_", value).translate(_TEXT)}"'


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    """Split at each `separator` that is neither escaped nor inside quotes."""
    parts: list[str] = []
    start = 0
    for found in _SPLIT.finditer(text):
        if found.group(2) == separator and len(parts) + 1 != limit:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def _pairs_raw(parts: list[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for part in parts:
        key, found, value = _partition(part)
        if not found or not key or not value:
            raise ValueError(f"{part!r} is not key=value")
        pairs.append((_unescape(key), value))
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return pairs


def _pairs(parts: list[str]) -> Mapping[str, str]:
    pairs = ((key, _unescape(value)) for key, value in _pairs_raw(parts))
    return {key: "" if value == "-" else value for key, value in pairs}


def _partition(part: str) -> tuple[str, bool, str]:
    pieces = _split(part, "=", limit=2)
    return (pieces[0], True, pieces[1]) if len(pieces) == 2 else (part, False, "")


def _unescape(name: str) -> str:
    return re.sub(r"\\([, =])", r"\1", name)


def _parse_field(text: str) -> Field:
    if text.startswith('"'):
        if len(text) < 2 or not re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', text):
            raise ValueError(f"{text!r} is not a string")
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if re.fullmatch(r"-?\d{1,19}i", text):
        return int(text[:-1])
    if re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text):
        value = float(text)
        if math.isfinite(value):
            return value
    raise ValueError(f"{text!r} is not a value")
