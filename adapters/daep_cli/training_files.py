"""``daep train``: the images below a folder, of every format that is read, with the values of their files."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence

from daep_cli.errors import one_line
from daep_cli.noise_option import Counts
from daep_cli.photographs.metadata import NOTHING
from daep_cli.photographs.photo import READABLE, Array, Photo
from daep_cli.photographs.pillow_reading import pixels_of
from daep_cli.photographs.pixels import split
from daep_cli.photographs.reading import count_pages, read_photo
from daep_cli.photographs.transparency import without_hidden
from daep_cli.photographs.value_range import Ranges, find_ranges
from daep_deepinv.noise.stabilise import Anscombe
from daep_prior.images import RGB
from daep_prior.training import TrainingImage

#: Other formats that are read for training: arrays, and 8-bit images by Pillow.
ARRAYS, PILLOW = frozenset({".npy", ".npz", ".zarr"}), frozenset({".bmp", ".webp"})
#: Channels of an image, at most; a longer axis counts images.
MOST_CHANNELS = 4
#: Share of the values of a file that may be above a given white, as saturated stars are. Chosen by hand.
MOST_ABOVE_WHITE = 0.1
#: Characters of the reason why a file is skipped.
LONGEST_REASON = 200


def read_training_images(
    folder: Path,
    channels: int | None,
    smallest: int,
    white: float | None,
    log: Callable[[str], None],
    counts: Counts | None = None,
    black: float | None = None,
) -> tuple[list[TrainingImage], int]:
    """Every usable image below ``folder``, in the order of their paths: pages and slices one after another.

    What cannot be used is skipped with one line; another says how images of other channels are shown.

    :param int channels: of the network; ``None``: as many as all images have, or 3.
    :param int smallest: least height and width, pixels.
    :param float white: value of white; ``None``: found in each file.
    :param Counts counts: noise of the sensor; half of the crops are shown with stabilised noise.
    :param float black: value of no light; ``None``: found in each file.
    :return: images, and the channels.
    :raises ValueError: not a folder, or no usable image in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; expected one with training images.")
    known = READABLE | ARRAYS | PILLOW
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in known and _is_data(path))
    found: list[tuple[Path, TrainingImage]] = []
    why: list[str] = []
    for path in paths:
        try:
            images = _images_of(path, list(_photos(path, channels, smallest)), smallest, (black, white), counts, log)
        except (ValueError, OSError, MemoryError) as error:
            reason = str(error).removeprefix(f"{path}: ") or type(error).__name__
            reason = textwrap.shorten(one_line(reason), LONGEST_REASON).rstrip(".")
            why.append(f"{path.name}: {reason}")
            log(f"skipped {why[-1]}")
            continue
        found += [(path, image) for image in images]
    if channels is None:
        different = {image.values.shape[2] for _, image in found}
        channels = different.pop() if len(different) == 1 else RGB
    usable, skipped = [], set(paths).difference(path for path, _ in found)
    for path, image in found:
        if image.suits(channels):
            usable.append(image)
        else:
            count = image.values.shape[2]
            why.append(f"{path.name}: {count} channels, the network has {channels}; --channels sets another number")
            if path not in skipped:  # one line for all its images
                log(f"skipped {why[-1]}")
            skipped.add(path)
    if not usable:
        reason = f"; {why[0]}" if why else ""
        raise ValueError(f"{folder}: no usable image among {len(paths)} images and arrays{reason}.")
    _say_how_shown(usable, channels, log)
    if skipped:
        log(f"{len(skipped)} of {len(paths)} files skipped")
    return usable, channels


def _say_how_shown(images: list[TrainingImage], channels: int, log: Callable[[str], None]) -> None:
    others = sum(image.values.shape[2] != channels for image in images)
    if others and channels == 1:
        log(f"{others} of {len(images)} images are colour; the network has one channel and sees them as grey")
    elif others:
        log(f"{others} of {len(images)} images are grey; the network has {channels} channels and sees them in each")
    elif channels > MOST_CHANNELS:  # they may have been meant as slices
        height, width = images[0].size
        log(f"the first image has {width} x {height} pixels and {channels} channels; --channels sets another number")


def _check_white(photos: Sequence[Photo], white: float) -> None:
    above = float(np.mean([np.mean(photo.colour > white) for photo in photos]))
    if above > MOST_ABOVE_WHITE:
        raise ValueError(f"{100 * above:.0f} % of its values are above --white {white:g}")


def _is_data(path: Path) -> bool:
    """A file, or the folder of a zarr array; not what is inside of one."""
    inside = any(parent.suffix.lower() == ".zarr" for parent in path.parents)
    return not inside and (path.is_file() or path.suffix.lower() == ".zarr")


def _images_of(
    path: Path,
    photos: list[Photo],
    smallest: int,
    ends: tuple[float | None, float | None],
    counts: Counts | None,
    log: Callable[[str], None],
) -> list[TrainingImage]:
    """The usable images of a file; one line says how many of several are not.

    :param tuple ends: black and white, if they are given.
    :raises ValueError: none is.
    """
    black, white = ends
    spans, images, why = find_ranges(photos, white, black), list[TrainingImage](), list[str]()
    if white is not None:
        _check_white(photos, white)
    for photo in photos:
        try:
            images.append(_image(photo, spans, smallest, str(path), counts, black))
        except ValueError as error:
            why.append(str(error))
    if not images:
        raise ValueError(why[0] if why else "it contains no image")
    if why:
        log(f"skipped {len(why)} of the {len(photos)} images of {path.name}: {why[0]}")
    return images


