"""Fit the variance of noise as a function of the mean: linear, or proportional to its square."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from daep_deepinv.noise.variance import QuadraticVariance

__all__ = ["SignalFit", "fit_line", "law_of_bins"]

#: Relative standard error of the variance of a bin: its values, and texture. Training crops of 96 x 96 pixels.
BIN_ERROR = 0.25
#: Steps of the fit, whose weights are those of the step before.
STEPS = 12
#: Smallest variance, relative to the largest; against division by zero.
FLOOR = 1e-6

#: Noise rises with the signal if the variance does by this factor over its range, by this many standard errors: of grey
#: images, see :mod:`daep_deepinv.noise_estimation.pixels`.
LEAST_RATIO, LEAST_SIGMAS = 2.5, 3.0


class SignalFit(NamedTuple):
    """The line ``constant + linear m``.

    :param float constant: variance of the mean 0, at least 0.
    :param float linear: rise of the variance with the mean, at least 0.
    :param float ratio: variance at the highest mean over that at the lowest.
    :param float sigmas: rise over its standard error.
    :param float quadratic: the variance over the square of the mean, if that fits better than the line, as for
        multiplicative noise; else 0.
    """

    constant: float
    linear: float
    ratio: float
    sigmas: float
    quadratic: float = 0.0


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
    line = constant + linear * x
    quadratic, parabola = _square(x, v)
    better = _misfit(parabola, v) < _misfit(line, v)
    ratio = highest / max(lowest, FLOOR * highest)
    return SignalFit(constant, linear, ratio, linear / error, quadratic if better else 0.0)


def law_of_bins(mean: Tensor, variance: Tensor, least_ratio: float = LEAST_RATIO) -> QuadraticVariance | None:
    """The law of noise that rises with the signal; ``None``: it does not rise clearly. As :func:`fit_line`.

    :param float least_ratio: of the variance at the highest mean to that at the lowest.
    """
    fit = fit_line(mean, variance)
    if fit is None or fit.ratio < least_ratio or fit.sigmas < LEAST_SIGMAS:
        return None
    return (
        QuadraticVariance(0.0, 0.0, fit.quadratic) if fit.quadratic > 0 else QuadraticVariance(fit.constant, fit.linear)
    )


def _square(x: Tensor, v: Tensor) -> tuple[float, Tensor]:
    """The factor of ``x^2`` that fits best for relative errors, and the variances by it."""
    ratio = v / x.square().clamp_min(FLOOR * float(x.square().max()))
    quadratic = math.exp(float(ratio.log().mean()))
    return quadratic, quadratic * x.square()


def _misfit(fitted: Tensor, v: Tensor) -> float:
    """Sum of the squares of the relative errors, of logarithms, so that both laws are judged alike."""
    return float((fitted.clamp_min(FLOOR * float(v.max())) / v).log().square().sum())
