"""The record engine: one record a part, exactly once, however the machine shows its parts.

Pure: it is given what the machine showed and returns the records, what was lost, and the cursor
to keep in the same transaction. It reads no bus and no clock. `numbered` follows machines that
number their parts, `counted` those that do not; `batch` is what both return.
"""

from collectors.records.batch import Batch

__all__ = ["Batch"]
