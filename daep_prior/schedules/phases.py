"""Phases: iterations of one kind, which :func:`sequence` joins to a schedule of proximal momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daep_prior.schedules.schedule import Schedule

__all__ = ["Pair", "Phase", "sequence"]

#: First and last value.
Pair = tuple[float, float]
#: Number of ways to mirror an image, which the iterations take in turn.
MIRRORINGS = 4


@dataclass(frozen=True)
class Phase:
    """Iterations of one kind.

    Pairs are the first and the last value. Widths, weights and steps run geometrically between them, momentum linearly.

    :param int iterations: how many; 0: none.
    :param tuple widths: kernel width ``s``, images in [0, 1].
    :param tuple weights: ``g``, which sets the prior weight ``lambda = g / (2 s^2)``.
    :param tuple steps: relative step ``t``.
    :param tuple momentum: weight of the velocity.
    :param bool gradient: ``True``: the gradient of the energy, with the noise of eq. 8. ``False``: the mean-shift
        vector, without Jacobian and without noise.
    :param int average_last: how many of the last iterates enter the mean; 0: none, if those of other phases do.
    :param bool extend_mean: the mean continues from the phases before; else it restarts.
    :param float mean_weight: weight of each of these iterates in the mean.
    """

    iterations: int
    widths: Pair
    weights: Pair
    steps: Pair
    momentum: Pair
    gradient: bool
    average_last: int = 1
    extend_mean: bool = False
    mean_weight: float = 1.0

    def columns(self, offset: int, total: float) -> dict[str, tuple[Any, ...]]:
        """The columns of a schedule for this phase.

        :param int offset: iterations before it.
        :param float total: weight of the iterates that the mean contains already.
        """
        n = self.iterations
        width, g = _geometric(*self.widths, n), _geometric(*self.weights, n)
        first, weight = max(0, n - self.average_last), self.mean_weight
        return {
            "kernel_width": width,
            "prior_weight": tuple(gk / (2 * sk**2) for gk, sk in zip(g, width, strict=True)),
            "data_weight": (1.0,) * n,
            "step": _geometric(*self.steps, n),
            "momentum": _linear(*self.momentum, n),
            "average": tuple(
                weight / (total + weight * (k - first + 1)) if k >= first else float(total == 0) for k in range(n)
            ),
            "noise": (float(self.gradient),) * n,
            "jacobian": (float(self.gradient),) * n,
            "flip": tuple((offset + k) % MIRRORINGS for k in range(n)),
        }


def sequence(*phases: Phase, final_width: float | None = None, dual: bool = False, clip: bool = True) -> Schedule:
    """The schedule that goes through ``phases``; the other parameters as in :class:`Schedule`."""
    columns: dict[str, Any] = {}
    iterations, total = 0, 0.0  # so far: of the schedule, and weight in the mean
    for phase in phases:
        total = total if phase.extend_mean else 0.0
        for name, values in phase.columns(iterations, total).items():
            columns[name] = columns.get(name, ()) + values
        iterations += phase.iterations
        total += phase.mean_weight * min(phase.iterations, phase.average_last)
    return Schedule(**columns, final_width=final_width, dual=dual, clip=clip)


def _linear(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(first + (last - first) * k / max(1, count - 1) for k in range(count))


def _geometric(first: float, last: float, count: int) -> tuple[float, ...]:
    if count == 1:
        return (last,)
    return tuple(first * (last / first) ** (k / (count - 1)) for k in range(count))
