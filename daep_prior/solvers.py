"""One iteration of each solver, as a pure function of its state. All tensors are (B, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from daep_prior.images import IMAGE_RANGE, one_per_image

__all__ = ["Bounds", "MomentumState", "clipped", "heavy_ball_step", "proximal_momentum_step", "running_mean"]

Map = Callable[[Tensor], Tensor]
Number = float | Tensor
#: Lower and upper limit of the values of an image; ``None``: no limit.
Bounds = tuple[float | None, float | None]


class MomentumState(NamedTuple):
    """State of both solvers. A tensor of each is (B, C, H, W).

    :param torch.Tensor x: the iterate.
    :param torch.Tensor mean: running mean of the iterates, the output.
    :param torch.Tensor previous: where the velocity points from: the iterate before (proximal momentum), or ``x - v``
        for a velocity ``v`` (heavy ball).
    :param torch.Tensor dual: scaled dual variable of proximal momentum; ``None``: there is none.
    """

    x: Tensor
    mean: Tensor
    previous: Tensor
    dual: Tensor | None = None

    @classmethod
    def at_rest(cls, x: Tensor, dual: bool = False) -> MomentumState:
        """The state at ``x`` without velocity, with a zero dual variable if there is one."""
        return cls(x, x, x, torch.zeros_like(x) if dual else None)

    def keep(self, finished: Tensor, before: MomentumState) -> MomentumState:
        """This state, but the one ``before`` for the images that are ``finished`` (B,)."""
        where = one_per_image(finished, self.x)
        x, mean, previous = (torch.where(where, old, new) for old, new in zip(before[:3], self[:3], strict=True))
        dual = self.dual if self.dual is None or before.dual is None else torch.where(where, before.dual, self.dual)
        return MomentumState(x, mean, previous, dual)


def heavy_ball_step(
    state: MomentumState,
    gradient: Map,
    step: Number,
    momentum: Number,
    *,
    average: Number = 1.0,
    bounds: Bounds | None = IMAGE_RANGE,
) -> MomentumState:
    """Heavy-ball gradient descent with clipping (Bigdeli and Zwicker, section 4).

    ``v <- momentum v - step gradient(x)``, ``x <- clip(x + v)``. Clipping the image leaves the velocity as it is.

    :param MomentumState state: ``previous`` is ``x - v``.
    :param Callable gradient: gradient of the objective, images to images.
    :param float, torch.Tensor step: step length; a number, or a tensor that broadcasts.
    :param float, torch.Tensor momentum: weight of the velocity, in [0, 1).
    :param float, torch.Tensor average: weight of the new iterate in the running mean.
    :param tuple bounds: the images are clipped to these; ``None``, also as one of the two: not clipped.
    """
    velocity = momentum * (state.x - state.previous) - step * gradient(state.x)
    x = clipped(state.x + velocity, bounds)
    return MomentumState(x, running_mean(state.mean, x, average), x - velocity)


def proximal_momentum_step(
    state: MomentumState,
    gradient: Map,
    data_prox: Map,
    step: Number,
    momentum: Number,
    *,
    average: Number = 1.0,
    bounds: Bounds | None = IMAGE_RANGE,
) -> MomentumState:
    r"""A gradient step on the prior from an extrapolated point, then a proximal step on the data term.

    ``z = x + dual + momentum (x - previous)``, ``v = z - step gradient(z)``, ``x <- clip(data_prox(v - dual))``,
    ``dual <- dual + x - v``.

    Without a dual variable this is FISTA (Beck and Teboulle 2009) with the roles of prior and data exchanged. With one,
    ``momentum = 0`` and a denoiser in place of the gradient step, it is ADMM (Boyd et al. 2011, section 3.1.1): the
    dual variable adds back what the prior removes, so that the data are met exactly.

    :param MomentumState state: with a dual variable, or without.
    :param Callable gradient: gradient of the prior's energy, images to images.
    :param Callable data_prox: proximal operator of the weighted data term, images to images.
    :param float, torch.Tensor step: step length; a number, or a tensor that broadcasts.
    :param float, torch.Tensor momentum: in [0, 1); a number, or a tensor that broadcasts.
    :param float, torch.Tensor average: weight of the new iterate in the running mean.
    :param tuple bounds: the images are clipped to these; ``None``, also as one of the two: not clipped.
    """
    x, dual = state.x, state.dual
    z = x + momentum * (x - state.previous)
    if dual is not None:
        z = z + dual
    v = z - step * gradient(z)
    moved = data_prox(v if dual is None else v - dual)
    if dual is not None:
        dual = dual + moved - v
    moved = clipped(moved, bounds)
    return MomentumState(moved, running_mean(state.mean, moved, average), x, dual)


def running_mean(mean: Tensor, x: Tensor, weight: Number) -> Tensor:
    """The running mean after the iterate ``x`` of that weight. 1: ``x`` itself; 0: ``mean`` as it was."""
    return x if isinstance(weight, float) and weight == 1 else mean + weight * (x - mean)


def clipped(x: Tensor, bounds: Bounds | None) -> Tensor:
    """``x`` within the bounds."""
    return x if bounds is None or bounds == (None, None) else x.clamp(*bounds)
