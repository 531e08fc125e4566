"""One verification from its first to its last hour."""

from agent.model.ledger import HOUR_NS, hour_of
from agent.verify.check import Check, Findings
from agent.verify.database import Database
from agent.verify.report import time_text
from collectors.errors import LiniError

_AROUND_NS = 31 * 24 * HOUR_NS  # a machine's clock is believed as far back as this


class NoLedgerError(LiniError):
    """There is nothing to compare with: nothing is proven."""


class NotCompleteError(LiniError):
    """The database does not hold what the ledger says, or more than that."""


async def verify(database: Database, from_ns: int, to_ns: int, *, now_ns: int) -> Findings:
    """Compare the whole hours from `from_ns` until before `to_ns`.

    Raises DatabaseError, or NoLedgerError.
    """
    reach = (from_ns - _AROUND_NS, max(to_ns, now_ns) + _AROUND_NS)
    entries = await database.entries(*reach)
    if not any(from_ns <= entry.hour_ns < to_ns for entry in entries):
        raise NoLedgerError(
            f"{database.url} bucket {database.bucket} has no ledger from {time_text(from_ns)} "
            f"until {time_text(to_ns)}",
            "check the times and the bucket; agents older than the ledger do not write it",
        )
    check = Check(entries, await database.losses(*reach), now_ns=now_ns)
    for hour_ns in range(hour_of(from_ns), to_ns, HOUR_NS):
        check.hour(hour_ns, await database.records(hour_ns))
    return check.close(from_ns, to_ns)
