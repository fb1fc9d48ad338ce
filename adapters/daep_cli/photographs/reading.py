"""Read photographs: PNG, JPEG, TIFF, FITS and cameras' raw files, with everything that their files say.

Pillow reduces 16-bit colour to 8 bits, so imagecodecs (PNG) and tifffile (TIFF, with imagecodecs for LZW) read these
files. OpenCV would be larger, and pypng takes minutes for a camera's image.
"""

import textwrap
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from daep_cli.photographs import exif, tiff_reading
from daep_cli.photographs.errors import TooLarge, Unsupported
from daep_cli.photographs.metadata import (
    APP1,
    EXIF_HEADER,
    KEPT_CHUNKS,
    PNG_SIGNATURE,
    Metadata,
    jpeg_segments,
    kept_segments,
    png_chunks,
)
from daep_cli.photographs.photo import FITS, MAX_BYTES, MAX_PIXELS, RAW, Photo
from daep_cli.photographs.pillow_reading import open_pillow, pixels_of
from daep_cli.photographs.pixels import split, upright

#: Number of bytes of the largest file of one image, and of many pages.
LARGEST_FILE, LARGEST_STACK = MAX_BYTES + 2**24, 2**40
GZIP = b"\x1f\x8b"
#: Number of bytes of a compressed stream that are unpacked at a time.
AT_ONCE = 2**20


def read_photo(path: Path, page: int | None = None) -> Photo:
    """Read an image file and apply its EXIF orientation.

    :param int page: of a file with several; ``None``: the file must have one.
    :raises FileNotFoundError: no such file.
    :raises ValueError: no readable image, damaged, truncated, of several pages, or above ``MAX_PIXELS`` or
        ``MAX_BYTES``.
    """
    with _worded(path):
        if page is None:
            _check_single(_count(path))
        return _read(path, page or 0)


def count_pages(path: Path) -> int:
    """Number of images of a file: of pages of a TIFF, of planes of a FITS cube. The errors of :func:`read_photo`."""
    with _worded(path):
        return _count(path)


