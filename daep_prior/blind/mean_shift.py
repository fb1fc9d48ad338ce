"""The mean shift of an image: the sharp natural image that the estimation of a blur begins with."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Denoiser: images (1, 1, H, W) in [0, 1] and a noise level to images.
Denoise = Callable[[Tensor, float], Tensor]


def mean_shift(image: Tensor, denoise: Denoise, width: float, generator: torch.Generator) -> Tensor:
    r""":math:`A_s(x + \epsilon)`, :math:`\epsilon \sim N(0, s^2)`, (1, 1, H, W).

    :param torch.Tensor image: ``x``, (1, 1, H, W) in [0, 1].
    :param float width: ``s``, images in [0, 1].
    :param torch.Generator generator: of the noise, on the CPU.
    """
    noise = torch.randn(image.shape, generator=generator).to(image)
    return denoise(image + width * noise, width)
