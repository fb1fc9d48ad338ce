"""Power spectrum of the noise in a blurred measurement, separated from the image by means of the known blur."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.linear_algebra.frequencies import frequencies
from daep_deepinv.noise.spectrum import NoiseSpectrum
from daep_deepinv.noise_estimation.noisy_pixels import flat_pixels
from daep_deepinv.noise_estimation.patches import SMALLEST_SIDE

__all__ = ["ChannelNoise", "noise_spectra"]

# Frequencies are lengths in cycles a pixel. "Crops" are crops of training images.

#: Side of the segments whose periodograms are averaged (Welch), pixels, and their largest number. Chosen by hand.
SEGMENT, MAX_SEGMENTS = 64, 400
#: White noise is blurred until it fills this many segments, which measure what the blur passes. Chosen by hand.
PASSED_SEGMENTS = 128
#: Segments of which more than this share is flat, by bars or saturation, hold less noise, and are left out.
MOST_FLAT = 0.1
#: Lowest and highest frequency, and width of a band. Image and noise are assumed to be white within a band. Below the
#: lowest frequency the image is far stronger than any noise. Chosen by hand on crops.
MIN_FREQUENCY, MAX_FREQUENCY, BAND_WIDTH = 0.08, 0.68, 0.04
#: Largest number of Fisher scoring steps, and the relative change at which they end. Chosen by hand; most end before.
MAX_SCORING_STEPS, SCORING_TOLERANCE = 50, 1e-6
#: Smallest positive numbers in the fit, relative to the mean power of a band and absolute; against division by zero.
RELATIVE_FLOOR, ABSOLUTE_FLOOR = 1e-12, 1e-30
#: The noise is visible if a blur passes at most the share ``MAX_PASSED`` of the power at the quantile ``QUANTILE`` of
#: the frequencies from ``FINE_DETAIL`` on. There, Gaussian blurs of 0.4, 0.5 and 0.6 pixels pass 0.47, 0.11 and 0.015;
#: Levin's kernels at most 0.003; random motion of 15 to 31 pixels at most 0.03 for 59 of 60 kernels.
MAX_PASSED, FINE_DETAIL, QUANTILE = 0.04, 0.48, 0.05
#: The physics is a blur if the measurement of a shifted image is the shifted measurement, with at most this relative
#: error. deepinv's own blurs are exact up to rounding; chosen by hand.
SHIFT_TOLERANCE = 1e-3
#: The physics treats all channels alike if their measurements differ by at most this relative error. Chosen by hand.
CHANNEL_TOLERANCE = 1e-4


class ChannelNoise(NamedTuple):
    """Noise spectra of a measurement with C channels. Noise that is independent in the channels has the same in both.

    :param NoiseSpectrum mean: of ``sqrt(C)`` times the mean of the channels.
    :param NoiseSpectrum differences: of the differences to that mean, times ``sqrt(C / (C - 1))``; ``None``: C = 1.
    """

    mean: NoiseSpectrum
    differences: NoiseSpectrum | None


def noise_spectra(y: Tensor, physics: LinearPhysics, image: Tensor) -> list[ChannelNoise | None]:
    r"""The noise spectrum of each measurement of a blur.

    The measured power is :math:`P = S |\hat k|^2 + N`, with the powers :math:`S` of the image and :math:`N` of the
    noise. Where the blur suppresses the image, only noise remains. Within a narrow band of frequencies, :math:`S` and
    :math:`N` are assumed to be constant, while :math:`|\hat k|^2` varies. The estimate is the maximum of Whittle's
    likelihood (1953), in which periodograms are exponentially distributed.

    Texture that is stronger in some directions counts partly as noise, so at middle frequencies the noise of the
    channel mean is somewhat too high. The channel differences contain little texture.

    :param torch.Tensor y: measurement (B, C, h, w), images in [0, 1].
    :param deepinv.physics.LinearPhysics physics: forward model.
    :param torch.Tensor image: an image (B, C, H, W) in the domain of the physics; its values do not matter.
    :return: one an image. ``None``: the physics is not a blur that treats all channels alike and suppresses detail, or
        the measurement is smaller than :data:`daep_deepinv.noise_estimation.patches.SMALLEST_SIDE`.
    """
    unknown: list[ChannelNoise | None] = [None] * image.shape[0]
    if not isinstance(y, Tensor) or y.ndim != 4 or y.shape[:2] != image.shape[:2]:
        return unknown
    if min(y.shape[2:]) < SMALLEST_SIDE or not y.is_floating_point():
        return unknown
    passed = _passed(physics, image, y.shape)
    if passed is None:
        return unknown
    fine = frequencies((SEGMENT, SEGMENT)) >= FINE_DETAIL
    visible = passed[:, fine].quantile(QUANTILE, dim=1) <= MAX_PASSED
    return [_of_channels(y[i].cpu(), passed[i]) if visible[i] else None for i in range(len(passed))]


def _of_channels(y: Tensor, passed: Tensor) -> ChannelNoise:
    """The noise of one measurement (C, h, w)."""
    channels, flat = y.shape[0], flat_pixels(y).float()
    corners = _corners(*y.shape[1:])
    noisy = [(i, j) for i, j in corners if float(flat[i : i + SEGMENT, j : j + SEGMENT].mean()) <= MOST_FLAT] or corners
    mean = y.mean(0, keepdim=True)
    of_mean = _fitted(math.sqrt(channels) * mean, passed, noisy)
    if channels == 1:
        return ChannelNoise(of_mean, None)
    return ChannelNoise(of_mean, _fitted(math.sqrt(channels / (channels - 1)) * (y - mean), passed, noisy))


def _passed(physics: LinearPhysics, image: Tensor, shape: torch.Size) -> Tensor | None:
    r""":math:`|\hat k|^2` of each image, the power spectrum of white noise of level 1 after the blur.

    :return: (B, SEGMENT, SEGMENT // 2 + 1); ``None``: the physics is not a blur.
    """
    generator = torch.Generator().manual_seed(0)
    segments, total = 0, None
    while segments < PASSED_SEGMENTS:
        # the same field for all images and channels: an image gives the same result alone and in a batch
        field = torch.randn((1, 1, *image.shape[2:]), generator=generator).to(image).expand_as(image)
        blurred = physics.A(field)
        if blurred.shape != shape or (total is None and not _is_blur(physics, field, blurred)):
            return None
        corners = _corners(*shape[2:])
        power = torch.stack([_periodogram(one, corners) for one in blurred[:, :1].cpu()])
        total = power if total is None else total + power
        segments += len(corners)
    assert total is not None
    return total / (segments / len(corners))


def _is_blur(physics: LinearPhysics, field: Tensor, blurred: Tensor) -> bool:
    """Whether a shift of the image shifts the measurement, and all channels are treated alike."""
    scale = float(blurred.norm())
    if float((blurred - blurred[:, :1]).norm()) > CHANNEL_TOLERANCE * scale:
        return False
    weights = torch.arange(1.0, field.shape[1] + 1).to(field).view(-1, 1, 1)
    moved = physics.A(weights * field.roll((1, 1), (-2, -1)))
    if moved.shape != blurred.shape:
        return False
    rows, cols = (n // 4 for n in blurred.shape[2:])  # away from the borders
    inside = (..., slice(rows, -rows), slice(cols, -cols))
    change = (moved - weights * blurred.roll((1, 1), (-2, -1)))[inside]
    return float(change.norm()) <= SHIFT_TOLERANCE * float((weights * blurred)[inside].norm())


def _corners(height: int, width: int) -> list[tuple[int, int]]:
    """Upper left corners of the segments, which overlap by half. A large image has a sample of them."""

    def starts(length: int) -> list[int]:
        count = 1 + math.ceil((length - SEGMENT) / (SEGMENT // 2))
        return [round(i * (length - SEGMENT) / max(1, count - 1)) for i in range(count)]

    corners = [(top, left) for top in starts(height) for left in starts(width)]
    return corners[:: math.ceil(len(corners) / MAX_SEGMENTS)]


def _periodogram(channels: Tensor, corners: list[tuple[int, int]]) -> Tensor:
    """Power spectrum of ``channels`` (n, h, w), their mean; white noise has its variance at every frequency.

    :param list corners: of the segments.
    """
    window = torch.hann_window(SEGMENT, periodic=False, dtype=torch.float64)
    window = window[:, None] * window
    window = window / window.norm()
    segments = torch.stack([channels[:, i : i + SEGMENT, j : j + SEGMENT] for i, j in corners]).double()
    segments = segments - segments.mean((-2, -1), keepdim=True)
    return torch.fft.rfft2(segments * window).abs().square().mean((0, 1))


def _fitted(channels: Tensor, passed: Tensor, corners: list[tuple[int, int]]) -> NoiseSpectrum:
    r"""The noise of ``channels`` (n, h, w).

    :param torch.Tensor passed: :math:`|\hat k|^2`, (SEGMENT, SEGMENT // 2 + 1).
    :param list corners: of the segments.
    """
    bands = round((MAX_FREQUENCY - MIN_FREQUENCY) / BAND_WIDTH)
    band = ((frequencies((SEGMENT, SEGMENT)) - MIN_FREQUENCY) / BAND_WIDTH).floor().long()
    inside = (band >= 0) & (band < bands)
    power, error = _most_likely(_periodogram(channels, corners)[inside], passed[inside], band[inside], bands)
    middles = MIN_FREQUENCY + BAND_WIDTH * (torch.arange(bands, dtype=torch.float64) + 0.5)
    return NoiseSpectrum(middles, power, error)


def _most_likely(measured: Tensor, passed: Tensor, band: Tensor, bands: int) -> tuple[Tensor, Tensor]:
    """Noise power ``N >= 0`` of each band that maximises the likelihood of ``measured = S passed + N``, ``S >= 0``.

    Fisher scoring: weighted least squares, repeated with the weights ``(S passed + N)^-2`` of the step before.

    :param torch.Tensor measured: (n), as ``passed``.
    :param torch.Tensor band: the band of each frequency, (n).
    :return: ``N`` and its standard error, each (bands).
    """

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(bands).index_add_(0, band, values)

    mean = total(measured) / total(torch.ones_like(measured))
    floor = RELATIVE_FLOOR * mean + ABSOLUTE_FLOOR
    image = total(measured) / total(passed)
    noise = mean.scatter_reduce(0, band, measured, "amin")
    powers = passed.square(), passed, torch.ones_like(passed)
    for _ in range(MAX_SCORING_STEPS):
        weights = (image[band] * passed + (noise + floor)[band]).square().reciprocal()
        a, b, c = (total(weights * power) for power in powers)
        p, q = total(weights * passed * measured), total(weights * measured)
        determinant = torch.maximum(a * c - b * b, RELATIVE_FLOOR * a * c)
        before = torch.stack([image, noise])
        image, noise = (c * p - b * q) / determinant, (a * q - b * p) / determinant
        image, noise = torch.where(image < 0, 0, image), torch.where(image < 0, q / c, noise)
        image, noise = torch.where(noise < 0, p / a, image), torch.where(noise < 0, 0, noise)
        now = torch.stack([image, noise])
        if bool(((now - before).abs() <= SCORING_TOLERANCE * (now.abs() + floor)).all()):
            break
    return noise + floor, (a / determinant).sqrt()
