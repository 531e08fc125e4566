"""What the comparison reads, by InfluxQL over HTTP: InfluxDB 1.8, 2 and 3 answer it alike."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from agent.model.ledger import HOUR_NS, hour_of, parse_ranges
from agent.verify.check import Entry, Lost, Row, Source
from agent.wire.ranges import Ranges, size
from collectors.errors import FixTheFileError, LiniError
from collectors.sample import StationId

KINDS = ("weld", "cell", "formation_step")
_PLACE = '"site", "line", "station"'
_TIMEOUT_S = 60

Json = Mapping[str, Any]


class DatabaseError(LiniError):
    """The database could not be asked, or not wholly: nothing is proven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One bucket of one InfluxDB. Every method may raise DatabaseError."""

    url: str
    bucket: str
    session: aiohttp.ClientSession

    async def entries(self, from_ns: int, to_ns: int) -> list[Entry]:
        """Return the rows of the ledger."""
        what = '"epoch", "count", "first_seq", "last_seq", "numbers"'
        by = f'{_PLACE}, "kind", "book"'
        return [
            Entry(
                source=_source(row, row["kind"]),
                hour_ns=hour_of(row["time"]),
                numbers=_numbers(row),
            )
            async for row in self._rows(_select(what, "ledger", from_ns, to_ns, by=by))
        ]

    async def losses(self, from_ns: int, to_ns: int) -> list[Lost]:
        """Return the losses that the machine side told."""
        what = '"epoch", "from_seq", "to_seq", "reason", "detail"'
        where = " AND \"kind\" = 'records_lost'"
        return [
            Lost(
                source=_source(row, row["detail"]),
                first=_whole(row["from_seq"]),
                last=_whole(row["to_seq"]),
                reason=row["reason"] or "",
                time_ns=row["time"],
            )
            async for row in self._rows(_select(what, "event", from_ns, to_ns, where=where))
        ]

    async def records(self, hour_ns: int) -> list[Row]:
        """Return the records of an hour, of every kind."""
        return [
            Row(source=_source(row, kind), seq=_whole(row["seq"]))
            for kind in KINDS
            async for row in self._rows(_select('"epoch", "seq"', kind, hour_ns, hour_ns + HOUR_NS))
        ]

    async def _rows(self, query: str) -> AsyncIterator[Json]:
        """Yield the rows of a query, each with the tags it is grouped by."""
        for result in await self._results(query):
            if "error" in result:
                raise DatabaseError(f"{self.url}: {result['error']}", "check the bucket's name")
            for series in result.get("series", ()):
                if series.get("partial") or result.get("partial"):
                    raise DatabaseError(
                        f"{self.url} keeps back a part of its answer",
                        "raise `max-row-limit` of the database",
                    )
                for values in series.get("values", ()):
                    yield {
                        **series.get("tags", {}),
                        **dict(zip(series["columns"], values, strict=True)),
                    }

    async def _results(self, query: str) -> list[Json]:
        database, _, policy = self.bucket.partition("/")
        asked = {"q": query, "db": database, "epoch": "ns", **({"rp": policy} if policy else {})}
        try:
            # A redirect would carry the token to wherever it leads.
            async with self.session.get(
                f"{self.url}/query", params=asked, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    words = (await answer.text(errors="replace"))[:300].strip()
                    raise DatabaseError(
                        f"{self.url}: {answer.status} {words}",
                        "check the address, and that the token may read this bucket",
                    )
                told = await answer.json(content_type=None)
        except TimeoutError as error:
            raise DatabaseError(f"{self.url}: no answer in {_TIMEOUT_S} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DatabaseError(f"{self.url}: {error}", "is this an InfluxDB?") from error
        if not isinstance(told, dict) or not isinstance(told.get("results"), list):
            raise DatabaseError(f"{self.url} does not answer as InfluxDB does", "check the address")
        return list(told["results"])


@asynccontextmanager
async def connected(url: str, bucket: str, token: str) -> AsyncIterator[Database]:
    """Open a bucket for reading; a token `user:password` is that of an InfluxDB 1."""
    if not url.startswith(("http://", "https://")):
        raise FixTheFileError(
            f"`{url}` is not the address of an InfluxDB", "it looks like http://127.0.0.1:8086"
        )
    user, is_user, password = token.partition(":")
    authorization = aiohttp.BasicAuth(user, password).encode() if is_user else f"Token {token}"
    async with aiohttp.ClientSession(
        headers={"Authorization": authorization},
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
    ) as session:
        yield Database(url=url.rstrip("/"), bucket=bucket, session=session)


def _select(
    what: str, measurement: str, from_ns: int, to_ns: int, *, where: str = "", by: str = _PLACE
) -> str:
    span = f"time >= {from_ns} AND time < {to_ns}"
    return f'SELECT {what} FROM "{measurement}" WHERE {span}{where} GROUP BY {by}'  # noqa: S608 - no text from outside


def _source(row: Json, kind: str | None) -> Source:
    station = StationId(site=row["site"], line=row["line"], station=row["station"])
    return Source(station=station, kind=kind or "", epoch=_whole(row["epoch"]))


def _whole(value: float | None) -> int:
    """Return a number; -1, which no record has, for a row without one."""
    return -1 if value is None else int(value)


def _numbers(row: Json) -> Ranges | None:
    """Return what a row of the ledger lists, if it agrees with itself."""
    try:
        numbers = parse_ranges(row["numbers"] or "")
    except ValueError:
        return None
    told = (size(numbers), numbers[0][0], numbers[-1][1])
    return numbers if told == (row["count"], row["first_seq"], row["last_seq"]) else None
