"""The loop that restores an image. It knows no toolkit: of the measurement it needs a proximal step, or a gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from daep_prior.arguments import real_number
from daep_prior.images import IMAGE_RANGE
from daep_prior.prior import MeanShiftPrior
from daep_prior.schedules import HEAVY_BALL, SMALLEST_NOISE, Schedule
from daep_prior.solvers import Bounds, MomentumState, clipped, heavy_ball_step, proximal_momentum_step

__all__ = ["DivergenceError", "data_weight", "restore"]

#: Called after each iteration; an answer (B,) marks the images that are finished.
Callback = Callable[[int, MomentumState], "Tensor | None"]


class DivergenceError(FloatingPointError):
    """The iterates are no longer finite, or they move away from the measurement; the message says what to change."""


def restore(
    data_prox: Callable[[Tensor, float], Tensor] | None,
    start: Tensor,
    prior: MeanShiftPrior,
    schedule: Schedule,
    *,
    data_gradient: Callable[[Tensor], Tensor] | None = None,
    measured: Tensor | None = None,
    bounds: Bounds | None = IMAGE_RANGE,
    finish: Callable[[Tensor], Tensor] | None = None,
    callback: Callback | None = None,
) -> Tensor:
    r"""Minimise a data term ``f`` plus the prior's energy, by the solver of the schedule.

    ``"proximal"``: :func:`daep_prior.solvers.proximal_momentum_step` with the proximal operator of
    :math:`(c_k t_k / \lambda_k) f`. ``"heavy-ball"``: :func:`daep_prior.solvers.heavy_ball_step` on
    :math:`c_k f + \lambda_k R_{s_k}`. The result is the running mean of the last iterates, denoised once at the
    schedule's ``final_width``. The same arguments give the same image; the prior is not changed.

    :param Callable data_prox: ``data_prox(v, gamma)`` returns ``argmin_x gamma f(x) + 1/2 ||x - v||^2``; images
        (B, C, H, W). Only the proximal solver needs it.
    :param torch.Tensor start: first images (B, C, H, W); never written to.
    :param MeanShiftPrior prior: the denoiser, and how eq. 8 is evaluated.
    :param Schedule schedule: see :mod:`daep_prior.schedules`.
    :param Callable data_gradient: gradient of ``f``, images to images. Only the heavy-ball solver needs it.
    :param torch.Tensor measured: 1 on measured pixels and 0 elsewhere; a schedule with ``measured_only`` applies the
        prior's gradient there alone. ``None``: everywhere.
    :param tuple bounds: limits of the result, and of the iterates of a schedule with ``clip``; ``None``: no limit.
    :param Callable finish: applied to the result after the last denoising, before it is clipped.
    :param Callable callback: called with the iteration, from 0, and the state. It may return a boolean tensor (B,):
        these images are finished and stay as they are; the loop ends with the last.
    :return: images (B, C, H, W).
    :raises ValueError: ``start`` is not a batch of finite images, or the schedule does not fit the data term.
    :raises DivergenceError: the iterates are no longer finite.
    """
    _check(start, schedule, data_prox, data_gradient)
    prior, limits = prior.restarted(), bounds if schedule.clip else None
    finished: Tensor | None = None
    with torch.no_grad():
        # as in the authors' program; the proximal solver needs the noise of the start as it is
        if limits is not None and schedule.solver == HEAVY_BALL:
            start = clipped(start, limits)
        state = MomentumState.at_rest(start, schedule.dual)
        for k in range(len(schedule)):
            gradient = partial(_prior_gradient, prior, schedule, k, measured if schedule.measured_only else None)
            before, state = state, _iteration(state, schedule, k, gradient, data_prox, data_gradient, limits)
            require_finite(state.x, k)
            if finished is not None:
                state = state.keep(finished, before)
            if callback is not None and (done := callback(k, state)) is not None:
                finished = done if finished is None else finished | done
                if bool(finished.all()):
                    break
        result = state.mean
        if schedule.final_width is not None:
            result = prior.denoise(result, schedule.final_width)
        if finish is not None:
            result = finish(result)
        require_finite(result, wait=True)
    return clipped(result, bounds)


def _check(start: Tensor, schedule: Schedule, data_prox: object, data_gradient: object) -> None:
    number = start.is_floating_point() or start.is_complex()
    if start.ndim not in (4, 5) or not number or not bool(start.isfinite().all()):
        raise ValueError(
            f"start: got {start.dtype} of shape {tuple(start.shape)}; expected finite images (B, C, H, W) in [0, 1]."
        )
    if schedule.solver == HEAVY_BALL:
        if data_gradient is None:
            raise ValueError(
                "schedule: it is for the heavy-ball solver, which needs the gradient of the data term; "
                "give data_gradient, or a proximal schedule."
            )
    elif data_prox is None:
        raise ValueError("schedule: it is for the proximal solver, which needs data_prox; got None.")
    elif min(schedule.prior_weight) == 0:
        raise ValueError("schedule: a prior_weight is 0, so the proximal step has no scale; expected all above 0.")


def _iteration(
    state: MomentumState,
    schedule: Schedule,
    k: int,
    gradient: Callable[[Tensor], Tensor],
    data_prox: Callable[[Tensor, float], Tensor] | None,
    data_gradient: Callable[[Tensor], Tensor] | None,
    bounds: Bounds | None,
) -> MomentumState:
    """Iteration ``k`` by the solver of the schedule."""
    step, momentum, average = schedule.step[k], schedule.momentum[k], schedule.average[k]
    weight, prior_weight = schedule.data_weight[k], schedule.prior_weight[k]
    if schedule.solver == HEAVY_BALL:
        assert data_gradient is not None

        def objective(x: Tensor) -> Tensor:
            return prior_weight * gradient(x) + weight * data_gradient(x)

        return heavy_ball_step(state, objective, step, momentum, average=average, bounds=bounds)
    assert data_prox is not None

    def prox(v: Tensor) -> Tensor:
        moved = data_prox(v, weight * step / prior_weight) if weight > 0 else v
        require_finite(moved, k)  # clipping would hide an infinite step
        return moved

    return proximal_momentum_step(state, gradient, prox, step, momentum, average=average, bounds=bounds)


def _prior_gradient(prior: MeanShiftPrior, schedule: Schedule, k: int, measured: Tensor | None, x: Tensor) -> Tensor:
    """Gradient of the prior in iteration ``k``, in the form that the schedule asks for."""
    width, noise, jacobian = schedule.kernel_width[k], schedule.noise[k], bool(schedule.jacobian[k])
    gradient = prior.gradient(x, width, noise_share=noise, jacobian=jacobian, flip=schedule.flip[k])
    require_finite(gradient, k)
    return gradient if measured is None else gradient * measured


def require_finite(x: Tensor, iteration: int | None = None, *, wait: bool = False) -> None:
    """Refuse iterates that are not finite.

    :param bool wait: check on a GPU too, which waits for the device. So only the result is checked there.
    :raises DivergenceError: a value is NaN or infinite.
    """
    x = torch.view_as_real(x) if x.is_complex() else x
    # the sum of finite images is finite, and takes one pass
    if (wait or x.device.type == "cpu") and not bool(x.sum(dtype=torch.float32).isfinite()):
        where = "" if iteration is None else f"iteration {iteration}: "
        raise DivergenceError(
            f"{where}the image is no longer finite; raise the noise level sigma, or lower the step (stepsize, or "
            "the schedule's)."
        )


def data_weight(sigma: float) -> float:
    """``1 / s_d^2``, the weight of the data term ``1/2 ||Kx - y||^2``; a noise-free measurement has the smallest noise.

    :param float sigma: noise standard deviation ``s_d`` of the measurement, images in [0, 1]; 0: noise-free.
    :raises ValueError: negative or not finite.
    """
    return 1 / max(real_number("sigma", sigma, "a finite noise level"), SMALLEST_NOISE) ** 2
