"""The kernels of a photograph that a moving and turning camera has blurred, coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from daep_prior.blind.camera_poses import CameraPoses, enlarged_times, middle_times, one_pose
from daep_prior.blind.kernel_shape import moved_into
from daep_prior.blind.mean_shift import Denoise, mean_shift
from daep_prior.blind.one_start import JUDGED_WIDTH, Follow
from daep_prior.blind.pyramid import Scale, resized, scales
from daep_prior.blind.refinement import WIDTHS
from daep_prior.blind.settings import BlindSettings
from daep_prior.blind.varying_steps import times_step, varying_image_step, varying_misfit
from daep_prior.blind.windows import Windows

#: Times below this share of the largest are set to 0: in most rounds, in the rounds of the finest scale that let the
#: trails grow, and in the last ones. A larger share makes the trails too short, a smaller one too wide.
LEAST, GROWING_LEAST, LAST_LEAST = 0.02, 0.005, 0.01
#: Rounds at the finest scale: falling widths, the widest alone, falling widths.
ROUNDS = (8, 8, 10)


class CameraShake(NamedTuple):
    """What one start has found.

    :param torch.Tensor kernels: (rows, columns, n, n), n odd; each not negative, with sum 1.
    :param torch.Tensor times: in the poses, (n, n, n), see :class:`daep_prior.blind.camera_poses.CameraPoses`.
    """

    kernels: Tensor
    times: Tensor


def camera_shake(
    y: Tensor,
    denoise: Denoise,
    settings: BlindSettings,
    counts: tuple[int, int],
    seed: int = 0,
    follow: Follow | None = None,
) -> CameraShake:
    """The kernels of a photograph from one start, for a camera that is moved and turned around its axis.

    The rounds are those of :func:`daep_prior.blind.one_start.one_estimate`, with the times in the poses instead of the
    kernel. All parts of the image determine them together.

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    :param tuple counts: kernels down and across.
    :param int seed: of the noise.
    :param Callable follow: called after each round with the scale's factor, the round, from 0, and a kernel (n, n).
    """
    generator = torch.Generator().manual_seed(seed)
    levels = scales(y, settings)
    times, image = one_pose(levels[0].size), levels[0].y
    for before, scale in zip([None, *levels], levels, strict=False):
        finest, shape = scale is levels[-1], (scale.y.shape[-2], scale.y.shape[-1])
        windows = Windows((shape[0] - 2 * (scale.size // 2), shape[1] - 2 * (scale.size // 2)), scale.size, counts)
        poses = CameraPoses(windows)
        if before is not None:
            times = enlarged_times(times, settings.factor, scale.size)
            image = scale.bordered(resized(before.inside(image), windows.shape))
        weight = settings.last_weight if finest else settings.weight
        coarse = [(width, LEAST) for width in settings.widths(finest=False)]
        for number, (width, least) in enumerate(finest_rounds(settings) if finest else coarse):
            sharp = mean_shift(image, denoise, width, generator)
            times = times_step(sharp, scale, times, windows, poses, settings)
            times = middle_times(torch.where(times < least * times.max(), 0.0, times))
            kernels = of_sum_one(poses.kernels(times))
            image = varying_image_step(sharp, scale, windows, kernels, weight)
            if follow is not None:
                follow(scale.factor, number, kernels[counts[0] // 2, counts[1] // 2])
    return CameraShake(kernels, times)


def finest_rounds(settings: BlindSettings) -> list[tuple[float, float]]:
    """Kernel width and least share of the times in each round at the finest scale."""
    falling, held, last = ROUNDS
    ratio = settings.narrowest / settings.widest

    def widths(count: int) -> list[float]:
        return [settings.widest * ratio ** (t / (count - 1)) for t in range(count)]

    first = [(width, LEAST) for width in widths(falling)]
    return first + [(settings.widest, GROWING_LEAST)] * held + [(width, LAST_LEAST) for width in widths(last)]


def of_sum_one(kernels: Tensor) -> Tensor:
    """The kernels (..., n, n) with sum 1; one without light is one pixel."""
    sums, side = kernels.sum((-2, -1), keepdim=True), kernels.shape[-1]
    pixel = torch.zeros_like(kernels)
    pixel[..., side // 2, side // 2] = 1
    return torch.where(sums > 0, kernels / sums.clamp_min(1e-12), pixel)


def unexplained(y: Tensor, denoise: Denoise, kernels: Tensor, settings: BlindSettings) -> float:
    r"""How badly kernels explain a photograph: the misfit of a short restoration, made equally for all candidates.

    A few rounds restore the image with the kernels fixed. Then its mean shift, a sharp natural image, is blurred. The
    result is the root mean square difference of gradients to the photograph, images in [0, 1].

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param torch.Tensor kernels: (rows, columns, n, n), as those of :class:`daep_prior.blind.windows.Windows`.
    """
    scale = scales(y, settings)[-1]
    fit = torch.stack([moved_into(kernel, scale.size) for kernel in kernels.flatten(0, 1)])
    kernels = of_sum_one(fit.view(*kernels.shape[:2], scale.size, scale.size))
    windows = Windows((y.shape[-2], y.shape[-1]), scale.size, (kernels.shape[0], kernels.shape[1]))
    generator = torch.Generator().manual_seed(0)
    sharp, _ = restored(scale, denoise, windows, kernels, (*WIDTHS, JUDGED_WIDTH), settings.last_weight, generator)
    return varying_misfit(sharp, scale, windows, kernels)


def restored(
    scale: Scale,
    denoise: Denoise,
    windows: Windows,
    kernels: Tensor,
    widths: Sequence[float],
    weight: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The last mean shift and the image of a short restoration with fixed kernels, each (1, 1, H, W)."""
    image = sharp = scale.y
    for width in widths:
        sharp = mean_shift(image, denoise, width, generator)
        image = varying_image_step(sharp, scale, windows, kernels, weight)
    return sharp, image
