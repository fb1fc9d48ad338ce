"""The bias of the estimate of a kernel, measured on a photograph whose kernel is known, and taken off."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from daep_prior.blind.fourier import convolved, transfer
from daep_prior.blind.kernel_shape import cleaned, scattered, trimmed, with_margin
from daep_prior.blind.kernel_step import kernel_step
from daep_prior.blind.mean_shift import Denoise
from daep_prior.blind.one_start import Follow
from daep_prior.blind.pyramid import Scale, scales
from daep_prior.blind.refinement import restored
from daep_prior.blind.settings import BlindSettings
from daep_prior.blind.similarity import similarity

#: Ridge of the kernel step, in units of the power of the noise in all pixels, and its least. A ridge of 10 cuts off
#: what soft images with little noise show of the kernel: on eight crops of the set ``soft`` of
#: ``benchmarks/blind_cases.py`` with noise of 0.7/255, a step from the true kernel loses up to 0.027 of similarity with
#: 10, at most 0.008 with 1. On four with 2.2/255 and more, 10 is about right.
RIDGE_PER_NOISE, LEAST_RIDGE = 1.6, 0.5
#: Least change of a kernel that is taken, 1 - similarity: less is what the noise does. On 13 training crops, the six
#: error ratios whose change is at least 0.005 fell by 0.07 to 1.13; of the other seven, whose change is at most 0.0044,
#: three fell and four rose, by up to 0.39 and 0.32.
LEAST_CHANGE = 0.0047
#: Growth of the divisor of a correction from one to the next. Chosen by hand on training crops.
DAMPING = 0.5


class _Problem(NamedTuple):
    """What stays the same in all corrections: the finest scale and the settings with their ridge."""

    scale: Scale
    denoise: Denoise
    settings: BlindSettings


def corrected(
    y: Tensor,
    denoise: Denoise,
    kernel: Tensor,
    noise: float,
    settings: BlindSettings,
    seed: int = 0,
    follow: Follow | None = None,
) -> Tensor:
    r"""The kernel without the bias of its estimate.

    ``T(y, k)`` is the kernel step after a restoration of ``y`` with ``k``. It is biased: the image was made with ``k``,
    so the step keeps errors of ``k``; and it blurs the kernels of soft images. The restored image, blurred with ``k``
    and with noise, is a photograph ``y_k`` whose kernel is known. So

    .. math::

        k_{t+1} = k_t + \frac{T(y, k_t) - T(y_{k_t}, k_t)}{1 + t / 2}.

    If both have the same bias, the true kernel stands still. A result that is scattered or hardly differs is not taken,
    see :data:`LEAST_CHANGE`.

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    :param torch.Tensor kernel: (n, n), n odd; not negative, sum 1, centred.
    :param float noise: noise level of ``y``.
    :param int seed: of the noise.
    :param Callable follow: see :data:`daep_prior.blind.one_start.Follow`.
    :return: (m, m), as ``kernel``.
    """
    ridge = max(LEAST_RIDGE, RIDGE_PER_NOISE * y.numel() * noise**2)
    problem = _Problem(scales(y, settings)[-1], denoise, replace(settings, ridge=ridge))
    scale, new = problem.scale, kernel
    generator = torch.Generator().manual_seed(seed)
    least, typical = settings.smallest(faint=True)
    for number in range(settings.corrections):
        new = with_margin(new, settings.margin, scale.room)
        found, sharp = _estimate(problem, scale.y, new, seed + number)
        blurred = scale.inside(convolved(transfer(new, (sharp.shape[-2], sharp.shape[-1])), sharp))
        field = torch.randn(blurred.shape, generator=generator).to(blurred)
        simulated = scales(blurred + noise * field, settings)[-1].y
        step = found - _estimate(problem, simulated, new, seed + number)[0]
        new = cleaned(new + step / (1 + DAMPING * number), least, settings.island, scale.size, typical)
        if follow is not None:
            follow(scale.factor, number, new)
    new = trimmed(new)
    return kernel if scattered(new) or 1 - similarity(new, kernel) < LEAST_CHANGE else new


def _estimate(problem: _Problem, y: Tensor, kernel: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The kernel step after a restoration of ``y``, (1, 1, H, W) with its border, with ``kernel``; and the image."""
    scale, denoise, settings = problem
    generator = torch.Generator().manual_seed(seed)
    sharp, _ = restored(scale._replace(y=y), denoise, kernel, settings, generator)
    new = kernel_step(sharp, y, scale.known, kernel, settings.ridge, settings.kernel_iterations)
    return new, sharp
