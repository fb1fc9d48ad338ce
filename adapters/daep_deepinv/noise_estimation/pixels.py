"""Noise of an image, or of a measurement that looks like one, from its pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from daep_deepinv.noise.stabilise import stabiliser_of
from daep_deepinv.noise.variance import QuadraticVariance
from daep_deepinv.noise_estimation.neighbours import level_of_neighbours, variances_of_neighbours
from daep_deepinv.noise_estimation.noisy_pixels import flat_pixels, usable_pixels
from daep_deepinv.noise_estimation.patches import patch_level
from daep_deepinv.noise_estimation.signal_fit import LEAST_RATIO, law_of_bins

__all__ = ["PixelNoise", "law_of_counts", "pixel_noise"]

#: Least relative standard error of a level: how far the estimates are from the truth on 14 training crops of 128 x 128
#: pixels, noise of 7.65 and 25 of 255, 8 bits: 0.93 to 1.05 in colour, 0.96 to 1.36 in grey.
COLOUR_ERROR, GREY_ERROR = 0.03, 0.1
#: Relative standard error of a level from an image that is too small to be halved.
ERROR_OF_FEW = 0.15
#: Largest number of different values of counts; how far a value may be from a multiple of the gain; and the rise of the
#: variance from the gain, relative. White noise of 8 bits has a rise of many times its step.
MOST_COUNTS, OFF_GRID, COUNT_TOLERANCE = 4096, 0.02, 0.3
#: Side of the squares that are taken of a large image, pixels, and their largest number. More only take longer.
TILE, MAX_TILES = 64, 256
#: A drawing: an image of which this share equals its neighbours, besides bars of one colour, has no noise.
FLAT_SHARE = 0.25
#: Noise depends on the signal if its variance rises by this factor over the range of the image, in colour and in grey,
#: with a rise of this many standard errors, and no more texture than this, which may rise as well. 14 training crops of
#: 112 x 112 pixels: white noise of 2.55 and 12.75 has a ratio of at most 1.4 in colour; in grey of at most 2.2 at
#: 12.75, and at 2.55 of up to 19, mostly with a texture of 1.05 to 1.16. Gains of 0.002, 0.01 and 0.05 with a ratio of
#: 3 and more are found within 5 % in colour, in grey within 30 % but for 0.002.
LEAST_RATIO_COLOUR, MOST_TEXTURE = 1.7, 1.05
#: Noise is white if every second pixel shows at most this many times the level, and the mean of the channels at most
#: this many times that of their differences. 16 training crops, sharp and blurred, noise of 2.55 and 7.65: for the
#: first, white noise at most 1.28 but for one crop, averaged over 3 x 3 pixels 1.6 and more, stored as JPEG 90 1.4 and
#: more; for the second, white noise at most 2.7 but for one crop, JPEG 90 3.6 and more, shared noise 5.8 and more.
MOST_COARSE, MOST_SHARED = 1.35, 3.0
#: Relative standard error of a level by its texture: on 20 grey training crops with noise of 1.3 and 5.1, a texture of
#: at most 1.06 goes with an error of at most 0.15 in 13 of 16 crops, 1.1 to 1.6 with one of 0.4 to 6.
ERROR_PER_TEXTURE = 4.0


class PixelNoise(NamedTuple):
    """The noise of an image.

    :param float level: standard deviation, in the units of the image; root mean square, if it depends on the signal.
    :param float uncertainty: relative standard error of the level, from those of the halves of the image.
    :param QuadraticVariance law: of signal-dependent noise: gain and read noise fitted together; ``None``: one level.
    :param bool white: ``False``: coarse detail, or the mean of the channels, has far more noise, or texture, than the
        finest detail of the channel differences, which the level is that of. Stored photographs are like that (JPEG,
        resampled, noise that the channels share).
    """

    level: float
    uncertainty: float
    law: QuadraticVariance | None = None
    white: bool = True

    @property
    def words(self) -> str:
        """In words; empty: white."""
        if self.law is None:
            return ""
        if self.law.quadratic > 0:
            return f"multiplicative: {math.sqrt(self.law.quadratic):.3g} of the signal"
        read = math.sqrt(self.law.constant)
        return f"rising with the signal: Poisson, gain {self.law.linear:.3g}, and Gaussian of {read:.3g}"


def pixel_noise(image: Tensor, known: Tensor | None = None) -> PixelNoise:
    """The noise in an image: from neighbouring pixels of its smooth regions; in a small image, from its patches.

    Clipped pixels and bars of one colour do not count.

    :param torch.Tensor image: (1, C, H, W) of any range, C = 1 or 3. Equal channels are treated as one.
    :param torch.Tensor known: ``False`` at missing pixels, (H, W); ``None``: there are none.
    :raises ValueError: the image is too small, or not finite.
    """
    if image.shape[1] > 1 and bool((image[:, 1:] == image[:, :1]).all()):
        image = image[:, :1]
    one = image[0].detach().cpu()
    if not bool(one.isfinite().all()):
        raise ValueError("the noise of this image cannot be estimated; give a number.")
    usable = usable_pixels(one, None if known is None else known.cpu())
    error = COLOUR_ERROR if one.shape[0] > 1 else GREY_ERROR
    if float((flat_pixels(one) & usable).sum()) >= FLAT_SHARE * float(usable.sum()) > 0:
        return PixelNoise(0.0, error)
    everywhere = torch.ones_like(usable) if known is None else known.cpu()
    counts = law_of_counts(*_sampled(one, everywhere))
    if counts is not None:
        return PixelNoise(counts.level(one[:, everywhere].reshape(1, -1))[0], max(error, ERROR_OF_FEW), counts)
    one, usable = _sampled(one, usable)
    found = level_of_neighbours(one, usable)
    if found is None:
        return PixelNoise(patch_level(one[None], usable), max(error, ERROR_OF_FEW))
    law = _law(one, usable)
    if law is not None:
        stabiliser = stabiliser_of(law)
        assert stabiliser is not None
        stable = stabiliser.forward(one[None])[0]
        stable_level = level_of_neighbours(stable, usable)
        law = law if stable_level is not None and _is_white(stable, usable, stable_level.level) else None
    white = law is not None or _is_white(one, usable, found.level)
    if law is not None:
        mean = one[:, usable]
        return PixelNoise(law.level(mean.reshape(1, -1))[0], max(error, ERROR_OF_FEW), law)
    error = max(error, ERROR_PER_TEXTURE * (found.texture - 1))
    halves = [level_of_neighbours(*cut) for cut in _halves(one, usable)]
    levels = [half.level for half in halves if half is not None]
    if len(levels) < len(halves) or found.level == 0:
        return PixelNoise(found.level, max(error, ERROR_OF_FEW), white=white)
    # the two in the middle: a half may be all texture, or all clipped
    _, low, high, _ = sorted(levels)
    return PixelNoise(found.level, max(error, (high - low) / found.level), white=white)


def law_of_counts(image: Tensor, known: Tensor) -> QuadraticVariance | None:
    """The law of photon counts times a gain, with zeros that are counts and not clipped; ``None``: it is none.

    The values are then multiples of the gain, and that is also the rise of the variance.

    :param torch.Tensor image: (C, h, w).
    :param torch.Tensor known: boolean (h, w).
    """
    values = image[:, known].unique().double()
    if not 2 < len(values) < MOST_COUNTS or float(values[0]) != 0:
        return None
    gain = float(values.diff().min())
    multiples = values / gain
    if float((multiples - multiples.round()).abs().max()) > OFF_GRID:
        return None
    law = _law(image, known)
    return law if law is not None and abs(law.linear / gain - 1) < COUNT_TOLERANCE else None


def _sampled(image: Tensor, usable: Tensor) -> tuple[Tensor, Tensor]:
    """Squares of a large image beside each other, and their usable pixels; a small image as it is."""
    tiles = usable.numel() // TILE**2
    if tiles <= MAX_TILES:
        return image, usable
    step = TILE * math.ceil(math.sqrt(tiles / MAX_TILES))

    def chosen(values: Tensor) -> Tensor:
        cut = values.unfold(-2, TILE, step).unfold(-2, TILE, step)
        return cut.transpose(-3, -2).flatten(-4, -3).flatten(-2, -1)

    usable = usable.clone()
    usable[::step] = usable[:, ::step] = False  # no difference crosses the borders of the squares
    return chosen(image), chosen(usable)


def _is_white(image: Tensor, usable: Tensor, level: float) -> bool:
    """Whether coarse detail and the mean of the channels have about the same noise."""
    coarse = level_of_neighbours(image[:, ::2, ::2], usable[::2, ::2])
    if coarse is not None and coarse.level > MOST_COARSE * level:
        return False
    if image.shape[0] == 1:
        return True
    shared = level_of_neighbours(math.sqrt(image.shape[0]) * image.mean(0, keepdim=True), usable)
    return shared is None or shared.level <= MOST_SHARED * level


def _law(image: Tensor, usable: Tensor) -> QuadraticVariance | None:
    """The law of noise that rises with the signal; ``None``: it does not, or texture may be what rises."""
    found = variances_of_neighbours(image, usable)
    if found is None or found.texture > MOST_TEXTURE:
        return None
    least = LEAST_RATIO_COLOUR if image.shape[0] > 1 else LEAST_RATIO
    return law_of_bins(found.mean, found.variance, least)


def _halves(image: Tensor, usable: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Top, bottom, left and right half of an image (C, h, w), and of its usable pixels."""
    row, column = (n // 2 for n in usable.shape)
    cuts = [(slice(None, row), slice(None)), (slice(row, None), slice(None))]
    cuts += [(slice(None), slice(None, column)), (slice(None), slice(column, None))]
    return [(image[:, rows, columns], usable[rows, columns]) for rows, columns in cuts]
