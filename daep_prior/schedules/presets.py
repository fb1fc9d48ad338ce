"""The presets: ready schedules by name, and the function behind each name.

Noise levels are standard deviations, images in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from daep_prior.arguments import checked_numbers
from daep_prior.schedules.phases import Phase, sequence
from daep_prior.schedules.schedule import HEAVY_BALL, PROXIMAL, SMALLEST_NOISE, Schedule, Solver
from daep_prior.schedules.settings import FastSettings, SettingsTable, shipped_settings

__all__ = [
    "DEFAULT_PRESET",
    "PAPER_GAMMA",
    "PAPER_ITERATIONS",
    "PAPER_MOMENTUM",
    "PAPER_STEP",
    "PAPER_WIDTH",
    "PRESETS",
    "Task",
    "annealed",
    "best",
    "check_preset",
    "denoising",
    "fast",
    "fixed_width",
    "missing_pixels",
    "paper",
    "paper_sr",
    "preset",
]

#: What a measurement is, as far as the presets differ by it: the noisy image itself, some of its pixels, a circular
#: blur, one that suppresses much of the image, or anything else.
Task = Literal["denoising", "missing pixels", "circular blur", "strong circular blur", "general"]

# -- the paper (Bigdeli and Zwicker 2018) ------------------------------------------------------------------------------

#: gamma of eq. 7, without unit, in the paper's experiments (section 4).
PAPER_GAMMA = 6.875
#: Noise level that the paper's DAE is trained for, and so its kernel width; images in [0, 1].
PAPER_WIDTH = 25 / 255
#: Iterations, step on the normalised objective, and momentum (section 4 and the authors' program).
PAPER_ITERATIONS, PAPER_STEP, PAPER_MOMENTUM = 300, 0.1, 0.9


@checked_numbers
def paper(sigma: float, width: float = PAPER_WIDTH, iterations: int = PAPER_ITERATIONS) -> Schedule:
    """The paper's deblurring, inpainting and denoising (eq. 7): heavy ball on the normalised objective.

    In deepinv's convention the prior weight is ``lambda = 2 gamma / s^2``. The step is 0.1 on the objective divided by
    ``lambda + 1/s_d^2``.

    :param float sigma: noise level ``s_d`` of the measurement.
    :param float width: kernel width ``s``, the level the DAE is trained for.
    """
    sigma = max(sigma, SMALLEST_NOISE)
    prior_weight = 2 * PAPER_GAMMA / width**2
    step = PAPER_STEP / (prior_weight + 1 / sigma**2)
    return _heavy_ball(width, (prior_weight,) * iterations, (1.0,) * iterations, step, measured_only=True)


@checked_numbers
def paper_sr(sigma: float = 0.0, factor: int = 1, width: float = PAPER_WIDTH, iterations: int = 300) -> Schedule:
    """The paper's noise-free super-resolution (section 5.1): prior weight ``1/sqrt(k)``, data weight ``1 - 1/sqrt(k)``.

    These weigh the data term ``1/2 ||Kx - y||^2``; the factor ``s_d^2`` undoes the division by it in a schedule. The
    authors map the residual back by bicubic *up*-sampling, which is ``factor^2`` times the adjoint; hence that factor.

    :param float sigma: noise level ``s_d`` of the data term that the schedule is used with.
    :param int factor: of super-resolution.
    :param float width: kernel width ``s``, the level the DAE is trained for.
    """
    prior_weight = tuple(1 / math.sqrt(k) for k in range(1, iterations + 1))
    scale = factor**2 * max(sigma, SMALLEST_NOISE) ** 2
    return _heavy_ball(width, prior_weight, tuple(scale * (1 - w) for w in prior_weight), PAPER_STEP)


def _heavy_ball(
    width: float,
    prior_weight: tuple[float, ...],
    data_weight: tuple[float, ...],
    step: float,
    measured_only: bool = False,
) -> Schedule:
    count = len(prior_weight)
    return Schedule(
        kernel_width=(width,) * count,
        prior_weight=prior_weight,
        data_weight=data_weight,
        step=(step,) * count,
        momentum=(PAPER_MOMENTUM,) * count,
        average=(1.0,) * count,
        solver=HEAVY_BALL,
        measured_only=measured_only,
    )


# -- ours --------------------------------------------------------------------------------------------------------------

# The numbers that depend on noise level and network are in settings.json; ``benchmarks/tune_presets.py`` finds them.
# Those here are the same for all. They were chosen by hand on crops of training images, like those with which
# ``benchmarks/training_crops.py`` compares presets.

#: Iterations of the three phases of :func:`annealed` for a noisy and for a noise-free measurement: those of
#: :func:`fast`, the mean-shift steps from a wide kernel again, and the gradient.
ITERATIONS, NOISE_FREE_ITERATIONS = (8, 10, 18), (0, 3, 37)
#: Those of a noisy circular blur, by task. It has no border to find, for which the second phase is. On 8 training crops
#: under random motion nine gradients are as good as 18; defocus and Gaussian blur lose 0.2 to 0.4 dB by fewer.
CIRCULAR_ITERATIONS = {"circular blur": (8, 0, 9), "strong circular blur": (8, 0, 18)}
#: First kernel width, of 255, last relative step, and number of averaged iterates of nine gradients. From the width of
#: 18 gradients they lose 0.1 dB.
SHORT_WIDTH, SHORT_STEP, SHORT_AVERAGE_LAST = 40.0, 0.3, 3
#: Number of gradient phases of :func:`best`: 0.05 to 0.10 dB over one.
SWEEPS = 3
#: Number of iterates at the end of a gradient phase that are averaged, and weight of the result of :func:`fast` in that
#: mean; an iterate has weight 1. The mean is better than the gradient phase alone: by up to 0.9 dB in smooth crops, by
#: 0.06 dB under hard kernels.
AVERAGE_LAST, FAST_MEAN_WEIGHT = 6, 3.0
#: First and last kernel width, of 255, of :func:`missing_pixels`, and its weight ``g`` (prior weight ``g / (2 s^2)``).
INPAINTING_WIDTHS, INPAINTING_WEIGHT = (70.0, 24.0), 2.0
#: Iterations of :func:`missing_pixels` before the mean begins, in which large gaps are filled. Averaging all later
#: iterates is better by 0.1 dB in large gaps than averaging the last few.
BURN_IN = 14
#: Relative step and momentum of :func:`fixed_width`, and number of its last iterates that are averaged.
FIXED_STEP, FIXED_MOMENTUM, FIXED_AVERAGE_LAST = 0.5, 0.7, 8


@checked_numbers
def annealed(
    sigma: float = 0.0,
    iterations: int | None = None,
    settings: SettingsTable | None = None,
    task: Task = "general",
) -> Schedule:
    """Proximal momentum with a falling kernel width: a wide kernel finds the basin, a narrow one keeps texture.

    Three phases: the mean-shift steps of :func:`fast`; mean-shift steps with more prior weight, from a wide kernel
    again, which find a better start; and gradients of the energy, once more from a wide kernel. The first and the last
    phase have different errors: mean-shift steps remove texture, gradients add some where there is none. The result of
    a noisy measurement is the mean of both, denoised once. The result of a noise-free one is that of the gradients
    alone. A noisy circular blur has its own numbers in the first phase and no second one.

    :param float sigma: noise level of the measurement; 0: noise-free.
    :param int iterations: in all; default 36, 40 for a noise-free measurement, 17 and 26 for a circular blur.
    :param SettingsTable settings: default :func:`shipped_settings`.
    :param str task: ``"circular blur"``, ``"strong circular blur"``, or any other.
    """
    return _annealed(sigma, 1, iterations, settings, task)


@checked_numbers
def best(sigma: float = 0.0, iterations: int | None = None, settings: SettingsTable | None = None) -> Schedule:
    """:func:`annealed` with three gradient phases, each from a wide kernel again. Their last iterates are averaged.

    As good as the mean of three results of :func:`annealed` with different noise.

    :param float sigma: noise level of the measurement; 0: noise-free.
    :param int iterations: in all; default 72, and 114 for a noise-free measurement.
    :param SettingsTable settings: default :func:`shipped_settings`.
    """
    return _annealed(sigma, SWEEPS, iterations, settings)


def _annealed(
    sigma: float, sweeps: int, iterations: int | None, table: SettingsTable | None, task: Task = "general"
) -> Schedule:
    """The phases, ``sweeps`` of them by the gradient, each scaled to ``iterations`` in all."""
    settings, average_last = (table or shipped_settings()).at(sigma), AVERAGE_LAST
    first, second, gradient = ITERATIONS if sigma > 0 else NOISE_FREE_ITERATIONS
    circular = _circular(sigma, table, task)
    if circular is not None:
        settings = replace(settings, fast=circular.fast)
        first, second, gradient = CIRCULAR_ITERATIONS[task]
        if task == "circular blur":
            numbers, average_last = settings.gradient, SHORT_AVERAGE_LAST
            widths, steps = (SHORT_WIDTH, numbers.widths[1]), (numbers.steps[0], SHORT_STEP)
            settings = replace(settings, gradient=replace(numbers, widths=widths, steps=steps))
    length = first + second + sweeps * gradient
    iterations = length if iterations is None else iterations
    first, second = (iterations * n // length for n in (first, second))
    rest = iterations - first - second
    counts = [rest // sweeps + (k < rest % sweeps) for k in range(sweeps)]
    phases = [
        settings.fast.phase(first, gradient=False, mean_weight=FAST_MEAN_WEIGHT),
        settings.restart.phase(second, gradient=False, average_last=0, extend_mean=first > 0),
    ]
    for k, count in enumerate(counts):
        options = {"average_last": average_last, "extend_mean": first > 0 or k > 0}
        phases.append(settings.gradient.phase(count, gradient=True, **options))
    final_width = settings.final_width / 255 if sigma > 0 else None
    return sequence(*phases, final_width=final_width, clip=sigma == 0)


def _circular(sigma: float, table: SettingsTable | None, task: Task) -> FastSettings | None:
    """The numbers of a noisy circular blur; ``None``: it is none, or there are none."""
    return (table or shipped_settings()).circular_at(sigma) if task in CIRCULAR_ITERATIONS else None


@checked_numbers
def fast(
    sigma: float = 0.0, iterations: int = 8, settings: SettingsTable | None = None, task: Task = "general"
) -> Schedule:
    """Mean-shift steps alone, without Jacobian and noise: as fast as plug-and-play with as many evaluations.

    A noise-free measurement has a dual variable, so that the data are met exactly.

    :param float sigma: noise level of the measurement; 0: noise-free.
    :param SettingsTable settings: default :func:`shipped_settings`.
    :param str task: a noisy ``"circular blur"`` or ``"strong circular blur"`` has its own numbers.
    """
    chosen = _circular(sigma, settings, task) or (settings or shipped_settings()).at(sigma)
    final_width = chosen.fast_final_width / 255 if sigma > 0 else None
    phase = chosen.fast.phase(iterations, gradient=False)
    return sequence(phase, final_width=final_width, dual=sigma == 0, clip=sigma == 0)


@checked_numbers
def denoising(sigma: float) -> Schedule:
    """For a measurement that is the noisy image itself: one mean-shift step whose kernel width is the noise level.

    By eq. 6 it ends at the posterior mean, the estimate of least mean square error.

    :param float sigma: noise level of the measurement, above 0.
    """
    once = (1.0,)
    return Schedule((sigma,), once, (0.0,), once, (0.0,), once, noise=(0.0,), jacobian=(0.0,))


@checked_numbers
def missing_pixels(sigma: float = 0.0, iterations: int = 30) -> Schedule:
    """For inpainting: mean-shift steps with a dual variable; the later iterates are averaged.

    The network would smooth isolated known pixels as if they were noise. The dual variable amplifies them until the
    network's output agrees with the measured values. The kernel stays wider than twice the noise level.

    :param float sigma: noise level of the measurement; 0: noise-free.
    :param int iterations: the kernel width falls during the first third.
    """
    falling = iterations // 3
    first, last = (max(width / 255, 2 * sigma) for width in INPAINTING_WIDTHS)
    weights = (INPAINTING_WEIGHT, INPAINTING_WEIGHT)
    fall = Phase(falling, (first, last), weights, steps=(1.0, 1.0), momentum=(0.0, 0.0), gradient=False)
    rest = iterations - falling
    stay = replace(fall, iterations=rest, widths=(last, last), average_last=max(1, iterations - BURN_IN))
    return sequence(fall, stay, final_width=sigma / 2 if sigma > 0 else None, dual=True)


@checked_numbers
def fixed_width(width: float = PAPER_WIDTH, iterations: int = 60) -> Schedule:
    """Proximal momentum for a denoiser of one level: the paper's width and prior weight throughout.

    :param float width: the level the denoiser is trained for.
    """
    weight = 4 * PAPER_GAMMA  # eq. 7: g / (2 s^2) = 2 gamma / s^2
    widths, weights, steps, momentum = ((v, v) for v in (width, weight, FIXED_STEP, FIXED_MOMENTUM))
    phase = Phase(iterations, widths, weights, steps, momentum, gradient=True, average_last=FIXED_AVERAGE_LAST)
    return sequence(phase)


# -- by name -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preset:
    """What a preset is.

    :param str solver: which the schedule is for.
    :param str network: shipped network that is used when none is given.
    :param Callable schedule: for a noise-conditional denoiser; ``None``: the paper's.
    :param int inpainting: iterations for missing pixels.
    """

    solver: Solver
    network: str
    schedule: Callable[..., Schedule] | None = None
    inpainting: int = 30


PRESETS = {
    "annealed": Preset(PROXIMAL, "dae", annealed),
    "fast": Preset(PROXIMAL, "dae", fast, inpainting=8),
    "best": Preset(PROXIMAL, "dae", best, inpainting=60),
    "paper": Preset(HEAVY_BALL, "dae-sigma25"),
    "paper-sr": Preset(HEAVY_BALL, "dae-sigma25"),
}
DEFAULT_PRESET = "annealed"


def check_preset(name: str) -> None:
    """Refuse an unknown preset.

    :raises ValueError: with the known names.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"preset: got {name!r}; expected one of {', '.join(map(repr, PRESETS))}.")


