"""The presets of ``DAEP``: which solver, which schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daep_deepinv.iterators import HeavyBallIteration, ProximalMomentumIteration
from daep_prior import Schedule, schedules

__all__ = ["PRESETS", "preset_schedule", "solver_parameters"]

#: Presets and the solver each uses.
PRESETS: dict[str, type[HeavyBallIteration] | type[ProximalMomentumIteration]] = {
    "annealed": ProximalMomentumIteration,
    "fast": ProximalMomentumIteration,
    "best": ProximalMomentumIteration,
    "paper": HeavyBallIteration,
    "paper-sr": HeavyBallIteration,
}

_ANNEALED: dict[str, Callable[..., Schedule]] = {
    "annealed": schedules.annealed,
    "fast": schedules.fast,
    "best": schedules.best,
}

#: Iterations for missing pixels, where they are not the schedule's own.
_HOLES: dict[str, dict[str, Any]] = {"annealed": {}, "fast": {"iterations": 8}, "best": {"iterations": 60}}


def preset_schedule(
    preset: str,
    sigma: float,
    trained_width: float | None,
    factor: int,
    length: int | None,
    *,
    identity: bool = False,
    holes: bool = False,
) -> Schedule:
    """The schedule of a preset.

    :param str preset: a key of :data:`PRESETS`.
    :param float sigma: noise of the measurement, images in [0, 1].
    :param float, None trained_width: the one level of the denoiser; ``None``: it is told the level.
    :param int factor: of super-resolution, 1 for other physics.
    :param int, None length: iterations; ``None``: the preset's own number.
    :param bool identity: the measurement is the image itself, with noise.
    :param bool holes: the measurement is some of the image's pixels.
    """
    iterations: dict[str, Any] = {} if length is None else {"iterations": length}
    width: dict[str, Any] = {} if trained_width is None else {"width": trained_width}
    if preset == "paper":
        return schedules.paper(sigma, **width, **iterations)
    if preset == "paper-sr":
        return schedules.paper_sr(factor, **width, **iterations)
    if trained_width is not None:
        return schedules.fixed_width(trained_width, **iterations)
    if identity and sigma > 0 and length is None:
        return schedules.denoising(sigma)
    if holes:
        return schedules.missing_pixels(sigma, **{**_HOLES[preset], **iterations})
    return _ANNEALED[preset](sigma, **iterations)


def solver_parameters(schedule: Schedule) -> dict[str, Any]:
    """deepinv's names for the columns of a schedule."""
    names = {"kernel_width": "g_param", "prior_weight": "lambda", "step": "stepsize"}
    return {names.get(name, name): list(values) for name, values in schedule.columns().items()}
