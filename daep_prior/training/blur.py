"""A little blur of the crops that a network sees, so that it learns to sharpen."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["randomly_blurred"]

#: A Gaussian is cut off at this multiple of its standard deviation.
CUT = 3.0
#: Smallest standard deviation, pixels: the kernel is one pixel, and nothing is divided by zero.
SMALLEST = 1e-3


def randomly_blurred(crops: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Each crop (B, C, H, W) blurred by a Gaussian whose standard deviation is uniform in [0, ``largest``] pixels.

    :param float largest: the crops are mirrored at their borders, so it is at most a third of their size.
    """
    batch, channels = crops.shape[:2]
    radius = math.ceil(CUT * largest)
    widths = largest * torch.rand(batch, 1, generator=generator, device=crops.device)
    x = torch.arange(-radius, radius + 1, device=crops.device)
    kernels = torch.softmax(-(x / widths.clamp_min(SMALLEST)).square() / 2, 1).repeat_interleave(channels, 0)
    planes = F.pad(crops, (radius, radius, radius, radius), mode="reflect").flatten(0, 1)[None]
    planes = F.conv2d(planes, kernels[:, None, :, None], groups=batch * channels)
    planes = F.conv2d(planes, kernels[:, None, None, :], groups=batch * channels)
    return planes[0].view_as(crops)
