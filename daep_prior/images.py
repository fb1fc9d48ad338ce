"""Conventions of image batches (B, C, H, W): value range, channels, one noise level an image, mirroring."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["IMAGE_RANGE", "RGB", "continued", "mirrored", "one_per_image", "per_image", "replicate", "replicated_level"]

#: Range of the values of an image.
IMAGE_RANGE = (0.0, 1.0)
#: Channels of a colour image. The networks see RGB; one-channel images are shown to them as three equal channels.
RGB = 3


def per_image(sigma: float | Tensor, x: Tensor) -> Tensor:
    """``sigma`` as a (B, 1, ..., 1) tensor of ``x``'s type, device and number of dimensions.

    :param float, torch.Tensor sigma: a number, or a tensor of shape (), (1,), (B,) or (B, 1, 1, 1).
    :param torch.Tensor x: images (B, C, H, W) or volumes (B, C, D, H, W).
    :raises ValueError: wrong number of levels, or a level that is negative or not finite.
    """
    if isinstance(sigma, Tensor):
        if sigma.numel() not in (1, x.shape[0]):
            raise ValueError(
                f"sigma: got {sigma.numel()} noise levels for {x.shape[0]} images; give one, or one an image."
            )
        bad = sigma.device.type == "cpu" and not bool((sigma >= 0).all() and sigma.isfinite().all())
        level = sigma.to(x).reshape(-1)
    else:
        bad = not 0 <= float(sigma) <= torch.finfo(x.dtype).max
        level = x.new_full((1,), 0.0 if bad else float(sigma))  # filled in place: no copy from the host
    if bad:
        raise ValueError(f"sigma: got {sigma}; expected a finite standard deviation >= 0, for images in [0, 1].")
    return one_per_image(level.expand(x.shape[0]), x)


def one_per_image(values: Tensor, x: Tensor) -> Tensor:
    """One value an image, (B,), in the shape (B, 1, ..., 1), which broadcasts with images ``x``."""
    return values.reshape(-1, *(1,) * (x.ndim - 1))


def replicate(x: Tensor, replicas: int) -> Tensor:
    """A one-channel image as ``replicas`` equal channels; for one replica, ``x`` itself."""
    return x.expand(-1, replicas, *x.shape[2:]) if replicas > 1 else x


def replicated_level(sigma: float | Tensor, replicas: int) -> float | Tensor:
    """The noise level for a colour network that sees a grey image as ``replicas`` equal channels.

    The noise of the replicas is equal, so all of it lies in the grey direction. Noise that is independent in the
    channels, as in training, has only ``1 / sqrt(replicas)`` of its standard deviation there. Hence the factor
    ``sqrt(replicas)``; without it the network leaves most of the noise in (5 dB at 25/255).
    """
    return sigma * math.sqrt(replicas)


def continued(x: Tensor) -> Tensor:
    """Images (..., H, W) with their mirror images to the right and below, (..., 2 H, 2 W): periodic without a seam."""
    x = torch.cat([x, x.flip(-1)], -1)
    return torch.cat([x, x.flip(-2)], -2)


def mirrored(x: Tensor, flip: int) -> Tensor:
    """Images (B, C, H, W) mirrored left to right (1), top to bottom (2), both (3) or not (0); its own inverse."""
    axes = [axis for axis, bit in ((-1, 1), (-2, 2)) if flip & bit]
    return x.flip(axes) if axes else x
