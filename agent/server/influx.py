"""InfluxDB 2 and 3 (or 1.8) as a store, through the write API of influxdb-client.

Its own retries are not used: they give up after three minutes. Finished line protocol goes
through unchanged.
"""

import json
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from agent.wire.store import (
    BadLinesError,
    BusyError,
    NotAllowedError,
    StoreDownError,
    StoreError,
    TooLargeError,
)
from collectors.errors import FixTheFileError

_HERE = ("localhost", "127.0.0.1", "::1")
_WAITING = "nothing is lost, agents keep it meanwhile; check that InfluxDB runs, and its address"


class InfluxStore:
    """One bucket of one InfluxDB. Use as `async with`; needs the `server` extra installed.

    `timeout_s` bounds a whole write. `gzip` packs what is sent; None: unless the database is on
    this machine, where packing costs three times as much as all the rest. `clock` gives seconds
    since 1970.
    """

    def __init__(
        self,
        url: str,
        org: str,
        bucket: str,
        token: str,
        *,
        timeout_s: float = 10,
        gzip: bool | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise FixTheFileError(
                f"{url!r} is not the address of an InfluxDB",
                "it looks like http://127.0.0.1:8086 or https://influx.example.com",
            )
        self.url = url
        self.bucket = bucket
        self._org = org
        self._token = token
        self._timeout_s = timeout_s
        self._gzip = urlsplit(url).hostname not in _HERE if gzip is None else gzip
        self._clock = clock
        self._client: Any = None

    def __str__(self) -> str:
        return f"{self.url} bucket {self.bucket}"

    async def __aenter__(self) -> Self:
        try:
            # The library costs 56 MiB: only who writes to InfluxDB pays for it.
            from influxdb_client.client.influxdb_client_async import (  # noqa: PLC0415 - lazy
                InfluxDBClientAsync,
            )
        except ImportError as error:
            raise FixTheFileError(
                "influxdb-client is not installed", "pip install 'lini[server]'"
            ) from error
        self._client = InfluxDBClientAsync(
            self.url,
            token=self._token,
            org=self._org,
            timeout=int(self._timeout_s * 1_000),
            enable_gzip=self._gzip,
            allow_redirects=False,  # a redirected POST would come out as a GET and look well
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def write(self, lines: Sequence[str]) -> None:
        """Return when InfluxDB said 204 (or 201). Raises a StoreError for anything else."""
        from influxdb_client.rest import ApiException  # noqa: PLC0415 - lazy, as above

        body = "\n".join(lines).encode()
        try:
            taken = await self._client.write_api().write(self.bucket, record=body)
        except ApiException as error:
            raise self._refusal(error.status, error.body, error.retry_after) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise NotAllowedError(
                f"{self.url}: its certificate is not trusted: {error.certificate_error}",
                "check the server's certificate and the clock of this machine",
            ) from error
        except TimeoutError as error:
            raise StoreDownError(f"{self}: no answer in {self._timeout_s} s", _WAITING) from error
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp says `ssl:default` even where there is none.
            words = str(error).replace(" ssl:default", "") or type(error).__name__
            raise StoreDownError(f"{self}: {words}", _WAITING) from error
        if not taken:
            raise StoreDownError(f"{self}: an answer that is neither 204 nor 201", _WAITING)

    def _refusal(self, status: int, body: bytes | None, retry_after: str | None) -> StoreError:
        words = _words(body)
        what = f"{self}: {status} {words or 'without a word'}"
        error: StoreError
        match status:
            case 400 | 422 if words is not None:
                error = BadLinesError(what)
            case 413:
                error = TooLargeError(what)
            case 429 | 503:
                error = BusyError(what, retry_after_s(retry_after, self._clock()))
            case 401 | 403:
                error = NotAllowedError(what, "check the token, and that it may write this bucket")
            case 404:
                error = NotAllowedError(what, "check url, org and bucket; InfluxDB must be ≥ 1.8")
            case _ if 300 <= status < 500 and status != 408:
                error = NotAllowedError(what, "is this the address of an InfluxDB, or of a proxy?")
            case _:
                error = StoreDownError(what)
        return error


def retry_after_s(header: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for; None if it is absent or odd.

    `now` in seconds since 1970 is for headers that give a date.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return None


def _words(body: bytes | None) -> str | None:
    """Return InfluxDB's message, or None when the answer cannot be InfluxDB's.

    A proxy in between also says 400; taking that for bad lines would set all of them apart.
    """
    try:
        answer = json.loads(body or b"")
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    words = answer.get("message") or answer.get("error")
    return str(words)[:500] if words else None
