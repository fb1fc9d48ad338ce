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
from daep_deepinv.noise.variance import QuadraticVariance
from daep_deepinv.noise_estimation.noisy_pixels import usable_pixels
from daep_deepinv.noise_estimation.response import Response, real_parts, response_of
from daep_deepinv.noise_estimation.signal_fit import law_of_bins
from daep_deepinv.operators.subsampling import is_subsampling
from daep_deepinv.prior import DAEPrior
from daep_prior import Schedule, restore, schedules

__all__ = [
    "RestoredLevel",
    "UnknownNoiseError",
    "error_of_texture",
    "first_level",
    "quick_image",
    "restored_level",
    "rises_with_signal",
]

# "Benchmark": ``benchmarks/noise_estimation.py``, on training crops.

#: Assumed level of the first pass, for an image and an operator that keeps a white image white. Rather too high than
#: too low: a network that assumes too little takes noise for texture.
FIRST_GUESS = 12 / 255
#: Maximum number of passes: of a noisy image, which take two evaluations of the network, and of any other measurement,
#: which take two times nine, or two times ``SAMPLED_ITERATIONS``. Relative change at which they end.
DENOISING_PASSES, PASSES, TOLERANCE = 6, 3, 0.04
#: The level that a restoration assumes, as a share of the level found so far. Below 1, it removes less texture, which
#: its residual would count as noise. The second: of an operator that samples the image.
#: Chosen by ``benchmarks/noise_estimation.py --shares`` on training crops, noise of 7.65 and 25: relative error 0.33,
#: 0.25, 0.24, 0.24 for 0.1, 0.2, 0.3, 0.45; of the second 0.30, 0.26, 0.32 for 0.3, 0.5, 0.7. The least share of the
#: best ones is taken: weaker noise wants less.
ASSUMED_SHARE, SAMPLED_SHARE = 0.2, 0.5
#: Iterations of the schedule for missing pixels, which estimates the noise of operators that sample the image: of
#: multiples of a projection, and of random projections.
EXACT_ITERATIONS, RANDOM_ITERATIONS = 12, 20
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
#: Least value that a restoration gives to a measurement of nothing but amounts, as a share of the largest one.
LEAST_AMOUNT = -0.05
#: Bins of like brightness in which the noise of amounts is compared, and their least number of values.
BINS, VALUES_PER_BIN = 10, 50


class UnknownNoiseError(ValueError):
    """The noise of a measurement cannot be estimated."""


class RestoredLevel(NamedTuple):
    """The level of a measurement.

    :param float level: standard deviation, in the units of the measurement; of unlike parts that of the mean precision.
    :param float uncertainty: relative standard error.
    :param tuple parts: standard deviation of each part of the measurement.
    :param QuadraticVariance law: of amounts whose noise rises with them; ``None``: one level.
    """

    level: float
    uncertainty: float
    parts: tuple[float, ...]
    law: QuadraticVariance | None = None


class _Pass(NamedTuple):
    """What one restoration shows.

    :param tuple levels: of each part.
    :param bool stable: whether it amplifies no disturbance: with eigenvalues of ``J`` in [0, 1], the squares of
        ``I - J`` sum up to no more than its trace.
    """

    levels: tuple[float, ...]
    stable: bool
    law: QuadraticVariance | None


class _Task(NamedTuple):
    """How the noise of a measurement is found.

    :param Response response: of the operator.
    :param float share: the assumed level as a share of the found one.
    :param int passes: at most.
    :param int iterations: of the schedule for missing pixels; ``None``: ``fast``.
    """

    response: Response
    share: float
    passes: int
    iterations: int | None

    @property
    def gain(self) -> float:
        """Of the operator."""
        return self.response.gain

    def schedule(self, width: float) -> Schedule:
        """Of a restoration."""
        return schedules.fast(width) if self.iterations is None else schedules.missing_pixels(width, self.iterations)


