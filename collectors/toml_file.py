"""Read a TOML file into a pydantic model, or say everything that is wrong with it at once.

`tomllib` forgets lines and pydantic never knew them, so this module keeps a small index of
which line holds which key and joins the two: every fault comes with file, line and a hint.
"""

import difflib
import re
import tomllib
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from collectors.errors import FixTheFileError

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\"'.-]+)\s*=\s*(.*)$")


class Strict(BaseModel):
    """Base of every table in our files: unknown keys are faults, values do not change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def load(path: Path, model: type[Model]) -> Model:
    """Return `path` as a `model`.

    Raises FixTheFileError naming every fault with file, line and the next step.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        message = f"{path}: there is no such file"
        raise FixTheFileError(message, "check the path, or make one from the example") from error
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise FixTheFileError(message, "check its rights, and that it is UTF-8 text") from error
    return parse(text, model, name=str(path))


def parse(text: str, model: type[Model], *, name: str) -> Model:
    """Return the TOML `text` as a `model`; `name` stands for the file in messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"at line (\d+)", str(error))
        line = f":{where.group(1)}" if where else ""
        raise FixTheFileError(f"{name}{line}: not valid TOML: {error}") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = line_index(text)
        faults = error.errors(include_url=False)
        told = sorted({_told(fault, lines, model, name) for fault in faults})
        head = f"{name}: {len(told)} fault{'s' if len(told) > 1 else ''}"
        raise FixTheFileError("\n".join([head, *(text for _, text in told)])) from error


def line_index(text: str) -> dict[Location, int]:
    """Map each key path of a TOML text to its line, counting from 1.

    Knows headers, arrays of tables, dotted keys, and arrays that hold one inline table a line:
    all that our files use. A path it does not know falls back to its nearest known parent.
    """
    lines: dict[Location, int] = {(): 1}
    seen: dict[Location, int] = {}
    table: Location = ()
    array: Location | None = None
    item = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if array is not None:
            if line.lstrip().startswith("{"):
                lines[(*array, item)] = number
                item += 1
            if line.lstrip().startswith("]"):
                array = None
        elif header := _HEADER.match(line):
            table = _enter(_parts(header.group(2)), seen, is_array=header.group(1) == "[[")
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            path = (*table, *_parts(key.group(1)))
            lines.setdefault(path, number)
            value = key.group(2).split("#")[0].strip()
            if value == "[":
                array, item = path, 0
    return lines


def _parts(dotted: str) -> Location:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _enter(parts: Location, seen: dict[Location, int], *, is_array: bool) -> Location:
    path: Location = ()
    for depth, part in enumerate(parts, start=1):
        path = (*path, part)
        if depth == len(parts) and is_array:
            seen[path] = seen.get(path, -1) + 1
        if path in seen:
            path = (*path, seen[path])
    return path


def _told(
    fault: ErrorDetails, lines: dict[Location, int], model: type[BaseModel], name: str
) -> tuple[int, str]:
    """Return one fault as (line, text)."""
    location = tuple(part for part in fault["loc"] if not _is_union_label(part))
    line = _line_of(location, lines)
    dotted = ".".join(str(part) for part in location) or "the file"
    what = f"  {name}:{line}: {dotted}: {_sentence(fault)}"
    hint = _hint(fault, location, model)
    return line, f"{what}\n    → {hint}" if hint else what


def _is_union_label(part: str | int) -> bool:
    """Pydantic adds the tried member of a union to a location, as `function-…` or a type's name."""
    return isinstance(part, str) and (
        part.startswith(("function-", "tuple[", "list[")) or part in _SCALARS
    )


_SCALARS = {"str", "int", "float", "bool"}


def _line_of(location: Location, lines: dict[Location, int]) -> int:
    for length in range(len(location), -1, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return 1


def _sentence(fault: ErrorDetails) -> str:
    match fault["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a known key"
        case _:
            message = fault["msg"].removeprefix("Value error, ")
            value = fault["input"]
            shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool) else ""
            return message[:1].lower() + message[1:] + shown


def _hint(fault: ErrorDetails, location: Location, model: type[BaseModel]) -> str:
    if fault["type"] == "missing":
        return f"add a line `{location[-1]} = …`"
    if fault["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        if close:
            return f"did you mean `{close[0]}`?"
        return f"known here: {', '.join(sorted(known))}" if known else ""
    if fault["type"] in {"enum", "literal_error"}:
        allowed = re.findall(r"'([^']+)'", str(fault.get("ctx", {}).get("expected", "")))
        close = difflib.get_close_matches(str(fault["input"]), allowed, n=1)
        return f"did you mean `{close[0]}`?" if close else ""
    return ""


def _known_keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the keys allowed in the table at `location`."""
    current: type[BaseModel] | None = model
    for part in location:
        if current is None:
            return []
        if isinstance(part, int):
            continue
        name = next(
            (name for name, info in current.model_fields.items() if part in {name, info.alias}),
            None,
        )
        current = _model_in(current.model_fields[name].annotation) if name else current
    if current is None:
        return []
    return [info.alias or name for name, info in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any annotation there is
    """Return the first model inside a type such as `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {list, tuple, dict, Union, types.UnionType}:
        return _first(_model_in(arg) for arg in get_args(annotation))
    return None


def _first(models: Iterable[type[BaseModel] | None]) -> type[BaseModel] | None:
    return next((model for model in models if model is not None), None)
