"""Restore a photograph with the kernel that was found for it."""

from __future__ import annotations

import math

import torch
from deepinv.physics import Blur, GaussianNoise, LinearPhysics
from torch import Tensor, nn

from daep_deepinv.blind.varying_kernel import VaryingKernel
from daep_deepinv.noise_estimation.jpeg import jpeg_level
from daep_deepinv.noise_estimation.patches import patch_level
from daep_deepinv.reconstructor import DAEP

#: Least noise level that is assumed, images in [0, 1]: a found kernel is never exact, and the noise of a JPEG is hardly
#: visible after the blur. On training crops with noise of 1.3/255, 1.5 times the level costs 0.3 dB; on a real JPEG
#: photograph with noise of 0.4/255, a level of 0.5/255 rings visibly and one of 2/255 hardly.
LEAST_NOISE = 1.5 / 255


def deblurred(
    y: Tensor, kernel: Tensor | VaryingKernel, sigma: float | None, preset: str, denoiser: nn.Module, seed: int = 0
) -> Tensor:
    """``y`` restored with a found kernel; a kernel of one pixel returns it as it is.

    :param torch.Tensor y: photograph (1, C, h, w) in [0, 1].
    :param kernel: (n, n), n odd, sum 1; or kernels that vary over ``y``.
    :param float sigma: noise level, images in [0, 1]; ``None``: estimated.
    :return: (1, C, h, w) in [0, 1].
    """
    wide = with_border(y, kernel, sigma, preset, denoiser, seed)
    r = (wide.shape[2] - y.shape[2]) // 2
    return wide[..., r : r + y.shape[2], r : r + y.shape[3]].clamp(0, 1)


def with_border(
    y: Tensor, kernel: Tensor | VaryingKernel, sigma: float | None, preset: str, denoiser: nn.Module, seed: int = 0
) -> Tensor:
    """As :func:`deblurred`, with all pixels that the kernel of side ``n`` reaches: (1, C, h + n - 1, w + n - 1)."""
    side = kernel.kernels.shape[-1] if isinstance(kernel, VaryingKernel) else kernel.shape[0]
    if side == 1:
        return y.clamp(0, 1)
    noise = assumed_noise(y, sigma, kernel.error if isinstance(kernel, VaryingKernel) else 0.0)
    physics: LinearPhysics
    if isinstance(kernel, VaryingKernel):
        physics = kernel.physics(GaussianNoise(noise), y.device)
    else:
        physics = Blur(kernel[None, None].to(y), padding="valid", noise_model=GaussianNoise(noise), device=y.device)
    model = DAEP(noise, preset=preset, denoiser=denoiser, seed=seed, check_noise=False)
    with torch.no_grad():
        wide: Tensor = model(y, physics)
    return wide


def assumed_noise(y: Tensor, sigma: float | None = None, error: float = 0.0) -> float:
    """The noise level with which a photograph (1, C, h, w) is restored.

    It is ``sigma``, or as estimated, at least ``LEAST_NOISE`` and what JPEG has done, see
    :func:`daep_deepinv.noise_estimation.jpeg.jpeg_level`; the ``error`` of the blur counts as noise.
    """
    level = max(noise_level(y), jpeg_level(y) or 0.0) if sigma is None else sigma
    level = max(LEAST_NOISE, level)
    return math.hypot(level, error)


def noise_level(y: Tensor) -> float:
    """Noise level of a blurred photograph (1, C, h, w), which has little texture of its own; 0 if it is too small."""
    try:
        return patch_level(y.float())
    except ValueError:
        return 0.0
