"""``restore``: an image in one line from a PyLops operator, with pyproximal's proximal step of the data term."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyproximal
import torch
from torch import Tensor

from daep_prior import Schedule
from daep_prior import restore as run
from daep_prior.array_layout import ImageLayout
from daep_prior.planning import prior_and_schedule
from daep_prior.restoration import data_weight
from daep_prior.start import back_projection
from daep_pyproximal.prior import Array, from_tensor, to_tensor

__all__ = ["restore"]

#: Conjugate gradients of a proximal step: maximum number, and the residual a pixel at which they stop (a hundredth of a
#: grey level). They start from the result of the last step.
PROX_ITERATIONS = 50
PROX_RESIDUAL = 0.01 / 255


def restore(
    Op: Any,
    y: Array,
    sigma: float,
    *,
    preset: str | None = None,
    data: Any = None,
    x0: Array | None = None,
    denoiser: Any = None,
    schedule: Schedule | None = None,
    iterations: int | None = None,
    settings: str | os.PathLike[str] | None = None,
    channel_axis: int = 0,
    **options: Any,
) -> Array:
    r"""Minimise :math:`\frac{1}{2 \sigma^2} \|\mathbf{Op} \mathbf{x} - \mathbf{y}\|_2^2 + \lambda R_s(\mathbf{x})`.

    The solver and the presets are those of ``DAEP`` for deepinv (:func:`daep_prior.restore`). An operator that selects
    pixels is recognised as inpainting, the identity as denoising.

    :param pylops.LinearOperator Op: forward model; its ``dims`` are the shape of the image, (H, W) or with a channel
        axis.
    :param numpy.ndarray y: measurement, flattened or of shape ``Op.dimsd``.
    :param float sigma: noise standard deviation of ``y``, for images in [0, 1]; 0: noise-free.
    :param str preset: ``"annealed"`` (default), ``"fast"``, ``"best"``, ``"paper"`` or ``"paper-sr"``.
    :param pyproximal.ProxOperator data: another data term; used by its ``prox``, and by its ``grad`` under the paper's
        presets. Default ``pyproximal.L2(Op, y, sigma=1/sigma**2)`` by conjugate gradients.
    :param numpy.ndarray x0: first image; default :func:`daep_prior.start.back_projection`.
    :param denoiser: as in :class:`DAEPrior`; default the preset's network.
    :param Schedule schedule: instead of the preset's, see :mod:`daep_prior.schedules`.
    :param int iterations: default the preset's number.
    :param settings: file of ``benchmarks/tune_presets.py``, the preset's numbers for another network.
    :param int channel_axis: axis of the channels in ``Op.dims``.
    :param options: ``seed``, ``jacobian``, ``noise``, ``device``, ``tile`` as in :class:`daep_prior.MeanShiftPrior`.
    :return: the image, flattened as everywhere in pyproximal, in [0, 1] and of ``y``'s type.
    :raises ValueError: an argument that does not fit the others; the message names it.
    :raises TypeError: unknown option.
    """
    weight = data_weight(sigma)
    layout = ImageLayout(Op.dims, channel_axis)
    y = np.asarray(y).ravel()
    if y.shape != (Op.shape[0],) or not np.issubdtype(y.dtype, np.floating) or not np.isfinite(y).all():
        raise ValueError(
            f"y: got {y.size} values of type {y.dtype}; expected {Op.shape[0]} finite real ones, as Op gives."
        )

    def normal(x: Tensor) -> Tensor:
        return to_tensor((Op.H @ (Op @ from_tensor(x, layout))).astype(y.dtype), layout)

    back = to_tensor((Op.H @ y).astype(y.dtype), layout)
    seen = normal(torch.ones_like(back))
    prior, schedule = prior_and_schedule(
        sigma, normal, seen, preset=preset, schedule=schedule, denoiser=denoiser, iterations=iterations,
        settings=settings, own_start=x0 is not None, options=options,
    )  # fmt: skip
    if data is None:
        tolerance = {"tol": PROX_RESIDUAL * Op.shape[1] ** 0.5}
        data = pyproximal.L2(Op, y, sigma=weight, niter=PROX_ITERATIONS, solver="cg", kwargs_solver=tolerance)
        data.OpTb = data.OpTb.ravel()  # PyLops gives it the shape dims if y has the shape dimsd
    start = back_projection(back, seen) if x0 is None else to_tensor(np.asarray(x0).ravel(), layout)

    def on_tensors(function: Any, x: Tensor, *numbers: float) -> Tensor:
        found = function(from_tensor(x, layout).astype(y.dtype, copy=False), *numbers)
        return to_tensor(np.asarray(found), layout).to(x)

    restored = run(
        lambda v, gamma: on_tensors(data.prox, v, gamma),
        start.to(prior.device, torch.float32),
        prior,
        schedule,
        data_gradient=lambda x: on_tensors(data.grad, x),
    )
    return from_tensor(restored, layout).astype(y.dtype)
