"""The variance of a measured value as a function of its mean: the laws of signal-dependent noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from deepinv.utils import TensorList
from torch import Tensor

__all__ = ["LogPoissonVariance", "MapVariance", "PartsVariance", "QuadraticVariance", "VarianceLaw", "white_level"]


def _rms(variance: Tensor) -> float:
    return math.sqrt(max(0.0, float(variance.double().mean())))


class _Polynomial:
    """What both laws of second degree have in common."""

    linear: float
    quadratic: float

    @property
    def signal_dependent(self) -> bool:
        """Whether the variance depends on the mean."""
        return self.linear != 0 or self.quadratic != 0


@dataclass(frozen=True)
class QuadraticVariance(_Polynomial):
    """``constant + linear m + quadratic m^2`` for the mean ``m >= 0``; a negative mean counts as 0 in both.

    Gaussian, uniform and Laplacian noise have a constant; Poisson noise of gain ``g`` has ``linear = g``, with read
    noise also a constant; multiplicative noise (speckle, Gamma) has ``quadratic``.
    """

    constant: float
    linear: float = 0.0
    quadratic: float = 0.0

    def variance(self, mean: Tensor) -> Tensor:
        """The variance at each mean, in its shape."""
        if not self.signal_dependent:
            return torch.full_like(mean, self.constant)
        positive = mean.clamp_min(0)
        return self.constant + positive * (self.linear + self.quadratic * positive)

    def level(self, mean: Tensor) -> list[float]:
        """Root mean square of the noise of each image, (B, ...) -> B numbers."""
        return [_rms(self.variance(one)) for one in mean]

    def scaled(self, factor: float) -> QuadraticVariance:
        """The law of ``factor y``."""
        return QuadraticVariance(factor**2 * self.constant, factor * self.linear, self.quadratic)


@dataclass(frozen=True)
class LogPoissonVariance:
    r"""Logarithms of photon counts: :math:`\exp(\mu m) / (N_0 \mu^2)`, by the delta method.

    :param float photons: :math:`N_0`, without attenuation.
    :param float mu: :math:`\mu` of :class:`deepinv.physics.LogPoissonNoise`.
    """

    photons: float
    mu: float

    @property
    def signal_dependent(self) -> bool:
        """Whether the variance depends on the mean."""
        return True

    def variance(self, mean: Tensor) -> Tensor:
        """The variance at each mean, in its shape."""
        return (self.mu * mean.clamp_min(0)).exp() / (self.photons * self.mu**2)

    def level(self, mean: Tensor) -> list[float]:
        """Root mean square of the noise of each image, (B, ...) -> B numbers."""
        return [_rms(self.variance(one)) for one in mean]

    def scaled(self, factor: float) -> LogPoissonVariance:
        """The law of ``factor y``."""
        return LogPoissonVariance(self.photons, self.mu / factor)


@dataclass(frozen=True, eq=False)
class MapVariance(_Polynomial):
    """As :class:`QuadraticVariance`, with a constant for each measured value.

    :param torch.Tensor constant: broadcasts to the measurement of one image, (1, C, h, w).
    """

    constant: Tensor
    linear: float = 0.0
    quadratic: float = 0.0

    def variance(self, mean: Tensor) -> Tensor:
        """The variance at each mean, in its shape."""
        positive = mean.clamp_min(0)
        constant = self.constant.to(mean).expand_as(mean)
        return constant + positive * (self.linear + self.quadratic * positive)

    def level(self, mean: Tensor) -> list[float]:
        """Root mean square of the noise of each image, (B, ...) -> B numbers."""
        return [_rms(one) for one in self.variance(mean)]

    def scaled(self, factor: float) -> MapVariance:
        """The law of ``factor y``."""
        return MapVariance(factor**2 * self.constant, factor * self.linear, self.quadratic)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MapVariance):
            return NotImplemented
        same = (self.linear, self.quadratic) == (other.linear, other.quadratic)
        return same and (self.constant is other.constant or _equal(self.constant, other.constant))

    def __hash__(self) -> int:
        return hash((tuple(self.constant.shape), self.linear, self.quadratic))


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.device == b.device and bool(torch.equal(a, b))


@dataclass(frozen=True)
class PartsVariance:
    """A law for each part of a measurement that is a ``TensorList`` (stacked physics)."""

    parts: tuple[QuadraticVariance | LogPoissonVariance | MapVariance, ...]

    @property
    def signal_dependent(self) -> bool:
        """Whether the variance of a part depends on its mean."""
        return any(law.signal_dependent for law in self.parts)

    def variance(self, mean: TensorList) -> TensorList:
        """The variance at each mean, in its shape."""
        return TensorList([law.variance(part) for law, part in zip(self.parts, mean, strict=True)])

    def level(self, mean: TensorList) -> list[float]:
        """Root mean square of the noise of each image over all parts."""
        parts = self.variance(mean)
        return [_rms(torch.cat([part[i].flatten() for part in parts])) for i in range(len(parts[0]))]

    def scaled(self, factor: float) -> PartsVariance:
        """The law of ``factor y``."""
        return PartsVariance(tuple(law.scaled(factor) for law in self.parts))


#: Every law has ``variance(mean)``, ``level(mean)``, ``scaled(factor)`` and ``signal_dependent``.
VarianceLaw: TypeAlias = QuadraticVariance | LogPoissonVariance | MapVariance | PartsVariance


def white_level(law: Any) -> float | None:
    """The standard deviation of noise that has the same everywhere; ``None``: it has not."""
    if isinstance(law, PartsVariance):
        levels = {white_level(part) for part in law.parts}
        return levels.pop() if len(levels) == 1 else None
    return math.sqrt(law.constant) if isinstance(law, QuadraticVariance) and not law.signal_dependent else None
