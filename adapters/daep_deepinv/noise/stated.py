"""The noise level that the physics states."""

from __future__ import annotations

import torch
from deepinv.physics import Physics, ZeroNoise

from daep_deepinv.checks import check_sigma

__all__ = ["stated_level"]


def stated_level(physics: Physics) -> float | None:
    """The standard deviation that ``physics.noise_model`` states, 0 for noise-free; ``None`` if it states none.

    :raises ValueError: it states several, or one that is negative or not finite.
    """
    noise = getattr(physics, "noise_model", None)
    if isinstance(noise, ZeroNoise):
        return 0.0
    level = getattr(noise, "sigma", None)
    if level is None:
        return None
    values = torch.as_tensor(level, dtype=torch.float64).flatten().unique()
    if values.numel() != 1:
        raise ValueError("sigma: the physics states several noise levels; restore one level at a time.")
    check_sigma(float(values))
    return float(values)
