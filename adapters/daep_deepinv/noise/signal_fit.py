"""Fit the variance of noise as a linear function of the mean."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

__all__ = ["SignalFit", "fit_line"]

#: Relative standard error of the variance of a bin: its values, and texture. Training crops of 96 x 96 pixels.
BIN_ERROR = 0.25
#: Steps of the fit, whose weights are those of the step before.
STEPS = 12
#: Smallest variance, relative to the largest; against division by zero.
FLOOR = 1e-6


class SignalFit(NamedTuple):
    """The line ``constant + linear m``.

    :param float constant: variance of the mean 0, at least 0.
    :param float linear: rise of the variance with the mean, at least 0.
    :param float ratio: variance at the highest mean over that at the lowest.
    :param float sigmas: rise over its standard error.
    """

    constant: float
    linear: float
    ratio: float
    sigmas: float


def fit_line(mean: Tensor, variance: Tensor) -> SignalFit | None:
    """The line through the variances of bins of rising mean, both (n), by weighted least squares.

    Each variance has the relative standard error :data:`BIN_ERROR`. ``None``: all means are equal, or there is no
    noise.
    """
    if not float(mean[-1]) > float(mean[0]) or not float(variance.max()) > 0:
        return None
    x, v = mean.double(), variance.double().clamp_min(FLOOR * float(variance.max()))
    weights = v.square().reciprocal()
    constant, linear, error = 0.0, 0.0, math.inf
    for _ in range(STEPS):
        a, b, c = (float((weights * x**k).sum()) for k in range(3))
        p, q = float((weights * v).sum()), float((weights * x * v).sum())
        determinant = max(a * c - b * b, FLOOR**2 * a * c)
        constant, linear = (c * p - b * q) / determinant, (a * q - b * p) / determinant
        if constant < 0:
            constant, linear = 0.0, q / c
        if linear < 0:
            constant, linear = p / a, 0.0
        error = BIN_ERROR * math.sqrt(a / determinant)
        weights = (constant + linear * x).clamp_min(FLOOR * float(v.max())).square().reciprocal()
    lowest, highest = (constant + linear * float(x[k]) for k in (0, -1))
    return SignalFit(constant, linear, highest / max(lowest, FLOOR * highest), linear / error)
