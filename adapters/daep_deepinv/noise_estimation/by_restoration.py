"""Estimate the noise level of a measurement from the residual of a quick restoration, and its degrees of freedom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from deepinv.physics import Denoising, LinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.data_terms.nonlinear import NonlinearL2
from daep_deepinv.data_terms.weighted import WeightedL2, precision_level
from daep_deepinv.noise_estimation.usable import usable_pixels
from daep_deepinv.prior import DAEPrior
from daep_prior import restore, schedules

__all__ = [
    "RestoredLevel",
    "UnknownNoiseError",
    "error_of_texture",
    "first_level",
    "gain_of",
    "measured_pixels",
    "restored_level",
    "rises_with_signal",
]

# "Benchmark": ``benchmarks/noise_estimation.py``, on training crops.

#: Assumed level of the first pass, for an image and an operator that keeps a white image white. Rather too high than
#: too low: a network that assumes too little takes noise for texture.
FIRST_GUESS = 12 / 255
#: Maximum number of passes: of a noisy image, which take two evaluations of the network, and of any other measurement,
#: which take two times nine. The default preset takes 55. Relative change at which they end.
DENOISING_PASSES, PASSES, TOLERANCE = 6, 3, 0.04
#: The level that a restoration assumes, as a share of the level found so far. Below 1, it removes less texture, which
#: its residual would count as noise. Two training crops of 64 pixels, one smooth, noise of 12.75, nine operators: with
#: the true level assumed, 1.0 to 2.2 times that is found, with 0.4 of it 0.98 to 1.65, with 0.2 0.86 to 1.32. The
#: network alone needs no such share. A quarter too little costs less PSNR than as much too much.
ASSUMED_SHARE = 0.2
#: The same for noise that is not white, and the number of passes: rather too much is found than too little.
SHARE_NOT_WHITE, PASSES_NOT_WHITE = 2.0, 2
#: The measurement is disturbed by this share of the assumed level, to see how much of a disturbance the image follows.
DISTURBANCE = 0.3
#: A restoration is unstable if it amplifies a disturbance: by how much the sum of squares may exceed the trace.
UNSTABLE = 1.1
#: Least share of the degrees of freedom that an image leaves. Against division by zero.
LEAST_FREE = 0.01
#: The secant that finds the fixed point falls at least like this.
LEAST_SLOPE = 0.3
#: Least relative standard error; and the level that is found in a clean measurement, whose texture looks like noise, as
#: a share of its root mean square. Benchmark.
LEAST_ERROR = 0.1
NOISY_TEXTURE, TEXTURE = 0.03, 0.04
#: Noise rises with the signal if its variance in the bright half of an image is this many times that in the dark half.
#: 8 grey training crops of 64 pixels: white noise of 5 to 25 at most 1.2 but for one crop, Poisson noise mostly 1.4 and
#: more. The network takes such noise for texture, and finds down to half of it.
CLEAR_RISE = 1.3
#: Squares that are taken of a large noisy image: how many along an axis, and their side, pixels.
SQUARES, SIDE = 2, 128
#: Limits of the image, as the network knows them.
BOUNDS = (0.0, 1.0)
#: Measured values below this share of the largest are those of missing pixels.
TINY_GAIN = 1e-6
#: An operator sees a white image if its power is spread over at least this share of the measured values. A blur: 1, a
#: random matrix: a third, a Fourier transform: one value.
SPREAD = 0.1


class UnknownNoiseError(ValueError):
    """The noise of a measurement cannot be estimated."""


class RestoredLevel(NamedTuple):
    """The level of a measurement.

    :param float level: standard deviation, in the units of the measurement; of unlike parts that of the mean precision.
    :param float uncertainty: relative standard error.
    :param tuple parts: standard deviation of each part of the measurement.
    """

    level: float
    uncertainty: float
    parts: tuple[float, ...]


def restored_level(
    y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, *, white: bool = True
) -> RestoredLevel:
    r"""Noise level of one measurement, from the residual of a restoration :math:`f(y)` of :math:`Kx`.

    *A noisy image*: :math:`f_s` is the network for the level :math:`s`, a posterior mean. By Tweedie's formula, the
    derivative of :math:`\log p_s(y)` by :math:`s^2` is 0 where

    .. math:: s^2 = \frac{\|y - f_s(y)\|^2}{m - \mathrm{div} f_s(y)}.

    This fixed point, the most likely level, is found by repetition.

    *Any other measurement*: :math:`f` is ``K`` times the result of ``fast``, which is no posterior mean. With its
    Jacobian :math:`J`, the noise alone leaves :math:`s^2 \|I - J\|_F^2`, so :math:`\|y - f(y)\|^2 / \|I - J\|_F^2` is
    :math:`s^2` and what the restoration lost of the image. That is less, the less noise is assumed.

    Both traces are measured with one random disturbance of the measurement (Ramani, Blu and Unser, IEEE TIP 2008).
    Operators may have any gain (:func:`gain_of`). The parts of stacked physics have a level each.

    :param y: measurement of one image.
    :param DAEPrior prior: with a noise-conditional denoiser.
    :param torch.Tensor start: first image (1, C, H, W), values in [0, 1] or signed.
    :param bool white: ``False``: the noise is known not to be white. It looks like texture; so that all of it is
        counted, more noise is assumed than was found.
    :raises UnknownNoiseError: the denoiser is for one level.
    """
    denoising = isinstance(physics, Denoising)
    share, passes, texture = (1.0, DENOISING_PASSES, NOISY_TEXTURE) if denoising else (ASSUMED_SHARE, PASSES, TEXTURE)
    if not white:
        share, passes = SHARE_NOT_WHITE, PASSES_NOT_WHITE
    gain = gain_of(physics, start)
    found = accepted = assumed = _first_guess(y, gain)
    before: tuple[float, float] | None = None
    for _ in range(passes):
        now, stable = _levels(y, physics, prior, start, assumed, gain)
        if before is not None and not stable:
            assumed = tuple(math.sqrt(a * b) for a, b in zip(assumed, accepted, strict=True))
            continue
        step, found, accepted = math.log(_rms(now) / _rms(found)), now, assumed
        at, gap = math.log(_rms(assumed)), math.log(share * _rms(found) / _rms(assumed))
        settled = before is not None and (at == before[0] or (not denoising and abs(step) < TOLERANCE))
        if settled or abs(gap) < TOLERANCE:
            break
        # secant of the gap between the level to assume next and the assumed one
        slope = -1.0 if before is None else (gap - before[1]) / (at - before[0])
        factor = math.exp(gap / min(max(-slope, LEAST_SLOPE), 1.0) - gap)
        before = at, gap
        assumed = tuple(max(factor * share * level, schedules.SMALLEST_NOISE * gain) for level in found)
    level = precision_level(_variances(y, found)) if len(found) > 1 else found[0]
    signal = torch.cat([part.flatten() for part in _parts(y)]).double().square().mean()
    error = error_of_texture(level, texture * math.sqrt(max(float(signal) - level**2, 0.0)))
    return RestoredLevel(level, max(LEAST_ERROR, error), found)


def error_of_texture(level: float, texture: float) -> float:
    """Relative error of a level of which ``texture`` may be no noise; 1: there may be none."""
    return 1 - math.sqrt(1 - min(texture / max(level, 1e-30), 1.0) ** 2)


def rises_with_signal(y: Tensor, prior: DAEPrior, level: float) -> bool:
    """Whether the bright half of a noisy image has clearly more noise than the dark half, where ``level`` is assumed.

    :param torch.Tensor y: (1, C, H, W).
    """
    prior, sign = prior.adapted(y), _signs(y, torch.Generator().manual_seed(1))
    x = prior.denoise(y, level)
    followed = sign * (prior.denoise(y + DISTURBANCE * level * sign, level) - x) / (DISTURBANCE * level)
    bright = x > x.median()
    dark_power, bright_power = (
        float((y - x)[half].double().square().mean()) / max(1 - float(followed[half].double().mean()), LEAST_FREE)
        for half in (~bright, bright)
    )
    return bright_power > CLEAR_RISE * dark_power


def first_level(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> float:
    """The level that the first pass of :func:`restored_level` finds, of all parts."""
    gain = gain_of(physics, start)
    return _rms(_levels(y, physics, prior, start, _first_guess(y, gain), gain)[0])


def _first_guess(y: Any, gain: float) -> tuple[float, ...]:
    """The assumed level of each part in the first pass."""
    return (FIRST_GUESS * gain,) * (len(y) if isinstance(y, TensorList) else 1)


def _levels(
    y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, assumed: Sequence[float], gain: float
) -> tuple[tuple[float, ...], bool]:
    """The level of each part that a restoration finds which assumes these levels, and whether it is stable.

    A stable restoration amplifies no disturbance: with eigenvalues of ``J`` in [0, 1], the squares of ``I - J`` sum up
    to no more than its trace.

    :raises UnknownNoiseError: the denoiser is for one level.
    """
    if prior.trained_width is not None:
        raise UnknownNoiseError(
            "sigma: the noise is estimated with a noise-conditional denoiser, this one is trained for one level; "
            "give DAEP(sigma=...), 0 for a noise-free measurement."
        )
    denoising = isinstance(physics, Denoising)
    if denoising:
        used = usable_pixels(y[0].detach().cpu()).to(y.device).expand_as(y)
        y, counted = _squares(y), [_squares(used)]
    else:
        counted = _measured(physics, start)
    parts, generator = _parts(y), torch.Generator().manual_seed(1)
    signs = [_signs(part, generator) for part in parts]
    disturbed = [p + DISTURBANCE * s * sign for p, s, sign in zip(parts, assumed, signs, strict=True)]
    seen, moved = (
        _parts(_restored(one, physics, prior, start, assumed, gain)) for one in (y, _as_measurement(disturbed, y))
    )
    found, stable = [], True
    for part, s, sign, one, other, used in zip(parts, assumed, signs, seen, moved, counted, strict=True):
        used = used if bool(used.any()) else torch.ones_like(used)
        left = (sign - (other - one) / (DISTURBANCE * s))[used].double()  # (I - J) sign
        trace, squares = float((sign[used] * left).mean()), float(left.square().mean())
        stable &= squares <= UNSTABLE * trace
        power = float((part - one)[used].double().square().mean())
        found.append(math.sqrt(max(power, 1e-30) / min(max(trace if denoising else squares, LEAST_FREE), 1.0)))
    return tuple(found), stable or denoising


def _restored(
    y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, levels: Sequence[float], gain: float
) -> Any:
    """``K`` times the restored image."""
    prior = prior.adapted(start)
    if isinstance(physics, Denoising):
        return prior.denoise(y, levels[0])
    if len(levels) > 1:
        data: PerImageL2 = WeightedL2(_variances(y, levels))
    else:
        data = (PerImageL2 if isinstance(physics, LinearPhysics) else NonlinearL2)(sigma=levels[0])
    width = float(data.norm) ** -0.5 / gain
    bounds = BOUNDS if prior.transform is None else None  # real and imaginary parts are signed
    return physics.A(restore(data.prox_of(y, physics), start, prior, schedules.fast(width), bounds=bounds))


def _variances(y: TensorList, levels: Sequence[float]) -> TensorList:
    """The variance of each value of a measurement with parts."""
    return TensorList([torch.full_like(part.abs(), s**2) for part, s in zip(y, levels, strict=True)])


def _rms(levels: Sequence[float]) -> float:
    return math.sqrt(sum(s * s for s in levels) / len(levels))


def _squares(image: Tensor) -> Tensor:
    """A few squares of a large image (1, C, H, W), as a batch; a smaller image as it is."""
    size = image.shape[-2:]
    if len(size) > 2 or min(size) < SQUARES * SIDE:
        return image
    rows, columns = ([round((k + 0.5) * n / SQUARES - SIDE / 2) for k in range(SQUARES)] for n in size)
    return torch.cat([image[..., i : i + SIDE, j : j + SIDE] for i in rows for j in columns])


def _parts(y: Any) -> list[Tensor]:
    """The parts of a measurement as real numbers."""
    parts = list(y) if isinstance(y, TensorList) else [y]
    return [torch.view_as_real(part) if part.is_complex() else part for part in parts]


def _as_measurement(parts: list[Tensor], like: Any) -> Any:
    """The opposite of :func:`_parts`."""
    originals = list(like) if isinstance(like, TensorList) else [like]
    whole = [torch.view_as_complex(p) if one.is_complex() else p for p, one in zip(parts, originals, strict=True)]
    return TensorList(whole) if isinstance(like, TensorList) else whole[0]


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random numbers 1 and -1."""
    return (2 * torch.randint(0, 2, like.shape, generator=generator) - 1).to(like)


