"""Write photographs: PNG, JPEG, TIFF and FITS, in the number type of the photo, with what its file said."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from daep_cli.photographs.changed_metadata import retyped
from daep_cli.photographs.metadata import APP1, EXIF_HEADER, PNG_SIGNATURE, with_segments
from daep_cli.photographs.photo import FITS, JPEG, PNG, TIFF, WRITABLE, Array, Photo, largest
from daep_cli.whole_files import write_whole

JPEG_QUALITY = 95
#: Bytes of the content of the largest JPEG segment.
LARGEST_SEGMENT = 65533
#: Number types that ``--format`` names, and which of them a format stores besides TIFF and FITS.
FORMATS = ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64")
STORED = {"PNG": (np.uint8, np.uint16), "JPEG": (np.uint8, np.uint16)}


def check_writable_as(photo: Photo, path: Path, kind: str | None = None) -> None:
    """Refuse to write a photo to a format that cannot store it.

    :param str kind: number type that it is converted to before; ``None``: its own.
    :raises ValueError: with what to do instead.
    """
    suffix, channels = path.suffix.lower(), photo.colour.shape[2]
    name = "PNG" if suffix in PNG else "JPEG" if suffix in JPEG else None
    if photo.alpha is not None and suffix in JPEG | FITS:
        which = "JPEG" if suffix in JPEG else "FITS"
        raise ValueError(f"-o {path}: {which} cannot store the transparency of the input; use .png or .tif.")
    if name is None:
        return
    if channels not in (1, 3):
        raise ValueError(f"-o {path}: {name} cannot store {channels} channels; use .tif.")
    dtype = photo.colour.dtype if kind is None else np.dtype(kind)
    if dtype not in STORED[name]:
        raise ValueError(
            f"-o {path}: {name} cannot store values of type {dtype}; use .tif, or convert them with --format uint16."
        )


def write_photo(photo: Photo, path: Path, overwrite: bool = False) -> None:
    """Write an image, whole or not at all. Values keep their type, but JPEG has 8 bits.

    :raises ValueError: unknown suffix, a type that the format cannot store, or ``path`` exists and ``overwrite`` is not
        set.
    :raises OSError: the file cannot be written.
    """
    write_whole(path, encode(photo, path.suffix), overwrite)


def converted(photo: Photo, dtype: npt.DTypeLike) -> Photo:
    """The photo with values of another type, its range stretched to that of the type (floats: 0 to 1)."""
    kind = np.dtype(dtype)
    if photo.colour.dtype == kind:
        return photo
    black, white, top = photo.black, photo.white, largest(kind)

    def stretched(values: Array, low: float, high: float) -> Array:
        share = ((values.astype(np.float64) - low) / (high - low)).clip(0, 1) * top
        return (share.round() if kind.kind in "iu" else share).astype(kind)

    alpha = None if photo.alpha is None else stretched(photo.alpha, 0, photo.largest)
    missing = photo.missing if kind.kind == "f" else None
    colour, metadata = stretched(photo.colour, black, white), retyped(photo.metadata, kind)
    return replace(photo, colour=colour, alpha=alpha, missing=missing, metadata=metadata, range=None)


def encode(photo: Photo, suffix: str) -> bytes:
    """The bytes of a file with this suffix.

    :raises ValueError: an unknown suffix, or a type of values that the format cannot store.
    """
    suffix = suffix.lower()
    if suffix not in WRITABLE:
        raise ValueError(f"{suffix}: cannot write this format; use {', '.join(sorted(WRITABLE))}.")
    if suffix in TIFF:
        from daep_cli.photographs.tiff_writing import encode_tiff

        return encode_tiff(photo)
    if suffix in FITS:
        from daep_cli.photographs.fits import encode_fits

        return encode_fits(photo)
    check_writable_as(photo, Path(f"result{suffix}"))
    photo = converted(photo, np.uint8) if suffix in JPEG else photo
    pixels = photo.colour if photo.alpha is None else np.dstack([photo.colour, photo.alpha])
    pixels = np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return _encode_jpeg(pixels, photo) if suffix in JPEG else _encode_png(pixels, photo)


def _encode_jpeg(pixels: Array, photo: Photo) -> bytes:
    buffer, metadata = io.BytesIO(), photo.metadata
    resolution = metadata.resolution or (0, 0)
    dpi = (round(resolution[0]), round(resolution[1]))
    Image.fromarray(pixels).save(
        buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=photo.icc, dpi=dpi if all(dpi) else (0, 0)
    )
    segments = metadata.segments
    if metadata.exif and len(EXIF_HEADER) + len(metadata.exif) <= LARGEST_SEGMENT:
        segments = ((APP1, EXIF_HEADER + metadata.exif), *segments)
    return with_segments(buffer.getvalue(), segments)


def _encode_png(pixels: Array, photo: Photo) -> bytes:
    import imagecodecs

    data = bytes(imagecodecs.png_encode(pixels))
    metadata = photo.metadata
    chunks = list(metadata.chunks)
    if photo.icc:
        chunks.insert(0, (b"iCCP", b"ICC Profile\0\0" + zlib.compress(photo.icc)))
    if metadata.resolution and all(name != b"pHYs" for name, _ in chunks):
        across, down = (round(pixels_an_inch / 0.0254) for pixels_an_inch in metadata.resolution)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif))
    new = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    end_of_header = len(PNG_SIGNATURE) + 25
    return data[:end_of_header] + new + data[end_of_header:]
