"""EXIF records: the orientation is taken out, the rest is kept byte by byte.

A record is a TIFF structure (EXIF 2.32, 4.6). Numbers are changed in place, so that offsets in it stay right, those of
a camera's maker note included.
"""

import struct
from collections.abc import Iterator
from typing import Any

ORIENTATION, EXIF_FOLDER, GPS_FOLDER, WIDTH, HEIGHT = 274, 34665, 34853, 40962, 40963
X_RESOLUTION, Y_RESOLUTION = 282, 283
SHORT, LONG, RATIONAL = 3, 4, 5
#: A record with more entries in a folder is treated as damaged.
MOST_ENTRIES = 1000


def upright(exif: bytes) -> bytes:
    """The record with orientation 1, and without the thumbnail, which shows the image before the restoration.

    A damaged record becomes an empty one.
    """
    try:
        record = bytearray(exif)
        order, first = _header(record)
        for place, tag, kind in _entries(record, order, first):
            if tag == ORIENTATION and kind == SHORT:
                struct.pack_into(f"{order}H", record, place + 8, 1)
        (count,) = struct.unpack_from(f"{order}H", record, first)
        struct.pack_into(f"{order}I", record, first + 2 + 12 * count, 0)  # no second folder: that of the thumbnail
    except (struct.error, ValueError):
        return b""
    return bytes(record)


def resized(exif: bytes, width: int, height: int, factor: int) -> bytes:
    """The record of an image that was enlarged ``factor`` times, where it states a size or a resolution."""
    if not exif:
        return exif
    record = bytearray(exif)
    try:
        order, first = _header(record)
        for place, tag, kind in _entries(record, order, first):
            if tag in (X_RESOLUTION, Y_RESOLUTION) and kind == RATIONAL:
                (there,) = struct.unpack_from(f"{order}I", record, place + 8)
                (pixels,) = struct.unpack_from(f"{order}I", record, there)
                if factor * pixels < 2**32:
                    struct.pack_into(f"{order}I", record, there, factor * pixels)
            if tag != EXIF_FOLDER:
                continue
            (inner,) = struct.unpack_from(f"{order}I", record, place + 8)
            for there, name, size in _entries(record, order, inner):
                value = {WIDTH: width, HEIGHT: height}.get(name)
                if value is not None and size in (SHORT, LONG):
                    wide = size == LONG or value > 65535
                    struct.pack_into(f"{order}H", record, there + 2, LONG if wide else SHORT)
                    struct.pack_into(f"{order}I" if wide else f"{order}H", record, there + 8, value)
    except (struct.error, ValueError):
        return b""
    return bytes(record)


def folders(exif: bytes) -> dict[int, dict[int, Any]]:
    """The folders of camera settings and of the place, tag -> value, for a TIFF file; empty if damaged."""
    from PIL import Image

    try:
        record = Image.Exif()
        record.load(exif)
        found = {folder: dict(record.get_ifd(folder)) for folder in (EXIF_FOLDER, GPS_FOLDER) if folder in record}
    except Exception:  # Pillow raises errors of many types for damaged records
        return {}
    return {folder: entries for folder, entries in found.items() if entries}


def _header(record: bytes | bytearray) -> tuple[str, int]:
    """Byte order and place of the first folder."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(record[:2]))
    if order is None:
        raise ValueError("no TIFF structure")
    return order, struct.unpack_from(f"{order}I", record, 4)[0]


def _entries(record: bytes | bytearray, order: str, folder: int) -> Iterator[tuple[int, int, int]]:
    """(place, tag, type) of each entry of a folder."""
    (count,) = struct.unpack_from(f"{order}H", record, folder)
    if count > MOST_ENTRIES:
        raise ValueError("damaged")
    for i in range(count):
        place = folder + 2 + 12 * i
        tag, kind = struct.unpack_from(f"{order}HH", record, place)
        yield place, tag, kind
