"""The photograph and the kernel of the demonstration."""

from pathlib import Path

import skimage
from deepinv.physics.generator import MotionBlurGenerator
from torch import Tensor

from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.tensors import to_tensor

#: Photographs that come with scikit-image, and the pixel (x, y) at the centre of the crop. Chosen for its detail.
PHOTOGRAPHS = {"astronaut": (224, 128), "chelsea": (230, 130), "coffee": (300, 200)}
#: Noise level, images in [0, 1]: one per cent, as in the paper.
NOISE = 2.55 / 255
#: Side of the kernel, pixels, and the seed of a camera shake with two turns, about 13 pixels long.
KERNEL_SIZE, KERNEL_SEED = 25, 2
SMALLEST = 16


def motion_kernel() -> Tensor:
    """The kernel of the example, (1, 1, 25, 25), sum 1: deepinv's random camera shake with a fixed seed."""
    kernel: Tensor = MotionBlurGenerator((KERNEL_SIZE, KERNEL_SIZE)).step(seed=KERNEL_SEED)["filter"]
    return kernel / kernel.sum()


def photograph_crop(name: str, size: int) -> Tensor:
    """A crop of a photograph, (1, 3, H, W) in [0, 1], whose blurred image has height and width ``size``."""
    # not by skimage.data, which downloads a file that it does not find
    photo = read_photo(Path(skimage.__file__).parent / "data" / f"{name}.png")
    whole = size + KERNEL_SIZE - 1
    largest = min(photo.size) - KERNEL_SIZE + 1
    if not SMALLEST <= size <= largest:
        raise ValueError(f"--size {size}: expected {SMALLEST} to {largest} for this photograph.")
    left, top = (
        min(max(0, middle - whole // 2), side - whole)
        for middle, side in zip(PHOTOGRAPHS[name], photo.size, strict=True)
    )
    return to_tensor(Photo(photo.colour[top : top + whole, left : left + whole]))
