"""Photographs as the tensors that are computed with, and back."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from daep_cli.photographs.photo import Array, Photo, largest


def to_tensor(photo: Photo) -> Tensor:
    """The colours of a photograph: (1, C, H, W), float32; black is 0 and white is 1."""
    values = photo.colour
    if photo.black != 0 or values.dtype.itemsize > 2:  # float32 has the bits of 16-bit integers, not of longer ones
        values = values.astype(np.float64) - photo.black
    shares = values.astype(np.float32) / np.float32(photo.white - photo.black)
    return torch.from_numpy(shares).permute(2, 0, 1)[None]


def to_pixels(x: Tensor, dtype: npt.DTypeLike = np.uint8, span: tuple[float, float] | None = None) -> Array:
    """The image (1, C, H, W) as (H, W, C) of another type.

    Integers are rounded, and clipped to the range of their type.

    :param tuple span: the values of 0 and 1; default: 0 and the largest value of the type.
    """
    kind = np.dtype(dtype)
    low, high = span or (0.0, largest(kind))
    values = x[0].double().permute(1, 2, 0).cpu().numpy() * (high - low) + low
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        top = float(limits.max)  # of 64 bits: beyond the type
        values = values.round().clip(limits.min, top if top <= limits.max else np.nextafter(top, 0))
    return values.astype(kind)


def centre(x: Tensor, like: Tensor) -> Tensor:
    """The central part of ``x`` in the size of ``like``: a valid convolution removes half a kernel on each side."""
    top, left = ((x.shape[i] - like.shape[i]) // 2 for i in (-2, -1))
    return x[..., top : top + like.shape[-2], left : left + like.shape[-1]]
