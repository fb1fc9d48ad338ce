"""The denoising-autoencoder prior as a ``scico.functional.Functional`` on JAX arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jax
import torch
from scico.functional import Functional
from torch import Tensor

from daep_prior import MeanShiftPrior
from daep_prior.arguments import whole_number
from daep_prior.array_layout import ImageLayout
from daep_prior.schedules import PAPER_WIDTH
from daep_scico.exchange import call_torch

__all__ = ["DAEPrior"]


class DAEPrior(Functional):
    r"""The mean-shift prior of a denoising autoencoder (DAEP; Bigdeli and Zwicker, VISAPP 2018).

    .. math::

        R_s(\mathbf{x}) = \tfrac12 \| A_s(\mathbf{x}) - \mathbf{x} \|_2^2

    with the network :math:`A_s` evaluated at :math:`\mathbf{x} - \epsilon`, :math:`\epsilon \sim \mathcal N(0, s^2)`
    (eq. 8). It is differentiable, by ``f.grad`` as by ``scico.grad(f)``, inside ``jax.jit`` too, and not convex. Its
    proximal step is a few gradient steps. Images are (H, W), or (H, W, C) with 1 or 3 channels, in [0, 1].

    :param denoiser: a shipped name, a weight file, a DAE, or any ``denoiser(x, sigma)`` on tensors (B, C, H, W).
    :param float sigma: kernel width :math:`s`, a standard deviation for images in [0, 1]; a denoiser that is trained
        for one level always acts at that level.
    :param int channel_axis: default -1, as in scico's own denoisers.
    :param torch.dtype dtype: type the prior computes in; arrays come back in the type they came in.
    :param int prox_iterations: maximum number of gradient steps in a proximal step.
    :param options: ``noise``, ``jacobian``, ``seed``, ``device``, ``tile`` as in :class:`daep_prior.MeanShiftPrior`.
        ``jacobian=False`` (DMSP) has no energy: ``has_eval`` is then ``False``.
    :raises ValueError: an unusable option; at a call, an array that is not an image.
    :raises TypeError: unknown option, or not a denoiser.

    >>> import jax
    >>> from daep_scico import DAEPrior
    >>> prior = DAEPrior(noise="fixed")
    >>> x = jax.random.uniform(jax.random.key(0), (16, 16, 3))
    >>> prior(x).shape, prior.grad(x).shape, prior.prox(x, 0.5).shape
    ((), (16, 16, 3), (16, 16, 3))
    """

    has_eval = True
    has_prox = True

    def __init__(
        self,
        denoiser: Callable[..., Tensor] | str | os.PathLike[str] = "dae",
        sigma: float = PAPER_WIDTH,
        *,
        channel_axis: int = -1,
        dtype: torch.dtype = torch.float32,
        prox_iterations: int = 10,
        **options: Any,
    ):
        self.mean_shift = MeanShiftPrior(denoiser, sigma=sigma, **options)
        self.channel_axis = channel_axis
        self.dtype = dtype
        self.prox_iterations = whole_number("prox_iterations", prox_iterations)
        self.has_eval = self.mean_shift.jacobian
        self._value = jax.custom_vjp(lambda x: self._call(self.mean_shift.value, x, scalar=True))
        self._value.defvjp(lambda x: (self._value(x), x), lambda x, weight: (weight * self.grad(x),))
        super().__init__()

    def reset(self) -> None:
        """Restart the noise: the same calls then give the same results."""
        self.mean_shift.reset()

    def __call__(self, x: Any) -> Any:
        """Energy of the image ``x``, a scalar, always at the same noise.

        :raises NotImplementedError: without the Jacobian there is none.
        """
        if not self.has_eval:
            raise NotImplementedError("without the Jacobian (DMSP) there is no energy; use jacobian=True.")
        return self._value(x)

    def grad(self, x: Any) -> Any:
        """Gradient at ``x``, shape of ``x``; with fresh noise at each call by default."""
        return self._call(self.mean_shift.gradient, x)

    def prox(self, v: Any, lam: float = 1.0, **kwargs: Any) -> Any:
        r""":math:`\operatorname{prox}_{\lambda R_s}` of the image ``v``, shape of ``v``.

        :param kwargs: what scico's solvers pass along (``x0``) is not used.
        """

        def function(x: Tensor, lam: float) -> Tensor:
            return self.mean_shift.prox(x, lam, iterations=self.prox_iterations)

        return self._call(function, v, lam)

    def _call(self, function: Callable[..., Tensor], x: Any, *numbers: Any, scalar: bool = False) -> Any:
        layout = ImageLayout(x.shape, self.channel_axis)

        @torch.no_grad()
        def on_tensor(x: Tensor, *numbers: float) -> Tensor:
            out = function(layout.to_batch(x).to(self.mean_shift.device, self.dtype), *numbers)
            return out.sum() if scalar else layout.from_batch(out)

        return call_torch(on_tensor, () if scalar else x.shape, x, *numbers)
