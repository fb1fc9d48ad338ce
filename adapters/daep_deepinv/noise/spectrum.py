"""The power spectrum of the noise in a blurred measurement, told from the image by the blur that is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.fourier_blur import frequencies
from daep_deepinv.noise.patches import SMALLEST_SIDE

__all__ = ["ChannelNoise", "NoiseSpectrum", "noise_spectra"]

#: Side of the segments whose periodograms are averaged (Welch), pixels, and the most of them.
SEGMENT, MOST_SEGMENTS = 64, 400
#: Fields of white noise that are blurred to know what the blur lets through: as many as give so many segments.
PROBES = 128
#: Annuli of frequencies, cycles a pixel, in each of which image and noise are taken to be white. Below the first the
#: image is far stronger than any noise.
FIRST, LAST, WIDTH = 0.08, 0.68, 0.04
#: The most steps to the likeliest powers.
SCORINGS = 50
#: A power is known if its error is at most this share of it.
UNSURE = 0.5
#: Share of the power of the finest detail, from a frequency on, that a blur lets through where it lets through least, a
#: twentieth of it, for the noise to show. Gaussian blurs of 0.4, 0.5 and 0.6 pixels: 0.47, 0.11, 0.015; Levin's kernels
#: at most 0.003; random motion of 15 to 31 pixels 0.03 in all but one of 60.
MOST_PASSED, FINEST, LEAST_SHARE = 0.04, 0.48, 0.05
#: Share of a measurement by which it may move otherwise than the image that is shifted, for a blur.
SHIFT_INVARIANT = 1e-3
#: How well a physics must treat all channels alike, of the strength of what it is given.
ALIKE = 1e-4


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """The power of noise at some frequencies.

    :param torch.Tensor frequency: (n), cycles a pixel, rising.
    :param torch.Tensor power: (n), positive; white noise has its variance everywhere, images in [0, 1].
    :param torch.Tensor error: (n), standard deviation of that.
    """

    frequency: Tensor
    power: Tensor
    error: Tensor

    def level(self, lowest: float, highest: float) -> tuple[float, float]:
        """Standard deviation of the noise between two frequencies, if it is white there, and what it is at most: two
        standard errors more of its variance."""
        inside = (self.frequency >= lowest) & (self.frequency < highest)
        precision = self.error[inside].square().reciprocal()
        power = float((precision * self.power[inside]).sum() / precision.sum())
        return math.sqrt(power), math.sqrt(power + 2 / math.sqrt(float(precision.sum())))

    def known(self, lowest: float, least: float) -> NoiseSpectrum | None:
        """The frequencies from ``lowest`` on at which the power is known within a half, and is not less than
        ``least``; ``None``: fewer than two."""
        sure = (self.frequency >= lowest) & (self.error <= UNSURE * self.power)
        if int(sure.sum()) < 2:
            return None
        return NoiseSpectrum(self.frequency[sure], self.power[sure].clamp_min(least), self.error[sure])

    def at(self, frequency: Tensor) -> Tensor:
        """The power at any frequency: geometric between those that are known, beyond as at the ends."""
        known, logarithms = self.frequency.to(frequency), self.power.to(frequency).log()
        inside = frequency.clamp(float(known[0]), float(known[-1])).contiguous()
        after = torch.searchsorted(known, inside).clamp(1, len(known) - 1)
        share = (inside - known[after - 1]) / (known[after] - known[after - 1])
        return torch.lerp(logarithms[after - 1], logarithms[after], share).exp()

    def scaled(self, factor: float) -> NoiseSpectrum:
        """That of noise so many times as strong."""
        return NoiseSpectrum(self.frequency, factor**2 * self.power, factor**2 * self.error)

    def total(self) -> float:
        """Standard deviation of the noise."""
        return math.sqrt(float(self.at(frequencies((SEGMENT, SEGMENT))).mean()))


class ChannelNoise(NamedTuple):
    """Noise of the mean of the channels, times the root of their number, and of what they differ by.

    Noise that is independent in the channels has the same power in both.
    """

    mean: NoiseSpectrum
    #: ``None``: there is one channel.
    differences: NoiseSpectrum | None


def noise_spectra(y: Tensor, physics: LinearPhysics, image: Tensor) -> list[ChannelNoise | None]:
    r"""The noise of each measurement of a blur.

    Of all frequencies of about the same length a blur lets some through and takes others away. In a measurement the
    power at these is :math:`P = S |\hat k|^2 + N`; image :math:`S` and noise :math:`N`, for which two numbers are taken
    in each narrow annulus, are the likeliest ones for periodograms, which are exponentially distributed (Whittle 1953):
    where the blur lets nothing through there is only noise, and where it does there is the image too. A texture that is
    stronger in some directions adds to the noise, so that the mean of the channels is somewhat overestimated in the
    middle; channels differ by little texture.

    :param torch.Tensor y: measurement (B, C, h, w).
    :param LinearPhysics physics: forward model.
    :param torch.Tensor image: an image (B, C, H, W) that it takes; its values do not matter.
    :return: one for each image; ``None``: no blur that treats all channels alike and takes detail away, or too few
        pixels.
    """
    unknown: list[ChannelNoise | None] = [None] * image.shape[0]
    if not isinstance(y, Tensor) or y.ndim != 4 or y.shape[:2] != image.shape[:2]:
        return unknown
    if min(y.shape[2:]) < SMALLEST_SIDE or not y.is_floating_point():
        return unknown
    passed = _passed(physics, image, y.shape)
    if passed is None:
        return unknown
    shows = passed[:, frequencies((SEGMENT, SEGMENT)) >= FINEST].quantile(LEAST_SHARE, dim=1) <= MOST_PASSED
    return [_of_channels(y[i].cpu(), passed[i]) if shows[i] else None for i in range(len(passed))]


def _of_channels(y: Tensor, passed: Tensor) -> ChannelNoise:
    """The noise of one measurement (C, h, w)."""
    channels = y.shape[0]
    mean = y.mean(0, keepdim=True)
    of_mean = _fitted(math.sqrt(channels) * mean, passed)
    if channels == 1:
        return ChannelNoise(of_mean, None)
    return ChannelNoise(of_mean, _fitted(math.sqrt(channels / (channels - 1)) * (y - mean), passed))


def _passed(physics: LinearPhysics, image: Tensor, shape: torch.Size) -> Tensor | None:
    """The power spectrum of white noise that the physics was given, for each image; ``None``: it is not a blur."""
    generator = torch.Generator().manual_seed(0)
    segments, total = 0, None
    while segments < PROBES:
        # the same field for all images and channels: each is judged as it would be alone
        field = torch.randn((1, 1, *image.shape[2:]), generator=generator).to(image).expand_as(image)
        blurred = physics.A(field)
        if blurred.shape != shape or (total is None and not _blurs(physics, field, blurred)):
            return None
        count = len(_segments(*shape[2:]))
        power = torch.stack([_periodogram(one) for one in blurred[:, :1].cpu()])
        total = power if total is None else total + power
        segments += count
    assert total is not None
    return total / (segments / count)


def _blurs(physics: LinearPhysics, field: Tensor, blurred: Tensor) -> bool:
    """Whether a shift of the image shifts the measurement, and every channel is treated like the others."""
    scale = float(blurred.norm())
    if float((blurred - blurred[:, :1]).norm()) > ALIKE * scale:
        return False
    weights = torch.arange(1.0, field.shape[1] + 1).to(field).view(-1, 1, 1)
    moved = physics.A(weights * field.roll((1, 1), (-2, -1)))
    if moved.shape != blurred.shape:
        return False
    rows, cols = (n // 4 for n in blurred.shape[2:])
    inside = (..., slice(rows, -rows), slice(cols, -cols))
    change = (moved - weights * blurred.roll((1, 1), (-2, -1)))[inside]
    return float(change.norm()) <= SHIFT_INVARIANT * float((weights * blurred)[inside].norm())


def _segments(height: int, width: int) -> list[tuple[int, int]]:
    """Upper left corners of segments that overlap by half or, of a large image, of a sample of them."""

    def starts(length: int) -> list[int]:
        count = 1 + math.ceil((length - SEGMENT) / (SEGMENT // 2))
        return [round(i * (length - SEGMENT) / max(1, count - 1)) for i in range(count)]

    corners = [(top, left) for top in starts(height) for left in starts(width)]
    return corners[:: math.ceil(len(corners) / MOST_SEGMENTS)]


def _periodogram(channels: Tensor) -> Tensor:
    """Power spectrum of ``channels`` (n, h, w), the mean of all; white noise has its variance everywhere."""
    window = torch.hann_window(SEGMENT, periodic=False, dtype=torch.float64)
    window = window[:, None] * window
    window = window / window.norm()
    corners = _segments(*channels.shape[1:])
    segments = torch.stack([channels[:, i : i + SEGMENT, j : j + SEGMENT] for i, j in corners]).double()
    segments = segments - segments.mean((-2, -1), keepdim=True)
    return torch.fft.rfft2(segments * window).abs().square().mean((0, 1))


def _fitted(channels: Tensor, passed: Tensor) -> NoiseSpectrum:
    """The noise of ``channels`` (n, h, w), blurred by what lets through the power ``passed``."""
    annuli = round((LAST - FIRST) / WIDTH)
    annulus = ((frequencies((SEGMENT, SEGMENT)) - FIRST) / WIDTH).floor().long()
    inside = (annulus >= 0) & (annulus < annuli)
    power, error = _likeliest(_periodogram(channels)[inside], passed[inside], annulus[inside], annuli)
    return NoiseSpectrum(FIRST + WIDTH * (torch.arange(annuli, dtype=torch.float64) + 0.5), power, error)


def _likeliest(measured: Tensor, passed: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """``N`` of the likeliest ``measured = S passed + N``, neither of them negative, and its standard error.

    In each group of frequencies by itself.

    Fisher scoring: least squares with the reciprocal of the squared mean as weights, again and again.

    :param torch.Tensor measured: (n), as ``passed``.
    :param torch.Tensor group: number of the group of each frequency, (n).
    :return: two of (groups).
    """

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(groups).index_add_(0, group, values)

    mean = total(measured) / total(torch.ones_like(measured))
    smallest = 1e-12 * mean + 1e-30  # keeps weights finite where there is nothing
    image = total(measured) / total(passed)
    noise = mean.scatter_reduce(0, group, measured, "amin")
    powers = passed.square(), passed, torch.ones_like(passed)
    for _ in range(SCORINGS):
        weights = (image[group] * passed + (noise + smallest)[group]).square().reciprocal()
        a, b, c = (total(weights * power) for power in powers)
        p, q = total(weights * passed * measured), total(weights * measured)
        determinant = torch.maximum(a * c - b * b, 1e-12 * a * c)
        before = torch.stack([image, noise])
        image, noise = (c * p - b * q) / determinant, (a * q - b * p) / determinant
        image, noise = torch.where(image < 0, 0, image), torch.where(image < 0, q / c, noise)
        image, noise = torch.where(noise < 0, p / a, image), torch.where(noise < 0, 0, noise)
        now = torch.stack([image, noise])
        if bool(((now - before).abs() <= 1e-6 * (now.abs() + smallest)).all()):
            break
    return noise + smallest, (a / determinant).sqrt()
