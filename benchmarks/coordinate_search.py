"""Coordinate search in log space: the search of ``tune_peers.py`` and ``tune_presets.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Point = tuple[float, ...]


def coordinate_search(
    start: Point,
    largest: Point,
    free: Sequence[int],
    value: Callable[[Point], float],
    trials: int,
    factors: Sequence[float],
) -> Point:
    """Maximise ``value``: multiply or divide one coordinate as long as the value rises, then the next one.

    Coordinates are rounded to three digits, so a point that was tried is recognised.

    :param tuple start: first point.
    :param tuple largest: upper bound of each coordinate.
    :param Sequence free: indices of the coordinates that are searched, in this order.
    :param Callable value: of a point; called once a point.
    :param int trials: most points to evaluate.
    :param Sequence factors: of a step, coarse to fine; the next one when no coordinate improves.
    :return: the best point.
    """
    seen: dict[Point, float] = {}

    def score(point: Point) -> float:
        if point not in seen:
            if len(seen) >= trials:
                return float("-inf")
            seen[point] = value(point)
        return seen[point]

    best = start
    score(best)
    for factor in factors:
        improved = True
        while improved and len(seen) < trials:
            improved = False
            for i in free:
                for ratio in (factor, 1 / factor):
                    while True:
                        moved = min(best[i] * ratio, largest[i])
                        point = (*best[:i], float(f"{moved:.3g}"), *best[i + 1 :])
                        if point == best or score(point) <= score(best):
                            break
                        best, improved = point, True
    return best
