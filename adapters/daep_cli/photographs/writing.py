"""Write photographs: PNG, JPEG and TIFF, 8 or 16 bits, with transparency and ICC profile."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from daep_cli.photographs.photo import JPEG, SUFFIXES, TIFF, Array, Photo
from daep_cli.photographs.reading import PNG_SIGNATURE
from daep_cli.whole_files import write_whole

JPEG_QUALITY = 95


def check_writable_as(photo: Photo, path: Path) -> None:
    """Refuse to write a photo with transparency as a JPEG."""
    if photo.alpha is not None and path.suffix.lower() in JPEG:
        raise ValueError(f"-o {path}: JPEG cannot store the transparency of the input; use .png or .tif.")


def write_photo(photo: Photo, path: Path, overwrite: bool = False) -> None:
    """Write an image, whole or not at all. 16 bits stay 16 bits in PNG and TIFF, and become 8 bits in JPEG.

    :raises ValueError: unknown suffix, or ``path`` exists and ``overwrite`` is not set.
    :raises OSError: the file cannot be written.
    """
    write_whole(path, encode(photo, path.suffix), overwrite)


def encode(photo: Photo, suffix: str) -> bytes:
    """The bytes of a file with this suffix; an unknown one is a ``ValueError``."""
    suffix = suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{suffix}: cannot write this format; use {', '.join(sorted(SUFFIXES))}.")
    if suffix in JPEG and photo.largest > 255:
        photo = Photo(np.round(photo.colour / 257).astype(np.uint8), None, photo.icc)
    pixels = photo.colour if photo.alpha is None else np.dstack([photo.colour, photo.alpha])
    pixels = np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if suffix in TIFF:
        return _encode_tiff(pixels, photo)
    if photo.largest > 255:
        return _encode_png16(pixels, photo.icc)
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if suffix in JPEG:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=photo.icc)
    else:
        image.save(buffer, "PNG", icc_profile=photo.icc)
    return buffer.getvalue()


def _encode_png16(pixels: Array, icc: bytes | None) -> bytes:
    import imagecodecs

    data = bytes(imagecodecs.png_encode(pixels))
    if icc is None:
        return data
    # imagecodecs writes no profile; its chunk (PNG specification, 11.3.3.3) follows the header
    body = b"iCCP" + b"ICC Profile\0\0" + zlib.compress(icc)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end_of_header = len(PNG_SIGNATURE) + 25
    return data[:end_of_header] + chunk + data[end_of_header:]


def _encode_tiff(pixels: Array, photo: Photo) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels,
        photometric="rgb" if photo.colour.shape[2] == 3 else "minisblack",
        planarconfig="contig" if pixels.ndim == 3 else None,
        extrasamples=None if photo.alpha is None else ["unassalpha"],
        compression="adobe_deflate",
        predictor=True,
        iccprofile=photo.icc,
        metadata=None,
    )
    return buffer.getvalue()
