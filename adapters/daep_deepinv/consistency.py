"""That measurement, physics, first image and result fit together; what does not is refused with one sentence."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from deepinv.physics import LinearPhysics, Physics
from deepinv.utils import TensorList
from torch import Tensor, nn

from daep_deepinv.history import Monitor
from daep_deepinv.iterators import DivergenceError

__all__ = ["check_image", "check_measurement", "check_result", "shape_of", "warn_of_adjoint", "warn_of_units"]

#: A result has run away when its residual is this many times that of the start, and as many times the noise.
GROWTH = 3.0
#: A start that reaches more than this is hardly in the units of images in [0, 1].
BRIGHTEST = 4.0
#: Two inner products that should be equal may differ by this share.
ADJOINT_TOLERANCE = 0.01


def check_measurement(y: Tensor | TensorList, physics: Physics) -> None:
    for part in y if isinstance(y, TensorList) else [y]:
        if not isinstance(part, Tensor) or not part.is_floating_point():
            kind = type(part)
            name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
            got = f"a tensor of {part.dtype}" if isinstance(part, Tensor) else f"an object of type {name}"
            raise ValueError(f"y: got {got}; expected a floating-point torch.Tensor.")
        if not bool(part.isfinite().all()):
            raise ValueError("y: the measurement holds NaN or infinite values; expected finite numbers.")
    if not isinstance(physics, LinearPhysics):
        raise ValueError(f"physics: got {type(physics).__name__}; expected a deepinv LinearPhysics.")


def check_image(x0: Tensor, y: Tensor | TensorList, physics: LinearPhysics, denoiser: nn.Module) -> None:
    """That ``x0`` is an image which the denoiser can take and which the physics maps to something shaped like ``y``."""
    if x0.ndim != 4:
        raise ValueError(
            f"y: got shape {shape_of(y)}, which comes from an image of shape {shape_of(x0)}; expected (B, C, H, W)."
        )
    channels = getattr(denoiser, "in_channels", None)
    if isinstance(channels, int) and x0.shape[1] not in (1, channels):
        raise ValueError(
            f"y: got shape {shape_of(y)}, which comes from images (B, C, H, W) of {x0.shape[1]} channels; the denoiser "
            f"takes {channels}, or 1."
        )
    try:
        mapped = shape_of(physics.A(x0))
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ValueError(f"init: this physics does not take images of shape {shape_of(x0)}: {error}") from error
    if mapped != shape_of(y):
        raise ValueError(f"y: got shape {shape_of(y)}; this physics maps images of {shape_of(x0)} to {mapped}.")


def warn_of_units(sigma: float, y: Tensor | TensorList) -> None:
    """Warn of a noise level that no value of the measurement reaches: noise of that strength would show in it."""
    largest = max(float(part.detach().abs().max()) for part in (y if isinstance(y, TensorList) else [y]))
    if sigma > largest:
        warnings.warn(
            f"sigma: {sigma:.4g} is more than the largest value of the measurement, {largest:.4g}; it is a standard "
            f"deviation in the units of y, so for images in [0, 1] perhaps {sigma:.4g}/255.",
            stacklevel=2,
        )


def warn_of_adjoint(physics: LinearPhysics, image: Tensor) -> None:
    """Warn of a user's own operator whose ``A_adjoint`` is not the adjoint of its ``A``.

    With white noise ``u``, ``<A u, A u>`` and ``<u, A_adjoint A u>`` are compared; deepinv's operators and ours are
    taken to be right.
    """
    if type(physics).__module__.partition(".")[0] in ("deepinv", __package__):
        return
    u = torch.randn(image.shape, generator=torch.Generator().manual_seed(0)).to(image)
    seen = physics.A(u)
    norm = sum(float(part.square().sum()) for part in (seen if isinstance(seen, TensorList) else [seen]))
    product = float((u * physics.A_adjoint(seen)).sum())
    if abs(product - norm) > ADJOINT_TOLERANCE * norm:
        warnings.warn(
            f"physics: A_adjoint of {type(physics).__name__} is not the adjoint of A: <u, A_adjoint A u> is "
            f"{product / max(norm, 1e-30):.3g} of <A u, A u>, and should be 1; physics.adjointness_test tells more. "
            "Leave A_adjoint out, and deepinv finds it by automatic differentiation (needs img_size).",
            stacklevel=2,
        )


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
        brightest = float(start.abs().max())
        cure = "lower the step or the prior weight of the schedule"
        if brightest > BRIGHTEST:
            cure = f"images are expected in [0, 1], and its start reaches {brightest:.3g}"
        raise DivergenceError(
            f"the solver has diverged: image {i} is farther from its measurement (rms {float(after[i]):.3g}) than its "
            f"start ({float(before[i]):.3g}); {cure}."
        )
