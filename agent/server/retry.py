"""Dead letters get their second chance, once what was wrong has been put right."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.server.checks import RefusedMessageError, check
from agent.server.dead_letters import DeadLetter, DeadLetters, Span
from agent.server.lines import LineCheck
from agent.server.window import Window
from agent.server.writer import Writer
from agent.wire.store import Store

_AT_ONCE = 100  # letters: each may be a whole message


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of some letters: those stored have left the file, the others stay."""

    stored: int
    refused: Mapping[int, str]  # id → reason


async def retry(
    dead_letters: DeadLetters,
    spans: Iterable[Span],
    store: Store,
    *,
    lines: LineCheck,
    window: Window,
) -> AsyncIterator[Retried]:
    """Check letters anew and write what passes, some at a time.

    A letter leaves the file only after the store has every line of it. Raises StoreError for
    trouble that is not the letters' own.
    """
    writer = Writer(store, patient=False)
    for first, last in spans:
        after = first - 1
        while some := await dead_letters.letters(limit=_AT_ONCE, after_id=after, last_id=last):
            after = some[-1].id
            refused = await _write(some, writer, lines, window)
            await dead_letters.remove((each.id, each.id) for each in some if each.id not in refused)
            yield Retried(stored=len(some) - len(refused), refused=refused)


async def _write(
    letters: Sequence[DeadLetter], writer: Writer, lines: LineCheck, window: Window
) -> dict[int, str]:
    refused: dict[int, str] = {}
    good: list[str] = []
    owners: list[int] = []
    for letter in letters:
        found, reason = _judged(letter, lines, window)
        if reason:
            refused[letter.id] = reason
        good += found
        owners += [letter.id] * len(found)
    for index, reason in (await writer.write(good)).items():
        refused[owners[index]] = reason
    return refused


def _judged(letter: DeadLetter, lines: LineCheck, window: Window) -> tuple[Sequence[str], str]:
    """Return the good lines of a letter, and what is still wrong with it."""
    try:
        found = check(letter.topic, letter.content, lines=lines, window=window)
    except RefusedMessageError as error:
        # Only a line whose sender was believed may enter without its message around it.
        if not letter.header or b"\n" in letter.content:
            return (), error.what
        line = letter.content.decode(errors="replace")
        reason = lines.fault(line, window)
        return (() if reason else (line,)), reason
    return found.lines, found.refused[0].reason if found.refused else ""
