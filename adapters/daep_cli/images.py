"""Reading and writing photographs: PNG, JPEG and TIFF, grey or RGB, 8 or 16 bits, with transparency and ICC profile.

Pillow does all it can. It cuts 16-bit colour down to 8 bits, so 16-bit files go through imagecodecs (PNG) and tifffile
(TIFF; it needs imagecodecs for LZW): one wheel of 26 MB with abi3 builds for every platform, against OpenCV's 60 MB,
and, unlike pypng, not pure Python, which takes minutes on a camera's image.
"""

from __future__ import annotations

import io
import logging
import math
import struct
import textwrap
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from daep_cli.outputs import write_whole

__all__ = ["SUFFIXES", "Photo", "check_writable_as", "encode", "layout", "read_photo", "write_photo"]

Array: TypeAlias = npt.NDArray[Any]

PNG, JPEG, TIFF = {".png"}, {".jpg", ".jpeg"}, {".tif", ".tiff"}
#: Endings (lower case) of files that are read from a folder, and that can be written.
SUFFIXES = frozenset(PNG | JPEG | TIFF)
#: Pixels of the largest image read or made: Pillow's bound against decompression bombs (89 million).
MAX_PIXELS: int = Image.MAX_IMAGE_PIXELS or 89_478_485

#: Bytes of the largest file read: four channels of 16 bits, not compressed, and a profile.
MAX_BYTES = 4 * 2 * MAX_PIXELS + 2**24

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: TIFF tags and the values that matter here (TIFF 6.0).
ORIENTATION, EXTRA_SAMPLES, ICC_PROFILE = 274, 338, 34675
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB_PHOTOMETRIC = 0, 1, 2
PREMULTIPLIED_ALPHA = 1
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Photo:
    """An image as it stands in its file, upright.

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


# -- reading -----------------------------------------------------------------------------------------------------------


def read_photo(path: Path) -> Photo:
    """Read an image file, upright (its EXIF orientation is applied).

    :raises FileNotFoundError: no such file.
    :raises ValueError: not an image of a known kind, damaged, truncated or larger than ``MAX_PIXELS`` or ``MAX_BYTES``.
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
        # Pillow only warns of images between one and two times its bound; a bound that is only a warning is none.
        # What else it warns of (odd metadata) either does no harm or ends in an error.
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
    except Exception as error:  # decoders raise many kinds for damaged files
        reason = textwrap.shorten(str(error), 200) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # its message says no more than this sentence does
            reason = "unknown format"
        raise ValueError(
            f"{path}: not a readable PNG, JPEG or TIFF image, or damaged ({reason}); save it again as one of these."
        ) from error