def _image(
    photo: Photo, spans: Ranges, smallest: int, source: str, counts: Counts | None, black: float | None
) -> TrainingImage:
    if photo.missing is not None:
        raise ValueError("it has pixels without a value (NaN or infinity)")
    width, height = photo.size
    if min(width, height) < smallest:
        raise ValueError(f"{width} x {height} pixels, smaller than a crop of {smallest}")
    values = without_hidden(photo).colour
    dark, white = spans[photo.colour.dtype] or (0.0, None)
    if counts is None:
        return TrainingImage(values, dark, white, source)
    image = TrainingImage(values, black or 0.0, white, source)  # no light is no count
    span = image.top - image.black
    if counts.gain > span:
        raise ValueError(f"one photon of --noise poisson:{counts.gain:g} would be more than white, {image.top:g}")
    return replace(image, curve=partial(stabilised, gain=counts.gain / span, read=counts.read / span))


def stabilised(crop: Array, gain: float, read: float) -> Array:
    """The values in [0, 1] after Anscombe's transform, after which the noise of a sensor has one level, in [0, 1].

    `daep restore --noise poisson` shows a noisy image to the network in this form, and in the form of the file.
    """
    transform = Anscombe(gain, read**2)
    dark, white = transform.ends()
    out: Array = ((transform.forward(torch.from_numpy(crop)) - dark) / (white - dark)).numpy()
    return out


def _photos(path: Path, channels: int | None, smallest: int) -> Iterator[Photo]:
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        for array in _arrays(path):
            for image in as_images(array, channels, smallest):
                # complex numbers are signed, also if they hardly are below 0
                yield Photo(image, missing=_missing(image), linear=array.dtype.kind == "c")
    elif suffix in PILLOW:
        yield from _frames(path)
    else:
        for page in range(count_pages(path)):
            yield replace(read_photo(path, page), metadata=NOTHING)


def _frames(path: Path) -> Iterator[Photo]:
    try:
        with Image.open(path, formats=("BMP", "WEBP")) as file:
            for frame in ImageSequence.Iterator(file):
                pixels, _, transparent = pixels_of(frame, None)
                yield split(pixels, None, transparent)
    except Exception as error:  # Pillow raises errors of many types for damaged files
        raise ValueError(f"not a readable BMP or WebP image, or damaged ({type(error).__name__})") from error


def _missing(image: Array) -> Array | None:
    missing = np.asarray(~np.isfinite(image).all(axis=2)) if image.dtype.kind == "f" else None
    return missing if missing is not None and missing.any() else None


def _arrays(path: Path) -> Iterator[Array]:
    """The arrays of a file; those of ``.npy`` stay on the disk until they are used.

    Of several arrays, numbers and lists are left out: they describe the images, such as the size of a pixel.
    """
    kind = path.suffix.lower()
    if kind == ".zarr" and find_spec("zarr") is None:
        raise ValueError("zarr arrays need zarr; pip install 'daep-prior[zarr]'.")
    try:
        if kind == ".npy":
            yield np.load(path, mmap_mode="r", allow_pickle=False)
            return
        several = _members(path) if kind == ".npz" else _zarr_arrays(path)
        yield from (array for array in several if array.ndim > 1)
    except MemoryError:
        raise
    except Exception as error:  # the header of an array is a Python literal: damage raises errors of many types
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system; zarr and numpy have some of their own, without a number
        raise ValueError(
            f"{path}: not a readable file of arrays of numbers, or damaged ({type(error).__name__})"
        ) from error


def _members(path: Path) -> Iterator[Array]:
    with np.load(path, allow_pickle=False) as archive:
        for name in archive.files:
            yield archive[name]


def _zarr_arrays(path: Path) -> Iterator[Array]:
    import zarr

    store = zarr.open(str(path), mode="r")
    if hasattr(store, "shape"):
        yield store[...]
        return
    for _, array in store.arrays():
        yield array[...]


def as_images(array: Array, channels: int | None, smallest: int) -> Iterator[Array]:
    """The images (H, W, C) of an array: an image, a stack (N, H, W), or images with channels, first or last.

    Real and imaginary part of complex numbers are two channels.

    :param int channels: that an axis of this length counts; ``None``: up to ``MOST_CHANNELS``, the last one also if it
        is shorter than the sides of an image.
    :param int smallest: least height and width of an image.
    :raises ValueError: no numbers, or no image.
    """
    if array.dtype.kind == "c":
        array = np.stack([array.real, array.imag], axis=-1)
        channels = array.shape[-1]
    if array.dtype.kind not in "buif" or array.ndim < 2 or array.size == 0:
        raise ValueError(
            f"{array.dtype} of shape {array.shape}; expected numbers of shape (height, width), or more axes"
        )

    def counts(length: int, most: int) -> bool:
        return length == channels if channels not in (None, 1) else length <= most

    if array.ndim > 2 and counts(array.shape[-1], max(MOST_CHANNELS, smallest - 1)):
        images = array.reshape(-1, *array.shape[-3:])
    elif array.ndim > 2 and counts(array.shape[-3], MOST_CHANNELS):
        images = np.moveaxis(array.reshape(-1, *array.shape[-3:]), 1, -1)
    else:
        images = array.reshape(-1, *array.shape[-2:], 1)
    yield from images
