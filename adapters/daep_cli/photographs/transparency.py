"""Colours under transparent pixels: they are invisible and must not change the visible pixels."""

from dataclasses import replace

import numpy as np
from PIL import Image
from scipy import ndimage

from daep_cli.photographs.photo import Array, Photo


def without_hidden(photo: Photo) -> Photo:
    """The photo with the colours of fully transparent pixels replaced by those of the nearest pixel that is seen."""
    if photo.alpha is None:
        return photo
    hidden = photo.alpha == 0
    if not hidden.any() or hidden.all():
        return photo
    rows, columns = ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return replace(photo, colour=photo.colour[rows, columns])


def with_hidden(photo: Photo, source: Photo) -> Photo:
    """The photo with the colours of its source where they are hidden, if it has the same size."""
    if source.alpha is None or photo.size != source.size:
        return photo
    hidden = (source.alpha == 0)[..., None]
    return replace(photo, colour=np.where(hidden, source.colour, photo.colour))


def resized_alpha(alpha: Array, height: int, width: int) -> Array:
    """The transparency (h, w) in another size, by bicubic interpolation."""
    if alpha.shape == (height, width):
        return alpha
    smooth = np.asarray(Image.fromarray(alpha.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    if alpha.dtype.kind == "f":
        return smooth.clip(0, 1).astype(alpha.dtype)
    return smooth.round().clip(0, float(np.iinfo(alpha.dtype).max)).astype(alpha.dtype)