def layout(path: Path) -> tuple[int, int, str]:
    """(width, height, mode) of the upright image by its header; (0, 0, "") if that is not known.

    Images of equal layout usually, but not always, have pixel arrays of equal shape.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as file:
                width, height = file.size
                record = Image.Exif()
                record.load(file.info.get("exif", b""))
                if file.format == "TIFF":
                    record = file.getexif()  # that of a PNG would decode its pixels, behind which a record may stand
                turned = record.get(exif.ORIENTATION, 1) in (5, 6, 7, 8)
                return (height, width, file.mode) if turned else (width, height, file.mode)
    except Exception:  # read_photo will report the error
        return 0, 0, ""


class _worded:
    """Checks a file before it is read, and says in one sentence what is wrong with it."""

    def __init__(self, path: Path):
        self.path, self.caught = path, warnings.catch_warnings()

    def __enter__(self) -> None:
        path = self.path
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file; check its name and folder.")
        if not path.is_file():
            raise ValueError(f"{path}: not a file; give the name of an image.")
        pages = path.suffix.lower() in FITS or _start(path).startswith(tiff_reading.SIGNATURES)
        if path.stat().st_size > (LARGEST_STACK if pages else LARGEST_FILE):
            raise _too_large(path)
        # Pillow warns of an image above its limit, and raises above twice the limit; both are refused here. Its other
        # warnings are about metadata; they do no harm, or an error follows.
        self.caught.__enter__()
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.caught.__exit__(None, None, None)
        path = self.path
        if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError, TooLarge)):
            raise _too_large(path) from error
        if isinstance(error, Unsupported):
            raise ValueError(f"{path}: {error}") from error
        if isinstance(error, PermissionError):
            return
        if isinstance(error, Exception):  # decoders raise errors of many types for damaged files
            reason = textwrap.shorten(str(error), 200) or type(error).__name__
            if isinstance(error, UnidentifiedImageError):
                reason = "unknown format"
            raise ValueError(
                f"{path}: not a readable PNG, JPEG, TIFF, FITS or raw image, or damaged ({reason}); save it again as "
                "one of these."
            ) from error


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(32)


def _too_large(path: Path) -> ValueError:
    return ValueError(
        f"{path}: more than {MAX_PIXELS / 1e6:.0f} million pixels, or {MAX_BYTES / 2**30:g} GiB of values; cut it into "
        "parts first."
    )


def _check_single(pages: int) -> None:
    if pages > 1:
        raise Unsupported(f"contains {pages} images; save one of them as a file of its own.")


def _count(path: Path) -> int:
    suffix, start = path.suffix.lower(), _start(path)
    if start.startswith(GZIP):
        raise Unsupported("compressed by gzip; unpack it first.")
    if suffix in RAW:
        return 1
    if suffix in FITS or start.startswith(b"SIMPLE  ="):
        from daep_cli.photographs import fits

        return fits.count_planes(path)
    if start.startswith(tiff_reading.SIGNATURES):
        return tiff_reading.count_pages(path)
    with open_pillow(path) as file:
        # MPO is a camera's JPEG; its further images are previews
        _check_single(getattr(file, "n_frames", 1) if file.format != "MPO" else 1)
        return 1


def _read(path: Path, page: int) -> Photo:
    suffix, start = path.suffix.lower(), _start(path)
    if suffix in RAW:
        from daep_cli.photographs.raw import read_raw

        return read_raw(path)
    if suffix in FITS or start.startswith(b"SIMPLE  ="):
        from daep_cli.photographs import fits

        return fits.read_plane(path, page)
    if start.startswith(tiff_reading.SIGNATURES):
        return tiff_reading.read_page(path, page)
    if start.startswith(PNG_SIGNATURE) and start[24:25] == b"\x10":  # bit depth in the IHDR chunk
        return _read_png16(path)
    return _read_8_bits(path, start)


def _read_8_bits(path: Path, start: bytes) -> Photo:
    with open_pillow(path) as file:
        resolution = file.info.get("dpi")
        pixels, icc, transparent = pixels_of(file, file.info.get("icc_profile"))
    photo = split(pixels, icc, transparent)
    if start.startswith(PNG_SIGNATURE):
        return replace(photo, metadata=_png_metadata(path.read_bytes(), resolution))
    segments = jpeg_segments(path.read_bytes())
    records = [body.removeprefix(EXIF_HEADER) for m, body in segments if m == APP1 and body.startswith(EXIF_HEADER)]
    record = exif.upright(records[0]) if records else b""
    return replace(
        photo, metadata=Metadata(record, _positive(resolution), segments=kept_segments(segments), lossy=True)
    )


def _read_png16(path: Path) -> Photo:
    import imagecodecs

    with open_pillow(path) as file:  # Pillow checks the size, and reads profile and orientation
        _check_single(getattr(file, "n_frames", 1))
        icc, orientation = file.info.get("icc_profile"), file.getexif().get(exif.ORIENTATION, 1)
        resolution = file.info.get("dpi")
    data = path.read_bytes()
    if data[26:28] != b"\0\0" or data[28] > 1:  # libpng would print a message
        raise ValueError("unknown compression, filter or interlace method")
    _check_sum(body for name, body, _ in png_chunks(data) if name == b"IDAT")
    # without the metadata: libpng prints a message if some of it is damaged; a capital letter marks a critical chunk
    kept = [whole for name, _, whole in png_chunks(data) if name[:1].isupper() or name == b"tRNS"]
    pixels = np.asarray(imagecodecs.png_decode(b"".join([PNG_SIGNATURE, *kept])))
    return replace(split(upright(pixels, orientation), icc), metadata=_png_metadata(data, resolution))


def _check_sum(parts: Iterable[bytes]) -> None:
    """Refuse a compressed stream whose check sum is wrong: libpng would print a message and go on."""
    inflate = zlib.decompressobj()
    for part in parts:
        while part:
            inflate.decompress(part, AT_ONCE)
            part = inflate.unconsumed_tail
    if not inflate.eof:
        raise ValueError("truncated")


def _png_metadata(data: bytes, resolution: object) -> Metadata:
    chunks = png_chunks(data)
    records = [body for name, body, _ in chunks if name == b"eXIf"]
    kept = tuple((name, body) for name, body, _ in chunks if name in KEPT_CHUNKS)
    return Metadata(exif.upright(records[0]) if records else b"", _positive(resolution), chunks=kept)


def _positive(resolution: object) -> tuple[float, float] | None:
    """A resolution in pixels per inch as Pillow finds it; ``None`` if it is damaged."""
    try:
        across, down = (float(value) for value in resolution)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None
