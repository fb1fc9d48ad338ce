"""Choose prior and schedule for one measurement. The one-line solvers of all toolkits use it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from daep_prior import schedules
from daep_prior.arguments import whole_number
from daep_prior.back_projection import back_projection
from daep_prior.prior import MeanShiftPrior
from daep_prior.restoration import restore
from daep_prior.schedules import DEFAULT_PRESET, PRESETS, Schedule, Task, check_preset, read_settings

__all__ = ["check_schedule", "default_network", "recognised_task", "restore_measurement"]

#: Largest deviation of ``K^T K`` from a mask, for images in [0, 1]. Chosen by hand: far above rounding.
TOLERANCE = 1e-4


def check_schedule(preset: str | None, schedule: Schedule | None, iterations: int | None, length_name: str) -> None:
    """Refuse an unknown preset, and a preset, a schedule and a length that contradict each other.

    :param str length_name: the toolkit's name of ``iterations``.
    :raises ValueError: with the arguments that do not fit.
    """
    if preset is not None:
        check_preset(preset)
    if iterations is not None:
        whole_number(length_name, iterations)
    if schedule is None:
        return
    if not isinstance(schedule, Schedule):
        raise TypeError(
            f"schedule: got {schedule!r}; expected a Schedule, such as daep_prior.schedules.annealed(sigma). The name "
            "of a preset is preset=."
        )
    if iterations is not None:
        raise ValueError(f"{length_name}, schedule: a schedule has its own length; give one of the two.")
    if preset is not None and PRESETS[preset].solver == schedule.solver:
        raise ValueError(f"preset, schedule: got the preset {preset!r} and a schedule; give one of the two.")
    if preset is not None:
        raise ValueError(
            f"preset, schedule: the preset {preset!r} uses the {PRESETS[preset].solver} solver, the schedule is for "
            f"the {schedule.solver} solver; give one of the two."
        )


def default_network(preset: str | None, schedule: Schedule | None) -> str:
    """The shipped network that is used when none is given: the preset's, or the paper's for a heavy-ball schedule."""
    if preset is None and schedule is not None and schedule.solver == schedules.HEAVY_BALL:
        preset = "paper"
    return PRESETS[preset or DEFAULT_PRESET].network


def restore_measurement(
    sigma: float,
    back: Tensor,
    normal: Callable[[Tensor], Tensor],
    data_prox: Callable[[Tensor, float], Tensor],
    data_gradient: Callable[[Tensor], Tensor],
    *,
    start: Tensor | None = None,
    preset: str | None = None,
    schedule: Schedule | None = None,
    denoiser: Any = None,
    iterations: int | None = None,
    settings: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Tensor:
    """Restore an image from a measurement ``y = K x + n``, by a preset or a schedule.

    :param float sigma: noise level of the measurement, images in [0, 1]; 0: noise-free.
    :param torch.Tensor back: ``K^T y``, (B, C, H, W).
    :param Callable normal: ``K^T K``, images to images.
    :param Callable data_prox: see :func:`daep_prior.restore`; likewise ``data_gradient``.
    :param torch.Tensor start: first images; default :func:`daep_prior.back_projection.back_projection`.
    :param str preset: a key of :data:`daep_prior.schedules.PRESETS`; default ``"annealed"``.
    :param Schedule schedule: instead of a preset.
    :param denoiser: see :class:`daep_prior.MeanShiftPrior`; default the preset's network.
    :param int iterations: default the preset's number.
    :param settings: file of ``benchmarks/tune_presets.py``, the presets' numbers for another network.
    :param options: ``noise``, ``jacobian``, ``seed``, ``device``, ``tile`` of :class:`daep_prior.MeanShiftPrior`.
    :return: images (B, C, H, W) in [0, 1], float32.
    :raises ValueError: arguments that do not fit each other; the message names them.
    :raises TypeError: unknown option.
    """
    check_schedule(preset, schedule, iterations, "iterations")
    prior = MeanShiftPrior(default_network(preset, schedule) if denoiser is None else denoiser, **options)
    seen = normal(torch.ones_like(back))
    if schedule is None:
        task = recognised_task(normal, seen)
        schedule = schedules.preset(
            preset or DEFAULT_PRESET,
            sigma,
            trained_width=prior.trained_width,
            # the one step of denoising does not see another first image
            task="general" if start is not None and task == "denoising" else task,
            iterations=iterations,
            settings=None if settings is None else read_settings(settings),
        )
    first = back_projection(back, seen) if start is None else start
    return restore(data_prox, first.to(prior.device, torch.float32), prior, schedule, data_gradient=data_gradient)


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
