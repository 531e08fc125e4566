"""Ranges of numbers, their sums and differences: a year of records is a handful of them."""

from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]  # both ends included, apart and in order


def ranges_of(numbers: Iterable[int]) -> Ranges:
    """Return the ranges that hold exactly `numbers`.

    >>> ranges_of([5, 1, 2, 3, 7])
    ((1, 3), (5, 5), (7, 7))
    """
    return joined((number, number) for number in numbers)


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return ranges in any order, that may overlap, as ranges apart and in order.

    >>> joined([(5, 9), (1, 2), (3, 3), (6, 7)])
    ((1, 3), (5, 9))
    """
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def without(ranges: Ranges, others: Ranges) -> Ranges:
    """Return what is in `ranges` but not in `others`; both apart and in order.

    >>> without(((1, 9), (20, 29)), ((3, 4), (9, 21)))
    ((1, 2), (5, 8), (22, 29))
    """
    left: list[tuple[int, int]] = []
    waiting = list(reversed(others))
    for low, high in ranges:
        start = low
        while waiting and waiting[-1][1] < start:
            waiting.pop()
        while waiting and waiting[-1][0] <= high:
            if start < waiting[-1][0]:
                left.append((start, waiting[-1][0] - 1))
            start = waiting[-1][1] + 1
            if start > high:
                break
            waiting.pop()
        if start <= high:
            left.append((start, high))
    return tuple(left)


def size(ranges: Ranges) -> int:
    """Return how many numbers there are."""
    return sum(high - low + 1 for low, high in ranges)
