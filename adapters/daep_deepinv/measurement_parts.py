"""The parts of a measurement: one tensor, or those of a ``TensorList``."""

from __future__ import annotations

from typing import Any

from deepinv.utils import TensorList
from torch import Tensor

__all__ = ["parts_of", "shape_of"]


def parts_of(y: Tensor | TensorList) -> list[Any]:
    """The tensors of a measurement."""
    return list(y) if isinstance(y, TensorList) else [y]


def shape_of(y: Tensor | TensorList) -> tuple[Any, ...]:
    """For a ``TensorList`` one shape a part."""
    return tuple(map(shape_of, y)) if isinstance(y, TensorList) else tuple(y.shape)