def _random(physics: Any, start: Tensor) -> Tensor:
    """White noise in the shape of an image: of mean 0 and level 1; for a nonlinear physics, an image in [0, 1]."""
    image = torch.rand(start.shape, generator=torch.Generator().manual_seed(0)).to(start)
    return (image - 0.5) * math.sqrt(12) if isinstance(physics, LinearPhysics) else image


def _measured(physics: Any, start: Tensor) -> list[Tensor]:
    """Which values of each part of a measurement depend on the image; the others are those of missing pixels."""
    return [part.abs() > TINY_GAIN * part.abs().amax() for part in _parts(physics.A(_random(physics, start)))]


def measured_pixels(physics: LinearPhysics, start: Tensor) -> Tensor | None:
    """The pixels (h, w) of a measurement (1, C, h, w) that depend on the image in all channels, also behind a wrapper.

    :return: boolean; ``None``: all.
    """
    if isinstance(physics, Denoising):
        return None
    measured: Tensor = _measured(physics, start)[0][0].all(0)
    return None if bool(measured.all()) else measured


def gain_of(physics: LinearPhysics, start: Tensor) -> float:
    """Root mean square of the measured values of a white image of ones: 1 for a blur, a path length for tomography.

    Missing pixels do not count. Operators that see a white image in few values, as a Fourier transform, have the gain
    of a random one.
    """

    def powers(image: Tensor) -> Tensor:
        return torch.cat([part.flatten() for part in _parts(physics.A(image))]).double().square()

    random = powers(_random(physics, start))
    measured = random > TINY_GAIN**2 * random.max()
    if not bool(measured.any()):
        return 1.0
    white = powers(torch.ones_like(start))[measured]
    spread = float(white.sum()) ** 2 / max(float(white.square().sum()), 1e-300)
    return math.sqrt(float((white if spread >= SPREAD * len(white) else random[measured]).mean()))
