"""The paper's experiments as functions: images, degradations, and how PSNR is taken.

Stated once, used by every benchmark:

* images are 8-bit RGB; Levin's grey images are shown to the network as three equal channels;
* blur is a true convolution with ``valid`` boundaries, kernels as in ``kernels/levin.npz``, not transposed;
* noise comes from a generator seeded with 0; Levin's grey images carry one noise field in all three channels, colour
  images independent noise in each;
* super-resolution: the image is cropped to a multiple of the factor and reduced by MATLAB's antialiased bicubic
  ``imresize``, then rounded to 8 bits;
* the restored image is rounded to 8 bits; half a kernel (deblurring) or ``factor`` pixels (super-resolution) are
  cropped from every side, and PSNR is taken over all pixels and channels.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from deepinv.loss.metric import PSNR, SSIM
from deepinv.physics import Inpainting, LinearPhysics
from PIL import Image
from torch import Tensor

from daep_deepinv import degradation


def data_folder(given: str | None = None) -> Path:
    """The folder with ``levin/``, ``kodak24/``, ``set5/``, ``set14/`` and ``kernels/``: given, or ``DAEP_DATA``.

    :raises SystemExit: there is none.
    """
    folder = Path(given or os.environ.get("DAEP_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such folder; say where the data is with --data or DAEP_DATA.")
    return folder


@dataclass
class Case:
    """One degraded image. ``clean`` is (1, 3, H, W), ``measurement`` (1, 3, h, w), both in [0, 1]."""

    name: str
    clean: Tensor
    measurement: Tensor
    physics: LinearPhysics
    sigma: float
    #: rows and columns cropped from each side before PSNR
    margin: tuple[int, int]

    def psnr(self, restored: Tensor) -> float:
        """PSNR in dB under the protocol."""
        return float(PSNR()(self._compared(eight_bits(restored)), self._compared(self.clean)))

    def ssim(self, restored: Tensor) -> float:
        """SSIM under the protocol: over the same pixels, mean over the channels."""
        return float(SSIM()(self._compared(eight_bits(restored)), self._compared(self.clean)))

    def _compared(self, x: Tensor) -> Tensor:
        rows, cols = self.margin
        return x[..., rows : x.shape[-2] - rows, cols : x.shape[-1] - cols]


def eight_bits(x: Tensor) -> Tensor:
    """``x`` as an 8-bit image would hold it, still in [0, 1]."""
    return (x * 255).round().clamp(0, 255) / 255


def read(path: Path, box: tuple[int, int, int, int] | None = None) -> Tensor:
    """An image as (1, 3, H, W) in [0, 1]; ``box`` = (top, bottom, left, right)."""
    image = np.array(Image.open(path).convert("RGB"))
    if box is not None:
        image = image[box[0] : box[1], box[2] : box[3]]
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def levin_kernel(data: Path, number: int) -> np.ndarray:
    """Kernel 1..8 of Levin et al. (2009)."""
    kernel: np.ndarray = np.load(data / "kernels" / "levin.npz")[f"k{number}"]
    return kernel


def blurred(name: str, clean: Tensor, kernel: np.ndarray, sigma: float, one_field: bool = False, seed: int = 0) -> Case:
    """Deblurring: ``one_field`` puts the same noise in all channels."""
    physics = degradation(kernel, sigma=sigma)
    measurement = physics.A(clean)
    shape = (1, 1, *measurement.shape[2:]) if one_field else measurement.shape
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    margin = (kernel.shape[0] // 2, kernel.shape[1] // 2)
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
    """Denoising of one image; the measurement is clipped to [0, 1], as an image file would hold it."""
    clean = read(path, box)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return Case(path.stem, clean, (clean + sigma * noise).clamp(0, 1), degradation(sigma=sigma), sigma, (0, 0))


def holed(path: Path, missing: float, box: tuple[int, int, int, int] | None = None, seed: int = 0) -> Case:
    """Inpainting of one image: a share of ``missing`` of its pixels is unknown, in all channels; noise-free."""
    clean = read(path, box)
    mask = (torch.rand((1, *clean.shape[-2:]), generator=torch.Generator().manual_seed(seed)) >= missing).float()
    physics = Inpainting(tuple(clean.shape[1:]), mask=mask.expand(clean.shape[1:]))
    return Case(path.stem, clean, physics.A(clean), physics, 0.0, (0, 0))


def reduced(path: Path, factor: int) -> Case:
    """Super-resolution of one image, noise-free."""
    clean = read(path)
    height, width = (n - n % factor for n in clean.shape[-2:])
    clean = clean[..., :height, :width]
    physics = degradation(factor=factor, img_size=(3, height, width))
    measurement = eight_bits(physics.A(clean))
    return Case(f"{path.stem} x{factor}", clean, measurement, physics, 0.0, (factor, factor))


class Table:
    """Rows of a CSV file, appended as they come, so that an interrupted benchmark goes on where it stopped.

    :param Path path: the file; its folder is made when the first row comes.
    :param str key: the columns that tell rows apart.
    """

    def __init__(self, path: Path, *key: str):
        self.path, self.key = path, key
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="") as file:
                self.rows = list(csv.DictReader(file))

    def find(self, *key: str) -> dict[str, str] | None:
        """The row of that key, if it has been measured."""
        return next((row for row in self.rows if tuple(row[column] for column in self.key) == key), None)

    def add(self, row: dict[str, str]) -> None:
        """Append to the file."""
        self.rows.append(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if len(self.rows) == 1:
            self._write()
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, fieldnames=list(self.rows[0])).writerow(row)

    def drop(self, unwanted: Callable[[dict[str, str]], bool]) -> None:
        """Take rows out, to measure them again."""
        kept = [row for row in self.rows if not unwanted(row)]
        if len(kept) < len(self.rows):
            fields, self.rows = list(self.rows[0]), kept
            self._write(fields)

    def _write(self, fields: list[str] | None = None) -> None:
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=fields or list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
