"""Read 8-bit PNG and JPEG images, and odd kinds of TIFF, by Pillow: palettes, tRNS, CMYK, YCbCr, single bits."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from daep_cli.photographs.errors import Unsupported
from daep_cli.photographs.photo import Array

GREY, WITH_ALPHA = ("1", "L", "LA"), ("LA", "PA", "RGBA")
#: Modes that become RGB.
COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def open_pillow(path: Path) -> Image.Image:
    """The opened image; its pixels are not decoded yet.

    From memory: for a file on disk, Pillow allocates the length that a chunk claims, up to 4 GiB. Only these formats:
    every other decoder can be attacked by a hostile file.
    """
    return Image.open(io.BytesIO(path.read_bytes()), formats=("PNG", "JPEG", "TIFF"))


def pixels_of(file: Image.Image, icc: bytes | None) -> tuple[Array, bytes | None, bool]:
    """Upright pixels (H, W) or (H, W, C), their profile, and whether the last channel is transparency."""
    file.load()
    image: Image.Image = ImageOps.exif_transpose(file)
    if image.mode not in (*GREY, *COLOUR):
        raise Unsupported(f"its colour mode is {image.mode}; convert it to grey or RGB.")
    if image.mode == "CMYK":
        return np.array(_printed(image, icc)), _srgb() if icc else None, False
    transparent = "transparency" in file.info or image.mode in WITH_ALPHA
    grey = image.mode in GREY
    wanted = ("LA" if grey else "RGBA") if transparent else ("L" if grey else "RGB")
    return np.array(image.convert(wanted)), icc, transparent


def _printed(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK as RGB: by its profile in sRGB, or without one as if the inks were ideal."""
    if icc is None:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(image, io.BytesIO(icc), ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise Unsupported("its CMYK profile cannot be used; convert it to RGB.") from error
    assert converted is not None
    return converted


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
