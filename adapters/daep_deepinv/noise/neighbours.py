"""Noise level of an image with so many missing pixels that there are no whole patches."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from daep_deepinv.noise.usable import usable_pixels

__all__ = ["level_of_neighbours"]

#: Side of the blocks whose variances are compared, pixels, and least number of values in one.
BLOCK, VALUES_PER_BLOCK = 16, 12
#: Share of the blocks, those of least variance, whose mean variance is the noise's. The others contain texture.
SMOOTH_SHARE = 0.25
#: Least number of blocks.
MIN_BLOCKS = 8
#: Fields of white noise by which the bias of choosing the least variances is measured.
FIELDS = 4


def level_of_neighbours(image: Tensor, known: Tensor) -> float | None:
    """Noise level from known pixels whose two opposite neighbours are known.

    A pixel minus the mean of these neighbours contains little image, and noise of 1.5 times the variance. In colour the
    differences of the channels are used, which contain less texture. The least variances of blocks are those of smooth
    regions. How much too low the least ones are is measured on white noise with the same missing pixels.

    :param torch.Tensor image: (C, h, w).
    :param torch.Tensor known: boolean (h, w).
    :return: in the units of the image; ``None``: too few pixels are known.
    """
    usable = usable_pixels(image, known)
    channels = _differences(image) if image.shape[0] == 3 else image
    found = _smooth_variance(channels, usable)
    if found is None:
        return None
    generator = torch.Generator().manual_seed(0)
    fields = torch.randn((FIELDS, *channels.shape), generator=generator, dtype=torch.float64)
    of_noise = [_smooth_variance(field, usable) for field in fields]
    bias = sum(value for value in of_noise if value is not None) / FIELDS
    return math.sqrt(found / bias)


def _differences(image: Tensor) -> Tensor:
    """The two differences of three channels, in which white noise remains white."""
    red, green, blue = image
    return torch.stack([(red - green) / math.sqrt(2), (red + green - 2 * blue) / math.sqrt(6)])


def _smooth_variance(channels: Tensor, usable: Tensor) -> float | None:
    """Mean of the least variances of the blocks."""
    total = count = torch.zeros(0)
    for axis in (-2, -1):
        values, weights = _second_differences(channels.double(), usable, axis)
        total_axis, count_axis = _block_sums(values), _block_sums(weights)
        total, count = (total_axis, count_axis) if not total.numel() else (total + total_axis, count + count_axis)
    enough = count >= VALUES_PER_BLOCK
    if int(enough.sum()) < MIN_BLOCKS:
        return None
    variances, order = (total[enough] / count[enough]).sort()
    kept = max(MIN_BLOCKS // 2, math.ceil(SMOOTH_SHARE * len(variances)))
    counts = count[enough][order][:kept]
    return float((variances[:kept] * counts).sum() / counts.sum())


def _second_differences(channels: Tensor, usable: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Squares (h, w), summed over the channels, and how many there are; 0 where a neighbour is missing."""
    before, after = channels.roll(1, axis), channels.roll(-1, axis)
    valid = usable & usable.roll(1, axis) & usable.roll(-1, axis)
    edge = [slice(None), slice(None)]
    for border in (0, -1):
        edge[axis] = border  # type: ignore[call-overload]
        valid[tuple(edge)] = False
    squares = (channels - (before + after) / 2).square().sum(0) / 1.5
    weights = valid.double()
    return squares * weights, len(channels) * weights


def _block_sums(values: Tensor) -> Tensor:
    """Sums over blocks of (h, w), in a row."""
    height, width = (n - n % BLOCK for n in values.shape)
    blocks = values[:height, :width].unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK)
    return blocks.sum((-2, -1)).flatten()
