"""A physics in other units, and one of complex images as one of real images."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import LinearPhysics, Physics
from torch import Tensor

from daep_prior.partition import as_complex, as_real

__all__ = ["ComplexAsReal", "ComplexAsRealLinear", "RealPart", "ScaledPhysics"]


class ScaledPhysics(Physics):
    """``A(scale x + offset) / scale`` for a nonlinear ``A``, so that the solver works in the units of its prior.

    The measurement is then ``y / scale``. A linear physics needs none of this, it commutes with the scale.

    :param Physics base: ``A``.
    :param float scale: image units a solver unit.
    :param torch.Tensor offset: broadcast to the image, image units.
    """

    def __init__(self, base: Physics, scale: float = 1.0, offset: Tensor | float = 0.0):
        super().__init__(noise_model=base.noise_model, max_iter=base.max_iter, tol=base.tol)
        self.base, self.scale = base, scale
        self.register_buffer("offset", torch.as_tensor(offset))

    def A(self, x: Tensor, **kwargs: Any) -> Any:
        """Image in solver units to a measurement in solver units."""
        return self.base.A(self.scale * x + self.offset, **kwargs) * (1 / self.scale)

    def A_vjp(self, x: Tensor, v: Any) -> Tensor:
        """The scales of image and measurement cancel."""
        product: Tensor = self.base.A_vjp(self.scale * x + self.offset, v)
        return product


class ComplexAsReal(Physics):
    """A physics of complex images (B, C, ...) as one of real images (B, 2 C, ...): all real parts, then all imaginary.

    :param Physics base: takes complex images.
    """

    def __init__(self, base: Physics):
        super().__init__(noise_model=base.noise_model, max_iter=base.max_iter, tol=base.tol)
        self.base = base

    def A(self, x: Tensor, **kwargs: Any) -> Any:
        """Real image to the measurement of ``base``."""
        return self.base.A(as_complex(x), **kwargs)

    def A_vjp(self, x: Tensor, v: Any) -> Tensor:
        """``base`` gives the gradient as one complex number a pixel."""
        return as_real(self.base.A_vjp(as_complex(x), v))


class ComplexAsRealLinear(ComplexAsReal, LinearPhysics):
    """:class:`ComplexAsReal` of a linear physics.

    :param LinearPhysics base: takes complex images.
    """

    def A_adjoint(self, y: Any, **kwargs: Any) -> Tensor:
        """Measurement to real image."""
        return as_real(self.base.A_adjoint(y, **kwargs))

    def A_dagger(self, y: Any, **kwargs: Any) -> Tensor:
        """Pseudo-inverse of ``base``."""
        return as_real(self.base.A_dagger(y, **kwargs))


class RealPart(LinearPhysics):
    """A linear physics of complex images for those that are real.

    :param LinearPhysics base: its ``A_adjoint`` returns complex images.
    """

    def __init__(self, base: LinearPhysics):
        super().__init__(noise_model=base.noise_model, max_iter=base.max_iter, tol=base.tol)
        self.base = base

    def A(self, x: Tensor, **kwargs: Any) -> Any:
        """That of ``base``."""
        return self.base.A(x, **kwargs)

    def A_adjoint(self, y: Any, **kwargs: Any) -> Tensor:
        """The adjoint for real images."""
        image: Tensor = self.base.A_adjoint(y, **kwargs).real
        return image
