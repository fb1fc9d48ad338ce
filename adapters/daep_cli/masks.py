"""``--mask`` and ``--missing``: which pixels of a photograph are known."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from daep_cli.errors import named
from daep_cli.photographs.photo import Array, Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.value_range import ranged

Mask = npt.NDArray[np.bool_]

#: A pixel of a mask is known if all its channels are at least this share of white. Grey pixels, as at the border of
#: painted strokes, are unknown; the remaining 5 % are for JPEG.
WHITE = 0.95
#: Value of ``--missing`` for pixels without a value: NaN in a file of floats. They are missing in any case.
NO_VALUE = "nan"
#: A pixel has the colour of ``--missing`` if no channel differs by more than this share of white; the second is for
#: JPEG, which changes the colours of thin strokes.
SAME_COLOUR, SAME_COLOUR_IN_JPEG = 0.03, 0.2
#: Pixels around those of that colour which may contain some of it: of painted strokes, and of JPEG's blocks of two.
SMEARED, SMEARED_BY_JPEG = 1, 4


def read_mask(path: Path) -> Mask:
    """Read a mask image (H, W): true, the pixel is known, where it is white and opaque.

    Dark strokes on a transparent ground are missing pixels, too. A mask of two values needs no white.

    :raises FileNotFoundError: no such file.
    :raises ValueError: unreadable, or it marks no pixel, or all of them.
    """
    with named("--mask ", path):
        photo = ranged(read_photo(path))
    shares = (photo.colour.min(axis=2) - photo.black) / (photo.white - photo.black)
    if len(np.unique(shares)) == 2:
        shares = (shares == shares.max()).astype(float)
    if photo.alpha is not None:
        opacity = photo.alpha / photo.largest
        strokes = (shares[opacity > 0.5] < 0.5).all() and bool((opacity > 0.5).any())
        shares = opacity * shares + (1 - opacity) * (1.0 if strokes else 0.0)
    known: Mask = shares >= WHITE
    if not known.any():
        raise ValueError(f"--mask {path}: no pixel is white, so none is known; make the known pixels white.")
    if known.all():
        raise ValueError(f"--mask {path}: all pixels are white, so none is missing; make the missing pixels black.")
    return known


def parse_colour(text: str) -> tuple[float, float, float] | None:
    """The value of ``--missing``: red, green and blue in [0, 1]; ``None``: :data:`NO_VALUE`.

    :raises ValueError: no colour.
    """
    digits = text.strip().removeprefix("#").lower()
    if digits == NO_VALUE:
        return None
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    try:
        if len(digits) != 6:
            raise ValueError
        red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    except ValueError as error:
        raise ValueError(f'--missing {text}: expected a colour such as "#ff00ff", or {NO_VALUE}.') from error
    return red, green, blue


def known_by_colour(photo: Photo, text: str, jpeg: bool) -> Mask | None:
    """Which pixels (H, W) have another colour than that of ``--missing``; ``None``: all, or it is :data:`NO_VALUE`.

    Pixels beside those of that colour count as missing, because painted strokes have soft borders.

    :raises ValueError: every pixel has the colour, or the image cannot have it.
    """
    colour = parse_colour(text)
    if colour is None:
        return None
    wanted: Array = np.array(colour if photo.colour.shape[2] == 3 else [sum(colour) / 3])
    if photo.colour.shape[2] != 3 and len(set(colour)) > 1:
        raise ValueError(f"--missing {text}: the image is grey and has no such colour; give a grey one.")
    shares = (photo.colour - photo.black) / (photo.white - photo.black)
    same = (abs(shares - wanted) <= (SAME_COLOUR_IN_JPEG if jpeg else SAME_COLOUR)).all(axis=2)
    if not same.any():
        return None
    square = np.ones((3, 3), bool)
    known: Mask = ~ndimage.binary_dilation(same, square, iterations=SMEARED_BY_JPEG if jpeg else SMEARED)
    if not known.any():
        raise ValueError(f"--missing {text}: all pixels have this colour or lie beside it; none is known.")
    return known


def check_marked(photos: Iterable[Photo], text: str) -> None:
    """Refuse ``--missing`` if it marks no pixel of any photo.

    :raises ValueError: with what was looked for.
    """
    if parse_colour(text) is None:
        marked, none = any(photo.missing is not None for photo in photos), "every pixel of the image has a value"
    else:
        marked = any(known_by_colour(photo, text, photo.metadata.lossy) is not None for photo in photos)
        none = "no pixel of the image has this colour"
    if not marked:
        raise ValueError(f"--missing {text}: {none}; nothing is missing.")
