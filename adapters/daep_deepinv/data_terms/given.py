"""A data fidelity of deepinv's that the caller gives, as a data term of the solver."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from deepinv.optim.data_fidelity import L1, L2, DataFidelity, ItohFidelity, LogPoissonLikelihood, PoissonLikelihood
from deepinv.physics import Denoising, LinearPhysics, Physics
from torch import Tensor

from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.data_terms.newton import absolute_slopes, newton_prox, poisson_slopes, slopes_by_autograd
from daep_deepinv.data_terms.nonlinear import residual_of
from daep_deepinv.linear_algebra.squares import squares
from daep_deepinv.view import View

__all__ = ["GivenDataTerm", "check_fidelity"]


def check_fidelity(fidelity: Any) -> None:
    """Refuse anything but deepinv's data fidelities.

    :raises TypeError: another object.
    """
    if fidelity is not None and not isinstance(fidelity, DataFidelity):
        got = f"the class {fidelity.__name__}" if isinstance(fidelity, type) else type(fidelity).__name__
        raise TypeError(f"data_fidelity: got {got}; expected an object of deepinv.optim.DataFidelity, such as L1().")


@dataclass(frozen=True)
class OfLevel:
    """A data fidelity, and the noise level that its weight is for, in the units of the measurement."""

    fidelity: DataFidelity
    level: float


class GivenDataTerm(PerImageL2):
    """``weight f(Kx, y)`` for any :class:`deepinv.optim.DataFidelity` ``f``.

    The weight is 1, so ``f`` is the negative logarithm of the likelihood, except for ``L1`` (``sqrt(2) / sigma``,
    Laplacian noise of the standard deviation ``sigma``) and for an ``L2`` without a noise level of its own
    (``1 / sigma^2``). The solver works on
    ``v = (x - offset) / scale``; ``f`` sees ``x`` and the measurement as it was given.

    :param given: ``f``, perhaps with the noise level of its weight.
    :param View view: the images in the units of the solver.
    :param float sigma: noise level, in these units; that of the weight if ``given`` has none.
    """

    def __init__(self, given: DataFidelity | OfLevel, view: View, sigma: float):
        super().__init__(sigma)
        fidelity = given.fidelity if isinstance(given, OfLevel) else given
        level = given.level if isinstance(given, OfLevel) else sigma * view.range.scale
        self.fidelity, self._view = fidelity, view
        unweighted = isinstance(fidelity, L2) and float(fidelity.norm) == 1
        self.weight = math.sqrt(2) / level if isinstance(fidelity, L1) else 1 / level**2 if unweighted else 1.0
        self._y = view.measurement_in_image_units()

    def fn(self, x: Tensor, y: Any, physics: Physics, *args: Any, **kwargs: Any) -> Tensor:
        """The value, (B,)."""
        value: Tensor = self.weight * self.fidelity.fn(self._view.in_image_units(x), self._y, physics)
        return value

    def grad(self, x: Tensor, y: Any, physics: Physics, *args: Any, **kwargs: Any) -> Tensor:
        """The gradient in the units of the solver."""
        factor = self.weight * self._view.range.scale
        gradient: Tensor = factor * self.fidelity.grad(self._view.in_image_units(x), self._y, physics)
        return gradient

    def prox(
        self, x: Tensor, y: Any, physics: Physics, *args: Any, gamma: float | Tensor = 1.0, **kwargs: Any
    ) -> Tensor:
        """The proximal step in the units of the solver."""
        if isinstance(gamma, float) and gamma == 0:
            return x
        step = gamma * self.weight * self._view.range.scale**2
        return self._view.in_solver_units(self._prox(self._view.in_image_units(x), physics, step))

    def squared_residual(self, x: Tensor, y: Any, physics: Physics) -> Tensor:
        """``||Ax - y||^2`` of each image, (B,), without a graph."""
        if isinstance(physics, LinearPhysics):
            return super().squared_residual(x, y, physics)
        with torch.no_grad():
            return squares(residual_of(physics, x, y))

    def _prox(self, x: Tensor, physics: Physics, step: float | Tensor) -> Tensor:
        """The proximal step in image units. deepinv's own of ``L1`` ignores the step, its gradient descent for the
        Poisson likelihoods diverges: these are ours. That of ``ItohFidelity`` takes ``2 / (step norm)`` for the step,
        ignores its noise level, and multiplies the mean of the image by the step."""
        y, fidelity = self._y, self.fidelity
        if isinstance(fidelity, ItohFidelity):
            mean = x.mean((-2, -1), keepdim=True)
            centred: Tensor = fidelity.prox(x - mean, y, physics, gamma=2 / (step * float(fidelity.norm)))
            return centred + mean
        if isinstance(y, Tensor) and isinstance(physics, LinearPhysics):
            distance = fidelity.d

            def value(z: Tensor) -> Tensor:
                total: Tensor = distance.fn(z, y)
                return total

            if isinstance(fidelity, L1):
                known = 1 if self._view.used.unknown is None else (~self._view.used.unknown).to(x)
                if isinstance(physics, Denoising):
                    return y + F.relu((x - y).abs() - step * known) * (x - y).sign()

                def slopes_of_known(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
                    first, curvature = absolute_slopes(z, y)
                    return known * first, known * curvature

                return newton_prox(x, y, physics, step, slopes_of_known, lambda z: value(y + known * (z - y)))
            if isinstance(fidelity, PoissonLikelihood):
                gain, background = float(distance.gain), float(distance.bkg)
                slopes, feasible = poisson_slopes(gain, background, bool(distance.denormalize))
                return newton_prox(x, y, physics, step, slopes, lambda z: _poisson(distance, z, y), feasible)
            if isinstance(fidelity, LogPoissonLikelihood):
                return newton_prox(x, y, physics, step, slopes_by_autograd(distance), value)
        moved: Tensor = fidelity.prox(x, y, physics, gamma=step)
        return moved


def _poisson(distance: Any, z: Tensor, y: Tensor) -> Tensor:
    """The negative logarithm of the Poisson likelihood of each image. deepinv's adds those of the whole batch."""
    counts = y / distance.gain if distance.denormalize else y
    rate = z / distance.gain + distance.bkg
    return (rate - counts * rate.log()).flatten(1).sum(1)
