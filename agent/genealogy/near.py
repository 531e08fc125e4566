"""Serials like one that does not exist: most were read off a label with one character wrong."""

import difflib
import sqlite3
import string
from collections.abc import Iterator

_LETTERS = string.ascii_uppercase + string.digits + "-"
EXISTS = "SELECT serial FROM object WHERE serial = ?"
FROM = "SELECT serial FROM object WHERE serial >= ? ORDER BY serial LIMIT ?"
UNTIL = "SELECT serial FROM object WHERE serial < ? ORDER BY serial DESC LIMIT ?"
_NEIGHBOURS = 50
_LONGEST = 64


def near(db: sqlite3.Connection, serial: str, most: int = 5) -> tuple[str, ...]:
    """Return up to `most` serials that are like `serial`, the nearest first."""
    serial = serial[:_LONGEST]
    found = {
        row[0]
        for variant in {*_variants(serial.upper()), *_variants(serial)}
        if (row := db.execute(EXISTS, [variant]).fetchone())
    }
    for query in (FROM, UNTIL):
        found |= {row[0] for row in db.execute(query, [serial, _NEIGHBOURS])}
    return tuple(difflib.get_close_matches(serial, sorted(found), n=most, cutoff=0.6))


def _variants(serial: str) -> Iterator[str]:
    """Yield everything one edit away: a character wrong, too many, missing, two swapped."""
    yield serial
    for place in range(len(serial) + 1):
        head, tail = serial[:place], serial[place:]
        yield from (head + letter + tail for letter in _LETTERS)
        if tail:
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in _LETTERS)
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
