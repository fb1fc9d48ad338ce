"""What the solvers do at each iteration, as data: kernel width, prior weight, data weight, step, momentum, averaging.

Noise standard deviations are for images in [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from daep_prior import notebook

__all__ = ["Schedule", "annealed", "default", "fixed_width", "paper", "paper_sr"]

#: gamma of eq. 7 in the paper's experiments.
PAPER_GAMMA = 6.875
#: Standard deviation the paper's DAE is trained for, and so its kernel width.
PAPER_WIDTH = 25 / 255
PAPER_ITERATIONS = 300
PAPER_STEP = 0.1
PAPER_MOMENTUM = 0.9
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
    :param tuple average: weight of the newest iterate in the running output; 1 means no averaging.
    :param float final_width: level at which the result is denoised once at the end, which takes away what is left of
        the noise of eq. 8; ``None``: not at all.
    :raises ValueError: lengths differ, or a value is out of its range.
    """

    kernel_width: tuple[float, ...]
    prior_weight: tuple[float, ...]
    data_weight: tuple[float, ...]
    step: tuple[float, ...]
    momentum: tuple[float, ...]
    average: tuple[float, ...]
    final_width: float | None = None

    def __post_init__(self) -> None:
        columns = self.columns()
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) != 1 or not self.step:
            raise ValueError(f"a schedule needs one value an iteration of everything; got lengths {lengths}.")
        for name, values in columns.items():
            positive = name in ("kernel_width", "step", "average")
            for value in values:
                if not 0 <= value < math.inf or (positive and value == 0):
                    expected = "a positive number" if positive else "a number that is not negative"
                    raise ValueError(f"{name}: got {value}; expected {expected}.")
        if max(self.momentum) >= 1 or max(self.average) > 1:
            raise ValueError("momentum must stay below 1, average at or below 1.")
        if self.final_width is not None and not 0 < self.final_width < math.inf:
            raise ValueError(f"final_width: got {self.final_width}; expected a positive number, or None.")

    def __repr__(self) -> str:
        return notebook.schedule_text(self)

    def _repr_html_(self) -> str:
        return notebook.schedule_html(self)

    def __len__(self) -> int:
        return len(self.step)

    def columns(self) -> dict[str, tuple[float, ...]]:
        """What changes from iteration to iteration, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "final_width"}

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; :meth:`from_dict` reads it back."""
        return {**{name: list(values) for name, values in self.columns().items()}, "final_width": self.final_width}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Schedule:
        """The schedule that :meth:`to_dict` wrote."""
        columns = {k: tuple(float(v) for v in column) for k, column in values.items() if k != "final_width"}
        return cls(**columns, final_width=values.get("final_width"))


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


#: First and last ``g`` of :func:`annealed` at a noise of 2.55/255 and below, and at 7.65/255 and above. The first is
#: what forgives a measurement that is not as the model says (with 5 instead of 10, noise twice as strong as told costs
#: 5 dB more), but at higher noise it holds the data back; the last keeps texture. Found on crops of training images.
LOW_NOISE, LOW_NOISE_WEIGHTS = 2.55 / 255, (10.0, 2.5)
HIGH_NOISE, HIGH_NOISE_WEIGHTS = 7.65 / 255, (5.0, 3.0)


def annealed_weights(sigma: float) -> tuple[float, float]:
    """First and last ``g`` for a noise ``s_d``: geometric in between the two levels that were measured."""
    share = math.log(max(sigma, LOW_NOISE) / LOW_NOISE) / math.log(HIGH_NOISE / LOW_NOISE)
    share = min(1.0, share)
    first, last = (
        low ** (1 - share) * high**share for low, high in zip(LOW_NOISE_WEIGHTS, HIGH_NOISE_WEIGHTS, strict=True)
    )
    return first, last


def annealed(
    sigma: float = 0.0,
    iterations: int = 30,
    widths: tuple[float, float] = (49 / 255, 7 / 255),
    weights: tuple[float, float] | None = None,
    steps: tuple[float, float] = (0.9, 0.2),
    momentum: tuple[float, float] = (0.6, 0.1),
    averaged: int = 8,
    final_width: float | None = 4 / 255,
) -> Schedule:
    """Proximal momentum with a kernel width that falls geometrically: wide finds the basin, narrow keeps texture.

    ``lambda_k = g_k / (2 s_k^2)``; ``g`` and the step fall geometrically too. The last ``averaged`` iterates are
    averaged and
    the mean is denoised once at ``final_width``.

    :param float sigma: noise of the measurement, ``s_d``.
    :param tuple widths: first and last kernel width.
    :param tuple weights: first and last ``g``; default :func:`annealed_weights`.
    :param tuple steps: first and last relative step ``t``.
    :param tuple momentum: first and last, falling linearly: less of it averages less of the old noise in.
    """
    s = _geometric(*widths, iterations)
    g = _geometric(*(annealed_weights(sigma) if weights is None else weights), iterations)
    first = max(0, iterations - averaged)
    return Schedule(
        kernel_width=s,
        prior_weight=tuple(gk / (2 * sk**2) for gk, sk in zip(g, s, strict=True)),
        data_weight=(1.0,) * iterations,
        step=_geometric(*steps, iterations),
        momentum=_linear(*momentum, iterations),
        average=tuple(1.0 if k <= first else 1 / (k - first + 1) for k in range(iterations)),
        final_width=final_width,
    )


def fixed_width(width: float = PAPER_WIDTH, iterations: int = 60) -> Schedule:
    """Proximal momentum for a denoiser of one level: the paper's width and prior weight throughout."""
    weights = (4 * PAPER_GAMMA,) * 2
    widths, steps, momentum = (width, width), (0.5, 0.5), (0.7, 0.7)
    return annealed(0.0, iterations, widths, weights, steps, momentum, final_width=None)


def default(sigma: float, trained_width: float | None = None, iterations: int | None = None) -> Schedule:
    """What one-line solvers use: :func:`annealed`, or :func:`fixed_width` for a denoiser of one level.

    :param float sigma: noise of the measurement, ``s_d``; 0: noise-free.
    :param float trained_width: the one level that the denoiser is trained for; ``None``: it is told the level.
    :param int iterations: default the preset's.
    """
    length: dict[str, Any] = {} if iterations is None else {"iterations": iterations}
    if trained_width is not None:
        return fixed_width(trained_width, **length)
    # a noise-free measurement is to be kept as it is, which the last denoising would not: it costs 0.4 dB there
    final: dict[str, Any] = {"final_width": None} if sigma == 0 else {}
    return annealed(sigma, **final, **length)


def _linear(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(first + (last - first) * k / max(1, count - 1) for k in range(count))


def _geometric(first: float, last: float, count: int) -> tuple[float, ...]:
    if count == 1:
        return (last,)
    return tuple(first * (last / first) ** (k / (count - 1)) for k in range(count))
