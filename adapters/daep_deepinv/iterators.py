"""The solvers as deepinv iterators, for deepinv's own optimizers: the paper's heavy ball, and proximal momentum.

The steps are those of :mod:`daep_prior.solvers`.
"""

from __future__ import annotations

from typing import Any

from deepinv.optim import DataFidelity
from deepinv.optim.optim_iterators import OptimIterator
from deepinv.optim.prior import Prior
from deepinv.physics import Physics
from torch import Tensor

from daep_deepinv.prior import DAEPrior
from daep_prior.images import IMAGE_RANGE, mirrored
from daep_prior.restoration import require_finite
from daep_prior.solvers import Map, MomentumState, heavy_ball_step, proximal_momentum_step

__all__ = ["HeavyBallIteration", "ProximalMomentumIteration"]

#: Momentum when the parameters contain none (deepinv's ``optim_builder``); the paper's.
DEFAULT_MOMENTUM = 0.9


class _MomentumIteration(OptimIterator):
    """What both iterators share.

    :param tuple bounds: iterates are clipped to these, in image units; ``None``: not clipped.
    :param bool dual: with a dual variable (proximal momentum alone).
    :param Callable cost_fn: see :class:`deepinv.optim.OptimIterator`.
    :param bool has_cost: whether the cost is computed at each iteration.
    :raises ValueError: ``g_first=True``; the order of the steps is part of the method.
    """

    def __init__(self, bounds: tuple[float, float] | None = IMAGE_RANGE, dual: bool = False, **kwargs: Any):
        if kwargs.pop("g_first", False):
            raise ValueError(f"g_first: {type(self).__name__} has a fixed order of steps; leave g_first=False.")
        kwargs.pop("bregman_potential", None)
        super().__init__(g_first=False, **kwargs)
        self.bounds, self.dual = bounds, dual

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

        def gradient(x: Tensor) -> Tensor:
            # only our own prior takes these two
            noise, jacobian = cur_params.get("noise", 1.0), cur_params.get("jacobian", 1.0)
            form = {} if noise == jacobian == 1 else {"noise_share": noise, "jacobian": bool(jacobian)}
            flip = int(cur_params.get("flip", 0))
            found: Tensor
            if isinstance(cur_prior, DAEPrior):  # it may know the place of a pixel: see ChannelTransform
                found = cur_prior.grad(x, cur_params["g_param"], flip=flip, **form)
            else:
                found = mirrored(cur_prior.grad(mirrored(x, flip), cur_params["g_param"], **form), flip)
            require_finite(found)
            return found

        def data_gradient(x: Tensor) -> Tensor:
            found: Tensor = cur_params.get("data_weight", 1.0) * cur_data_fidelity.grad(x, y, physics)
            return found

        def data_prox(v: Tensor) -> Tensor:
            gamma = cur_params.get("data_weight", 1.0) * cur_params["stepsize"] / cur_params["lambda"]
            moved: Tensor = cur_data_fidelity.prox(v, y, physics, gamma=gamma)
            return moved

        state = self._step(self._state(X["est"]), gradient, data_gradient, data_prox, cur_params)
        require_finite(state.x)
        cost = None
        if self.has_cost and self.cost_fn is not None and cur_data_fidelity is not None and cur_prior is not None:
            cost = self.cost_fn(state.x, cur_data_fidelity, cur_prior, cur_params, y, physics)
        return {"est": state, "cost": cost}

    def _state(self, est: Any) -> MomentumState:
        """The state in any of deepinv's forms: our own, after Anderson acceleration a list of it, or a start (x, z)."""
        if len(est) == len(MomentumState._fields):
            return MomentumState(*est)
        return MomentumState.at_rest(est[0], self.dual)._replace(previous=est[-1])

    def _step(
        self, state: MomentumState, gradient: Map, data_gradient: Map, data_prox: Map, params: dict[str, Any]
    ) -> MomentumState:
        raise NotImplementedError

    def _options(self, params: dict[str, Any]) -> dict[str, Any]:
        momentum, average = params.get("momentum", DEFAULT_MOMENTUM), params.get("average", 1.0)
        return {"step": params["stepsize"], "momentum": momentum, "average": average, "bounds": self.bounds}


class HeavyBallIteration(_MomentumIteration):
    r"""Heavy-ball gradient descent with clipping, the paper's solver.

    .. math::

        v_{k+1} &= \mu_k v_k - \gamma_k \left( c_k \nabla f(x_k) + \lambda_k \nabla R_s(x_k) \right) \\
        x_{k+1} &= \operatorname{clip}(x_k + v_{k+1})

    Parameters: ``stepsize`` :math:`\gamma`, ``lambda``, ``g_param`` (the kernel width), and optionally ``momentum``
    :math:`\mu` (0.9) and ``data_weight`` :math:`c` (1). ``est`` is a :class:`daep_prior.solvers.MomentumState`; the
    default start :math:`(x_0, x_0)` is at rest.
    """

    def _step(
        self, state: MomentumState, gradient: Map, data_gradient: Map, data_prox: Map, params: dict[str, Any]
    ) -> MomentumState:
        def objective(x: Tensor) -> Tensor:
            return params["lambda"] * gradient(x) + data_gradient(x)

        return heavy_ball_step(state, objective, **self._options(params))


class ProximalMomentumIteration(_MomentumIteration):
    r"""Proximal gradient with momentum: a stochastic gradient step on the prior, a proximal step on the data term.

    .. math::

        z_k &= x_k + \mu_k (x_k - x_{k-1}) \\
        x_{k+1} &= \operatorname{prox}_{(c_k t_k / \lambda_k) f} \left( z_k - t_k \nabla R_s(z_k) \right)

    Parameters as for :class:`HeavyBallIteration`, with ``stepsize`` the relative step :math:`t` (0.5); ``average``, the
    weight of the newest iterate in the running mean (1: none); and ``flip``. With :class:`DAEPrior` also ``noise`` and
    ``jacobian``, as in :class:`daep_prior.Schedule`.
    """

    def _step(
        self, state: MomentumState, gradient: Map, data_gradient: Map, data_prox: Map, params: dict[str, Any]
    ) -> MomentumState:
        return proximal_momentum_step(state, gradient, data_prox, **self._options(params))
