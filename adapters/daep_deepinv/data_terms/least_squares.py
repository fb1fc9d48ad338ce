"""Least squares: deepinv's ``L2`` with a proximal step that treats each image by itself, also for coloured noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deepinv.optim.data_fidelity import L2
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.fourier_blur import FourierBlur
from daep_deepinv.data_terms.operator_structure import circulant_of, gram_diagonal
from daep_deepinv.linear_algebra.circulant import divided
from daep_deepinv.linear_algebra.conjugate_gradients import conjugate_gradients
from daep_deepinv.linear_algebra.preconditioned import preconditioned_conjugate_gradients
from daep_deepinv.linear_algebra.squares import squares
from daep_deepinv.noise.spectrum import NoiseSpectrum
from daep_deepinv.operators.trust import has_closed_prox

__all__ = ["PerImageL2"]


class PerImageL2(L2):
    r"""``1/(2 sigma^2) ||Ax - y||^2``. Its proximal step gives an image the same result alone and in a batch.

    Circular and ``valid`` blurs use :class:`FourierBlur`; other physics with a closed proximal step use that, if it is
    right. Those with a diagonal ``K K^T`` have a formula, too. For the rest deepinv runs conjugate gradients until the
    last image of the batch has converged; here each image stops by itself, with the physics' own ``tol`` and
    ``max_iter``. A circulant preconditioner is used where it saves iterations. Each proximal step of a ``valid`` blur
    starts from the border values that the step before found, so every restoration needs an object of its own.

    :param float sigma: standard deviation of the noise, images in [0, 1].
    :param NoiseSpectrum noise: power spectrum ``N`` of noise that is not white. ``||r||^2 / sigma^2`` becomes the sum
        of ``|r|^2 / N`` over the frequencies. For blurs that :class:`FourierBlur` handles.
    """

    def __init__(self, sigma: float = 1.0, noise: NoiseSpectrum | None = None):
        super().__init__(sigma=sigma)
        self.noise = noise

    #: The last prepared blur, with the tensors it was prepared from and their versions.
    _prepared: tuple[list[tuple[Tensor, int]], FourierBlur] | None = None

    def fn(self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Tensor:
        """The value, (B,)."""
        if self.noise is None:
            value: Tensor = super().fn(x, y, physics, *args, **kwargs)
            return value
        residual, weighted = self._weighted_residual(x, y, physics)
        return 0.5 * self.norm * (residual * weighted).flatten(1).sum(1)

    def grad(self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Tensor:
        """See :meth:`deepinv.optim.L2.grad`."""
        if self.noise is None:
            gradient: Tensor = super().grad(x, y, physics, *args, **kwargs)
            return gradient
        return self.norm * self._blur(physics, x, y).back_projected(self._weighted_residual(x, y, physics)[1])

    def prox(
        self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, gamma: float | Tensor = 1.0, **kwargs: Any
    ) -> Tensor:
        """See :meth:`deepinv.optim.L2.prox`."""
        if isinstance(gamma, float) and gamma == 0:
            return x
        weight = self.norm * gamma
        if FourierBlur.handles(physics, x, y):
            return self._blur(physics, x, y).prox(x, weight, float(physics.tol), int(physics.max_iter))
        if has_closed_prox(physics, x):
            closed: Tensor = super().prox(x, y, physics, *args, gamma=gamma, **kwargs)
            return closed
        gram = None if isinstance(gamma, Tensor) else gram_diagonal(physics, x, y)
        if gram is not None:
            step: Tensor = physics.A_adjoint((y - physics.A(x)) / (gram + 1 / weight))
            return x + step

        def normal(v: Tensor) -> Tensor:
            out: Tensor = physics.A_adjoint_A(v) + v / weight
            return out

        rhs = physics.A_adjoint(y) + x / weight
        bound = float(physics.tol) * rhs.flatten(1).norm(dim=1)
        residual, iterations, power = rhs - normal(x), int(physics.max_iter), circulant_of(physics, x)
        if power is None:
            return x + conjugate_gradients(normal, residual, bound, iterations)
        return x + preconditioned_conjugate_gradients(
            normal, residual, lambda v: divided(v, power + 1 / weight), bound, iterations
        )

    def prox_of(self, y: Any, physics: LinearPhysics) -> Callable[[Tensor, float], Tensor]:
        """The proximal step for one measurement, as :func:`daep_prior.restore` takes it."""
        return lambda v, gamma: self.prox(v, y, physics, gamma=gamma)

    def squared_residual(self, x: Tensor, y: Any, physics: LinearPhysics) -> Tensor:
        """``||Ax - y||^2`` of each image, (B,), without a graph."""
        with torch.no_grad():
            if FourierBlur.handles(physics, x, y):
                residual = self._blur(physics, x, y).residual(x)
            else:
                residual = physics.A(x) - y
            return squares(residual)

    def _products(
        self, physics: LinearPhysics, x: Tensor, y: Any
    ) -> tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]:
        """``K`` and ``K^T``; by Fourier transforms for the blurs of :class:`FourierBlur`."""
        if FourierBlur.handles(physics, x, y):
            blur = self._blur(physics, x, y)
            return blur.forward, blur.adjoint
        return physics.A, physics.A_adjoint

    def _weights(self) -> Callable[[Tensor], Tensor] | None:
        """Power of white noise of the same standard deviation over that of this noise, by frequency; ``None``: all
        1."""
        noise = self.noise
        return None if noise is None else lambda frequency: 1 / (self.norm * noise.at(frequency))

    def _weighted_residual(self, x: Tensor, y: Tensor, physics: LinearPhysics) -> tuple[Tensor, Tensor]:
        return self._blur(physics, x, y).weighted_residual(x, float(physics.tol), int(physics.max_iter))

    def _blur(self, physics: LinearPhysics, x: Tensor, y: Tensor) -> FourierBlur:
        """``physics`` prepared for ``y``, once for all steps of a restoration."""
        tensors = [y, physics.filter]
        if any(t.is_inference() or t.requires_grad for t in tensors):  # these have no version, or a graph for one pass
            return FourierBlur(physics, y, (x.shape[-2], x.shape[-1]), self._weights())
        if self._prepared is not None:
            (known, blur) = self._prepared
            same = all(t is old and t._version == version for t, (old, version) in zip(tensors, known, strict=True))
            if same and blur.size == x.shape[-2:]:
                return blur
        blur = FourierBlur(physics, y, (x.shape[-2], x.shape[-1]), self._weights())
        self._prepared = ([(t, t._version) for t in tensors], blur)
        return blur
