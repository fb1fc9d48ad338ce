"""The first image where noise dominates it: smoothed, so that the network can remove what remains."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from daep_deepinv.operators.subsampling import amplifies_noise
from daep_deepinv.starts.starting_point import PSEUDO_INVERSE
from daep_deepinv.value_range import NOISE_LEVELS, OUTLIERS, POOLED, ValueRange, find_ranges, noise_level, quantile
from daep_deepinv.view import View
from daep_prior.solvers import Bounds

__all__ = ["ranges_of_start", "with_smooth_start"]

#: What is said of such a first image.
SMOOTHED = ", averaged over {0} x {0} pixels: its noise is too strong"
#: Sides of the squares over which it may be averaged.
SIDES = (1, 2, 4, 8, 16)


def with_smooth_start(view: View) -> list[View]:
    """The view, in parts whose first images are averaged over squares of one side.

    The pseudo-inverse amplifies noise: that of a sinogram with noise of 0.1 varies by 3 around an image in [0, 1]. The
    network removes no such noise, and the range of the values would be that of the noise. Other first images have at
    most the noise of the measurement, as a rule, and remain as they are; so do those of random projections, which look
    noisy without noise.

    A camera crop of 64 pixels, 60 angles, noise of 0.1: 9.99 dB without, 23.26 dB with averages over 4 pixels, 23.27 dB
    over 8.
    """
    if not view.start_name.startswith(PSEUDO_INVERSE) or not amplifies_noise(view.physics, view.start):
        return [view]
    groups: dict[int, list[int]] = {}
    for i, image in enumerate(view.start):
        groups.setdefault(_side(image), []).append(i)
    return [_smoothed(view.subset(members), side) for side, members in groups.items()]


def ranges_of_start(view: View, scale: float | None, bounds: Bounds | Literal["found"] | None) -> list[ValueRange]:
    """The range of each image, from the squares over which its first image is averaged: in the image that is
    interpolated between them, noise does not show as noise."""
    side = view.start_side
    if side == 1:
        return find_ranges(view.start, scale, bounds)
    channels = view.start.reshape(*view.start.shape[:2], -1, *view.start.shape[-2:])
    start = _slices(channels, side)
    return find_ranges(start.reshape(*channels.shape[:3], *start.shape[-2:]), scale, bounds, side)


def _smoothed(view: View, side: int) -> View:
    if side == 1:
        return view
    start = view.start
    smooth = F.interpolate(_slices(start, side), start.shape[-2:], mode="bilinear", align_corners=False)
    return replace(
        view, start=smooth.reshape(start.shape), start_name=view.start_name + SMOOTHED.format(side), start_side=side
    )


def _side(image: Tensor) -> int:
    """The least side of squares of an image (C, ...) over which its noise is within the levels that the network is
    trained for, relative to its largest value."""
    for side in SIDES:
        means = _slices(image[None], side).transpose(0, 1)
        largest = quantile(_means(means, max(POOLED // side, 1)).abs().reshape(1, -1), 1 - OUTLIERS)
        if NOISE_LEVELS * noise_level(means[:, None]) <= float(largest):
            return side
    return SIDES[-1]


def _slices(images: Tensor, side: int) -> Tensor:
    """Means over squares of images (B, C, ..., H, W), slices as channels: (B, N, h, w)."""
    return _means(images.detach().reshape(images.shape[0], -1, *images.shape[-2:]), side)


def _means(images: Tensor, side: int) -> Tensor:
    size = [max(math.ceil(n / side), 1) for n in images.shape[-2:]]
    return images if side == 1 else F.interpolate(images, size, mode="area")
