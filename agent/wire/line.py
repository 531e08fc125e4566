r"""Line protocol of InfluxDB: one encoder and one strict parser, both ours.

`Point` of influxdb-client takes ten times as long and costs 56 MiB to import; a test holds this
encoder against it. The parser takes exactly what the encoder makes, so nothing odd gets past
the sink. Control characters, line feeds among them, become `_`: a line can hold but one point.
"""

import math
import re
from collections.abc import Iterator

from agent.wire.point import Field, Point

_NAME = str.maketrans({",": r"\,", " ": r"\ "})
_KEY = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})
_TEXT = str.maketrans({"\\": r"\\", '"': r"\""})
# A control character could end a line early, and a trailing backslash would eat the separator.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"\\.|[, =]")  # in names and tags a quote is a letter like any other
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[, =]')


def encode(point: Point) -> str:
    """Return one line, without a line feed.

    Raises ValueError for a number that is not finite, or a point without fields.
    """
    if not point.fields:
        raise ValueError(f"a point of {point.measurement} has no fields")
    fields = ",".join(f"{key(name)}={_spelt(value)}" for name, value in point.fields.items())
    return f"{head(point)} {fields} {point.time_ns}"


def head(point: Point) -> str:
    """Return what stands before the fields: measurement and tags."""
    # InfluxDB drops empty tag values, which would change the series: it is spelt out instead.
    tags = "".join(
        f",{key(tag)}={_clean(value).translate(_KEY) or '-'}"
        for tag, value in sorted(point.tags.items())
    )
    return f"{_clean(point.measurement).translate(_NAME)}{tags}"


def key(name: str) -> str:
    """Return the name of a tag or field."""
    return name.translate(_KEY)


def quoted(text: str) -> str:
    """Return the value of a field that is text."""
    return f'"{_CONTROL.sub("_", text).translate(_TEXT)}"'


def parse(line: str) -> Point:
    """Return the point of one line.

    Raises ValueError for anything that `encode` does not make.
    """
    point = read(line)
    # One spelling only: no doubled keys, unsorted tags, needless escapes or digits of other
    # scripts, which the database might read in another way than we do.
    if encode(point) != line:
        raise ValueError("the line is not spelt as Lini spells it")
    return point


def read(line: str) -> Point:
    """Return the point of a line that is known to come from `encode`; what others make, `parse`."""
    head, *rest = _split(line, _PLAIN, " ", most=1)
    fields, found, time = "".join(rest).rpartition(" ")
    if not found:
        raise ValueError("a line is `measurement,tags fields time`")
    measurement, *tags = _split(head, _PLAIN, ",")
    return Point(
        measurement=_unescape(measurement),
        tags={key: "" if value == "-" else _unescape(value) for key, value in _pairs(tags)},
        fields={key: _parse_field(value) for key, value in _pairs(_split(fields, _QUOTED, ","))},
        time_ns=int(time),
    )


def _clean(name: str) -> str:
    return _CONTROL.sub("_", name).replace("\\", "/")


def _spelt(value: Field) -> str:
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
    return quoted(value)


def _split(text: str, tokens: re.Pattern[str], separator: str, most: int = -1) -> list[str]:
    """Split at each `separator` (`most` times) that `tokens` does not find escaped or quoted."""
    if "\\" not in text and (tokens is _PLAIN or '"' not in text):
        return text.split(separator, most)  # nearly every line: three times as fast
    parts: list[str] = []
    start = 0
    for found in tokens.finditer(text):
        if found.group() == separator and len(parts) != most:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def _pairs(parts: list[str]) -> Iterator[tuple[str, str]]:
    for part in parts:
        key, *value = _split(part, _PLAIN, "=", most=1)
        if not key or not value:
            raise ValueError(f"{part!r} is not key=value")
        yield _unescape(key), value[0]


def _unescape(name: str) -> str:
    return re.sub(r"\\([, =])", r"\1", name) if "\\" in name else name


def _parse_field(text: str) -> Field:
    if text.startswith('"'):
        return re.sub(r'\\(["\\])', r"\1", text[1:-1]) if "\\" in text else text[1:-1]
    if text.endswith("i"):
        return int(text[:-1])
    return float(text)
