"""Training images, and the random crops of each step; all random numbers are functions of (seed, step)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daep_prior.images import RGB
from daep_prior.training.config import TrainingConfig

__all__ = ["load_training_images", "prefetched", "random_crops", "random_generator"]

#: Suffixes of the image files that are read.
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
#: Largest factor by which a crop is reduced. Chosen by hand.
LARGEST_REDUCTION = 2.0
#: Largest factor on the distance of colours from grey; 1: unchanged. Chosen by hand.
STRONGEST_COLOUR = 2.5
#: Batches that are cut in advance. Chosen by hand.
AHEAD = 4


def load_training_images(folder: str | Path, smallest: int, log: Callable[[str], None] = print) -> list[np.ndarray]:
    """Every usable image below ``folder`` as uint8 RGB (H, W, 3), in the order of their paths.

    Grey and 16-bit images are converted. Images that cannot be read or are too small are skipped with one line each.

    :param str folder: searched with its subfolders.
    :param int smallest: least height and width, pixels.
    :param Callable log: called with each line.
    :raises ValueError: not a folder, or no usable image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; expected one with training images.")
    images = []
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    for path in paths:
        try:
            image = _read_rgb(path)
        except Exception as error:  # Pillow raises many kinds for damaged files
            log(f"skipped {path.name}: cannot be read ({type(error).__name__}: {error})")
            continue
        if min(image.shape[:2]) < smallest:
            log(f"skipped {path.name}: {image.shape[1]} x {image.shape[0]} pixels, smaller than a crop of {smallest}")
            continue
        images.append(image)
    if not images:
        raise ValueError(f"{folder}: no usable image among {len(paths)} image files; expected PNG, JPEG, TIFF or BMP.")
    return images


def _read_rgb(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as file:
        if file.mode.startswith("I") or file.mode == "F":
            grey = np.asarray(file, dtype=np.float64)
            scale = 255 / 65535 if file.mode.startswith("I") else 255.0
            return np.repeat((grey * scale).round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
        return np.array(file.convert("RGB"))


def random_generator(seed: int, step: int, purpose: int) -> np.random.Generator:
    """A generator for one ``purpose`` (a number of its own) at one step."""
    return np.random.default_rng([seed, step, purpose])


def random_crops(images: list[np.ndarray], config: TrainingConfig, step: int) -> Tensor:
    """The crops of one step, flipped and rotated at random: uint8 (batch, 3, crop, crop).

    Pixels are equally likely, so large images give more crops.
    """
    rng = random_generator(config.seed, step, 0)
    area = np.array([image.shape[0] * image.shape[1] for image in images], dtype=np.float64)
    size = config.crop
    out = np.empty((config.batch, size, size, 3), dtype=np.uint8)
    for i, k in enumerate(rng.choice(len(images), config.batch, p=area / area.sum())):
        crop = _cut(images[k], size, rng, config.augmentation)
        if rng.random() < config.augmentation:
            crop = _recoloured(crop, rng)
        crop = np.rot90(crop, int(rng.integers(4)))
        out[i] = crop[:, ::-1] if rng.integers(2) else crop
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def _cut(image: np.ndarray, size: int, rng: np.random.Generator, share: float) -> np.ndarray:
    """A random square of ``size`` pixels; with probability ``share`` a larger one, reduced to that size."""
    from PIL import Image

    whole = size
    if rng.random() < share:
        whole = round(rng.uniform(size, max(size, min(LARGEST_REDUCTION * size, *image.shape[:2]))))
    top, left = (int(rng.integers(0, n - whole + 1)) for n in image.shape[:2])
    crop = image[top : top + whole, left : left + whole]
    if whole == size:
        return crop
    return np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.BICUBIC))


def _recoloured(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Channels permuted, and the distance of colours from grey multiplied by a random factor."""
    crop = crop[..., rng.permutation(RGB)].astype(np.float64)
    grey = crop.mean(2, keepdims=True)
    return (grey + rng.uniform(0, STRONGEST_COLOUR) * (crop - grey)).round().clip(0, 255).astype(np.uint8)


def prefetched(images: list[np.ndarray], config: TrainingConfig, first: int) -> Iterator[Tensor]:
    """The crops of each step from ``first`` on; a thread cuts the next batches while the network learns."""
    with ThreadPoolExecutor(1) as pool:
        steps = range(first, config.steps)
        waiting = [pool.submit(random_crops, images, config, step) for step in steps[:AHEAD]]
        for step in steps:
            crops = waiting.pop(0).result()
            if step + AHEAD < config.steps:
                waiting.append(pool.submit(random_crops, images, config, step + AHEAD))
            yield crops
