"""That measurement, physics, first image and result fit together; what does not is refused with one sentence."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import LinearPhysics, Physics
from deepinv.utils import TensorList
from torch import Tensor, nn

from daep_deepinv.history import Monitor
from daep_deepinv.iterators import DivergenceError

__all__ = ["check_image", "check_measurement", "check_result", "shape_of"]

#: A result has run away when its residual is this many times that of the start, and as many times the noise.
GROWTH = 3.0


def check_measurement(y: Tensor | TensorList, physics: Physics) -> None:
    for part in y if isinstance(y, TensorList) else [y]:
        if not isinstance(part, Tensor) or not part.is_floating_point():
            raise ValueError(f"y: got {getattr(part, 'dtype', type(part).__name__)}; expected a floating-point tensor.")
        if not bool(part.isfinite().all()):
            raise ValueError("y: the measurement holds NaN or infinite values; expected finite numbers.")
    if not isinstance(physics, LinearPhysics):
        raise ValueError(f"physics: got {type(physics).__name__}; expected a deepinv LinearPhysics.")


def check_image(x0: Tensor, y: Tensor | TensorList, physics: LinearPhysics, denoiser: nn.Module) -> None:
    """That ``x0`` is an image which the denoiser can take and which the physics maps to something shaped like ``y``."""
    if x0.ndim != 4:
        raise ValueError(f"y: it comes from an image of shape {shape_of(x0)}; expected (B, C, H, W).")
    channels = getattr(denoiser, "in_channels", None)
    if isinstance(channels, int) and x0.shape[1] not in (1, channels):
        raise ValueError(f"y: it comes from images of {x0.shape[1]} channels; the denoiser takes {channels}, or 1.")
    try:
        mapped = shape_of(physics.A(x0))
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ValueError(f"init: this physics does not take images of shape {shape_of(x0)}: {error}") from error
    if mapped != shape_of(y):
        raise ValueError(f"y: got shape {shape_of(y)}; this physics maps images of {shape_of(x0)} to {mapped}.")


def shape_of(value: Tensor | TensorList) -> tuple[Any, ...]:
    return tuple(value.shape)


def check_result(x: Tensor, start: Tensor, monitor: Monitor, sigma: float, y: Tensor | TensorList) -> None:
    """That the solver has not run away: clipping to [0, 1] would hide it in an image of black and white.

    :raises DivergenceError: not finite, or much farther from the measurement than the start was.
    """
    if not bool(x.isfinite().all()):
        raise DivergenceError("the restored image is not finite; raise sigma, or lower the step of the schedule.")
    parts = y if isinstance(y, TensorList) else [y]
    size = torch.cat([part.abs().flatten(1) for part in parts], 1).square().mean(1).sqrt()
    before, after = monitor.data_residual(start), monitor.data_residual(x)
    far = (after > GROWTH * before + GROWTH * sigma) & (after > size / 2)
    if bool(far.any()):
        i = int(far.int().argmax())
        raise DivergenceError(
            f"the solver has diverged: image {i} is farther from its measurement (rms {float(after[i]):.3g}) than its "
            f"start ({float(before[i]):.3g}); lower the step or the prior weight of the schedule."
        )
