"""Arrays of pixels as photos: which channels are colours, which is the transparency, and which way is up."""

from dataclasses import replace

import numpy as np

from daep_cli.photographs.photo import Array, Photo


def split(pixels: Array, icc: bytes | None, alpha: bool | None = None) -> Photo:
    """The photo of pixels (H, W) or (H, W, C).

    :param bool alpha: whether the last channel is transparency; ``None``: it is if there are two or four.
    """
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    channels = pixels.shape[2]
    if channels > 1 and (channels in (2, 4) if alpha is None else alpha):
        return without_missing(
            Photo(np.ascontiguousarray(pixels[..., :-1]), np.ascontiguousarray(pixels[..., -1]), icc)
        )
    return without_missing(Photo(np.ascontiguousarray(pixels), None, icc))


def without_missing(photo: Photo) -> Photo:
    """The photo with the pixels that have no value marked, and set to 0."""
    if photo.colour.dtype.kind != "f":
        return photo
    missing = np.asarray(~np.isfinite(photo.colour).all(axis=2))
    if not missing.any():
        return photo
    colour = photo.colour.copy()
    colour[missing] = 0
    return replace(photo, colour=colour, missing=missing)


def upright(pixels: Array, orientation: int) -> Array:
    """Apply an EXIF orientation from 1 to 8. Other values are ignored, as in Pillow."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
