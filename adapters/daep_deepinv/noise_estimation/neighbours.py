"""Noise level of the smooth regions of an image, from differences of neighbouring pixels. Pixels may be missing."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from daep_prior.images import RGB

__all__ = ["level_of_neighbours", "variances_of_neighbours"]

#: Sides of the blocks whose variances are compared, pixels: the first with enough blocks. Least number of values in
#: one.
SIDES, VALUES_PER_BLOCK = (16, 32), 12
#: Share of the blocks, those of least variance, whose mean variance is the noise's. The others contain texture. So do
#: these, if the smaller share has less.
SMOOTH_SHARE, SMOOTHEST_SHARE = 0.25, 0.1
#: Least number of blocks.
MIN_BLOCKS = 8
#: Side of the blocks that are sorted by brightness; number of bins, and least number of blocks in one.
FINE_SIDE, MIN_BINS, MAX_BINS, BLOCKS_PER_BIN = 8, 4, 10, 12
#: Fields of white noise by which the bias of choosing the least variances is measured.
FIELDS = 4


class Smooth(NamedTuple):
    """Noise of the smooth regions.

    :param float level: standard deviation, in the units of the image.
    :param float texture: the level over that of the smoothest regions alone: about 1 where only noise is left.
    """

    level: float
    texture: float


class ByBrightness(NamedTuple):
    """Noise of the smooth regions, by brightness.

    :param torch.Tensor mean: (n), rising.
    :param torch.Tensor variance: (n).
    :param float texture: as in :class:`Smooth`, within regions of like brightness.
    """

    mean: Tensor
    variance: Tensor
    texture: float


def level_of_neighbours(image: Tensor, usable: Tensor) -> Smooth | None:
    """Noise level from pixels that are usable with two opposite neighbours.

    A pixel minus the mean of these neighbours contains little image, and noise of 1.5 times the variance. In colour the
    differences of the channels are used, which contain less texture. The least variances of blocks are those of smooth
    regions. How much too low the least ones are is measured on white noise with the same missing pixels.

    :param torch.Tensor image: (C, h, w).
    :param torch.Tensor usable: ``False`` at pixels that are missing or hold no noise, (h, w).
    :return: ``None``: too few pixels are usable.
    """
    channels = _differences(image) if image.shape[0] == RGB else image
    generator = torch.Generator().manual_seed(0)
    fields = torch.randn((FIELDS, *channels.shape), generator=generator, dtype=torch.float64)
    for side in SIDES:
        found = _smooth_variances(channels, usable, side)
        if found is not None:
            of_noise = torch.tensor([_smooth_variances(field, usable, side) for field in fields]).mean(0)
            level, smoothest = (math.sqrt(v / float(b)) for v, b in zip(found, of_noise, strict=True))
            return Smooth(level, level / smoothest if smoothest > 0 else 1.0)
    return None


def variances_of_neighbours(image: Tensor, usable: Tensor) -> ByBrightness | None:
    """Noise of smooth regions by brightness.

    As :func:`level_of_neighbours`, with the blocks sorted into bins of their mean. The variance of a difference of
    channels is that at a mean of these channels, if the variance is a linear function of the mean.

    :return: ``None``: too few blocks.
    """
    colour = image.shape[0] == RGB
    channels, means = (_differences(image), _mean_of_differences(image)) if colour else (image, image)
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(channels.shape, generator=generator, dtype=torch.float64)
    pixels = _block_sums(usable.double(), FINE_SIDE).clamp_min(1)
    rows: list[Tensor] = []
    for channel, mean, noise in zip(channels, means, field, strict=True):
        variance, count = _block_variances(channel[None], usable, FINE_SIDE)
        of_noise, _ = _block_variances(noise[None], usable, FINE_SIDE)
        brightness = _block_sums(mean.double() * usable, FINE_SIDE) / pixels
        rows.append(torch.stack([brightness, variance, of_noise])[:, count >= VALUES_PER_BLOCK])
    blocks = torch.cat(rows, 1)
    bins = min(MAX_BINS, blocks.shape[1] // BLOCKS_PER_BIN)
    if bins < MIN_BINS:
        return None
    found = [_bin(blocks[:, members]) for members in blocks[0].argsort().chunk(bins)]
    x, v, smoothest = torch.tensor(found, dtype=torch.float64).T
    smoothest = smoothest.clamp_min(1e-300)
    # in colour, where texture is rare, a bin may mix dark and bright regions; in grey, every bin counts
    texture = (v / smoothest).median() if colour else v.sum() / smoothest.sum()
    return ByBrightness(x, v, math.sqrt(float(texture)))


def _bin(blocks: Tensor) -> tuple[float, float, float]:
    """Mean and variance of the smooth blocks of a bin, and variance of the smoothest ones.

    :param torch.Tensor blocks: (3, n): mean, variance, and variance of white noise.
    """
    mean, variance, of_noise = blocks
    order, of_noise = variance.argsort(), of_noise.sort().values
    smooth, smoothest = (math.ceil(share * len(mean)) for share in (SMOOTH_SHARE, SMOOTHEST_SHARE))
    of_smooth, of_smoothest = (float(variance[order[:k]].mean() / of_noise[:k].mean()) for k in (smooth, smoothest))
    return float(mean[order[:smooth]].mean()), of_smooth, of_smoothest


def _differences(image: Tensor) -> Tensor:
    """The two differences of three channels, in which white noise remains white."""
    red, green, blue = image
    return torch.stack([(red - green) / math.sqrt(2), (red + green - 2 * blue) / math.sqrt(6)])


def _mean_of_differences(image: Tensor) -> Tensor:
    """The means whose variance the differences have, for variance that is linear in the mean."""
    red, green, blue = image
    return torch.stack([(red + green) / 2, (red + green + 4 * blue) / 6])


def _block_variances(channels: Tensor, usable: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Variance of the noise of each block, and the number of its values."""
    pairs = [_second_differences(channels.double(), usable, axis) for axis in (-2, -1)]
    total, count = (_block_sums(down + across, side) for down, across in zip(*pairs, strict=True))
    return total / count.clamp_min(1), count


def _smooth_variances(channels: Tensor, usable: Tensor, side: int) -> tuple[float, float] | None:
    """Mean variance of the smooth blocks, and of the smoothest; ``None``: too few blocks have enough values."""
    found, count = _block_variances(channels, usable, side)
    enough = count >= VALUES_PER_BLOCK
    if int(enough.sum()) < MIN_BLOCKS:
        return None
    variances, order = found[enough].sort()
    counts = count[enough][order]

    def mean(share: float) -> float:
        kept = max(MIN_BLOCKS // 4, math.ceil(share * len(variances)))
        return float((variances[:kept] * counts[:kept]).sum() / counts[:kept].sum())

    return mean(SMOOTH_SHARE), mean(SMOOTHEST_SHARE)


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


def _block_sums(values: Tensor, side: int) -> Tensor:
    """Sums over blocks of (h, w), in a row."""
    if min(values.shape) < side:
        return values.new_zeros(0)
    height, width = (n - n % side for n in values.shape)
    blocks = values[:height, :width].unfold(0, side, side).unfold(1, side, side)
    return blocks.sum((-2, -1)).flatten()
