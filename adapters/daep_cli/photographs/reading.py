"""Read photographs: PNG, JPEG and TIFF, grey or RGB, 8 or 16 bits, with transparency and ICC profile.

Pillow reduces 16-bit colour to 8 bits, so imagecodecs (PNG) and tifffile (TIFF, with imagecodecs for LZW) read 16-bit
files. OpenCV would be larger, and pypng takes minutes for a camera's image.
"""

import io
import logging
import math
import struct
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from daep_cli.photographs.photo import MAX_PIXELS, Array, Photo

#: Number of bytes of the largest file: four uncompressed channels of 16 bits, and a profile.
MAX_BYTES = 4 * 2 * MAX_PIXELS + 2**24

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: TIFF tags and values (TIFF 6.0).
ORIENTATION, ICC_PROFILE = 274, 34675
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB_PHOTOMETRIC = 0, 1, 2
PREMULTIPLIED_ALPHA = 1


def read_photo(path: Path) -> Photo:
    """Read an image file and apply its EXIF orientation.

    :raises FileNotFoundError: no such file.
    :raises ValueError: no PNG, JPEG or TIFF image, damaged, truncated, or above ``MAX_PIXELS`` or ``MAX_BYTES``.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; check its name and folder.")
    if not path.is_file():
        raise ValueError(f"{path}: not a file; give the name of an image.")
    if path.stat().st_size > MAX_BYTES:
        raise _too_large(path)
    with path.open("rb") as file:
        start = file.read(32)
    try:
        # Pillow warns of an image above its limit, and raises above twice the limit; both are refused here. Its other
        # warnings are about metadata; they do no harm, or an error follows.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if start.startswith(PNG_SIGNATURE) and start[24:25] == b"\x10":  # bit depth in the IHDR chunk
                return _read_png16(path)
            if start.startswith(TIFF_SIGNATURES):
                return _read_tiff(path)
            return _read_pillow(path)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(path) from error
    except _Unsupported as error:
        raise ValueError(f"{path}: {error}") from error
    except PermissionError:
        raise
    except Exception as error:  # decoders raise errors of many types for damaged files
        reason = textwrap.shorten(str(error), 200) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "unknown format"
        raise ValueError(
            f"{path}: not a readable PNG, JPEG or TIFF image, or damaged ({reason}); save it again as one of these."
        ) from error


def layout(path: Path) -> tuple[int, int, str]:
    """(width, height, mode) of the upright image by its header; (0, 0, "") if the file is unreadable.

    Images of equal layout usually, but not always, have pixel arrays of equal shape.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as file:
                width, height = file.size
                turned = file.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
                return (height, width, file.mode) if turned else (width, height, file.mode)
    except Exception:  # read_photo will report the error
        return 0, 0, ""


class _Unsupported(Exception):
    """An intact image of a kind that is not supported; the message says which, and what to do."""


def _too_large(path: Path) -> ValueError:
    return ValueError(f"{path}: more than {MAX_PIXELS / 1e6:.0f} million pixels; cut it into parts first.")


def _read_pillow(path: Path) -> Photo:
    # From memory: for a file on disk, Pillow allocates the length that a chunk claims, up to 4 GiB.
    # Only these formats: every other decoder can be attacked by a hostile file.
    with Image.open(io.BytesIO(path.read_bytes()), formats=("PNG", "JPEG", "TIFF")) as file:
        # MPO is a camera's JPEG; its further images are previews
        _check_single(getattr(file, "n_frames", 1) if file.format != "MPO" else 1)
        icc = file.info.get("icc_profile")
        file.load()
        image: Image.Image = ImageOps.exif_transpose(file)
        transparent = "transparency" in file.info or image.mode in ("LA", "PA", "RGBA")
        grey = image.mode in ("1", "L", "LA")
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
            raise _Unsupported(f"its colour mode is {image.mode}; convert it to grey or RGB with 8 or 16 bits.")
        wanted = ("LA" if grey else "RGBA") if transparent else ("L" if grey else "RGB")
        pixels = np.array(image.convert(wanted))
    return _split(pixels, icc)


def _read_png16(path: Path) -> Photo:
    import imagecodecs

    with Image.open(path, formats=("PNG",)) as file:  # Pillow checks the size, and reads profile and orientation
        _check_single(getattr(file, "n_frames", 1))
        icc, orientation = file.info.get("icc_profile"), file.getexif().get(ORIENTATION, 1)
    pixels = np.asarray(imagecodecs.png_decode(_without_metadata(path.read_bytes())))
    return _split(_upright(pixels, orientation), icc)


def _without_metadata(png: bytes) -> bytes:
    """The file without its metadata chunks: libpng prints a message if one of them is damaged."""
    kept, place = [png[: len(PNG_SIGNATURE)]], len(PNG_SIGNATURE)
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        chunk = png[place : place + length + 12]
        place += length + 12
        if chunk[4:5].isupper() or chunk[4:8] == b"tRNS":  # a capital letter marks a critical chunk
            kept.append(chunk)
    return b"".join(kept)


def _read_tiff(path: Path) -> Photo:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # it logs every error and then raises it
    with tifffile.TiffFile(path) as file:
        _check_single(len(file.pages))
        page: Any = file.pages[0]
        if math.prod(page.shape[:2] if page.planarconfig == 1 else page.shape[-2:]) > MAX_PIXELS:
            raise Image.DecompressionBombError
        if page.bitspersample != 16:
            if page.bitspersample not in (1, 2, 4, 8):
                raise _Unsupported(f"{page.bitspersample} bits a sample; convert it to 8 or 16 bits.")
            return _read_pillow(path)
        if page.dtype != np.uint16 or page.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB_PHOTOMETRIC):
            raise _Unsupported("its values are not grey or RGB of 16-bit unsigned integers; convert it first.")
        extra = tuple(int(kind) for kind in page.extrasamples)
        if len(extra) > 1 or PREMULTIPLIED_ALPHA in extra:
            raise _Unsupported("it has premultiplied transparency or several extra channels; remove them first.")
        # the decoder would fill missing data with black
        length = path.stat().st_size
        strips = zip(page.dataoffsets, page.databytecounts, strict=True)
        if any(offset + count > length for offset, count in strips):
            raise ValueError("truncated")
        pixels = page.asarray()
        orientation = page.tags[ORIENTATION].value if ORIENTATION in page.tags else 1
        icc = page.tags[ICC_PROFILE].value if ICC_PROFILE in page.tags else None
        if page.planarconfig != 1 and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, -1)
        pixels = pixels.astype(np.uint16)  # native byte order
        if page.photometric == WHITE_IS_ZERO:
            pixels = np.iinfo(np.uint16).max - pixels
    return _split(_upright(pixels, int(orientation)), bytes(icc) if icc else None)


def _check_single(frames: int) -> None:
    if frames > 1:
        raise _Unsupported(f"contains {frames} images; save one of them as a file of its own.")


def _split(pixels: Array, icc: bytes | None) -> Photo:
    """The photo of pixels (H, W) or (H, W, C), C from 1 to 4."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    channels = pixels.shape[2]
    if pixels.dtype not in (np.uint8, np.uint16) or channels > 4:
        raise _Unsupported(f"it has {channels} channels of type {pixels.dtype}; convert it to grey or RGB.")
    if channels in (2, 4):
        return Photo(np.ascontiguousarray(pixels[..., :-1]), np.ascontiguousarray(pixels[..., -1]), icc)
    return Photo(np.ascontiguousarray(pixels), None, icc)


def _upright(pixels: Array, orientation: int) -> Array:
    """Apply an EXIF orientation from 1 to 8. Other values are ignored, as in Pillow."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
