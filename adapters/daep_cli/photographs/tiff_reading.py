"""Read the pages of TIFF files: integers and floats of 8 to 64 bits, by tifffile; palettes, CMYK, YCbCr and fewer bits
by Pillow."""

import io
import itertools
import logging
import math
import struct
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from daep_cli.photographs import exif
from daep_cli.photographs.errors import TooLarge, Unsupported
from daep_cli.photographs.metadata import Metadata, TiffTag
from daep_cli.photographs.photo import MAX_BYTES, Array, Photo, largest
from daep_cli.photographs.pixels import split, upright

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: TIFF tags and values (TIFF 6.0).
ORIENTATION, ICC_PROFILE = 274, 34675
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB_PHOTOMETRIC, PALETTE, INKS = 0, 1, 2, 3, 5
UNSPECIFIED, PREMULTIPLIED_ALPHA, SEPARATE_PLANES = 0, 1, 2
NO_UNIT, INCH = 1, 2
#: A larger number of pixels a unit is damaged. A quotient of 32 bits holds eight times as much.
LARGEST_RESOLUTION = 2**28
RESOLUTION_UNITS = {INCH: 1.0, 3: 2.54}  # pixels per inch of pixels per unit
#: Tags that describe how the values are stored, which the writer decides: TIFF 6.0, TIFF/EP, and Photoshop's layers,
#: which show the image before the restoration.
STORAGE = frozenset(
    {*range(254, 267), 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, *range(288, 294), 296, 317, *range(320, 326)}
    | {330, 332, 334, 336, *range(338, 343), 347, *range(512, 522), *range(529, 533), 32997, 32998, 34665, 34675, 34853}
    | {33421, 33422, 37724, 40965}
)
#: Types of the elements of tags of at most 8 bytes that classic TIFF has.
CLASSIC_TYPES = range(1, 13)
#: Bytes of the smallest description of a page: two numbers and one tag.
SMALLEST_PAGE = 18
#: Bytes of the largest tag that is kept.
LARGEST_TAG = 2**24


def count_pages(path: Path) -> int:
    """Number of images of the file, without thumbnails and reduced copies."""
    places = _places(path)
    if places is not None:
        return len(places)
    with _open(path) as file:
        return len(_stack(file))


def read_page(path: Path, number: int) -> Photo:
    """One page of the file."""
    places = _places(path)
    with _open(path) as file:
        page: Any = file.pages[0] if places is None else _page_at(file, *places[number])
        metadata, icc, orientation = _metadata(file, page, path), _icc(page), _orientation(page)
        if places is None:
            return replace(split(np.array(_stack(file)[number]), icc, alpha=False), metadata=metadata)
        _check_size(page)
        if page.bitspersample > 8 and page.photometric == PALETTE:
            raise Unsupported("its palette has more than 256 colours; convert it to RGB.")
        deep_inks = page.bitspersample > 8 and page.photometric == INKS
        if deep_inks and icc:
            raise Unsupported("it is CMYK of more than 8 bits with a profile; convert it to RGB.")
        known = (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB_PHOTOMETRIC)
        if page.bitspersample < 8 or not (deep_inks or page.photometric in known):
            return replace(_by_pillow(path, page.index, icc), metadata=metadata)
        return replace(_by_tifffile(path, page, icc, orientation), metadata=metadata)


def camera_data(path: Path) -> bytes:
    """The EXIF record of a camera's raw file that is built as a TIFF, as most are; else empty."""
    try:
        with _open(path) as file:
            return _exif(path, file.pages[0])
    except Exception:  # tifffile raises errors of many types for other files
        return b""


def _places(path: Path) -> tuple[tuple[int, int], ...] | None:
    """Index and offset of the description of each page; ``None``: one page describes a stack, see :func:`_stack`."""
    found = path.stat()
    return _places_of(path, found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=4)
def _places_of(path: Path, *_: int) -> tuple[tuple[int, int], ...] | None:
    """Remembered, because page ``n`` is reached through all before it: a stack would take the square of its pages."""
    with _open(path) as file:
        return None if _stack(file) is not None else tuple((page.index, page.offset) for page in _pages(file))


def _page_at(file: Any, index: int, offset: int) -> Any:
    import tifffile

    file.filehandle.seek(offset)
    return tifffile.TiffPage(file, index)


