"""What the solvers do at each iteration, as data: kernel width, prior weight, data weight, step, momentum, averaging.

Noise standard deviations are for images in [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from daep_prior import display

__all__ = [
    "Phase",
    "Schedule",
    "annealed",
    "best",
    "default",
    "denoising",
    "fast",
    "fixed_width",
    "forgiving",
    "missing_pixels",
    "paper",
    "paper_sr",
    "sequence",
]

#: gamma of eq. 7 in the paper's experiments.
PAPER_GAMMA = 6.875
#: Standard deviation the paper's DAE is trained for, and so its kernel width.
PAPER_WIDTH = 25 / 255
PAPER_ITERATIONS = 300
PAPER_STEP = 0.1
PAPER_MOMENTUM = 0.9
#: Fields of a schedule that are not one value an iteration.
_WHOLE = ("final_width", "dual", "clip")
#: A measurement said to be noise-free is treated as one stored in eight bits and a little more: the limit of a small
#: noise level, at which every formula stays well conditioned.
SMALLEST_NOISE = 1 / 255


@dataclass(frozen=True, repr=False)
class Schedule:
    """One value an iteration of everything a solver needs; all tuples have the same length.

    :param tuple kernel_width: ``s``, standard deviation of the smoothing kernel and of the noise of eq. 8.
    :param tuple prior_weight: ``lambda`` in front of the energy.
    :param tuple data_weight: factor in front of the data term ``1/(2 s_d^2) ||Kx - y||^2``.
    :param tuple step: gradient step (heavy ball) or the relative step ``t`` (proximal momentum).
    :param tuple momentum: weight of the velocity.
    :param tuple average: weight of the newest iterate in the running output; 1: it is the output, 0: it is left out.
    :param tuple noise: share of the noise of eq. 8 that is drawn, 1: all of it, as in the paper; left out: all ones.
    :param tuple jacobian: 1: the gradient of the energy; 0: the mean-shift vector alone, without the Jacobian (DMSP),
        which costs a third; left out: all ones.
    :param tuple flip: how the image is mirrored before the network sees it, and its answer back: 1: left to right, 2:
        top to bottom, 3: both; left out: all 0, not at all. A network errs a little differently on each, and what it
        errs alike does not add up over the iterations (Terris, Moreau, Pustelnik, Tachella, *Equivariant
        Plug-and-Play Image Reconstruction*, CVPR 2024).
    :param bool dual: whether what the prior takes away from the data is given to it beforehand the next time: the dual
        variable of :func:`daep_prior.solvers.proximal_momentum_step`. Proximal momentum alone has it.
    :param float final_width: level at which the result is denoised once at the end, which takes away what is left of
        the noise of eq. 8; ``None``: not at all.
    :param bool clip: whether every iterate is clipped to the range of images, and not the result alone. It helps where
        detail comes from the prior alone; the noise that a wide kernel leaves in a dark region is made light by it.
    :raises ValueError: lengths differ, or a value is out of its range.
    """

    kernel_width: tuple[float, ...]
    prior_weight: tuple[float, ...]
    data_weight: tuple[float, ...]
    step: tuple[float, ...]
    momentum: tuple[float, ...]
    average: tuple[float, ...]
    noise: tuple[float, ...] = ()
    jacobian: tuple[float, ...] = ()
    flip: tuple[int, ...] = ()
    final_width: float | None = None
    dual: bool = False
    clip: bool = True

    def __post_init__(self) -> None:
        for name in ("noise", "jacobian"):
            if not getattr(self, name):
                object.__setattr__(self, name, (1.0,) * len(self.step))
        if not self.flip:
            object.__setattr__(self, "flip", (0,) * len(self.step))
        columns = self.columns()
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) != 1 or not self.step:
            raise ValueError(f"a schedule needs one value an iteration of everything; got lengths {lengths}.")
        for name, values in columns.items():
            positive = name in ("kernel_width", "step")
            for value in values:
                if not 0 <= value < math.inf or (positive and value == 0):
                    expected = "a positive number" if positive else "a number that is not negative"
                    raise ValueError(f"{name}: got {value}; expected {expected}.")
        if max(self.momentum) >= 1 or max(self.average) > 1:
            raise ValueError("momentum must stay below 1, average at or below 1.")
        if not set(self.jacobian) <= {0, 1}:
            raise ValueError(f"jacobian: got {sorted(set(self.jacobian))}; expected 1 (with) or 0 (without).")
        if not set(self.flip) <= {0, 1, 2, 3}:
            raise ValueError(f"flip: got {sorted(set(self.flip))}; expected 0, 1, 2 or 3.")
        if self.final_width is not None and not 0 < self.final_width < math.inf:
            raise ValueError(f"final_width: got {self.final_width}; expected a positive number, or None.")

    def __repr__(self) -> str:
        return display.schedule_text(self)

    def _repr_html_(self) -> str:
        return display.schedule_html(self)

    def __len__(self) -> int:
        return len(self.step)

    def columns(self) -> dict[str, tuple[float, ...]]:
        """What changes from iteration to iteration, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _WHOLE}

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; :meth:`from_dict` reads it back."""
        columns = {name: list(values) for name, values in self.columns().items()}
        return {**columns, **{name: getattr(self, name) for name in _WHOLE}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Schedule:
        """The schedule that :meth:`to_dict` wrote."""
        columns: dict[str, Any] = {
            name: tuple((int if name == "flip" else float)(v) for v in column)
            for name, column in values.items()
            if name not in _WHOLE
        }
        return cls(**columns, **{name: values[name] for name in _WHOLE if name in values})


def paper(sigma: float, width: float = PAPER_WIDTH, iterations: int = PAPER_ITERATIONS) -> Schedule:
    """Deblurring, inpainting, denoising as in the paper (eq. 7): heavy ball on the normalised objective.

    In deepinv's convention the prior weight is ``lambda = 2 gamma / s^2``; the step is 0.1 on the objective divided by
    ``lambda + 1/s_d^2``.

    :param float sigma: noise of the measurement, ``s_d``.
    :param float width: kernel width ``s``, the level the DAE is trained for.
    """
    sigma = max(sigma, SMALLEST_NOISE)
    prior_weight = 2 * PAPER_GAMMA / width**2
    step = PAPER_STEP / (prior_weight + 1 / sigma**2)
    return Schedule(
        kernel_width=(width,) * iterations,
        prior_weight=(prior_weight,) * iterations,
        data_weight=(1.0,) * iterations,
        step=(step,) * iterations,
        momentum=(PAPER_MOMENTUM,) * iterations,
        average=(1.0,) * iterations,
    )


def paper_sr(factor: int = 1, width: float = PAPER_WIDTH, iterations: int = PAPER_ITERATIONS) -> Schedule:
    """Noise-free super-resolution as in the paper (section 5.1): prior weight ``1/sqrt(k)``, data ``1 - 1/sqrt(k)``.

    The data term is ``1/2 ||Kx - y||^2`` (``s_d = 1``). The authors map its residual back by bicubic *up*-sampling,
    which is ``factor^2`` times the adjoint; hence that factor.
    """
    prior_weight = tuple(1 / math.sqrt(k) for k in range(1, iterations + 1))
    return Schedule(
        kernel_width=(width,) * iterations,
        prior_weight=prior_weight,
        data_weight=tuple(factor**2 * (1 - w) for w in prior_weight),
        step=(PAPER_STEP,) * iterations,
        momentum=(PAPER_MOMENTUM,) * iterations,
        average=(1.0,) * iterations,
    )


@dataclass(frozen=True)
class Phase:
    """Iterations of one kind, from which :func:`sequence` makes a schedule of proximal momentum.

    Pairs are the first and the last value; widths, weights and steps run geometrically between them, momentum linearly.

    :param int iterations: how many; 0: none.
    :param tuple widths: kernel width ``s``.
    :param tuple weights: ``g``, which sets the prior weight ``lambda = g / (2 s^2)``.
    :param tuple steps: relative step ``t``.
    :param tuple momentum: weight of the velocity.
    :param bool gradient: the gradient of the energy, with the noise of eq. 8; or the plain mean-shift vector, without
        Jacobian and without noise.
    :param int averaged: how many of the last iterates are averaged; 0: none, where others are.
    :param bool joined: whether they are averaged with those of the phases before.
    :param float counts: how much each of them counts in the mean.
    """

    iterations: int
    widths: tuple[float, float]
    weights: tuple[float, float]
    steps: tuple[float, float]
    momentum: tuple[float, float]
    gradient: bool
    averaged: int = 1
    joined: bool = False
    counts: float = 1.0


def sequence(*phases: Phase, final_width: float | None = None, dual: bool = False, clip: bool = True) -> Schedule:
    """The schedule that goes through ``phases``, mirrored in turn; the others as in :class:`Schedule`."""
    columns: dict[str, tuple[Any, ...]] = {field.name: () for field in fields(Schedule) if field.name not in _WHOLE}
    count = 0.0  # of what is in the mean
    for phase in phases:
        n, start = phase.iterations, len(columns["step"])
        width, g = _geometric(*phase.widths, n), _geometric(*phase.weights, n)
        first = max(0, n - phase.averaged)
        count = count if phase.joined else 0.0
        values: dict[str, tuple[Any, ...]] = {
            "kernel_width": width,
            "prior_weight": tuple(gk / (2 * sk**2) for gk, sk in zip(g, width, strict=True)),
            "data_weight": (1.0,) * n,
            "step": _geometric(*phase.steps, n),
            "momentum": _linear(*phase.momentum, n),
            "average": tuple(
                phase.counts / (count + phase.counts * (k - first + 1)) if k >= first else float(count == 0)
                for k in range(n)
            ),
            "noise": (float(phase.gradient),) * n,
            "jacobian": (float(phase.gradient),) * n,
            "flip": tuple((start + k) % 4 for k in range(n)),
        }
        columns = {name: column + values[name] for name, column in columns.items()}
        count += phase.counts * (n - first)
    return Schedule(**columns, final_width=final_width, dual=dual, clip=clip)


@dataclass(frozen=True)
class Setting:
    """What of the presets depends on the noise of the measurement; standard deviations are of 255.

    :param tuple fast: first and last ``g`` of :func:`fast`.
    :param tuple fast_widths: its first and last kernel width.
    :param float fast_final: level of its last denoising.
    :param tuple opening: first and last ``g`` of the mean-shift phase of :func:`annealed` and :func:`best`.
    :param tuple closing: first and last ``g`` of their gradient phase.
    :param tuple closing_widths: its first and last kernel width.
    :param float final: level of their last denoising.
    :param tuple fast_motion: step, first and last momentum of :func:`fast`.
    :param tuple opening_motion: step, first and last momentum of the mean-shift phase.
    :param tuple closing_motion: first and last step, first and last momentum of the gradient phase.
    """

    fast: tuple[float, float]
    fast_widths: tuple[float, float]
    fast_final: float
    opening: tuple[float, float]
    closing: tuple[float, float]
    closing_widths: tuple[float, float]
    final: float
    fast_motion: tuple[float, float, float] = (1.0, 0.1, 0.6)
    opening_motion: tuple[float, float, float] = (1.3, 0.2, 0.6)
    closing_motion: tuple[float, float, float, float] = (0.9, 0.2, 0.6, 0.1)

    def between(self, other: Setting, share: float) -> Setting:
        """Every number geometrically between the two."""

        def mix(a: Any, b: Any) -> Any:
            if isinstance(a, tuple):
                return tuple(mix(p, q) for p, q in zip(a, b, strict=True))
            return a ** (1 - share) * b**share

        return Setting(*(mix(getattr(self, field.name), getattr(other, field.name)) for field in fields(Setting)))


#: Noise of the measurement (of 255) -> setting. Found on crops of training images of 160 to 208 pixels, smooth and
#: textured, under random motion kernels of 15 to 31 pixels, Gaussian and defocus blur, scored inside what is measured;
#: a few with twice the noise that was told. More weight forgives a measurement that is not as the model says, and makes
#: smooth images better and texture worse. More momentum at strong noise, or less weight at the end, draws streaks into
#: clouds.
SETTINGS = {
    2.55: Setting((2.0, 0.7), (140.0, 5.0), 3.5, (3.0, 1.5), (10.0, 3.75), (70.0, 7.0), 3.75),
    7.65: Setting(
        (1.0, 0.55), (140.0, 10.0), 9.0, (1.5, 1.0), (5.0, 3.75), (70.0, 9.0), 7.2, closing_motion=(0.9, 0.2, 0.3, 0.1)
    ),
    12.75: Setting(
        (0.9, 0.55),
        (140.0, 15.0),
        14.0,
        (1.0, 0.7),
        (4.0, 7.5),
        (70.0, 12.0),
        9.0,
        closing_motion=(0.9, 0.2, 0.05, 0.05),
    ),
}
#: Detail comes from the prior alone: a wider kernel at first and long steps to the end, found on reduced images. Steps
#: stay well below ``2 (1 + m) / (1 + 2 m)`` with momentum ``m``: there what the network takes away whole and the data
#: do not see (stripes of a pixel) begins to grow.
NOISE_FREE = Setting(
    fast=(1.0, 0.3),
    fast_widths=(70.0, 5.0),
    fast_final=3.0,
    opening=(3.0, 1.5),
    closing=(4.0, 1.2),
    closing_widths=(100.0, 4.0),
    final=3.0,
    fast_motion=(0.8, 0.5, 0.5),
    opening_motion=(1.3, 0.3, 0.3),
    closing_motion=(0.9, 0.4, 0.7, 0.3),
)


def setting(sigma: float) -> Setting:
    """The setting for noise ``s_d``, images in [0, 1]: geometric between the levels of :data:`SETTINGS`, those at the
    ends beyond; :data:`NOISE_FREE` for 0."""
    if sigma == 0:
        return NOISE_FREE
    noise = min(max(255 * sigma, min(SETTINGS)), max(SETTINGS))
    low = max(level for level in SETTINGS if level <= noise)
    high = min(level for level in SETTINGS if level >= noise)
    if low == high:
        return SETTINGS[low]
    return SETTINGS[low].between(SETTINGS[high], math.log(noise / low) / math.log(high / low))


#: Iterations of the phases of :func:`annealed`, of a noisy and of a noise-free measurement: those of :func:`fast`, the
#: other mean-shift steps, and the gradient.
ITERATIONS, NOISE_FREE_ITERATIONS = (8, 10, 18), (0, 3, 37)
#: Gradient phases of :func:`best`.
SWEEPS = 3
#: Iterates at the end of a gradient phase that are averaged, and for how many of them that of :func:`fast` counts. On
#: training crops the mean is better than the gradient phases alone by up to 0.9 dB in smooth ones, and by 0.06 under
#: hard kernels.
AVERAGED, FAST_COUNTS = 6, 3.0


def annealed(sigma: float = 0.0, iterations: int | None = None) -> Schedule:
    """Proximal momentum with a kernel width that falls: wide finds the basin, narrow keeps texture.

    First the plain mean-shift steps of :func:`fast`, then such steps with more weight from a wide kernel again, which
    find a better start and which cost a third of a gradient, and from a wide kernel once more the gradient of the
    energy. The first and the last err differently: mean-shift steps take texture away, the gradient draws some where
    there is none. Of a noisy measurement the result is the mean of both, denoised once; of a noise-free one, that of
    the gradient alone, and left as the data have it.

    :param float sigma: noise of the measurement, ``s_d``; images in [0, 1].
    :param int iterations: of all phases together; default 36, and 40 for a noise-free measurement.
    """
    return _annealed(sigma, 1, iterations)


def best(sigma: float = 0.0, iterations: int | None = None) -> Schedule:
    """:func:`annealed` with three gradient phases, each from a wide kernel again; their last iterates are averaged.

    As good as the mean of three results of :func:`annealed` with different noise.

    :param float sigma: noise of the measurement, ``s_d``; images in [0, 1].
    :param int iterations: of all phases together; default 72, and 114 for a noise-free measurement.
    """
    return _annealed(sigma, SWEEPS, iterations)


def _annealed(sigma: float, sweeps: int, iterations: int | None) -> Schedule:
    """The phases, ``sweeps`` of them by the gradient, all shortened or lengthened alike to ``iterations``."""
    first, opening, closing = ITERATIONS if sigma > 0 else NOISE_FREE_ITERATIONS
    length = first + opening + sweeps * closing
    iterations = length if iterations is None else iterations
    first, opening = (iterations * n // length for n in (first, opening))
    rest = iterations - first - opening
    closings = [rest // sweeps + (k < rest % sweeps) for k in range(sweeps)]
    chosen = setting(sigma)
    phases = [
        Phase(
            count,
            _of_255(*chosen.closing_widths),
            chosen.closing,
            chosen.closing_motion[:2],
            chosen.closing_motion[2:],
            gradient=True,
            averaged=AVERAGED,
            joined=first > 0 or k > 0,
        )
        for k, count in enumerate(closings)
    ]
    begin = replace(_fast(first, chosen), counts=FAST_COUNTS), replace(_opening(opening, chosen), joined=first > 0)
    final_width = chosen.final / 255 if sigma > 0 else None
    return sequence(*begin, *phases, final_width=final_width, clip=sigma == 0)


def forgiving(sigma: float) -> Schedule:
    """The second phase of :func:`annealed` alone, which has so much weight that the noise need not be known well."""
    return sequence(_opening(ITERATIONS[1], setting(sigma)))


def _opening(iterations: int, chosen: Setting) -> Phase:
    phase = _mean_shift(iterations, (70.0, 20.0), chosen.opening, chosen.opening_motion)
    return replace(phase, averaged=0)


def fast(sigma: float = 0.0, iterations: int = 8) -> Schedule:
    """Mean-shift steps alone, without Jacobian and noise: as fast as plug-and-play with as many evaluations.

    With a dual variable for a noise-free measurement, which can be trusted that much.

    :param float sigma: noise of the measurement, ``s_d``; images in [0, 1].
    """
    chosen = setting(sigma)
    final_width = chosen.fast_final / 255 if sigma > 0 else None
    return sequence(_fast(iterations, chosen), final_width=final_width, dual=sigma == 0, clip=sigma == 0)


def _fast(iterations: int, chosen: Setting) -> Phase:
    return _mean_shift(iterations, chosen.fast_widths, chosen.fast, chosen.fast_motion)


def _mean_shift(
    iterations: int, widths: tuple[float, float], weights: tuple[float, float], motion: tuple[float, float, float]
) -> Phase:
    """Plain mean-shift steps; widths of 255, and step, first and last momentum."""
    step, first, last = motion
    return Phase(iterations, _of_255(*widths), weights, (step, step), (first, last), gradient=False)


def denoising(sigma: float) -> Schedule:
    """A measurement that is the image itself with noise: one mean-shift step of the width of that noise.

    By eq. 6 it ends at the posterior mean, the best estimate there is in mean square, so there is nothing to iterate.

    :param float sigma: noise of the measurement, ``s_d`` > 0; images in [0, 1].
    """
    once = (1.0,)
    return Schedule((sigma,), once, (0.0,), once, (0.0,), once, noise=(0.0,), jacobian=(0.0,))


#: Kernel width that holes are filled with, first and last, of 255: wide bridges large ones, then it stays.
HOLES = (70.0, 24.0)
#: Iterations after which the holes are filled, and what follows differs by the network's whims.
FILLED = 14


def missing_pixels(sigma: float = 0.0, iterations: int = 30) -> Schedule:
    """A measurement of single pixels: mean-shift steps with a dual variable, the later iterates averaged.

    Pixels that are held teach the others little, for the network takes them for noisy and smooths them away. The dual
    variable exaggerates them until they come out of the network as they were measured. The width stays above twice the
    noise, half of which a last denoising takes away.

    :param float sigma: noise of the measurement, ``s_d``; images in [0, 1].
    :param int iterations: of them, a third with a falling kernel width.
    """
    fall = iterations // 3
    first, last = (max(width / 255, 2 * sigma) for width in HOLES)
    phase = Phase(fall, (first, last), (2.0, 2.0), (1.0, 1.0), (0.0, 0.0), gradient=False)
    stay = replace(phase, iterations=iterations - fall, widths=(last, last), averaged=max(1, iterations - FILLED))
    return sequence(phase, stay, final_width=sigma / 2 if sigma > 0 else None, dual=True)


def fixed_width(width: float = PAPER_WIDTH, iterations: int = 60) -> Schedule:
    """Proximal momentum for a denoiser of one level: the paper's width and prior weight throughout."""
    weight = 4 * PAPER_GAMMA
    return sequence(
        Phase(iterations, (width, width), (weight, weight), (0.5, 0.5), (0.7, 0.7), gradient=True, averaged=8)
    )


def _of_255(*values: float) -> tuple[float, float]:
    first, last = (value / 255 for value in values)
    return first, last


def default(sigma: float, trained_width: float | None = None, iterations: int | None = None) -> Schedule:
    """What one-line solvers use: :func:`annealed`, or :func:`fixed_width` for a denoiser of one level.

    :param float sigma: noise of the measurement, ``s_d``; 0: noise-free.
    :param float trained_width: the one level that the denoiser is trained for; ``None``: it is told the level.
    :param int iterations: default the preset's.
    """
    length: dict[str, Any] = {} if iterations is None else {"iterations": iterations}
    return annealed(sigma, **length) if trained_width is None else fixed_width(trained_width, **length)


def _linear(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(first + (last - first) * k / max(1, count - 1) for k in range(count))


def _geometric(first: float, last: float, count: int) -> tuple[float, ...]:
    if count == 1:
        return (last,)
    return tuple(first * (last / first) ** (k / (count - 1)) for k in range(count))
