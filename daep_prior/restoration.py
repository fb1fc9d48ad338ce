"""Proximal momentum as one loop without a toolkit: all it needs of the measurement is a proximal step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from daep_prior.images import IMAGE_RANGE, mirrored
from daep_prior.prior import MeanShiftPrior
from daep_prior.schedules import SMALLEST_NOISE, Schedule
from daep_prior.solvers import proximal_momentum_step, running_mean

__all__ = ["data_weight", "restore"]


def restore(
    data_prox: Callable[[Tensor, float], Tensor],
    start: Tensor,
    prior: MeanShiftPrior,
    schedule: Schedule,
    *,
    bounds: tuple[float, float] | None = IMAGE_RANGE,
    callback: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    r"""Restore an image: a stochastic gradient step on the prior, a proximal step on the data term, momentum.

    .. math::

        z_k &= x_k + \mu_k (x_k - x_{k-1}) \\
        x_{k+1} &= \operatorname{clip} \operatorname{prox}_{(c_k t_k / \lambda_k) f}
            \left( z_k - t_k \nabla R_{s_k}(z_k) \right)

    A schedule with ``dual`` adds the dual variable of :func:`daep_prior.solvers.proximal_momentum_step`. The result is
    the running mean of the last iterates, denoised once at the schedule's ``final_width``. The same arguments give the
    same image: the prior's noise starts again at each call.

    :param Callable data_prox: ``data_prox(v, gamma)`` returns ``argmin_x gamma f(x) + 1/2 ||x - v||^2`` for the data
        term ``f``, such as ``1/(2 s_d^2) ||Kx - y||^2``; images (B, C, H, W).
    :param torch.Tensor start: first images (B, C, H, W) in [0, 1]; never written to.
    :param MeanShiftPrior prior: with the denoiser and its noise.
    :param Schedule schedule: for proximal momentum, such as :func:`daep_prior.schedules.default`.
    :param tuple bounds: the start and the result are clipped to these, and the iterates of a schedule with ``clip``;
        ``None``: nothing is.
    :param Callable callback: called with the iteration, from 0, and the mean so far (B, C, H, W).
    :return: images (B, C, H, W).
    :raises ValueError: ``start`` is not a batch of finite images, or a prior weight is 0.
    :raises FloatingPointError: the iterates are no longer finite.
    """
    if start.ndim != 4 or not start.is_floating_point() or not bool(start.isfinite().all()):
        raise ValueError(
            f"start: got {start.dtype} of shape {tuple(start.shape)}; expected finite images (B, C, H, W) in [0, 1]."
        )
    if min(schedule.prior_weight) == 0:
        raise ValueError("schedule: a prior_weight is 0, which leaves the proximal step without a scale; give it > 0.")
    prior.reset()
    with torch.no_grad():
        x = previous = mean = start if bounds is None else start.clamp(*bounds)
        dual = torch.zeros_like(x) if schedule.dual else None
        limits = bounds if schedule.clip else None
        for k in range(len(schedule)):
            step = schedule.step[k]
            gradient = partial(_gradient, prior, schedule, k)
            gamma = schedule.data_weight[k] * step / schedule.prior_weight[k]
            prox = partial(_finite_prox, data_prox, gamma, k)
            moved, dual = proximal_momentum_step(x, previous, gradient, prox, step, schedule.momentum[k], limits, dual)
            x, previous = moved, x
            mean = running_mean(mean, x, schedule.average[k])
            if callback is not None:
                callback(k, mean)
        if schedule.final_width is not None:
            mean = prior.denoiser(mean, schedule.final_width)
    return mean if bounds is None else mean.clamp(*bounds)


def _gradient(prior: MeanShiftPrior, schedule: Schedule, k: int, z: Tensor) -> Tensor:
    """Of the prior in iteration ``k``, in the form that the schedule asks for."""
    width, noise, jacobian = schedule.kernel_width[k], schedule.noise[k], bool(schedule.jacobian[k])
    seen = mirrored(z, schedule.flip[k])
    return mirrored(prior.gradient(seen, width, noise_share=noise, jacobian=jacobian), schedule.flip[k])


def _finite_prox(data_prox: Callable[[Tensor, float], Tensor], gamma: float, k: int, v: Tensor) -> Tensor:
    """The proximal step of iteration ``k``; clipping would turn an infinite one into an image."""
    moved = data_prox(v, gamma)
    if not bool(moved.isfinite().all()):
        raise FloatingPointError(
            f"iteration {k}: the image is no longer finite; raise the noise level that the solver is told, or lower "
            "the steps of the schedule."
        )
    return moved


def data_weight(sigma: float) -> float:
    """``1 / s_d^2``, the weight of the data term ``1/2 ||Kx - y||^2``; noise-free is taken as the smallest noise.

    :param float sigma: noise standard deviation ``s_d`` of the measurement, images in [0, 1]; 0: noise-free.
    :raises ValueError: negative or not finite.
    """
    if not 0 <= sigma < float("inf"):
        raise ValueError(f"sigma: got {sigma}; expected a finite standard deviation >= 0, for images in [0, 1].")
    return 1 / max(float(sigma), SMALLEST_NOISE) ** 2
