"""Crops of training images and their degradations, on which ``tune_presets.py`` scores the presets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from protocol import Border, Case, blurred, read, super_resolution
from torch import Tensor
from training_crops import kernel

from daep_prior.training.data import IMAGE_SUFFIXES

#: Folders of the test images of all benchmarks, see :func:`protocol.data_folder`. Test images choose no numbers.
TEST_SETS = ("levin", "kodak24", "set5", "set14")
#: Smallest side of a crop, pixels: half as large again as the largest kernel.
SMALLEST_CROP = 48
#: Factors of super-resolution, the degradations of a noise-free measurement.
FACTORS = (2, 3)
#: First of the kernels of :func:`training_crops.kernel`: two of random motion, defocus, Gaussian, six of random motion.
FIRST_KERNEL = 4
#: Kernels that are kept for each half of the crops, and for each seed.
KERNELS_OF_A_HALF = 4096

#: Crops that choose the numbers, and other crops that accept them.
Half = Literal["search", "held-out"]


class UnusableFolderError(ValueError):
    """A folder that holds no training images, or too few."""


@dataclass(frozen=True)
class Crop:
    """A square of an image.

    :param str file: path of the image in the folder.
    :param int top: first row, pixels.
    :param int left: first column, pixels.
    :param torch.Tensor pixels: (1, C, size, size) in [0, 1]; C = 1 if the channels are equal.
    """

    file: str
    top: int
    left: int
    pixels: Tensor


@dataclass(frozen=True)
class Crops:
    """Crops of different images, and their degradations, from a seed.

    :param Path folder: of the images.
    :param int images: number of image files in it.
    :param list crops: every other one is held out.
    :param int kernels: blur kernels of a crop.
    :param int seed: of crops, kernels and noise.
    :param str border: of the blur.
    """

    folder: Path
    images: int
    crops: list[Crop]
    kernels: int
    seed: int
    border: Border = "valid"

    def cases(self, level: float, half: Half) -> list[Case]:
        """The measurements of one half of the crops.

        :param float level: noise level, of 255. 0: noise-free super-resolution; else blur and noise.
        """
        held_out = half == "held-out"
        chosen = self.crops[int(held_out) :: 2]
        if level == 0:
            return [super_resolution(crop.file, crop.pixels, factor) for crop in chosen for factor in FACTORS]
        cases = []
        number = FIRST_KERNEL + (2 * self.seed + held_out) * KERNELS_OF_A_HALF
        for crop in chosen:
            for _ in range(self.kernels):
                cases.append(
                    blurred(crop.file, crop.pixels, kernel(number), level / 255, seed=number, border=self.border)
                )
                number += 1
        return cases

    def fingerprint(self) -> str:
        """Of all that the measurements depend on, apart from the noise level."""
        border = "" if self.border == "valid" else f" {self.border}"
        digest = hashlib.sha256(f"{self.kernels} {self.seed}{border}".encode())
        for crop in self.crops:
            digest.update((255 * crop.pixels).round().byte().numpy().tobytes())
        return digest.hexdigest()[:12]


def choose_crops(
    folder: Path,
    count: int,
    size: int,
    kernels: int,
    seed: int,
    log: Callable[[str], None] = print,
    border: Border = "valid",
) -> Crops:
    """Random crops, one an image, of the images in ``folder`` and its sub-folders.

    :param int count: number of crops.
    :param int size: height and width, pixels.
    :param Callable log: called with a line for each image that cannot be used.
    :param str border: of the blur.
    :raises UnusableFolderError: not a folder, one of test images, or too few images that are large enough.
    """
    files = _image_files(folder)
    rng, crops = np.random.default_rng(seed), []
    for k in rng.permutation(len(files)):
        if len(crops) == count:
            break
        crop = _cut(folder, files[k], size, rng, log)
        if crop is not None:
            crops.append(crop)
    if len(crops) < count:
        raise UnusableFolderError(
            f"FOLDER: got {folder} with {len(crops)} usable images of at least {size} x {size} pixels; "
            f"expected at least {count}, one a crop (see --crops and --size)."
        )
    return Crops(folder, len(files), crops, kernels, seed, border)


def _image_files(folder: Path) -> list[Path]:
    """The image files in ``folder``, in the order of their paths."""
    if not folder.is_dir():
        raise UnusableFolderError(f"FOLDER: got {folder}; expected a folder of training images.")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    for path in files:
        names = (folder.resolve().name, *path.relative_to(folder).parts[:-1])
        found = next((name for name in names if name.lower() in TEST_SETS), None)
        if found is not None:
            raise UnusableFolderError(
                f"FOLDER: got {folder} with the test images {found!r}; expected training images alone, "
                "because test images choose no numbers."
            )
    return files


def _cut(folder: Path, path: Path, size: int, rng: np.random.Generator, log: Callable[[str], None]) -> Crop | None:
    """A random crop of an image; ``None``: it cannot be used."""
    file = path.relative_to(folder).as_posix()
    try:
        with Image.open(path) as image:
            width, height, mode = *image.size, image.mode
        if min(width, height) < size:
            return None
        if mode.startswith("I") or mode == "F":
            log(f"skipped {file}: more than 8 bits a value")
            return None
        top, left = (int(rng.integers(side - size + 1)) for side in (height, width))
        pixels = read(path, (top, top + size, left, left + size))
    except OSError as error:
        log(f"skipped {file}: cannot be read ({error})")
        return None
    grey = bool((pixels == pixels[:, :1]).all())
    return Crop(file, top, left, pixels[:, :1] if grey else pixels)
