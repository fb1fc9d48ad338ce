"""Fit the variance of noise as a function of the mean."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

__all__ = ["SignalFit", "fit_variance"]

#: Largest number of bins of the mean, and least number of values in one.
BINS, VALUES_PER_BIN = 24, 150
#: Share of the values of a bin that counts: the smallest. What the denoiser takes for noise at edges is left out.
KEPT = 0.9
#: Mean square of the smallest 0.9 of normal values, in absolute value, of variance 1.
KEPT_VARIANCE = 0.6230
#: Steps of the fit, whose weights are those of the step before.
STEPS = 12
#: Standard deviation of the distance of a bin from the line that does not fall with the number of its values, relative:
#: texture. Training crops.
TEXTURE = 0.15


class SignalFit(NamedTuple):
    """The line ``constant + linear m``.

    :param float constant: variance of the mean 0, at least 0.
    :param float linear: rise of the variance with the mean, at least 0.
    :param float ratio: variance at the highest bin over that at the lowest.
    :param float sigmas: rise over its standard error.
    :param float uncertainty: relative standard error of the level in the middle of the bins.
    """

    constant: float
    linear: float
    ratio: float
    sigmas: float
    uncertainty: float


def fit_variance(mean: Tensor, residual: Tensor) -> SignalFit | None:
    """Fit the variance of ``residual`` by ``mean``, both (n). ``None``: too few values, or all means are equal."""
    bins = min(BINS, mean.numel() // VALUES_PER_BIN)
    if bins < 3:
        return None
    order = mean.argsort()
    size = mean.numel() // bins
    order = order[: bins * size]
    x = mean[order].view(bins, size).double().mean(1).clamp_min(0)
    squares = residual[order].view(bins, size).double().square().sort(dim=1).values
    v = squares[:, : math.ceil(KEPT * size)].mean(1) / KEPT_VARIANCE
    if not float(x[-1]) > float(x[0]) or not float(v.max()) > 0:
        return None
    v = v.clamp_min(1e-6 * float(v.max()))
    relative = math.sqrt(2 / size + TEXTURE**2)
    constant, linear, error = _line(x, v, relative)
    lowest, highest = constant + linear * float(x[0]), constant + linear * float(x[-1])
    middle = constant + linear * float(x.mean())
    uncertainty = relative / math.sqrt(bins) / 2
    if middle <= 0:
        return None
    return SignalFit(constant, linear, highest / max(lowest, 1e-12 * highest), linear / error, uncertainty)


def _line(x: Tensor, v: Tensor, relative: float) -> tuple[float, float, float]:
    """Weighted least squares with both coefficients at least 0, and the standard error of the rise."""
    weights = v.square().reciprocal()
    constant = linear = 0.0
    error = math.inf
    for _ in range(STEPS):
        a, b, c = (float((weights * x**k).sum()) for k in range(3))
        p, q = float((weights * v).sum()), float((weights * x * v).sum())
        determinant = max(a * c - b * b, 1e-12 * a * c)
        constant, linear = (c * p - b * q) / determinant, (a * q - b * p) / determinant
        if constant < 0:
            constant, linear = 0.0, q / c
        if linear < 0:
            constant, linear = p / a, 0.0
        error = relative * math.sqrt(a / determinant)
        weights = (constant + linear * x).clamp_min(1e-6 * float(v.max())).square().reciprocal()
    return constant, linear, error
