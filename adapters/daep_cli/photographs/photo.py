"""``Photo``: an image as it is in its file, and the file formats that are read and written."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Array: TypeAlias = npt.NDArray[Any]

PNG, JPEG, TIFF = {".png"}, {".jpg", ".jpeg"}, {".tif", ".tiff"}
#: Suffixes, in lower case, of the files that are read from a folder, and that can be written.
SUFFIXES = frozenset(PNG | JPEG | TIFF)
#: Number of pixels of the largest image: Pillow's limit against decompression bombs (89 million).
MAX_PIXELS: int = Image.MAX_IMAGE_PIXELS or 89_478_485


@dataclass(frozen=True)
class Photo:
    """An upright image with the values of its file.

    :param colour: (H, W, C), C = 1 or 3, uint8 or uint16.
    :param alpha: transparency (H, W) of the same type, or ``None``.
    :param icc: ICC colour profile, or ``None``.
    """

    colour: Array
    alpha: Array | None = None
    icc: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.colour.shape[1], self.colour.shape[0]

    @property
    def largest(self) -> int:
        """The value of white: 255 or 65535."""
        return int(np.iinfo(self.colour.dtype).max)
