"""``Schedule``: the numbers of every iteration of a solver, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from daep_prior.notebook import span, sparkline, table

__all__ = ["HEAVY_BALL", "PROXIMAL", "SMALLEST_NOISE", "Schedule", "Solver"]

Solver = Literal["proximal", "heavy-ball"]
PROXIMAL: Solver = "proximal"
HEAVY_BALL: Solver = "heavy-ball"
#: Noise level that a noise-free measurement is restored with: slightly more than the rounding of 8-bit files. It keeps
#: every formula well conditioned.
SMALLEST_NOISE = 1 / 255


@dataclass(frozen=True, repr=False)
class Schedule:
    """One value an iteration of everything a solver needs. All tuples have the same length.

    Noise levels and kernel widths are standard deviations, images in [0, 1].

    :param tuple kernel_width: ``s``, standard deviation of the smoothing kernel and of the noise of eq. 8.
    :param tuple prior_weight: ``lambda``, factor of the energy.
    :param tuple data_weight: factor of the data term ``1/(2 s_d^2) ||Kx - y||^2``.
    :param tuple step: step of the gradient (heavy ball), or relative step ``t`` (proximal momentum).
    :param tuple momentum: weight of the velocity.
    :param tuple average: weight of the newest iterate in the running mean; 1: the mean restarts, 0: left out.
    :param tuple noise: factor on the noise of eq. 8; 1: as in the paper. Default: all 1.
    :param tuple jacobian: 1: the gradient of the energy; 0: the mean-shift vector, without the Jacobian (DMSP), at half
        the cost. Default: all 1.
    :param tuple flip: how the image is mirrored before the network sees it, and its output mirrored back: 1: left to
        right, 2: top to bottom, 3: both, 0: not. Errors of the network that depend on orientation then cancel over the
        iterations (Terris, Moreau, Pustelnik, Tachella, *Equivariant Plug-and-Play Image Reconstruction*, CVPR 2024).
        Default: all 0.
    :param float final_width: noise level at which the result is denoised once at the end, which removes what is left of
        the noise of eq. 8; ``None``: not denoised.
    :param bool dual: with the dual variable of :func:`daep_prior.solvers.proximal_momentum_step`.
    :param bool clip: clip every iterate to the image range, and not the result alone. It helps where the prior adds
        detail. At wide kernels it lightens dark regions, because the positive half of the noise stays.
    :param str solver: ``"proximal"``: proximal momentum; ``"heavy-ball"``: gradient descent with momentum.
    :param bool measured_only: apply the prior's gradient only to pixels that the measurement sees, as the paper does on
        the border of a ``valid`` blur.
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
    solver: Solver = PROXIMAL
    measured_only: bool = False

    def __post_init__(self) -> None:
        for name, value in (("noise", 1.0), ("jacobian", 1.0), ("flip", 0)):
            if not getattr(self, name):
                object.__setattr__(self, name, (value,) * len(self.step))
        lengths = {name: len(values) for name, values in self.columns().items()}
        if len(set(lengths.values())) != 1 or not self.step:
            raise ValueError(f"a schedule needs one value an iteration of everything; got lengths {lengths}.")
        self._check_columns()
        if self.final_width is not None and not 0 < self.final_width < math.inf:
            raise ValueError(f"final_width: got {self.final_width}; expected a positive number, or None.")
        if self.solver not in (PROXIMAL, HEAVY_BALL):
            raise ValueError(f"solver: got {self.solver!r}; expected {PROXIMAL!r} or {HEAVY_BALL!r}.")
        if self.solver == HEAVY_BALL and (self.dual or any(self.flip)):
            raise ValueError("dual, flip: the heavy-ball solver has neither; expected False and all 0.")

    def _check_columns(self) -> None:
        for name, values in self.columns().items():
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

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}={span(values)}" for name, values in self.columns().items())
        switches = (", dual" if self.dual else "") + ("" if self.clip else ", clip=False")
        final = f"final_width={self._final_text()}"
        return f"Schedule({self.solver}, {len(self)} iterations: {columns}, {final}{switches})"

    def _repr_html_(self) -> str:
        rows = {name: (span(values, "→"), sparkline(values)) for name, values in self.columns().items()}
        rows["final_width"] = (self._final_text(), "")
        rows |= {name: (str(getattr(self, name)), "") for name in ("dual", "clip")}
        return table(f"Schedule of {len(self)} iterations, {self.solver} solver", rows)

    def _final_text(self) -> str:
        return "None" if self.final_width is None else f"{self.final_width:.4g}"

    def __len__(self) -> int:
        return len(self.step)

    def columns(self) -> dict[str, tuple[float, ...]]:
        """The fields with one value an iteration, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if "tuple" in str(field.type)}
