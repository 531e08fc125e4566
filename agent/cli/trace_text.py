"""A trace in words for people: every text of it is here."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from agent.genealogy.life import Affected, Answer, InForce, Life, Made, Orphans, Part, Placed

_TITLES = {
    "inside": "is in",
    "records": "records",
    "parts": "holds",
    "welds": "welds that join it",
    "placements": "placements",
    "unsure": ": nobody saw when it changed, so counted to both",
    "nothing": "nothing is known of it but its serial",
}
_KINDS = {"weld": "weld", "cell": "sorted", "formation_step": "formation step"}
_SUBJECTS = {
    "electrode": "electrode",
    "dressing": "dressed",
    "recipe": "recipe",
    "lot": "lot",
    "calibration": "calibrated",
    "maintenance": "maintained",
}
_COLOURS = {"OK": "green", "NG": "red", "TEST": "dim", "UNKNOWN": "yellow"}
_MOST_NAMED = 50


class Words:
    """Puts answers into words, with times in the site's own zone."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)

    def answer(self, answer: Answer) -> RenderableType:
        """Return everything that was found."""
        lives = [self.life(each) for each in answer.lives]
        return Group(*lives, *(self.affected(each) for each in answer.affected))

    def life(self, life: Life) -> Tree:
        """Return a part's life as a tree."""
        tree = Tree(Text(f"{life.part.kind} {life.part.serial}", style="bold"))
        if life.inside:
            inside = tree.add(_TITLES["inside"])
            for each in life.inside:
                inside = inside.add(self._place(each))
        self._fill(tree, life.part)
        if life.welds:
            self._records(tree.add(_TITLES["welds"]), life.welds)
        corrected = [each for each in life.placements if each.superseded]
        if corrected:
            placements = tree.add(_TITLES["placements"])
            for each in life.placements:
                placements.add(self._placement(each))
        if not tree.children:
            tree.add(Text(_TITLES["nothing"], style="dim"))
        return tree

    def affected(self, affected: Affected) -> Tree:
        """Return what a suspicion reaches."""
        tree = Tree(Text(f"made under {affected.what}", style="bold"))
        for each in affected.intervals:
            span = f"{self._time(each.from_ns)} to {self._time(each.to_ns)}"
            doubt = "" if each.is_sure else _TITLES["unsure"]
            records = f"{each.records} records at {each.station} ({_kind(each.kind)})"
            tree.add(f"{records}, {span}{doubt}")
        named = {"packs": affected.packs, "modules": affected.modules, "cells": affected.cells}
        for name, serials in named.items():
            if serials:
                branch = tree.add(f"{len(serials)} {name}")
                for serial in serials[:_MOST_NAMED]:
                    branch.add(Text(serial))
                if len(serials) > _MOST_NAMED:
                    more = len(serials) - _MOST_NAMED
                    branch.add(f"and {more} more: --json has them all")
        if affected.orphans:
            tree.add(f"{affected.orphans} records without a serial: see `lini trace orphans`")
        if not affected.intervals:
            tree.add(Text("no records", style="dim"))
        return tree

    def orphans(self, runs: Iterable[Orphans]) -> Table:
        """Return the queue of records without a serial."""
        table = Table("station", "records", "epoch", "from", "to", "results", "before", "after")
        for each in runs:
            table.add_row(
                Text(each.station),
                f"{each.first}-{each.last}",
                str(each.epoch),
                self._time(each.from_ns),
                self._time(each.to_ns),
                _counts(each.results),
                Text(each.before),
                Text(each.after),
            )
        return table

    def _fill(self, tree: Tree, part: Part) -> None:
        if part.records:
            results = _counts(Counter(each.result for each in part.records))
            title = f"{len(part.records)} {_TITLES['records']}: {results}"
            self._records(tree.add(title), part.records)
        if part.parts:
            branch = tree.add(f"{_TITLES['parts']} {len(part.parts)}")
            for each in part.parts:
                where = f"{each.position}: " if each.position else ""
                self._fill(branch.add(Text(f"{where}{each.kind} {each.serial}")), each)

    def _records(self, tree: Tree, records: Iterable[Made]) -> None:
        for each in records:
            tree.add(self._record(each))

    def _record(self, made: Made) -> Text:
        text = Text(f"{self._time(made.time_ns)}  {made.station} ")
        place = f" {made.position}" if made.position is not None else ""
        text.append(f"{_kind(made.kind)}{place} ")
        text.append(made.result, style=_COLOURS.get(made.result, ""))
        if made.code != "none":
            text.append(f" {made.code}", style="red")
        more = [f"{name} {value}" for name, value in made.tags.items()]
        more += [f"cells {', '.join(made.cells)}"] if made.cells else []
        more += [self._held(subject, each) for subject, each in made.in_force.items()]
        more.append(f"no. {made.epoch}/{made.seq}")
        if made.resolved:
            who, why = made.resolved.who, made.resolved.reason
            more.append(f"assigned by {who}: {why}")
        text.append(f"  {', '.join(more)}", style="dim")
        return text

    def _held(self, subject: str, event: InForce) -> str:
        since = self._time(event.time_ns)
        return f"{_SUBJECTS[subject]} {event.value or since}"

    def _place(self, placed: Placed) -> Text:
        where = f", position {placed.position}" if placed.position else ""
        return Text(f"{placed.parent}{where}")

    def _placement(self, placed: Placed) -> Text:
        where = f"{placed.parent} {placed.position}".strip()
        reason = f": {placed.reason}" if placed.reason else ""
        told = f"{self._time(placed.time_ns)}  {placed.child} in {where}, by {placed.who}{reason}"
        text = Text(told, style="strike dim" if placed.superseded else "")
        return text.append(" (superseded)") if placed.superseded else text

    def _time(self, time_ns: int) -> str:
        seconds = time_ns // 1_000_000_000
        return datetime.fromtimestamp(seconds, UTC).astimezone(self._zone).isoformat(" ")[:19]


def unknown(serial: str, near: Iterable[str]) -> str:
    """Return what to say when there is no such serial."""
    like = ", ".join(near)
    return f"nothing is known of `{serial}`" + (f"\n  → did you mean: {like}?" if like else "")


def _kind(kind: str) -> str:
    return _KINDS.get(kind, kind)


def _counts(results: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {result}" for result, count in sorted(results.items()))
