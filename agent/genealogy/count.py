"""Which weld of its module a weld is, where no register tells: counted, and never guessed."""

from dataclasses import dataclass

_NOBODY = 0  # no part has this id: nothing was made before


@dataclass(slots=True)
class Count:
    """Counts the records of a source, part by part.

    A position is known only if every record since the part's first is there: after a lost one,
    or one without a serial, nobody can say how many of them were of this part.
    """

    epoch: int
    seq: int  # of the newest record
    part: int | None  # of the newest record that counts; None: nobody knows
    position: int | None

    @classmethod
    def before(cls, epoch: int, seq: int) -> "Count":
        """Return the count before the first record there is of a source."""
        is_first = epoch == 1 and seq == 1
        return cls(epoch, seq - 1, _NOBODY if is_first else None, None)

    def position_of(
        self, epoch: int, seq: int, part: int | None, *, counts: bool, is_new: bool
    ) -> int | None:
        """Return the position of the next record; None where it is not known.

        `is_new`: the source has no earlier record of this part.
        """
        if (epoch, seq) != (self.epoch, self.seq + 1):
            self.part = None
        self.epoch, self.seq = epoch, seq
        if not counts:  # test welds on a scrap strip
            return None
        if part is not None and part == self.part:
            self.position = None if self.position is None else self.position + 1
        else:
            self.position = 1 if self.part is not None and is_new and part is not None else None
        self.part = part
        return self.position
