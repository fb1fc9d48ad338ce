"""The protocol of all benchmarks: images, degradations, PSNR.

* Images: 8-bit RGB. Levin's grey images have three equal channels.
* Deblurring: a true convolution with ``valid`` boundaries, or with circular ones where that is said; kernels as in
  ``kernels/levin.npz``, not transposed.
* Noise: Gaussian, from a generator with seed 0. Levin's grey images have the same noise in all three channels, colour
  images independent noise in each.
* Super-resolution: the image is cropped to a multiple of the factor, reduced by MATLAB's antialiased bicubic
  ``imresize`` and rounded to 8 bits.
* PSNR: the restored image is rounded to 8 bits. Half a kernel (deblurring) or ``factor`` pixels (super-resolution) are
  cropped from every side, nothing where the boundaries are circular. The mean squared error is over all pixels and
  channels.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from deepinv.loss.metric import PSNR, SSIM
from deepinv.physics import Inpainting, LinearPhysics
from PIL import Image
from torch import Tensor

from daep_deepinv import degradation

#: Boundaries of a blur.
Border = Literal["valid", "circular"]


def data_folder(given: str | None = None) -> Path:
    """The data folder: ``given``, or the environment variable ``DAEP_DATA``.

    It holds the test images ``levin/``, ``kodak24/``, ``set5/``, ``set14/``, the kernels ``kernels/``, and the training
    images ``train/``.

    :raises SystemExit: there is no such folder.
    """
    folder = Path(given or os.environ.get("DAEP_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such folder; name the data folder by --data or DAEP_DATA.")
    return folder


@dataclass
class Case:
    """One degraded image.

    :param torch.Tensor clean: (1, 3, H, W) in [0, 1].
    :param torch.Tensor measurement: (1, 3, h, w), images in [0, 1].
    :param float sigma: noise level that the methods assume, images in [0, 1].
    :param tuple margin: rows and columns cropped from each side before PSNR.
    """

    name: str
    clean: Tensor
    measurement: Tensor
    physics: LinearPhysics
    sigma: float
    margin: tuple[int, int]

    def psnr(self, restored: Tensor) -> float:
        """PSNR in dB under the protocol."""
        return float(PSNR()(self._compared(eight_bits(restored)), self._compared(self.clean)))

    def ssim(self, restored: Tensor) -> float:
        """SSIM over the same pixels, mean over the channels."""
        return float(SSIM()(self._compared(eight_bits(restored)), self._compared(self.clean)))

    def _compared(self, x: Tensor) -> Tensor:
        rows, cols = self.margin
        return x[..., rows : x.shape[-2] - rows, cols : x.shape[-1] - cols]


def eight_bits(x: Tensor) -> Tensor:
    """``x`` rounded to 8 bits and clipped, in [0, 1]."""
    return (x * 255).round().clamp(0, 255) / 255


def read(path: Path, box: tuple[int, int, int, int] | None = None) -> Tensor:
    """An image as (1, 3, H, W) in [0, 1]; ``box`` = (top, bottom, left, right)."""
    image = np.array(Image.open(path).convert("RGB"))
    if box is not None:
        image = image[box[0] : box[1], box[2] : box[3]]
    return as_tensor(image)


def as_tensor(image: Image.Image | np.ndarray) -> Tensor:
    """An image of 8 bits, (H, W, C), as (1, C, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def as_jpeg(y: Tensor, quality: int) -> Tensor:
    """``y`` (1, C, H, W) in [0, 1], C = 1 or 3, written to a JPEG file and read again."""
    pixels = (255 * eight_bits(y)[0].permute(1, 2, 0)).round().byte().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "jpeg", quality=quality)
    stored = np.array(Image.open(file))
    return as_tensor(stored if stored.ndim == 3 else stored[..., None])


def levin_kernel(data: Path, number: int) -> np.ndarray:
    """Kernel 1..8 of Levin et al. (2009)."""
    kernel: np.ndarray = np.load(data / "kernels" / "levin.npz")[f"k{number}"]
    return kernel


def blurred(
    name: str,
    clean: Tensor,
    kernel: np.ndarray,
    sigma: float,
    one_field: bool = False,
    seed: int = 0,
    border: Border = "valid",
) -> Case:
    """Deblurring; with ``one_field`` the noise is the same in all channels."""
    channels, height, width = clean.shape[1:]
    circular = border == "circular"
    physics = degradation(kernel, sigma=sigma, padding=border, img_size=(channels, height, width) if circular else None)
    measurement = physics.A(clean)
    shape = (1, 1, *measurement.shape[2:]) if one_field else measurement.shape
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    margin = (0, 0) if circular else (kernel.shape[0] // 2, kernel.shape[1] // 2)
    return Case(name, clean, measurement + sigma * noise, physics, sigma, margin)


def levin(data: Path, image: int, kernel: int, sigma: float) -> Case:
    """One of Levin's 32 cases."""
    clean = read(data / "levin" / f"im{image}.png")
    return blurred(f"levin {image}/k{kernel}", clean, levin_kernel(data, kernel), sigma, one_field=True)


def kodak(data: Path, image: int, kernel: int, sigma: float, box: tuple[int, int, int, int] | None = None) -> Case:
    """A Kodak image, or a crop of it, blurred by one of Levin's kernels."""
    clean = read(data / "kodak24" / f"kodim{image:02d}.png", box)
    return blurred(f"kodak {image}/k{kernel}", clean, levin_kernel(data, kernel), sigma)


def noisy(path: Path, sigma: float, box: tuple[int, int, int, int] | None = None, seed: int = 0) -> Case:
    """Denoising; the measurement is clipped to [0, 1], as in an image file."""
    clean = read(path, box)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return Case(path.stem, clean, (clean + sigma * noise).clamp(0, 1), degradation(sigma=sigma), sigma, (0, 0))


def masked(path: Path, missing: float, box: tuple[int, int, int, int] | None = None, seed: int = 0) -> Case:
    """Inpainting, noise-free; the share ``missing`` of the pixels is unknown, in all channels."""
    clean = read(path, box)
    mask = (torch.rand((1, *clean.shape[-2:]), generator=torch.Generator().manual_seed(seed)) >= missing).float()
    physics = Inpainting(tuple(clean.shape[1:]), mask=mask.expand(clean.shape[1:]))
    return Case(path.stem, clean, physics.A(clean), physics, 0.0, (0, 0))


def reduced(path: Path, factor: int) -> Case:
    """Super-resolution, noise-free."""
    return super_resolution(f"{path.stem} x{factor}", read(path), factor)


def super_resolution(name: str, clean: Tensor, factor: int) -> Case:
    """Super-resolution, noise-free, of an image (1, C, H, W)."""
    height, width = (n - n % factor for n in clean.shape[-2:])
    clean = clean[..., :height, :width]
    physics = degradation(factor=factor, img_size=(clean.shape[1], height, width))
    return Case(name, clean, eight_bits(physics.A(clean)), physics, 0.0, (factor, factor))
