"""The paper's degradation ``y = D(K x) + n`` from deepinv's own operators."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from deepinv.physics import (
    Blur,
    BlurFFT,
    Denoising,
    Downsampling,
    DownsamplingMatlab,
    GaussianNoise,
    LinearPhysics,
    ZeroNoise,
)
from torch import Tensor

from daep_deepinv.operators.resampling import BicubicDownsampling
from daep_prior.arguments import real_number, whole_number

__all__ = ["as_filter", "degradation"]

PADDINGS = ("valid", "circular", "replicate", "reflect")
DOWNSAMPLINGS = ("bicubic", "decimate")


def as_filter(kernel: Tensor | np.ndarray) -> Tensor:
    """A blur kernel (PSF) as deepinv's ``filter``: float32, (1, 1, h, w), non-negative sum scaled to one.

    deepinv's :class:`~deepinv.physics.Blur` applies it as a true convolution (the kernel is flipped), as MATLAB's
    ``conv2`` does.

    :param kernel: (h, w), or (1, 1, h, w).
    :raises ValueError: wrong shape, complex, not finite, or it does not sum to a positive number.
    """
    filter = torch.as_tensor(np.asarray(kernel) if not isinstance(kernel, Tensor) else kernel).detach()
    if filter.is_complex():
        raise ValueError(f"kernel: got {filter.dtype}; expected real numbers.")
    filter = filter.to(torch.float64)
    if filter.ndim == 4 and filter.shape[:2] == (1, 1):
        filter = filter[0, 0]
    if filter.ndim != 2 or filter.numel() == 0:
        raise ValueError(f"kernel: got shape {tuple(filter.shape)}; expected (height, width).")
    if not bool(filter.isfinite().all()):
        raise ValueError("kernel: it contains NaN or infinite values; expected finite numbers.")
    total = float(filter.sum())
    if not 0 < total < float("inf"):
        raise ValueError(f"kernel: its values sum to {total:g}; expected a positive sum (it is scaled to one).")
    return (filter / total).to(torch.float32)[None, None]


def degradation(
    kernel: Tensor | np.ndarray | None = None,
    factor: int = 1,
    sigma: float = 0.0,
    *,
    padding: Literal["valid", "circular", "replicate", "reflect"] = "valid",
    downsampling: Literal["bicubic", "decimate"] = "bicubic",
    img_size: tuple[int, int, int] | None = None,
    device: str | torch.device = "cpu",
) -> LinearPhysics:
    """``y = D(K x) + n`` as a deepinv physics: blur by ``kernel``, reduce by ``factor``, add noise.

    :param kernel: blur kernel, see :func:`as_filter`; ``None``: no blur.
    :param int factor: reduction; 1: none.
    :param float sigma: noise standard deviation, images in [0, 1].
    :param str padding: boundary of the blur. ``"valid"``: the measurement is smaller than the image (the paper's
        deblurring); ``"circular"`` with ``img_size`` uses Fourier transforms, whose proximal step is closed.
    :param str downsampling: ``"bicubic"``: MATLAB's antialiased ``imresize`` (the paper's super-resolution);
        ``"decimate"``: every ``factor``-th pixel.
    :param tuple img_size: (C, H, W) of the image. Optional, and worth giving: the circular blur and the bicubic
        reduction then have closed proximal steps.
    :raises ValueError: ``factor`` below 1, a negative ``sigma``, an unusable kernel, or an unknown option.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding: got {padding!r}; expected one of {', '.join(map(repr, PADDINGS))}.")
    if downsampling not in DOWNSAMPLINGS:
        raise ValueError(f"downsampling: got {downsampling!r}; expected one of {', '.join(map(repr, DOWNSAMPLINGS))}.")
    factor = whole_number("factor", factor)
    sigma = real_number("sigma", sigma, "a finite noise level")
    noise = GaussianNoise(sigma) if sigma > 0 else ZeroNoise()
    blur: LinearPhysics | None = None
    if kernel is not None:
        filter = as_filter(kernel).to(device)
        if img_size is not None and any(filter.shape[i] > img_size[i] for i in (-2, -1)):
            size = " x ".join(map(str, filter.shape[-2:]))
            raise ValueError(f"kernel: {size} is larger than the image, {img_size[-2]} x {img_size[-1]}.")
        if padding == "circular" and img_size is not None:
            blur = BlurFFT(img_size=img_size, filter=filter, device=device, noise_model=noise)
        else:
            blur = Blur(filter=filter, padding=padding, device=device, noise_model=noise)
        if padding == "valid" and img_size is not None:  # what is left for the reduction
            channels, height, width = img_size
            img_size = (channels, height - filter.shape[-2] + 1, width - filter.shape[-1] + 1)
    if factor == 1:
        return blur if blur is not None else Denoising(noise, device=device)
    whole = img_size is not None and not any(n % factor for n in img_size[1:])
    reduce: LinearPhysics
    if downsampling == "bicubic" and img_size is not None and (blur is None or whole):
        reduce = BicubicDownsampling(img_size, factor, device=device, noise_model=noise)
    elif downsampling == "bicubic":  # takes any size; as much memory as 4 factor + 2 images
        reduce = DownsamplingMatlab(factor=factor, device=device, noise_model=noise)
    else:
        # a filter of one pixel changes nothing, but without any deepinv's proximal step fails
        pixel = torch.ones(1, 1, 1, 1)
        reduce = Downsampling(img_size, pixel, factor, device=device, padding="valid", noise_model=noise)
    return reduce if blur is None else reduce * blur
