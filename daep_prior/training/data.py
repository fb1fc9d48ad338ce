"""Training images, and the random crops of each step; all random numbers are functions of (seed, step)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daep_prior.images import RGB
from daep_prior.training.config import TrainingConfig

__all__ = [
    "TrainingImage",
    "as_training_images",
    "load_training_images",
    "prefetched",
    "random_crops",
    "random_generator",
]

#: Suffixes of the image files that are read.
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
#: Largest factor by which a crop is reduced. Chosen by hand.
LARGEST_REDUCTION = 2.0
#: Largest factor on the distance of colours from grey; 1: unchanged. Chosen by hand.
STRONGEST_COLOUR = 2.5
#: Batches that are cut in advance. Chosen by hand.
AHEAD = 4


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """An image as it is in its file; only its crops become numbers in [0, 1].

    :param numpy.ndarray values: (H, W, C), of any real number type.
    :param float black: value that becomes 0.
    :param float white: value that becomes 1; ``None``: the largest of an integer type, 1 for floats.
    :param str source: its file. Images of one file are not both trained on and validated.
    :param Callable curve: half of the crops are shown after it: float32 arrays in [0, 1] to arrays of the same shape.
    :raises ValueError: another shape or type, or ``white`` is not above ``black``.
    """

    values: np.ndarray
    black: float = 0.0
    white: float | None = None
    source: str | None = None
    curve: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.size == 0 or self.values.dtype.kind not in "buif":
            kind = f"{self.values.dtype} of shape {self.values.shape}"
            raise ValueError(f"values: got {kind}; expected numbers of shape (height, width, channels).")
        if not self.black < self.top < float("inf"):
            raise ValueError(f"white: got {self.top:g}; expected a number above black, {self.black:g}.")

    @property
    def top(self) -> float:
        """The value of white."""
        if self.white is not None:
            return self.white
        kind = self.values.dtype
        return float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.values.shape[0], self.values.shape[1]

    def crop(self, top: int, left: int, height: int, width: int, channels: int) -> np.ndarray:
        """A part of the image, float32 (height, width, channels): grey is shown in all channels, or colours as grey.

        :raises ValueError: it has another number of channels.
        """
        part = self.values[top : top + height, left : left + width]
        shares = (part - self.black if self.black else part).astype(np.float32) / np.float32(self.top - self.black)
        count = shares.shape[2]
        if count == channels:
            return shares
        if count == 1:
            return np.repeat(shares, channels, axis=2)
        if channels == 1 and count == RGB:
            return shares.mean(axis=2, keepdims=True)
        raise ValueError(f"values: got {count} channels; expected {channels}, or 1.")

    def suits(self, channels: int) -> bool:
        """Whether it can be shown to a network for ``channels``."""
        count = self.values.shape[2]
        return count in (1, channels) or (channels == 1 and count == RGB)


def as_training_images(
    images: Sequence[TrainingImage | np.ndarray], channels: int, smallest: int
) -> list[TrainingImage]:
    """Check images that are given: arrays (H, W) or (H, W, C), or :class:`TrainingImage`.

    :param int channels: of the network.
    :param int smallest: least height and width, pixels.
    :raises ValueError: there is none, or one is too small or has other channels.
    """
    found = []
    for i, image in enumerate(images):
        if not isinstance(image, TrainingImage):
            image = TrainingImage(image[..., None] if image.ndim == 2 else image)
        if not image.suits(channels):
            raise ValueError(f"images: number {i} has {image.values.shape[2]} channels; expected {channels}, or 1.")
        if min(image.size) < smallest:
            height, width = image.size
            raise ValueError(
                f"images: number {i} has {width} x {height} pixels; expected at least a crop of {smallest}."
            )
        found.append(image)
    if not found:
        raise ValueError("images: got none; expected at least one.")
    return found


def load_training_images(folder: str | Path, smallest: int, log: Callable[[str], None] = print) -> list[TrainingImage]:
    """Every usable image below ``folder``, in the order of their paths, with the values of its file.

    Read are 8-bit colour, and grey of any number type; ``daep train`` reads more. Images that cannot be read at their
    full precision, or are too small, are skipped with one line each.

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
            image = TrainingImage(_read(path))
        except Exception as error:  # Pillow raises many kinds for damaged files
            log(f"skipped {path.name}: cannot be read ({type(error).__name__}: {error})")
            continue
        if min(image.size) < smallest:
            height, width = image.size
            log(f"skipped {path.name}: {width} x {height} pixels, smaller than a crop of {smallest}")
            continue
        images.append(image)
    if not images:
        raise ValueError(f"{folder}: no usable image among {len(paths)} image files; expected PNG, JPEG, TIFF or BMP.")
    return images


