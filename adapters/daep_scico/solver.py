"""``restore``: an image in one line from a scico operator, with scico's proximal step of the data term."""

from __future__ import annotations

from typing import Any

import scico.numpy as snp
from scico.functional import Functional
from scico.linop import LinearOperator
from scico.solver import cg
from torch import Tensor

from daep_prior.array_layout import ImageLayout
from daep_prior.restoration import data_weight
from daep_prior.restore_measurement import restore_measurement
from daep_scico.exchange import from_torch, to_torch

__all__ = ["restore"]

#: Conjugate gradients of a proximal step: maximum number, and the relative residual at which they stop.
PROX_OPTIONS = {"maxiter": 50, "tol": 1e-5}


def restore(
    A: Any, y: Any, sigma: float, *, data: Any = None, x0: Any = None, channel_axis: int = -1, **options: Any
) -> Any:
    r"""Minimise :math:`\frac{1}{2 \sigma^2} \|A \mathbf{x} - \mathbf{y}\|_2^2 + \lambda R_s(\mathbf{x})`.

    The solver and the presets are those of ``DAEP`` for deepinv. An operator that selects pixels is recognised as
    inpainting, the identity as denoising.

    :param scico.linop.LinearOperator A: forward model; its ``input_shape`` is that of the image, (H, W) or with a
        channel axis.
    :param jax.Array y: measurement, of shape ``A.output_shape``.
    :param float sigma: noise standard deviation of ``y``, for images in [0, 1]; 0: noise-free.
    :param scico.functional.Functional data: another data term; used by its ``prox``, and by its ``grad`` under the
        paper's presets.
    :param jax.Array x0: first image; default :func:`daep_prior.back_projection.back_projection`.
    :param int channel_axis: axis of the channels in ``A.input_shape``.
    :param options: ``preset``, ``schedule``, ``denoiser``, ``iterations``, ``settings``, ``seed``, ... of
        :func:`daep_prior.restore_measurement.restore_measurement`.
    :return: the image, of shape ``A.input_shape``, in [0, 1] and of ``y``'s type.
    :raises ValueError: an argument that does not fit the others; the message names it.
    :raises TypeError: unknown option.
    """
    if not isinstance(A, LinearOperator):
        raise TypeError(f"A: got {type(A).__name__}; expected a scico.linop.LinearOperator.")
    if not isinstance(data, Functional | None):
        raise TypeError(f"data: got {type(data).__name__}; expected a scico.functional.Functional.")
    weight, y = data_weight(sigma), snp.asarray(y)
    layout = ImageLayout(A.input_shape, channel_axis)
    if y.shape != A.output_shape or not snp.issubdtype(y.dtype, snp.floating) or not bool(snp.isfinite(y).all()):
        raise ValueError(
            f"y: got {y.dtype} of shape {y.shape}; expected finite real values of shape {A.output_shape}, as A gives."
        )
    if data is not None and not data.has_prox:
        raise ValueError(f"data: {type(data).__name__} has no proximal step; give a functional with has_prox.")
    back = A.adj(y)

    def on_tensors(function: Any, x: Tensor, *numbers: float) -> Tensor:
        return layout.to_batch(to_torch(function(from_torch(layout.from_batch(x), y), *numbers))).to(x)

    def prox(v: Any, gamma: float) -> Any:
        if data is not None:
            return data.prox(v, gamma, x0=v)
        # not SquaredL2Loss.prox, which creates, and JAX compiles, a new operator at each call
        return cg(lambda x: x + gamma * weight * A.gram(x), v + gamma * weight * back, v, **PROX_OPTIONS)[0]

    restored = restore_measurement(
        sigma,
        layout.to_batch(to_torch(back)),
        lambda x: on_tensors(A.gram, x),
        lambda v, gamma: on_tensors(prox, v, gamma),
        lambda x: on_tensors(data.grad if data is not None else lambda z: weight * (A.gram(z) - back), x),
        start=None if x0 is None else layout.to_batch(to_torch(snp.asarray(x0)), "x0"),
        **options,
    )
    return from_torch(layout.from_batch(restored), y)
