"""Least squares for a nonlinear, differentiable physics, by Gauss-Newton steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from deepinv.physics import Physics
from torch import Tensor

from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.linear_algebra.conjugate_gradients import conjugate_gradients
from daep_deepinv.linear_algebra.squares import squares
from daep_deepinv.operators.cost import is_costly
from daep_deepinv.operators.linearized import backward, derivatives, period_of

__all__ = ["NonlinearL2", "gauss_newton", "residual_of"]

#: Gauss-Newton steps of a proximal step, and conjugate gradient iterations of each. The next proximal step continues
#: from nearly the same image, so they need not converge.
STEPS, INNER = 1, 8
#: Conjugate gradient iterations for an operator of which one evaluation is costly.
COSTLY_INNER = 2
#: A step is halved at most this often; a step that lowers the objective less than that is not taken.
HALVINGS = 6
#: An image for which a step lowers the objective by less than this share stays as it is.
LEAST_FALL = 1e-4
#: Relative residual at which the inner iterations stop.
INNER_TOLERANCE = 1e-2


class NonlinearL2(PerImageL2):
    r"""``1/(2 sigma^2) ||A(x) - y||^2`` for any ``A`` that can be differentiated; one proximal step an image.

    The proximal step is that of Gauss-Newton: ``A`` is replaced by its derivative at the point, and the least squares
    problem that results is solved by conjugate gradients. Where a step does not lower

    .. math:: \tfrac{\gamma}{2\sigma^2} \|A(v) - y\|^2 + \tfrac12 \|v - x\|^2

    for an image, it is halved for this image. Measured values with a period ``t`` (spatial unwrapping) are compared
    modulo ``t``.

    :param float sigma: standard deviation of the noise.
    """

    def fn(self, x: Tensor, y: Any, physics: Physics, *args: Any, **kwargs: Any) -> Tensor:
        """The value, (B,)."""
        return 0.5 * self.norm * squares(residual_of(physics, x, y))

    def grad(self, x: Tensor, y: Any, physics: Physics, *args: Any, **kwargs: Any) -> Tensor:
        """``1 / sigma^2 J^T (A(x) - y)``."""
        return self.norm * backward(physics, x, residual_of(physics, x, y))

    def prox(
        self, x: Tensor, y: Any, physics: Physics, *args: Any, gamma: float | Tensor = 1.0, **kwargs: Any
    ) -> Tensor:
        """See above; ``gamma`` a number or (B, 1, 1, 1)."""
        if isinstance(gamma, float) and gamma == 0:
            return x
        return gauss_newton(x, y, physics, self.norm * gamma, STEPS)

    def squared_residual(self, x: Tensor, y: Any, physics: Physics) -> Tensor:
        """``||A(x) - y||^2`` of each image, (B,), without a graph."""
        with torch.no_grad():
            return squares(residual_of(physics, x, y))


def gauss_newton(x: Tensor, y: Any, physics: Physics, weight: float | Tensor, steps: int) -> Tensor:
    """Lower ``weight / 2 ||A(v) - y||^2 + 1/2 ||v - x||^2`` from ``v = x``, each image by itself.

    :param torch.Tensor x: images (B, ...).
    :param weight: a number or (B, 1, ...).
    :param int steps: number of Gauss-Newton steps.
    """
    v, one_each = x, (-1, *[1] * (x.ndim - 1))
    weight = torch.as_tensor(weight, dtype=x.dtype, device=x.device).expand(x.shape[0], *[1] * (x.ndim - 1))

    def objective(image: Tensor, residual: Any) -> Tensor:
        value = weight.flatten() * squares(residual) + (image - x).flatten(1).square().sum(1)
        return torch.where(value.isfinite(), value, torch.inf)

    inner = COSTLY_INNER if is_costly(physics, x) else INNER
    residual = residual_of(physics, v, y)
    value = objective(v, residual)
    falling = torch.ones_like(value, dtype=torch.bool)
    for step in range(steps):
        if step:
            residual = residual_of(physics, v, y)
        push, pull = derivatives(physics, v)
        down = -(pull(residual) + (v - x) / weight).nan_to_num(0.0, 0.0, 0.0)
        normal = partial(_normal, push, pull, weight)
        direction = conjugate_gradients(normal, down, INNER_TOLERANCE * down.flatten(1).norm(dim=1), inner)
        length, before = torch.ones_like(value), value
        waiting = falling & (direction.flatten(1).abs().amax(1) > 0)
        for _ in range(HALVINGS):
            tried = torch.where(waiting.view(one_each), v + length.view(one_each) * direction, v)
            new = objective(tried, residual_of(physics, tried, y))
            better = waiting & (new < value)
            v, value = torch.where(better.view(one_each), tried, v), torch.where(better, new, value)
            waiting = waiting & ~better
            if not bool(waiting.any()):
                break
            length = length / 2
        falling = falling & (value < (1 - LEAST_FALL) * before)
        if not bool(falling.any()):
            break
    return v


def _normal(push: Callable[[Tensor], Any], pull: Callable[[Any], Tensor], weight: Tensor, d: Tensor) -> Tensor:
    """``(J^T J + 1 / weight) d``."""
    return pull(push(d)).nan_to_num(0.0, 0.0, 0.0) + d / weight


def residual_of(physics: Physics, x: Tensor, y: Any) -> Any:
    """``A(x) - y``; for values with a period the nearest to 0."""
    residual = physics.A(x) - y
    period = period_of(physics)
    return residual if period is None else residual - period * torch.round(residual / period)
