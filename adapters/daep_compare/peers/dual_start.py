"""Starting points of solvers with more than one variable."""

from __future__ import annotations

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.starts.starting_point import starting_point

__all__ = ["with_dual"]


def with_dual(y: Tensor, physics: LinearPhysics) -> tuple[Tensor, Tensor]:
    """The starting point and a zero dual variable, for ADMM."""
    start = starting_point(y, physics)
    return start, torch.zeros_like(start)