def layout(path: Path) -> tuple[int, int, str]:
    """(width, height, kind) as the header says, upright, at the cost of reading a few bytes; zeros if it is unreadable.

    Images of equal layout most likely have pixels of equal shape, and no more is promised.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as file:
                width, height = file.size
                turned = file.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
                return (height, width, file.mode) if turned else (width, height, file.mode)
    except Exception:  # what is wrong with it is said when it is read
        return 0, 0, ""


class _Unsupported(Exception):
    """An intact image of a kind that is not handled; the message says which kind, and what to do."""


def _too_large(path: Path) -> ValueError:
    return ValueError(f"{path}: more than {MAX_PIXELS / 1e6:.0f} million pixels; cut it into parts first.")


def _read_pillow(path: Path) -> Photo:
    # from memory: read from a disk, Pillow reserves whatever length a chunk claims to have, up to 4 GiB;
    # only these formats: every further decoder is one more that hostile files can aim at
    with Image.open(io.BytesIO(path.read_bytes()), formats=("PNG", "JPEG", "TIFF")) as file:
        # MPO is a camera's JPEG with previews behind the photograph
        _check_single(getattr(file, "n_frames", 1) if file.format != "MPO" else 1)
        icc = file.info.get("icc_profile")
        file.load()
        image: Image.Image = ImageOps.exif_transpose(file)
        transparent = "transparency" in file.info or image.mode in ("LA", "PA", "RGBA")
        grey = image.mode in ("1", "L", "LA")
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
            raise _Unsupported(f"its colours are of kind {image.mode}; convert it to grey or RGB with 8 or 16 bits.")
        wanted = ("LA" if grey else "RGBA") if transparent else ("L" if grey else "RGB")
        pixels = np.array(image.convert(wanted))
    return _split(pixels, icc)


def _read_png16(path: Path) -> Photo:
    import imagecodecs

    with Image.open(path, formats=("PNG",)) as file:  # Pillow checks the size and finds profile and orientation
        _check_single(getattr(file, "n_frames", 1))
        icc, orientation = file.info.get("icc_profile"), file.getexif().get(ORIENTATION, 1)
    pixels = np.asarray(imagecodecs.png_decode(_without_metadata(path.read_bytes())))
    return _split(_upright(pixels, orientation), icc)


def _without_metadata(png: bytes) -> bytes:
    """The file without the chunks that pixels do not depend on: of damage in those libpng complains on the screen."""
    kept, place = [png[: len(PNG_SIGNATURE)]], len(PNG_SIGNATURE)
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        chunk = png[place : place + length + 12]
        place += length + 12
        if chunk[4:5].isupper() or chunk[4:8] == b"tRNS":  # a capital marks what no reader may pass over
            kept.append(chunk)
    return b"".join(kept)


def _read_tiff(path: Path) -> Photo:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # it logs what it then raises
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
            raise _Unsupported("its colours are neither grey nor RGB with whole numbers; convert it first.")
        extra = tuple(int(kind) for kind in page.extrasamples)
        if len(extra) > 1 or PREMULTIPLIED_ALPHA in extra:
            raise _Unsupported("has premultiplied transparency or several extra channels; remove them first.")
        # a decoder fills what is missing with black, so say so before it does
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
        raise _Unsupported(f"holds {frames} images; save the one that you mean as a file of its own.")


def _split(pixels: Array, icc: bytes | None) -> Photo:
    """Colour and alpha of pixels (H, W) or (H, W, 1...4)."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    channels = pixels.shape[2]
    if pixels.dtype not in (np.uint8, np.uint16) or channels > 4:
        raise _Unsupported(f"has {channels} channels of type {pixels.dtype}; convert it to grey or RGB.")
    if channels in (2, 4):
        return Photo(np.ascontiguousarray(pixels[..., :-1]), np.ascontiguousarray(pixels[..., -1]), icc)
    return Photo(np.ascontiguousarray(pixels), None, icc)


def _upright(pixels: Array, orientation: int) -> Array:
    """Apply an EXIF orientation (1 to 8; anything else is ignored, as Pillow does)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


# -- writing -----------------------------------------------------------------------------------------------------------


def check_writable_as(photo: Photo, path: Path) -> None:
    """Refuse to lose transparency in a format that has none.

    :raises ValueError: the photo has transparency and ``path`` is a JPEG.
    """
    if photo.alpha is not None and path.suffix.lower() in JPEG:
        raise ValueError(f"-o {path}: JPEG cannot hold the transparency of the input; use .png or .tif.")


def write_photo(photo: Photo, path: Path, overwrite: bool = False) -> None:
    """Write an image, whole or not at all; 16 bits stay 16 in PNG and TIFF and become 8 in JPEG.

    :raises ValueError: unknown ending, or ``path`` exists and ``overwrite`` is not set.
    :raises OSError: the disk refuses.
    """
    write_whole(path, encode(photo, path.suffix), overwrite)


def encode(photo: Photo, suffix: str) -> bytes:
    """The bytes of the file that ends in ``suffix``."""
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
    # imagecodecs writes no profile; the chunk (PNG specification, 11.3.3.3) belongs right behind the header
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
