"""A physics whose adjoint is wrong or fails, with the one that automatic differentiation finds."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from deepinv.physics import LinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.measurement_parts import parts_of
from daep_deepinv.operators.failures import unless_it_fails
from daep_deepinv.operators.trust import AdjointTest, adjoint_test

__all__ = ["DifferentiatedAdjoint", "black_image", "tested_adjoint", "with_right_adjoint"]


class DifferentiatedAdjoint(LinearPhysics):
    """``A`` of another physics, with the transpose of its derivative as adjoint. A linear map is its own derivative.

    :param LinearPhysics base: gives ``A``.
    :param torch.Tensor like: images of the shape that it takes.
    :param AdjointTest test: of ``base``.
    """

    def __init__(self, base: LinearPhysics, like: Tensor, test: AdjointTest):
        super().__init__(
            noise_model=base.noise_model, max_iter=base.max_iter, tol=base.tol, img_size=tuple(like.shape[1:])
        )
        self.base, self.test = base, test
        self._type = like.dtype
        self._pull: dict[tuple[int, torch.device], Callable[..., tuple[Tensor, ...]]] = {}

    def A(self, x: Tensor, **kwargs: Any) -> Any:
        """That of ``base``."""
        return self.base.A(x, **kwargs)

    def A_adjoint(self, y: Any, **kwargs: Any) -> Tensor:
        """Measurement to image, of the same batch size."""
        parts = parts_of(y)
        count, device = parts[0].shape[0], parts[0].device
        if (count, device) not in self._pull:  # a linear map has the same derivative everywhere
            zero = torch.zeros((count, *self.img_size), dtype=self._type, device=device)
            self._pull[count, device] = torch.func.vjp(lambda x: tuple(parts_of(self.base.A(x))), zero)[1]
        image: Tensor = self._pull[count, device](tuple(parts))[0]
        return image.detach()


def with_right_adjoint(physics: LinearPhysics, like: Tensor) -> LinearPhysics:
    """``physics`` itself if its adjoint is one, or cannot be mended; else a :class:`DifferentiatedAdjoint` of it."""
    test = tested_adjoint(physics, like)
    if test.passed:
        return physics
    mended = DifferentiatedAdjoint(physics, like, test)
    return mended if tested_adjoint(mended, like).passed else physics


def black_image(y: Any, physics: LinearPhysics) -> Tensor:
    """A black image of the shape and type that ``y`` comes from: those of ``A_adjoint(y)``; if that fails, ``img_size``
    of the physics or the shape of ``y``, whichever ``A`` maps to the shape of ``y``.

    :raises RuntimeError: what ``A_adjoint`` raises, if none of these fits.
    """

    def black(shape: tuple[int, ...]) -> Tensor | None:
        image = torch.zeros(shape, dtype=y.real.dtype, device=y.device)
        return image if physics.A(image).shape == y.shape else None

    image = unless_it_fails(lambda: torch.zeros_like(physics.A_adjoint(y)), None)
    if image is None and not isinstance(y, TensorList):
        for shape in (tuple(y.shape), (y.shape[0], *(getattr(physics, "img_size", None) or ()))):
            image = unless_it_fails(partial(black, shape), None) if image is None else image
    return torch.zeros_like(physics.A_adjoint(y)) if image is None else image


def tested_adjoint(physics: LinearPhysics, like: Tensor) -> AdjointTest:
    """:func:`adjoint_test`; NaN: ``A_adjoint`` fails."""
    return unless_it_fails(lambda: adjoint_test(physics, like), AdjointTest(math.nan))
