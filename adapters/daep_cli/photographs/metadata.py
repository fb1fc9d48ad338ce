"""``Metadata``: what a file says about an image, besides colour profile and transparency; in the bytes of the file."""

import struct
from dataclasses import dataclass
from typing import Any

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Chunks that hold for the restored image (PNG specification, 11.3): colour space, resolution, text.
KEPT_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"tEXt", b"zTXt", b"iTXt")
#: JPEG segments that are kept: Photoshop's (IPTC), and comments.
APP1, APP13, COMMENT = 0xE1, 0xED, 0xFE
START_OF_SCAN = 0xDA
EXIF_HEADER, XMP_HEADERS = b"Exif\0\0", (b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0")

#: Tag of the description of a TIFF page.
DESCRIPTION = 270
#: (code, type, count, bytes in the byte order of the file) of a TIFF tag.
TiffTag = tuple[int, int, int, bytes]


@dataclass(frozen=True)
class Metadata:
    """What is copied to the result.

    :param bytes exif: EXIF record, a TIFF structure, without orientation and thumbnail. Kept by PNG, JPEG and TIFF.
    :param tuple resolution: pixels per inch, horizontal and vertical. Kept by PNG, JPEG and TIFF.
    :param tuple tiff_resolution: the same as the TIFF states it: pixels per unit, across and down, and the number of
        the unit, which may be none: ImageJ describes it elsewhere.
    :param tuple chunks: (name, content) of PNG chunks. Kept by PNG.
    :param tuple segments: (marker, content) of JPEG segments. Kept by JPEG.
    :param tuple tags: of TIFF. Kept by TIFF.
    :param str byteorder: of these tags, ``"<"`` or ``">"``.
    :param bool lossy: the file is a JPEG, whose colours smear over some pixels.
    :param bool premultiplied: the colours of the TIFF are multiplied by their alpha.
    :param bool separate: the TIFF has one plane a channel.
    :param Any header: FITS header. Kept by FITS.
    """

    exif: bytes = b""
    resolution: tuple[float, float] | None = None
    tiff_resolution: tuple[float, float, int] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    segments: tuple[tuple[int, bytes], ...] = ()
    tags: tuple[TiffTag, ...] = ()
    byteorder: str = "<"
    lossy: bool = False
    premultiplied: bool = False
    separate: bool = False
    header: Any = None


NOTHING = Metadata()


# -- PNG ---------------------------------------------------------------------------------------------------------------


def png_chunks(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(name, content, the whole chunk) of each chunk of a PNG file; of a damaged one, as far as it goes."""
    found, place = [], len(PNG_SIGNATURE)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        whole = data[place : place + length + 12]
        found.append((whole[4:8], whole[8 : 8 + length], whole))
        place += length + 12
    return found


# -- JPEG --------------------------------------------------------------------------------------------------------------


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """(marker, content) of each segment before the image; of a damaged file, as far as it goes."""
    found, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == START_OF_SCAN:
            break
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        found.append((marker, data[place + 4 : place + 2 + length]))
        place += 2 + length
    return found


def kept_segments(segments: list[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
    """Of the segments of a JPEG file: XMP, Photoshop's, comments. EXIF and profile are kept in other ways."""
    return tuple(
        (marker, body)
        for marker, body in segments
        if marker in (APP13, COMMENT) or (marker == APP1 and body.startswith(XMP_HEADERS))
    )


def with_segments(jpeg: bytes, segments: tuple[tuple[int, bytes], ...]) -> bytes:
    """The JPEG file with these segments behind its first one."""
    (length,) = struct.unpack_from(">H", jpeg, 4)
    place = 4 + length if jpeg[3] == 0xE0 else 2
    new = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return jpeg[:place] + new + jpeg[place:]
