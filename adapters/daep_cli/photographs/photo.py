"""``Photo``: an image as it is in its file, and the file formats that are read and written."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from daep_cli.photographs.metadata import NOTHING, Metadata

Array: TypeAlias = npt.NDArray[Any]

PNG, JPEG, TIFF, FITS = {".png"}, {".jpg", ".jpeg"}, {".tif", ".tiff"}, {".fits", ".fit", ".fts"}
#: Cameras' raw files.
RAW = {".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"}
#: Suffixes, in lower case, of the files that can be written, and that are read from a folder.
WRITABLE = frozenset(PNG | JPEG | TIFF | FITS)
READABLE = WRITABLE | RAW
#: Number of pixels of the largest PNG and JPEG image: Pillow's limit against decompression bombs (89 million).
MAX_PIXELS: int = Image.MAX_IMAGE_PIXELS or 89_478_485
#: Bytes of the values of the largest image of any format, as many as 170 million pixels of 16-bit colour.
MAX_BYTES = 2**30


@dataclass(frozen=True)
class Photo:
    """An upright image with the values of its file.

    :param colour: (H, W, C), integers or floats of any length; C is 1, 3, or any number of channels that are no
        colours.
    :param alpha: transparency (H, W) of the same type, or ``None``.
    :param icc: ICC colour profile, or ``None``.
    :param Metadata metadata: what else the file says.
    :param missing: boolean (H, W): these pixels have no value (NaN in a file of floats); their colour is 0. ``None``:
        there are none.
    :param bool linear: the values are amounts of light, without the tone curve of a photograph.
    :param bool developed: it comes from a camera's raw file, so it is restored in amounts of light.
    :param tuple range: the values of black and white; ``None``: see :attr:`black` and :attr:`white`.
    """

    colour: Array
    alpha: Array | None = None
    icc: bytes | None = None
    metadata: Metadata = NOTHING
    missing: npt.NDArray[np.bool_] | None = None
    linear: bool = False
    developed: bool = False
    range: tuple[float, float] | None = None

    def with_nan(self) -> Array:
        """The colours, NaN where they are missing."""
        if self.missing is None or self.colour.dtype.kind != "f":
            return self.colour
        return np.where(self.missing[..., None], np.array(np.nan, self.colour.dtype), self.colour)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.colour.shape[1], self.colour.shape[0]

    @property
    def largest(self) -> float:
        """The largest value of the type; 1 for floats."""
        return largest(self.colour.dtype)

    @property
    def black(self) -> float:
        """The value of black: 0 if no other is known."""
        return self.range[0] if self.range else 0.0

    @property
    def white(self) -> float:
        """The value of white: the largest of the type if no other is known."""
        return self.range[1] if self.range else self.largest


def largest(dtype: npt.DTypeLike) -> float:
    """The largest value of a type; 1 for floats."""
    kind = np.dtype(dtype)
    return float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0