def restored_level(
    y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, *, white: bool = True, share: float | None = None
) -> RestoredLevel:
    r"""Noise level of one measurement, from the residual of a restoration :math:`f(y)` of :math:`Kx`.

    *A noisy image*: :math:`f_s` is the network for the level :math:`s`, a posterior mean. By Tweedie's formula, the
    derivative of :math:`\log p_s(y)` by :math:`s^2` is 0 where

    .. math:: s^2 = \frac{\|y - f_s(y)\|^2}{m - \mathrm{div} f_s(y)}.

    This fixed point, the most likely level, is found by repetition.

    *Any other measurement*: :math:`f` is ``K`` times the result of ``fast``, or of a few iterations for missing pixels
    where ``K`` samples the image. That is no posterior mean. With its Jacobian :math:`J`, the noise alone leaves
    :math:`s^2 \|I - J\|_F^2`, so :math:`\|y - f(y)\|^2 / \|I - J\|_F^2` is :math:`s^2` and what the restoration lost of
    the image. That is less, the less noise is assumed.

    Both traces are measured with one random disturbance of the measurement (Ramani, Blu and Unser, IEEE TIP 2008).
    Operators may have any gain (:class:`~daep_deepinv.noise_estimation.response.Response`).
    The parts of stacked physics have a level each.

    :param y: measurement of one image.
    :param DAEPrior prior: with a noise-conditional denoiser.
    :param torch.Tensor start: first image (1, C, H, W), values in [0, 1] or signed.
    :param bool white: ``False``: the noise is known not to be white. It looks like texture; so that all of it is
        counted, more noise is assumed than was found.
    :param float share: the level that a restoration assumes as a share of the found one; ``None``: the shipped one.
    :raises UnknownNoiseError: the denoiser is for one level.
    """
    denoising = isinstance(physics, Denoising)
    task = _task(y, physics, start, white, share)
    share, gain = task.share, task.gain
    found = accepted = assumed = _first_guess(y, gain)
    law: QuadraticVariance | None = None
    before: tuple[float, float] | None = None
    for _ in range(task.passes):
        now, stable, rises = _levels(y, physics, prior, start, assumed, task)
        if before is not None and not stable:
            assumed = tuple(math.sqrt(a * b) for a, b in zip(assumed, accepted, strict=True))
            continue
        step, found, accepted, law = math.log(_rms(now) / _rms(found)), now, assumed, rises
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
    signal = torch.cat([part.flatten() for part in real_parts(y)]).double().square().mean()
    texture = NOISY_TEXTURE if denoising else TEXTURE
    error = error_of_texture(level, texture * math.sqrt(max(float(signal) - level**2, 0.0)))
    return RestoredLevel(level, max(LEAST_ERROR, error), found, law)


def _task(y: Any, physics: LinearPhysics, start: Tensor, white: bool, share: float | None) -> _Task:
    response, linear = response_of(physics, start), isinstance(physics, LinearPhysics)
    if isinstance(physics, Denoising):
        chosen, passes, iterations = 1.0, DENOISING_PASSES, None
    elif linear and not isinstance(y, TensorList) and is_subsampling(physics, y, start):
        exact = is_subsampling(physics, y, start, exact=True)
        chosen, passes, iterations = SAMPLED_SHARE, PASSES, EXACT_ITERATIONS if exact else RANDOM_ITERATIONS
    else:
        chosen, passes, iterations = ASSUMED_SHARE, PASSES, None
    if not white:
        chosen, passes, iterations = SHARE_NOT_WHITE, PASSES_NOT_WHITE, None
    return _Task(response, chosen if share is None else share, passes, iterations)


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
    task = _Task(response_of(physics, start), 1.0, 1, None)
    return _rms(_levels(y, physics, prior, start, _first_guess(y, task.gain), task).levels)


def _first_guess(y: Any, gain: float) -> tuple[float, ...]:
    """The assumed level of each part in the first pass."""
    return (FIRST_GUESS * gain,) * (len(y) if isinstance(y, TensorList) else 1)


