"""The noise that a physics states."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from deepinv.physics import (
    FisherTippettNoise,
    GammaNoise,
    GaussianNoise,
    LaplaceNoise,
    LogPoissonNoise,
    Physics,
    PoissonGaussianNoise,
    PoissonNoise,
    RicianNoise,
    SaltPepperNoise,
    StackedPhysics,
    UniformGaussianNoise,
    UniformNoise,
    ZeroNoise,
)
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.noise.assumed import AssumedNoise, Impulses, NoiseOfImage, stacked, white
from daep_deepinv.noise.variance import LogPoissonVariance, MapVariance, QuadraticVariance

__all__ = ["gaussian", "stated_noise"]


def stated_noise(physics: Physics, y: Any) -> AssumedNoise | None:
    """What the noise model of ``physics`` states. Of stacked physics, that of each part; of composed ones, the last's.

    :param y: measurement (B, ...), or a ``TensorList``; only its shape matters.
    :return: ``None``: the physics states none, or a model that is not known, or not for every part.
    :raises ValueError: a parameter is negative, not finite, or does not fit the measurement.
    """
    if isinstance(physics, StackedPhysics):
        if not isinstance(y, TensorList) or len(y) != len(physics.physics_list):
            return None
        found = [stated_noise(part, one) for part, one in zip(physics.physics_list, y, strict=True)]
        parts = [one for one in found if one is not None]
        if len(parts) < len(found):
            return None
        count = max(len(part.images) for part in parts)
        images = tuple(stacked([part.of(i) for part in parts]) for i in range(count))
        return AssumedNoise(images, doubtful=all(part.doubtful for part in parts))
    model = getattr(physics, "noise_model", None)
    if not isinstance(y, Tensor) or model is None:
        return None
    if isinstance(model, ZeroNoise):
        return AssumedNoise((white(0.0),), doubtful=True)
    reader = next((read for kind, read in READERS.items() if isinstance(model, kind)), None)
    if reader is not None:
        return _with_background(reader(model, y), physics)
    sigma = getattr(model, "sigma", None)  # a user's own noise model
    return None if sigma is None else gaussian(sigma, y)


def _parameter(name: str, value: Any, y: Tensor) -> list[float]:
    """A parameter of a noise model: one number, or one an image.

    :raises ValueError: negative, not finite, or another number of them.
    """
    values = torch.as_tensor(value, dtype=torch.float64).detach().flatten().tolist()
    if len(set(values)) == 1:
        values = values[:1]
    if len(values) not in (1, len(y)):
        raise ValueError(
            f"{name}: the physics states {len(values)} numbers for {len(y)} images; expected 1 or {len(y)}."
        )
    for number in values:
        if not 0 <= number < math.inf:
            raise ValueError(f"{name}: the physics states {number:.4g}; expected a finite number >= 0.")
    return values


def _stated(of: Callable[..., NoiseOfImage], *parameters: list[float]) -> AssumedNoise:
    """One noise for each image, from parameters that are one number or one an image."""
    count = max(map(len, parameters))
    rows = zip(*(values * count if len(values) == 1 else values for values in parameters), strict=True)
    return AssumedNoise(tuple(of(*row) for row in rows))


def gaussian(sigma: Any, y: Tensor, name: str = "sigma") -> AssumedNoise:
    """Gaussian noise: one level, one an image, or a map.

    :param sigma: a number, (B,), (B, 1, 1, 1), or what broadcasts to ``y``, e.g. (B, 1, h, w).
    :param torch.Tensor y: measurement (B, ...).
    """
    levels = torch.as_tensor(sigma, dtype=None if isinstance(sigma, Tensor) else torch.float64).detach()
    if levels.is_complex() or not bool((levels.isfinite() & (levels >= 0)).all()):
        raise ValueError(f"{name}: the noise level has values that are negative or not finite; expected all >= 0.")
    if levels.numel() == 1 or levels.numel() == len(y) == levels.shape[0]:
        return _stated(white, _parameter(name, levels, y))
    if len(levels) not in (1, len(y)) or not _broadcasts(levels, y):
        raise ValueError(
            f"{name}: got noise levels of shape {tuple(levels.shape)} for a measurement of {tuple(y.shape)}; expected "
            "one number, one an image, or a map that broadcasts to the measurement."
        )
    words = "Gaussian, one level a pixel"
    return AssumedNoise(tuple(NoiseOfImage(MapVariance(one[None].square()), words) for one in levels))


def _broadcasts(levels: Tensor, y: Tensor) -> bool:
    if levels.ndim != y.ndim:
        return False
    return all(n in (1, m) for n, m in zip(levels.shape[1:], y.shape[1:], strict=True))


def _poisson(model: PoissonNoise, y: Tensor) -> AssumedNoise:
    normalised = bool(model.normalize)

    def of(gain: float) -> NoiseOfImage:
        words = f"Poisson, gain {gain:.4g}" + ("" if normalised else ", as counts")
        return NoiseOfImage(QuadraticVariance(0.0, gain), words, factor=1.0 if normalised else gain)

    return _stated(of, _positive("gain", _parameter("gain", model.gain, y)))


def _poisson_gaussian(model: PoissonGaussianNoise, y: Tensor) -> AssumedNoise:
    def of(gain: float, sigma: float) -> NoiseOfImage:
        if gain <= float(torch.as_tensor(model.min_gain).max()):
            return white(sigma)
        return NoiseOfImage(QuadraticVariance(sigma**2, gain), f"Poisson, gain {gain:.4g}, and Gaussian of {sigma:.4g}")

    return _stated(of, _parameter("gain", model.gain, y), _parameter("sigma", model.sigma, y))


def _uniform_gaussian(model: UniformGaussianNoise, y: Tensor) -> AssumedNoise:
    def of(low: float, high: float) -> NoiseOfImage:
        if low == high:
            return white(low)
        middle = (low * low + low * high + high * high) / 3  # the mean of the variance
        words = f"Gaussian, between {low:.4g} and {high:.4g}"
        return NoiseOfImage(QuadraticVariance(middle), words, between=(low, high))

    return _stated(of, _parameter("sigma_min", model.sigma_min, y), _parameter("sigma_max", model.sigma_max, y))


def _uniform(model: UniformNoise, y: Tensor) -> AssumedNoise:
    return _stated(lambda a: white(a / math.sqrt(3), "uniform"), _parameter("a", model.a, y))


def _laplace(model: LaplaceNoise, y: Tensor) -> AssumedNoise:
    return _stated(lambda b: white(b * math.sqrt(2), "Laplacian"), _parameter("b", model.b, y))


def _gamma(model: GammaNoise, y: Tensor) -> AssumedNoise:
    def of(looks: float) -> NoiseOfImage:
        return NoiseOfImage(QuadraticVariance(0.0, 0.0, 1 / looks), f"multiplicative (Gamma, {looks:.4g} looks)")

    return _stated(of, _positive("l", _parameter("l", model.l, y)))


def _fisher_tippett(model: FisherTippettNoise, y: Tensor) -> AssumedNoise:
    def of(looks: float) -> NoiseOfImage:
        number = torch.tensor(looks, dtype=torch.float64)
        bias, variance = float(torch.digamma(number)) - math.log(looks), float(torch.polygamma(1, number))
        return NoiseOfImage(QuadraticVariance(variance), f"log-Gamma, {looks:.4g} looks", shift=bias)

    return _stated(of, _positive("l", _parameter("l", model.l, y)))


def _log_poisson(model: LogPoissonNoise, y: Tensor) -> AssumedNoise:
    def of(photons: float, mu: float) -> NoiseOfImage:
        return NoiseOfImage(LogPoissonVariance(photons, mu), f"logarithm of {photons:.4g} photons (Poisson)")

    parameters = {name: _positive(name, _parameter(name, getattr(model, name), y)) for name in ("N0", "mu")}
    return _stated(of, *parameters.values())


def _salt_pepper(model: SaltPepperNoise, y: Tensor) -> AssumedNoise:
    def of(pepper: float, salt: float) -> NoiseOfImage:
        share = pepper + salt
        return NoiseOfImage(
            QuadraticVariance(0.0), f"impulses, {share:.3g} of the values", impulses=Impulses(0, 1, share)
        )

    return _stated(of, _parameter("p", model.p, y), _parameter("s", model.s, y))


def _rician(model: RicianNoise, y: Tensor) -> AssumedNoise:
    def of(sigma: float) -> NoiseOfImage:
        return NoiseOfImage(QuadraticVariance(sigma**2), "Rician", magnitude=True)

    return _stated(of, _parameter("sigma", model.sigma, y))


def _gaussian(model: GaussianNoise, y: Tensor) -> AssumedNoise:
    """The level of each real number. Complex noise of variance 1, as torch draws it, has 1/2 in each of its parts."""
    return gaussian(model.sigma / math.sqrt(2) if y.is_complex() else model.sigma, y)


def _positive(name: str, values: list[float]) -> list[float]:
    if min(values) <= 0:
        raise ValueError(f"{name}: the physics states 0; expected a number above 0.")
    return values


def _with_background(stated: AssumedNoise, physics: Physics) -> AssumedNoise:
    """Counts of PET with their background, which deepinv keeps in the physics, in the units of ``K x``."""
    background = getattr(physics, "background", None)
    if not isinstance(physics.noise_model, PoissonNoise) or not isinstance(background, Tensor):
        return stated

    def of(i: int) -> NoiseOfImage:
        one, constant = stated.of(i), background[i : i + 1] if len(background) > 1 else background
        law = one.law
        assert isinstance(law, QuadraticVariance)
        shifted = MapVariance(law.linear * constant, law.linear)
        return NoiseOfImage(shifted, f"{one.words}, over a background", one.factor, constant)

    if not bool(background.any()):
        return stated
    count = max(len(stated.images), len(background))
    return AssumedNoise(tuple(of(i) for i in range(count)))


#: The noise models of deepinv, and what each states.
READERS: dict[type, Callable[[Any, Tensor], AssumedNoise]] = {
    GaussianNoise: _gaussian,
    PoissonNoise: _poisson,
    PoissonGaussianNoise: _poisson_gaussian,
    UniformGaussianNoise: _uniform_gaussian,
    UniformNoise: _uniform,
    LaplaceNoise: _laplace,
    GammaNoise: _gamma,
    FisherTippettNoise: _fisher_tippett,
    LogPoissonNoise: _log_poisson,
    SaltPepperNoise: _salt_pepper,
    RicianNoise: _rician,
}
