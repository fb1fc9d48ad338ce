"""Weighted least squares for a measurement of which some values are unknown or clipped."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.fourier_blur import FourierBlur
from daep_deepinv.data_terms.weighted import WeightedL2
from daep_deepinv.used_values import UsedValues

__all__ = ["PartialL2"]


class PartialL2(WeightedL2):
    r""":math:`\frac12 \sum_i (Kx - y)_i^2 / v_i` over the values that are used.

    A clipped value counts only where ``Kx`` is on the wrong side of it: below a saturated value, above one at the black
    level. The proximal step decides that at the point from which it starts, and again at its result.

    :param torch.Tensor variance: :math:`v`, as ``y``.
    :param UsedValues used: the values that are unknown or clipped.
    """

    def __init__(self, variance: Tensor, used: UsedValues):
        known = variance if used.unknown is None else variance.masked_fill(used.unknown, torch.inf)
        super().__init__(known)
        self._used, self._all = used, self.weights
        self._one_level = bool(variance.amin() == variance.amax())

    def fn(self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Tensor:
        """The value, (B,)."""
        self._choose(x, y, physics)
        return super().fn(x, y, physics)

    def grad(self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Tensor:
        """See :meth:`deepinv.optim.L2.grad`."""
        self._choose(x, y, physics)
        return super().grad(x, y, physics)

    def prox(
        self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, gamma: float | Tensor = 1.0, **kwargs: Any
    ) -> Tensor:
        """See :meth:`deepinv.optim.L2.prox`."""
        if not self._choose(x, y, physics):
            return self._step(x, y, physics, gamma)
        moved = self._step(x, y, physics, gamma)
        return self._step(x, y, physics, gamma) if self._choose(moved, y, physics) else moved

    def _step(self, x: Tensor, y: Any, physics: LinearPhysics, gamma: float | Tensor) -> Tensor:
        """The proximal step with the present weights."""
        if (isinstance(gamma, float) and gamma == 0) or not (self._one_level and FourierBlur.handles(physics, x, y)):
            return super().prox(x, y, physics, gamma=gamma)
        tolerance, iterations = float(physics.tol), int(physics.max_iter)
        return self._blur(physics, x, y).prox(x, self.norm * gamma, tolerance, iterations, self.weights == 0)

    def squared_residual(self, x: Tensor, y: Any, physics: LinearPhysics) -> Tensor:
        """``||Kx - y||^2`` of each image over the values that count, (B,), without a graph."""
        with torch.no_grad():
            self._choose(x, y, physics)
            residual = torch.where(self.weights > 0, self._products(physics, x, y)[0](x) - y, 0)
        return residual.square().flatten(1).sum(1)

    def _choose(self, x: Tensor, y: Tensor, physics: LinearPhysics) -> bool:
        """Weights of 0 for the clipped values that ``x`` explains. Whether there are clipped values whose weight
        changed."""
        above, below = self._used.at_least, self._used.at_most
        if above is None and below is None:
            return False
        residual = self._products(physics, x, y)[0](x) - y
        explained = torch.zeros_like(residual, dtype=torch.bool)
        if above is not None:
            explained |= above & (residual > 0)
        if below is not None:
            explained |= below & (residual < 0)
        before, self.weights = self.weights, self._all.masked_fill(explained, 0)
        return not bool(torch.equal(before, self.weights))
