"""Circular blurs, by how much of an image they suppress: the presets have schedules of their own for them."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import Blur
from torch import Tensor

from daep_deepinv.data_terms.fourier_blur import FourierBlur
from daep_deepinv.linear_algebra.frequencies import frequencies
from daep_prior.schedules import Task

__all__ = ["circular_task", "is_strong", "suppressed_share"]

#: Number of axes of a batch of volumes.
VOLUMES = 5
#: Side of the grid of frequencies, pixels; larger for a larger kernel.
SIDE = 128
#: Noise level for which the share is computed, images in [0, 1] whose power spectrum is ``1/f^2``.
NOISE = 0.03
#: Suppressed share of a strong blur. Random motion: 0.007 to 0.024; defocus by 2 pixels and more and Gaussians of one
#: pixel and more: 0.06 to 0.21. With nine gradients instead of 18 training crops under the former are as good, under
#: the latter 0.1 to 0.4 dB worse.
STRONG = 0.04


def circular_task(physics: Any, y: Any, x: Tensor, image: int) -> Task | None:
    """The task of the presets for one image of a batch; ``None``: not a circular blur of deepinv.

    Volumes, which are restored slice by slice, have the shorter schedule whatever their kernel is, also under Poisson
    noise. On two training volumes it is 0.3 to 3.6 dB better than the general one (``benchmarks/circular.py``); for
    colour images under Poisson noise it is 0.2 dB worse.

    :param y: measurements.
    :param torch.Tensor x: first images (B, C, H, W), or volumes (B, C, D, H, W).
    :param int image: index in the batch.
    """
    if isinstance(physics, Blur) and type(physics).A is Blur.A and x.ndim == VOLUMES:
        return "circular blur" if physics.padding == "circular" else None
    if not FourierBlur.handles(physics, x, y) or (isinstance(physics, Blur) and physics.padding == "valid"):
        return None
    return "strong circular blur" if is_strong(physics.filter, image, len(x)) else "circular blur"


def is_strong(kernels: Tensor, image: int, count: int) -> bool:
    """Whether a blur suppresses much of an image.

    :param torch.Tensor kernels: (1, C, h, w), or one for each of ``count`` images.
    :param int image: index in the batch.
    """
    kernel = kernels[image] if len(kernels) == count else kernels[0]
    return suppressed_share(kernel) > STRONG


def suppressed_share(kernel: Tensor) -> float:
    """Share of the energy of an image that the Wiener filter loses.

    The image has the power spectrum ``1/f^2``. At a frequency where the kernel's is ``k`` the filter loses the share
    ``NOISE^2 / (|k|^2 + NOISE^2)``.

    :param torch.Tensor kernel: (C, h, w); the share is the mean over the channels.
    """
    side = max(SIDE, *kernel.shape[-2:])
    power = torch.fft.rfft2(kernel.float(), s=(side, side)).abs().square()
    weight = frequencies((side, side)).clamp_min(1 / side).to(power) ** -2
    return float((weight * NOISE**2 / (power + NOISE**2)).sum(dim=(-2, -1)).mean() / weight.sum())
