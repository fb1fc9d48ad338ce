"""Convolutions without a border: a part of the image shows what they do to all of it."""

from __future__ import annotations

from typing import Any

from deepinv.physics import Blur, LinearPhysics
from torch import Tensor

__all__ = ["has_products_of", "is_own_blur", "is_valid_blur", "part_that_shows"]

#: Sides of the part, in sides of the kernel, and its least side, pixels. What is found on it is compared with limits
#: that are far from any blur, see ``EQUAL`` and ``UNLIKE`` beside their use.
KERNEL_SIDES, LEAST_SIDE = 8, 256


def has_products_of(physics: LinearPhysics, kind: type[LinearPhysics]) -> bool:
    """Whether ``A`` and ``A_adjoint`` are those of ``kind``, not of a derived class."""
    return type(physics).A is kind.A and type(physics).A_adjoint is kind.A_adjoint


def is_valid_blur(physics: Any) -> bool:
    """Whether ``physics`` is deepinv's :class:`Blur` with ``padding="valid"``, and not a derived class of its own."""
    return is_own_blur(physics) and physics.padding == "valid"


def is_own_blur(physics: Any) -> bool:
    """Whether ``physics`` is deepinv's :class:`Blur` with a kernel, and not a derived class of its own."""
    return isinstance(physics, Blur) and physics.filter is not None and has_products_of(physics, Blur)


def part_that_shows(physics: Any, like: Tensor, any_border: bool = False) -> Tensor:
    """Images that show what ``physics`` does to ``like``: a part of a large image if it is a convolution without a
    border, :func:`is_valid_blur`; otherwise ``like``.

    :param torch.Tensor like: images (B, C, ...) of the shape that the physics takes; their values do not matter.
    :param bool any_border: a part of a convolution with a border, too; the border is that of the part then.
    """
    has_part = is_own_blur if any_border else is_valid_blur
    if like.ndim != 4 or not has_part(physics) or physics.filter.ndim != 4:
        return like
    side = max(LEAST_SIDE, KERNEL_SIDES * max(physics.filter.shape[-2:]))
    return like if max(like.shape[-2:]) <= side else like[..., :side, :side]
