"""Numbers that several modules refuse, with one sentence each."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["check_factor", "check_sigma"]


def check_sigma(sigma: Any) -> None:
    """Refuse what is not one finite noise level of at least 0."""
    if isinstance(sigma, str) or (isinstance(sigma, Tensor) and sigma.numel() != 1):
        raise TypeError(f"sigma: got {sigma!r}; expected one number.")
    if not 0 <= sigma < float("inf"):
        raise ValueError(f"sigma: got {sigma}; expected a finite standard deviation >= 0, for images in [0, 1].")


def check_factor(factor: float) -> None:
    """Refuse what is not a whole reduction factor of at least 1."""
    if not factor >= 1 or int(factor) != factor:
        raise ValueError(f"factor: got {factor}; expected a whole number >= 1.")