def _open(path: Path) -> Any:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # it logs every error and then raises it
    return tifffile.TiffFile(path)


def _pages(file: Any) -> list[Any]:
    most = file.filehandle.size // SMALLEST_PAGE + 1
    found = list(itertools.islice(file.pages, most + 1))
    if len(found) > most:
        raise ValueError("its pages refer to each other")
    if found and _next_page(file, found[-1].offset):
        raise ValueError(f"truncated, or its page {len(found) + 1} is damaged")
    return [page for page in found if not _is_copy(page)] or found[:1]


def _is_copy(page: Any) -> bool:
    """Whether a page is a thumbnail, a reduced copy, or the transparency of another one."""
    return bool(getattr(page, "is_reduced", False) or getattr(page, "is_mask", False))


def _next_page(file: Any, offset: int) -> int:
    """Where the page after the one at ``offset`` is described; 0: it is the last. tifffile leaves out damaged ones."""
    tiff, handle = file.tiff, file.filehandle
    handle.seek(offset)
    (count,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    handle.seek(offset + tiff.tagnosize + count * tiff.tagsize)
    place = handle.read(tiff.offsetsize)
    return int(struct.unpack(tiff.offsetformat, place)[0]) if len(place) == tiff.offsetsize else 0


def _stack(file: Any) -> Any:
    """The planes of an ImageJ stack that has one page for all, as an array on the disk; else ``None``."""
    import tifffile

    if not file.is_imagej or len(file.pages) > 1 or len(file.series) != 1:
        return None
    (series,) = file.series
    samples = series.axes.endswith("S")
    image = 3 if samples else 2
    if len(series.shape) <= image or series.dataoffset is None:
        return None
    array = tifffile.memmap(file.filehandle.path, mode="r")
    return array.reshape(-1, *series.shape[-image:])


def _check_size(page: Any) -> None:
    values = math.prod(page.shape)
    if values * max(1, page.bitspersample // 8) > MAX_BYTES:
        raise TooLarge
    if values == 0:
        raise ValueError("no pixels")


def _by_tifffile(path: Path, page: Any, icc: bytes | None, orientation: int) -> Photo:
    if page.imagedepth != 1:
        raise Unsupported("it is a volume in one page; save its slices as pages.")
    if page.dtype is None or page.dtype.kind not in "iuf":
        raise Unsupported(f"its values are {page.dtype}; convert it to integers or floats of 8 to 64 bits.")
    extra = tuple(int(kind) for kind in page.extrasamples)
    channels = page.samplesperpixel - len(extra)
    if len(extra) > 1 and channels > 1:
        raise Unsupported("it has several extra channels; remove them first.")
    # the decoder would fill missing data with black
    length = path.stat().st_size
    strips = zip(page.dataoffsets, page.databytecounts, strict=True)
    # nor does it end soon with a page that describes millions of strips and has one
    if len(page.dataoffsets) < math.prod(page.chunked) or any(offset + count > length for offset, count in strips):
        raise ValueError("truncated")
    pixels = page.asarray()
    if page.planarconfig == SEPARATE_PLANES and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    if page.photometric == INKS:
        return split(upright(_printed(pixels), orientation), None)
    if page.photometric == WHITE_IS_ZERO:
        pixels = np.asarray(largest(pixels.dtype) - pixels, pixels.dtype)
    # a second channel of a grey image of which the file does not say what it is: a measurement, no transparency
    photo = split(upright(pixels, orientation), icc, alpha=bool(extra) and not (channels == 1 and UNSPECIFIED in extra))
    return _straight(photo) if PREMULTIPLIED_ALPHA in extra and photo.alpha is not None else photo


def _printed(pixels: Array) -> Array:
    """Cyan, magenta, yellow and black (H, W, 4) as RGB of the same type, as if the inks were ideal."""
    top = largest(pixels.dtype)
    light = (top - pixels[..., :3].astype(np.float64)) * (top - pixels[..., 3:4].astype(np.float64)) / top
    return (light.round() if pixels.dtype.kind in "iu" else light).astype(pixels.dtype)


def _straight(photo: Photo) -> Photo:
    """Colours divided by their alpha, channel by channel; where it is 0 they stay."""
    assert photo.alpha is not None
    colour, top, share = photo.colour.copy(), photo.largest, np.where(photo.alpha > 0, photo.alpha, photo.largest)
    for channel in np.moveaxis(colour, -1, 0):
        straight = channel * (top / share)
        channel[...] = straight.round().clip(0, top) if colour.dtype.kind in "iu" else straight
    return replace(photo, colour=colour)


def _by_pillow(path: Path, number: int, icc: bytes | None) -> Photo:
    from daep_cli.photographs.pillow_reading import pixels_of

    with Image.open(io.BytesIO(path.read_bytes()), formats=("TIFF",)) as file:
        file.seek(number)
        pixels, profile, alpha = pixels_of(file, icc)
    return split(pixels, profile, alpha)


# -- metadata ----------------------------------------------------------------------------------------------------------


def _orientation(page: Any) -> int:
    return int(page.tags[ORIENTATION].value) if ORIENTATION in page.tags else 1


def _icc(page: Any) -> bytes | None:
    profile = page.tags[ICC_PROFILE].value if ICC_PROFILE in page.tags else None
    return bytes(profile) if profile else None


def _metadata(file: Any, page: Any, path: Path) -> Metadata:
    tags = tuple(tag for tag in (_raw(file, tag) for tag in page.tags) if tag is not None)
    extra = tuple(int(kind) for kind in page.extrasamples)
    return Metadata(
        exif=_exif(path, page),
        resolution=_resolution(page),
        tiff_resolution=_tiff_resolution(page),
        tags=tags,
        byteorder=file.byteorder,
        premultiplied=PREMULTIPLIED_ALPHA in extra,
        separate=page.planarconfig == SEPARATE_PLANES and page.samplesperpixel > 1,
    )


def _raw(file: Any, tag: Any) -> TiffTag | None:
    """The tag as it is in the file, if it is one to keep."""
    code, kind, size = int(tag.code), int(tag.dtype), int(tag.valuebytecount)
    if code in STORAGE or kind not in CLASSIC_TYPES or not 0 < size <= LARGEST_TAG:
        return None
    file.filehandle.seek(tag.valueoffset)
    content = file.filehandle.read(size)
    if len(content) < size:
        return None
    return code, kind, int(tag.count), content


def _resolution(page: Any) -> tuple[float, float] | None:
    """Pixels per inch."""
    found = _tiff_resolution(page)
    inches = None if found is None else RESOLUTION_UNITS.get(found[2])
    return None if found is None or inches is None else (inches * found[0], inches * found[1])


def _tiff_resolution(page: Any) -> tuple[float, float, int] | None:
    """Pixels per unit, and the unit; ``None`` also for 1 per no unit, which says nothing."""
    try:
        across, down = (n / d for n, d in (page.tags[code].value for code in (282, 283)))
        unit = int(page.tags[296].value) if 296 in page.tags else INCH
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    says = (across, down, unit) != (1, 1, NO_UNIT) and unit in (NO_UNIT, *RESOLUTION_UNITS)
    return (across, down, unit) if says and min(across, down) > 0 and max(across, down) < LARGEST_RESOLUTION else None


def _no_camera_data(tag: int) -> bool:
    """Whether a tag tells of the storage, is one of XMP, IPTC and Photoshop, or is private."""
    folders = (exif.EXIF_FOLDER, exif.GPS_FOLDER)
    return tag not in folders and (tag in STORAGE or tag in (700, 33723, 34377) or 50000 <= tag < 66000)


def _exif(path: Path, page: Any) -> bytes:
    """The description of a TIFF page as an EXIF record, for other formats and for the folders in it."""
    try:
        with path.open("rb") as file:
            record = Image.Exif()
            start = file.read(4)
            record.endian, record.bigtiff = "<" if start[:2] == b"II" else ">", b"+" in start
            record.load_from_fp(file, page.offset)
            for folder in (exif.EXIF_FOLDER, exif.GPS_FOLDER):
                record.get_ifd(folder)
            for tag in list(record):
                if _no_camera_data(tag):
                    del record[tag]
            record.bigtiff = False  # EXIF is classic
            content = record.tobytes() if len(record) else b""
    except Exception:  # Pillow raises errors of many types for damaged records
        return b""
    return exif.upright(content.removeprefix(b"Exif\0\0"))
