"""``--mask``: read a mask of known pixels."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from daep_cli.errors import named
from daep_cli.photographs.reading import read_photo

Mask = npt.NDArray[np.bool_]


def read_mask(path: Path) -> Mask:
    """Read a mask image (H, W): true, the pixel is known, where it is brighter than half white.

    :raises FileNotFoundError: no such file.
    :raises ValueError: unreadable, or no pixel is known.
    """
    with named("--mask ", path):
        photo = read_photo(path)
    known: Mask = photo.colour.mean(axis=2) > photo.largest / 2
    if not known.any():
        raise ValueError(f"--mask {path}: no pixel is white, so none is known; make the known pixels white.")
    return known