def _levels(
    y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, assumed: Sequence[float], task: _Task
) -> _Pass:
    """What a restoration shows that assumes these levels.

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
        counted = task.response.measured
    parts, generator = real_parts(y), torch.Generator().manual_seed(1)
    signs = [_signs(part, generator) for part in parts]
    disturbed = [p + DISTURBANCE * s * sign for p, s, sign in zip(parts, assumed, signs, strict=True)]
    seen, moved = (
        real_parts(_restored(one, physics, prior, start, assumed, task)) for one in (y, _as_measurement(disturbed, y))
    )
    found, stable, law = [], True, None
    for part, s, sign, one, other, used in zip(parts, assumed, signs, seen, moved, counted, strict=True):
        used = used if bool(used.any()) else torch.ones_like(used)
        left = (sign - (other - one) / (DISTURBANCE * s))[used].double()  # (I - J) sign
        trace, squares = float((sign[used] * left).mean()), float(left.square().mean())
        stable &= squares <= UNSTABLE * trace
        power = float((part - one)[used].double().square().mean())
        found.append(math.sqrt(max(power, 1e-30) / min(max(trace if denoising else squares, LEAST_FREE), 1.0)))
        if not denoising and len(parts) == 1:
            law = _law(one[used], (part - one)[used], left)
    return _Pass(tuple(found), stable or denoising, law)


def _law(mean: Tensor, residual: Tensor, left: Tensor) -> QuadraticVariance | None:
    """The law of the noise of amounts, which are not negative; ``None``: they are, or their noise has one level.

    :param torch.Tensor mean: the measurement of the restored image, as ``residual`` and ``left``: (n).
    :param torch.Tensor left: what the restoration leaves of random signs.
    """
    if len(mean) < BINS * VALUES_PER_BIN or float(mean.min()) < LEAST_AMOUNT * float(mean.max()):
        return None
    bins = mean.argsort().chunk(BINS)
    powers = [
        float(residual[k].double().square().mean()) / max(float(left[k].square().mean()), LEAST_FREE) for k in bins
    ]
    return law_of_bins(torch.tensor([float(mean[k].double().mean()) for k in bins]), torch.tensor(powers))


def _restored(
    y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, levels: Sequence[float], task: _Task
) -> Any:
    """``K`` times the restored image."""
    if isinstance(physics, Denoising):
        return prior.adapted(start).denoise(y, levels[0])
    return physics.A(_image(y, physics, prior, start, levels, task))


def quick_image(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, levels: Sequence[float]) -> Tensor:
    """The image that ``fast`` restores for these levels of the parts of a measurement."""
    return _image(y, physics, prior, start, levels, _Task(response_of(physics, start), 1.0, 1, None))


def _image(
    y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, levels: Sequence[float], task: _Task
) -> Tensor:
    prior = prior.adapted(start)
    if len(levels) > 1:
        data: PerImageL2 = WeightedL2(_variances(y, levels))
    else:
        data = (PerImageL2 if isinstance(physics, LinearPhysics) else NonlinearL2)(sigma=levels[0])
    width = float(data.norm) ** -0.5 / task.gain
    # spots may be brighter than the white that was found; real and imaginary parts are signed
    bounds = (0.0, max(1.0, float(start.max()))) if prior.transform is None else None
    return restore(data.prox_of(y, physics), start, prior, task.schedule(width), bounds=bounds)


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


def _as_measurement(parts: list[Tensor], like: Any) -> Any:
    """The opposite of :func:`_parts`."""
    originals = list(like) if isinstance(like, TensorList) else [like]
    whole = [torch.view_as_complex(p) if one.is_complex() else p for p, one in zip(parts, originals, strict=True)]
    return TensorList(whole) if isinstance(like, TensorList) else whole[0]


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random numbers 1 and -1."""
    return (2 * torch.randint(0, 2, like.shape, generator=generator) - 1).to(like)