def _read(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as file:
        if getattr(file, "n_frames", 1) > 1:
            raise ValueError(f"contains {file.n_frames} images")
        if file.mode.startswith("I") or file.mode == "F":
            return np.array(file)[..., None]
        stored = file.tile[0][3] if file.tile else ()
        if any("16" in str(part) for part in (stored if isinstance(stored, tuple) else (stored,))):
            raise ValueError("16-bit colour, which daep train reads")  # Pillow reduces it to 8 bits
        return np.array(file.convert("L" if file.mode in ("1", "L", "LA") else "RGB")).reshape(*file.size[::-1], -1)


def random_generator(seed: int, step: int, purpose: int) -> np.random.Generator:
    """A generator for one ``purpose`` (a number of its own) at one step."""
    return np.random.default_rng([seed, step, purpose])


def random_crops(images: list[TrainingImage], config: TrainingConfig, step: int) -> Tensor:
    """The crops of one step, flipped and rotated at random: float32 (batch, channels, crop, crop), white is 1.

    Pixels are equally likely, so large images give more crops.
    """
    rng = random_generator(config.seed, step, 0)
    area = np.array([image.size[0] * image.size[1] for image in images], dtype=np.float64)
    size, channels = config.crop, config.channels
    out = np.empty((config.batch, size, size, channels), dtype=np.float32)
    for i, k in enumerate(rng.choice(len(images), config.batch, p=area / area.sum())):
        crop = _cut(images[k], size, channels, rng, config.augmentation)
        curve = images[k].curve
        if curve is not None and rng.integers(2):
            crop = curve(crop)
        if rng.random() < config.augmentation and channels == RGB:
            crop = _recoloured(crop, rng)
        crop = np.rot90(crop, int(rng.integers(4)))
        out[i] = crop[:, ::-1] if rng.integers(2) else crop
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def _cut(image: TrainingImage, size: int, channels: int, rng: np.random.Generator, share: float) -> np.ndarray:
    """A random square of ``size`` pixels; with probability ``share`` a larger one, reduced to that size."""
    from PIL import Image

    whole = size
    if rng.random() < share:
        whole = round(rng.uniform(size, max(size, min(LARGEST_REDUCTION * size, *image.size))))
    top, left = (int(rng.integers(0, n - whole + 1)) for n in image.size)
    crop = image.crop(top, left, whole, whole, channels)
    if whole == size:
        return crop
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(crop, -1, 0)]
    reduced = np.stack([np.asarray(plane.resize((size, size), Image.Resampling.BICUBIC)) for plane in planes], axis=-1)
    return reduced.clip(crop.min(), crop.max())


def _recoloured(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Channels permuted, and the distance of colours from grey multiplied by a random factor."""
    crop = crop[..., rng.permutation(RGB)]
    grey = crop.mean(2, keepdims=True)
    strength = np.float32(rng.uniform(0, STRONGEST_COLOUR))
    return (grey + strength * (crop - grey)).clip(min(0.0, float(crop.min())), max(1.0, float(crop.max())))


def prefetched(images: list[TrainingImage], config: TrainingConfig, first: int) -> Iterator[Tensor]:
    """The crops of each step from ``first`` on; a thread cuts the next batches while the network learns."""
    with ThreadPoolExecutor(1) as pool:
        steps = range(first, config.steps)
        waiting = [pool.submit(random_crops, images, config, step) for step in steps[:AHEAD]]
        for step in steps:
            crops = waiting.pop(0).result()
            if step + AHEAD < config.steps:
                waiting.append(pool.submit(random_crops, images, config, step + AHEAD))
            yield crops