def preset(
    name: str,
    sigma: float,
    *,
    trained_width: float | None = None,
    task: Task = "general",
    factor: int = 1,
    iterations: int | None = None,
    settings: SettingsTable | None = None,
) -> Schedule:
    """The schedule of a preset for one measurement.

    :param str name: a key of :data:`PRESETS`.
    :param float sigma: noise level of the measurement; 0: noise-free.
    :param float trained_width: the one level that the denoiser is trained for; ``None``: it is noise-conditional.
    :param str task: a :data:`Task`.
    :param int factor: of super-resolution; the preset ``"paper-sr"`` uses it.
    :param int iterations: default the preset's own number.
    :param SettingsTable settings: for another network than ``dae``; default :func:`shipped_settings`.
    :raises ValueError: unknown preset.
    """
    check_preset(name)
    length: dict[str, Any] = {} if iterations is None else {"iterations": iterations}
    width: dict[str, Any] = {} if trained_width is None else {"width": trained_width}
    chosen = PRESETS[name]
    if name == "paper":
        return paper(sigma, **width, **length)
    if chosen.schedule is None:
        return paper_sr(sigma, factor, **width, **length)
    if trained_width is not None:
        return fixed_width(trained_width, **length)
    if task == "denoising" and sigma > 0 and iterations is None:
        return denoising(sigma)
    if task == "missing pixels":
        return missing_pixels(sigma, chosen.inpainting if iterations is None else iterations)
    circular: dict[str, Any] = {"task": task} if task in CIRCULAR_ITERATIONS and name != "best" else {}
    return chosen.schedule(sigma, **length, settings=settings, **circular)
