"""The solvers as deepinv iterators: the paper's heavy ball, and proximal momentum."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.optim import DataFidelity
from deepinv.optim.optim_iterators import OptimIterator
from deepinv.optim.prior import Prior
from deepinv.physics import Physics
from torch import Tensor

from daep_deepinv.history import Monitor
from daep_prior.images import IMAGE_RANGE, mirrored
from daep_prior.solvers import heavy_ball_step, proximal_momentum_step, running_mean

__all__ = ["DivergenceError", "HeavyBallIteration", "ProximalMomentumIteration"]

#: Momentum when the solver's parameters hold none (deepinv's ``optim_builder``); the paper's.
DEFAULT_MOMENTUM = 0.9


class DivergenceError(FloatingPointError):
    """The iterates are no longer numbers; the message says what to change."""


def _require_finite(x: Tensor) -> None:
    # the sum of finite images is finite, and taken in one pass; on a GPU the check would wait for the device
    if x.device.type == "cpu" and not bool(x.sum(dtype=torch.float32).isfinite()):
        raise DivergenceError(
            "the iterates are no longer finite; lower stepsize, or raise the noise level sigma that the solver is told."
        )


class _MomentumIteration(OptimIterator):
    """What both iterators share.

    :param tuple bounds: iterates are clipped to these, in image units; ``None``: not clipped.
    :param Callable cost_fn: see :class:`deepinv.optim.OptimIterator`.
    :param bool has_cost: whether the cost is computed at each iteration.
    :raises ValueError: ``g_first=True``; the order of the steps is part of the method.
    """

    def __init__(self, bounds: tuple[float, float] | None = IMAGE_RANGE, **kwargs: Any):
        if kwargs.pop("g_first", False):
            raise ValueError(f"g_first: {type(self).__name__} has a fixed order of steps; leave g_first=False.")
        kwargs.pop("bregman_potential", None)
        super().__init__(g_first=False, **kwargs)
        self.bounds = bounds
        #: 1 where the prior acts and 0 where it does not, broadcastable to the image; ``None``: everywhere.
        self.support: Tensor | None = None
        #: Whether there is a dual variable; proximal momentum alone has it.
        self.dual = False
        #: What takes down the history and says which images are done; ``None``: nobody looks.
        self.monitor: Monitor | None = None

    def _prior_gradient(self, x: Tensor, prior: Prior, params: dict[str, Any]) -> Tensor:
        # only our own prior knows how to leave out noise or Jacobian
        noise, jacobian = params.get("noise", 1.0), params.get("jacobian", 1.0)
        form = {} if noise == jacobian == 1 else {"noise_share": noise, "jacobian": bool(jacobian)}
        flip = int(params.get("flip", 0))
        gradient: Tensor = mirrored(prior.grad(mirrored(x, flip), params["g_param"], **form), flip)
        _require_finite(gradient)  # clipping would turn an infinite step into an image
        return gradient if self.support is None else gradient * self.support

    def _finish(
        self,
        before: tuple[Tensor, ...],
        est: tuple[Tensor, ...],
        data_fidelity: Any,
        prior: Any,
        params: Any,
        y: Any,
        physics: Any,
    ) -> dict[str, Any]:
        _require_finite(est[0])
        if self.monitor is not None:
            est = self.monitor.keep_done(before, est)
        cost = energy = None
        if self.has_cost and self.cost_fn is not None and data_fidelity is not None and prior is not None:
            cost = self.cost_fn(est[0], data_fidelity, prior, params, y, physics)
            if prior.explicit_prior and params["lambda"] > 0:
                energy = (cost - data_fidelity(est[0], y, physics)) / params["lambda"]
        if self.monitor is not None:
            self.monitor.watch(est[0], before[0], energy)
        return {"est": est, "cost": cost}


class HeavyBallIteration(_MomentumIteration):
    r"""Heavy-ball gradient descent with clipping, the paper's solver.

    .. math::

        v_{k+1} &= \mu_k v_k - \gamma_k \left( c_k \nabla f(x_k) + \lambda_k \nabla R_s(x_k) \right) \\
        x_{k+1} &= \operatorname{clip}(x_k + v_{k+1})

    Parameters: ``stepsize`` :math:`\gamma`, ``lambda``, ``g_param`` (the kernel width), and optionally ``momentum``
    :math:`\mu` (0.9) and ``data_weight`` :math:`c` (1). ``est`` is :math:`(x, x - v)`, so that the default start
    :math:`(x_0, x_0)` is at rest.
    """

    def forward(
        self,
        X: dict[str, Any],
        cur_data_fidelity: DataFidelity,
        cur_prior: Prior,
        cur_params: dict[str, Any],
        y: Tensor,
        physics: Physics,
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """One iteration; see :class:`deepinv.optim.OptimIterator`."""
        x, origin = X["est"][0], X["est"][-1]
        gradient = cur_params["lambda"] * self._prior_gradient(x, cur_prior, cur_params)
        data_weight = cur_params.get("data_weight", 1.0)
        gradient = gradient + data_weight * cur_data_fidelity.grad(x, y, physics)
        momentum = cur_params.get("momentum", DEFAULT_MOMENTUM)
        est = heavy_ball_step(x, origin, gradient, cur_params["stepsize"], momentum, self.bounds)
        return self._finish(X["est"], est, cur_data_fidelity, cur_prior, cur_params, y, physics)


class ProximalMomentumIteration(_MomentumIteration):
    r"""Proximal gradient with momentum: a stochastic gradient step on the prior, a proximal step on the data term.

    .. math::

        z_k &= x_k + \mu_k (x_k - x_{k-1}) \\
        x_{k+1} &= \operatorname{prox}_{(c_k t_k / \lambda_k) f} \left( z_k - t_k \nabla R_s(z_k) \right)

    Parameters as for :class:`HeavyBallIteration`, with ``stepsize`` the relative step :math:`t` (0.5), and
    ``average``, the weight of the newest iterate in the running mean (1: none), and ``flip``. With :class:`DAEPrior`
    also ``noise`` and ``jacobian``, as in :class:`daep_prior.Schedule`. ``est`` is :math:`(x_k, \bar x_k, x_{k-1})`,
    and where ``dual`` is set also the dual variable of :func:`daep_prior.solvers.proximal_momentum_step`.
    """

    def forward(
        self,
        X: dict[str, Any],
        cur_data_fidelity: DataFidelity,
        cur_prior: Prior,
        cur_params: dict[str, Any],
        y: Tensor,
        physics: Physics,
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """One iteration; see :class:`deepinv.optim.OptimIterator`."""
        est = X["est"]
        x, mean, previous, *kept = est if len(est) > 2 else (est[0], est[0], est[-1])
        dual = (kept[0] if kept else torch.zeros_like(x)) if self.dual else None
        step, momentum = cur_params["stepsize"], cur_params.get("momentum", DEFAULT_MOMENTUM)
        gamma = cur_params.get("data_weight", 1.0) * step / cur_params["lambda"]
        moved, dual = proximal_momentum_step(
            x,
            previous,
            lambda z: self._prior_gradient(z, cur_prior, cur_params),
            lambda v: cur_data_fidelity.prox(v, y, physics, gamma=gamma),
            step,
            momentum,
            self.bounds,
            dual,
        )
        mean = running_mean(mean, moved, cur_params.get("average", 1.0))
        state = (moved, mean, x) if dual is None else (moved, mean, x, dual)
        return self._finish(est, state, cur_data_fidelity, cur_prior, cur_params, y, physics)
