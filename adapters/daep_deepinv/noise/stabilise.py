r"""Transforms after which signal-dependent noise has the level 1, and their unbiased inverses.

A denoiser for white noise then applies. The transform is :math:`f(y) = \int dm / \sqrt{v(m)}` for a variance ``v(m)``
of the mean ``m``. The denoised value estimates :math:`E f(y)`, not :math:`f(m)`, so the inverse takes
:math:`E f(y)` to ``m``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from daep_deepinv.noise.variance import LogPoissonVariance, MapVariance, QuadraticVariance, VarianceLaw
from daep_prior.images import one_per_image

__all__ = ["Anscombe", "LogAnscombe", "Logarithm", "Stabiliser", "stabiliser_of"]

#: :math:`E f(y)` of Anscombe's transform at zero light and without read noise, :math:`2 \sqrt{3/8}`.
DARKEST = 2 * math.sqrt(3 / 8)
#: The logarithm is taken of at least this share of the root mean square of an image: multiplicative noise leaves no
#: value at 0, but clipping to 8 bits may.
DARKEST_LOGARITHM = 1e-3
#: What counts as dark under multiplicative noise, for images in [0, 1]: the logarithm has no dark end.
DARK = 0.02


class Stabiliser(Protocol):
    """A transform to noise of level 1."""

    def forward(self, y: Tensor) -> Tensor:
        """The transform of a measurement."""

    def inverse(self, z: Tensor) -> Tensor:
        """The mean of the measurement whose transform has the mean ``z``."""

    def ends(self) -> tuple[float, float]:
        """The transforms of dark and of white (1)."""


@dataclass(frozen=True)
class Anscombe:
    r"""The generalised Anscombe transform :math:`\frac2g \sqrt{g y + \frac38 g^2 + c}` (Starck, Murtagh, Bijaoui 1998),
    with the exact unbiased inverse in closed form (Makitalo, Foi, *Optimal inversion of the generalized Anscombe
    transformation for Poisson-Gaussian noise*, IEEE TIP 2013).

    :param float gain: :math:`g`, variance of the mean 1 without read noise.
    :param float, torch.Tensor constant: :math:`c`, variance of the mean 0.
    """

    gain: float
    constant: float | Tensor = 0.0

    def forward(self, y: Tensor) -> Tensor:
        """The transform of a measurement."""
        shifted: Tensor = self.gain * y + 3 / 8 * self.gain**2 + self._constant(y)
        return 2 / self.gain * shifted.clamp_min(0).sqrt()

    def inverse(self, z: Tensor) -> Tensor:
        """The mean of the measurement whose transform has the mean ``z``."""
        d = z.clamp_min(DARKEST)
        root = math.sqrt(3 / 2)
        counts = d.square() / 4 + root / 4 / d - 11 / 8 / d.square() + 5 / 8 * root / d**3 - 1 / 8
        mean: Tensor = self.gain * counts - self._constant(z) / self.gain
        return mean.clamp_min(0)

    def ends(self) -> tuple[float, float]:
        """The transforms of 0 and 1."""
        constant = torch.as_tensor(self.constant)
        dark, white = (self.forward(torch.full_like(constant, value, dtype=torch.float64)) for value in (0.0, 1.0))
        return float(dark.mean()), float(white.mean())

    def _constant(self, like: Tensor) -> float | Tensor:
        return self.constant.to(like) if isinstance(self.constant, Tensor) else self.constant


@dataclass(frozen=True)
class Logarithm:
    r"""The logarithm, for multiplicative noise of the relative variance :math:`q`, as of a Gamma distribution.

    Its mean is :math:`\log m + \psi(1/q) + \log q`, its variance :math:`\psi_1(1/q)`, exactly.

    :param float relative: :math:`q`.
    """

    relative: float

    def forward(self, y: Tensor) -> Tensor:
        """The transform of a measurement (B, ...)."""
        smallest = DARKEST_LOGARITHM * y.square().flatten(1).mean(1).sqrt()
        return torch.maximum(y, one_per_image(smallest, y)).log() / self._deviation

    def inverse(self, z: Tensor) -> Tensor:
        """The mean of the measurement whose transform has the mean ``z``."""
        looks = torch.tensor(1 / self.relative, dtype=torch.float64)
        bias = float(torch.digamma(looks) - looks.log())
        return (z * self._deviation - bias).exp()

    def ends(self) -> tuple[float, float]:
        """The transforms of :data:`DARK` and 1."""
        return math.log(DARK) / self._deviation, 0.0

    @property
    def _deviation(self) -> float:
        looks = torch.tensor(1 / self.relative, dtype=torch.float64)
        return float(torch.polygamma(1, looks).sqrt())


@dataclass(frozen=True)
class LogAnscombe:
    """Anscombe's transform of the photon counts ``N_0 exp(-mu y)`` behind logarithmic values. It falls with ``y``.

    :param LogPoissonVariance law: of the values.
    """

    law: LogPoissonVariance

    def forward(self, y: Tensor) -> Tensor:
        """The transform of a measurement."""
        return -Anscombe(1.0).forward(self.law.photons * (-self.law.mu * y).exp())

    def inverse(self, z: Tensor) -> Tensor:
        """The mean of the measurement whose transform has the mean ``z``."""
        # no more than one photon is left of the darkest: log 0 is infinite
        counts = Anscombe(1.0).inverse(-z).clamp_min(1.0)
        return -(counts / self.law.photons).log() / self.law.mu

    def ends(self) -> tuple[float, float]:
        """The transforms of 0 and 1."""
        dark, white = (float(self.forward(torch.tensor(value, dtype=torch.float64))) for value in (0.0, 1.0))
        return dark, white


def stabiliser_of(law: VarianceLaw) -> Stabiliser | None:
    """The transform for a law; ``None``: there is none for it, or the noise does not depend on the signal."""
    if isinstance(law, LogPoissonVariance):
        return LogAnscombe(law)
    if isinstance(law, (QuadraticVariance, MapVariance)) and law.signal_dependent:
        if law.quadratic == 0:
            return Anscombe(law.linear, law.constant)
        if law.linear == 0 and isinstance(law, QuadraticVariance) and law.constant == 0:
            return Logarithm(law.quadratic)
    return None
