"""Choose prior and schedule for one measurement. The one-line solvers of all toolkits use it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from daep_prior import schedules
from daep_prior.prior import MeanShiftPrior
from daep_prior.schedules import DEFAULT_PRESET, PRESETS, Schedule, Task, check_preset, read_settings

__all__ = ["check_schedule", "prior_and_schedule", "recognised_task"]

#: Largest deviation of ``K^T K`` from a mask, for images in [0, 1].
TOLERANCE = 1e-4


def check_schedule(preset: str | None, schedule: Schedule | None, iterations: int | None, length_name: str) -> None:
    """Refuse an unknown preset, and a preset, a schedule and a length that contradict each other.

    :param str length_name: the toolkit's name of ``iterations``.
    :raises ValueError: with the arguments that do not fit.
    """
    if preset is not None:
        check_preset(preset)
    if iterations is not None and (not iterations >= 1 or int(iterations) != iterations):
        raise ValueError(f"{length_name}: got {iterations}; expected a whole number >= 1.")
    if schedule is None:
        return
    if iterations is not None:
        raise ValueError(f"{length_name}, schedule: a schedule has its own length; give one of the two.")
    if preset is not None and PRESETS[preset].solver != schedule.solver:
        raise ValueError(
            f"preset, schedule: the preset {preset!r} uses the {PRESETS[preset].solver} solver, the schedule is for the "
            f"{schedule.solver} solver; give one of the two."
        )


def default_network(preset: str | None, schedule: Schedule | None) -> str:
    """The shipped network that is used when none is given: the preset's, or the paper's for a heavy-ball schedule."""
    if preset is None and schedule is not None and schedule.solver == schedules.HEAVY_BALL:
        preset = "paper"
    return PRESETS[preset or DEFAULT_PRESET].network


def prior_and_schedule(
    sigma: float,
    normal: Callable[[Tensor], Tensor],
    seen: Tensor,
    *,
    preset: str | None,
    schedule: Schedule | None,
    denoiser: Any,
    iterations: int | None,
    settings: str | os.PathLike[str] | None,
    own_start: bool,
    options: dict[str, Any],
) -> tuple[MeanShiftPrior, Schedule]:
    """Prior and schedule for a measurement ``y = K x + n``.

    :param float sigma: noise level of the measurement; 0: noise-free.
    :param Callable normal: ``K^T K``, images (B, C, H, W) to images.
    :param torch.Tensor seen: ``K^T K 1``, (B, C, H, W).
    :param settings: file of settings, see :func:`daep_prior.schedules.read_settings`.
    :param bool own_start: the first image is the user's. Then denoising iterates too, because its one step from the
        measurement would not see that image.
    :param dict options: of :class:`daep_prior.MeanShiftPrior`.
    :raises ValueError: arguments that do not fit each other.
    """
    check_schedule(preset, schedule, iterations, "iterations")
    prior = MeanShiftPrior(default_network(preset, schedule) if denoiser is None else denoiser, **options)
    if schedule is None:
        task = recognised_task(normal, seen)
        schedule = schedules.preset(
            preset or DEFAULT_PRESET,
            sigma,
            trained_width=prior.trained_width,
            task="general" if own_start and task == "denoising" else task,
            iterations=iterations,
            settings=None if settings is None else read_settings(settings),
        )
    return prior, schedule


def recognised_task(normal: Callable[[Tensor], Tensor], seen: Tensor) -> Task:
    """What the measurement ``y = K x + n`` is, from ``K^T K``.

    ``K^T K = I``: ``K^T y`` is the image with white noise, so the task is denoising. ``K^T K`` diagonal with zeros and
    ones: ``K`` selects pixels, so the task is inpainting.

    :param Callable normal: ``K^T K``, images (B, C, H, W) to images.
    :param torch.Tensor seen: ``K^T K 1``, (B, C, H, W).
    """
    if not bool((((seen - 1).abs() < TOLERANCE) | (seen.abs() < TOLERANCE)).all()):
        return "general"
    probe = torch.rand(seen.shape, generator=torch.Generator().manual_seed(0)).to(seen)
    if float((normal(probe) - seen * probe).abs().max()) > TOLERANCE:
        return "general"
    return "denoising" if bool((seen > 0.5).all()) else "missing pixels"
