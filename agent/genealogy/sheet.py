"""Placements in a CSV file, as a spreadsheet saves it: parent, position, child, perhaps reason."""

import csv
from collections.abc import Iterable
from pathlib import Path

from agent.genealogy.entries import PlacementEntry
from agent.genealogy.errors import EntryError

_NEEDED = ("parent", "position", "child")
_COLUMNS = (*_NEEDED, "reason")
_LONGEST = 64
_MOST_ROWS = 10_000


def read(path: Path, *, reason: str = "") -> tuple[PlacementEntry, ...]:
    """Return the rows of a file; `reason` is for those that have none.

    Commas or semicolons, with or without Excel's mark at the start. Raises EntryError that names
    every faulty row by its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise EntryError(f"{path}: cannot be read: {error.strerror}", "check its name") from error
    except UnicodeDecodeError as error:
        raise EntryError(f"{path}: is not UTF-8 text", "save it as `CSV UTF-8`") from error
    return parse(text.splitlines(), name=str(path), reason=reason)


def parse(lines: Iterable[str], *, name: str, reason: str = "") -> tuple[PlacementEntry, ...]:
    """Return the rows of CSV `lines`; see `read`."""
    rows = list(lines)
    head = rows[0] if rows else ""
    reader = csv.reader(rows, delimiter=";" if ";" in head else ",")
    columns = [each.strip().lower() for each in next(reader, [])]
    missing = [each for each in _NEEDED if each not in columns]
    unknown = [each for each in columns if each not in _COLUMNS]
    if missing or unknown:
        raise EntryError(
            f"{name}:1: the first line must name the columns; "
            + "; ".join(
                [f"{each} is missing" for each in missing]
                + [f"`{each}` is not known" for each in unknown]
            ),
            "begin it with `parent,position,child`, and `reason` where you correct something",
        )
    entries: list[PlacementEntry] = []
    faults: list[str] = []
    for row in reader:
        values = [each.strip() for each in row]
        if not any(values):
            continue
        line = reader.line_num
        if len(values) != len(columns):
            faults.append(f"line {line}: has {len(values)} values for {len(columns)} columns")
            continue
        told = dict(zip(columns, values, strict=True))
        if not told.get("reason"):
            told["reason"] = reason
        entry = PlacementEntry(**told, line=line)
        faults += [f"line {line}: {fault}" for fault in _faults(entry, entries)]
        entries.append(entry)
    if len(entries) > _MOST_ROWS:
        faults.append(f"there are more than {_MOST_ROWS} rows: split the file")
    if faults:
        raise EntryError("\n  ".join([f"{name}: nothing was entered:", *faults]))
    return tuple(entries)


def _faults(entry: PlacementEntry, before: Iterable[PlacementEntry]) -> list[str]:
    faults = [
        f"the {column} is {problem}"
        for column, value in (("parent", entry.parent), ("child", entry.child))
        if (problem := "missing" if not value else "too long" if len(value) > _LONGEST else "")
    ]
    if len(entry.position) > _LONGEST:
        faults.append("the position is too long")
    if entry.parent and entry.parent == entry.child:
        faults.append(f"{entry.child} cannot be in itself")
    for each in before:
        if entry.child and each.child == entry.child:
            faults.append(f"{entry.child} stands in line {each.line} already")
        elif entry.position and (each.parent, each.position) == (entry.parent, entry.position):
            where = f"{entry.parent} {entry.position}"
            faults.append(f"{where} is taken by line {each.line} already")
    return faults
