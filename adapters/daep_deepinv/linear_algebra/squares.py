"""The squared norm of each image or measurement of a batch."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.utils import TensorList
from torch import Tensor

__all__ = ["squares"]


def squares(values: Any) -> Tensor:
    """``||v||^2`` of each image or measurement, (B,); of a ``TensorList``, over all parts."""
    parts = values if isinstance(values, TensorList) else [values]
    return torch.stack([part.abs().square().flatten(1).sum(1) for part in parts]).sum(0)
