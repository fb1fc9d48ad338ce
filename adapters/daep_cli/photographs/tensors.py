"""Photographs as the tensors that are computed with, and back."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from daep_cli.photographs.photo import Array, Photo


def to_tensor(photo: Photo) -> Tensor:
    """The colours of a photograph: (1, C, H, W), float32 in [0, 1]."""
    return torch.from_numpy(photo.colour.astype(np.float32) / photo.largest).permute(2, 0, 1)[None]


def to_pixels(x: Tensor, dtype: npt.DTypeLike = np.uint8) -> Array:
    """The image (1, C, H, W) in [0, 1] as (H, W, C) of an unsigned integer type, rounded."""
    values = (x[0].clamp(0, 1).double() * np.iinfo(dtype).max).round().permute(1, 2, 0)
    return values.cpu().numpy().astype(dtype)


def centre(x: Tensor, like: Tensor) -> Tensor:
    """The central part of ``x`` in the size of ``like``: a valid convolution removes half a kernel on each side."""
    top, left = ((x.shape[i] - like.shape[i]) // 2 for i in (-2, -1))
    return x[..., top : top + like.shape[-2], left : left + like.shape[-1]]
