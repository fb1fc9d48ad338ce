"""``NoiseSpectrum``: the power of noise that is not white."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from daep_deepinv.linear_algebra.frequencies import frequencies

__all__ = ["NoiseSpectrum"]

#: A power is known if its standard error is at most this share of it. Chosen by hand on crops.
MAX_RELATIVE_ERROR = 0.5
#: Frequencies along an axis over which :meth:`NoiseSpectrum.total` takes the mean.
GRID = 64


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """Power spectrum of noise at some frequencies. White noise has its variance at every frequency.

    :param torch.Tensor frequency: (n), cycles a pixel, rising.
    :param torch.Tensor power: (n), positive, images in [0, 1].
    :param torch.Tensor error: (n), standard error of the power.
    """

    frequency: Tensor
    power: Tensor
    error: Tensor

    def level(self, lowest: float, highest: float) -> tuple[float, float]:
        """Standard deviation of noise that is white between two frequencies, and its upper bound: the variance plus two
        standard errors."""
        inside = (self.frequency >= lowest) & (self.frequency < highest)
        precision = self.error[inside].square().reciprocal()
        power = float((precision * self.power[inside]).sum() / precision.sum())
        return math.sqrt(power), math.sqrt(power + 2 / math.sqrt(float(precision.sum())))

    def known(self, lowest: float, least: float) -> NoiseSpectrum | None:
        """The part of the spectrum that is known well enough.

        :param float lowest: frequencies below it are left out.
        :param float least: powers below it are raised to it.
        :return: ``None``: the power is known at fewer than two frequencies.
        """
        sure = (self.frequency >= lowest) & (self.error <= MAX_RELATIVE_ERROR * self.power)
        if int(sure.sum()) < 2:
            return None
        return NoiseSpectrum(self.frequency[sure], self.power[sure].clamp_min(least), self.error[sure])

    def at(self, frequency: Tensor) -> Tensor:
        """The power at any frequency: interpolated geometrically, and constant beyond both ends."""
        known, logarithms = self.frequency.to(frequency), self.power.to(frequency).log()
        inside = frequency.clamp(float(known[0]), float(known[-1])).contiguous()
        after = torch.searchsorted(known, inside).clamp(1, len(known) - 1)
        share = (inside - known[after - 1]) / (known[after] - known[after - 1])
        return torch.lerp(logarithms[after - 1], logarithms[after], share).exp()

    def scaled(self, factor: float) -> NoiseSpectrum:
        """The spectrum of noise with ``factor`` times the standard deviation."""
        return NoiseSpectrum(self.frequency, factor**2 * self.power, factor**2 * self.error)

    def total(self) -> float:
        """Standard deviation of the noise."""
        return math.sqrt(float(self.at(frequencies((GRID, GRID))).mean()))
