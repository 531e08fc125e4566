"""What the agent has learned and must not forget: small facts in one JSON file.

Written whole, seldom and safely, so that neither a power cut nor the card's wear matters: where
refused registers are, where the counters stood.
"""

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock

log = logging.getLogger(__name__)

_SAVE_EVERY_S = 60.0  # a card lives longer when it is left alone

Facts = Mapping[str, object]  # JSON: str, int, float, bool, lists and objects of these


class Memory:
    """Facts by topic and name. What is lost by a power cut is at most a minute old."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._facts: dict[str, dict[str, Facts]] = _loaded(path)
        self._is_dirty = False
        self._is_urgent = asyncio.Event()
        self._writing = Lock()  # the last save may meet one that a thread is still at

    def recall(self, topic: str) -> Mapping[str, Facts]:
        """Return the facts of `topic` by name; empty when there are none."""
        return self._facts.get(topic, {})

    def remember(self, topic: str, name: str, facts: Facts, *, at_once: bool = False) -> None:
        """Keep `facts`, `at_once` if a minute is too long; an empty mapping forgets them."""
        names = self._facts.setdefault(topic, {})
        if names.get(name, {}) == facts:
            return
        if facts:
            names[name] = facts
        else:
            del names[name]
        self._is_dirty = True
        if at_once:
            self._is_urgent.set()

    async def run(self) -> None:
        """Save what changed: once a minute, when it is urgent, and at the end."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SAVE_EVERY_S):
                        await self._is_urgent.wait()
                self._is_urgent.clear()
                if self._is_dirty:
                    await asyncio.to_thread(self._write, self._text())
        finally:
            self.save()

    def save(self) -> None:
        """Put the facts on the disk, if they changed. A full disk is told in the log."""
        if self._is_dirty:
            self._write(self._text())

    def _text(self) -> str:
        self._is_dirty = False
        return json.dumps(self._facts, indent=1, sort_keys=True)

    def _write(self, text: str) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            with self._writing:
                with fresh.open("w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(self._path)
        except OSError as error:
            self._is_dirty = True
            log.warning("%s could not be written: %s", self._path, error)


def _loaded(path: Path) -> dict[str, dict[str, Facts]]:
    """Return what the file holds; a damaged one is set aside, since all of it can be relearned."""
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except ValueError:
        log.warning("%s is damaged: set aside, it will be learned again", path)
        path.replace(path.with_suffix(".damaged"))
        return {}


def _checked(facts: object) -> dict[str, dict[str, Facts]]:
    if not isinstance(facts, dict):
        raise ValueError("no facts by topic")  # noqa: TRY004 - as damaged as what is no JSON
    for names in facts.values():
        if not isinstance(names, dict) or not all(
            isinstance(each, dict) for each in names.values()
        ):
            raise ValueError("no facts by name")
    return facts
