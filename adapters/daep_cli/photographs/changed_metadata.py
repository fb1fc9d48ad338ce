"""What a file says, after its image was enlarged or got another number type."""

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from daep_cli.photographs.exif import resized
from daep_cli.photographs.metadata import DESCRIPTION, Metadata, TiffTag

#: A description of tifffile's own, of the shape of an array.
SHAPE = b'{"shape"'
#: Tags of georeferenced images (GeoTIFF 1.1, 7.3): size of a pixel, points of the image with their coordinates, matrix.
PIXEL_SCALE, TIE_POINTS, TRANSFORMATION = 33550, 33922, 34264
#: Names that OME-TIFF has for number types.
OME_TYPES = {"float32": "float", "float64": "double"}
#: The largest number of a pHYs chunk.
LARGEST_PHYS = 2**31 - 1
#: FITS keywords about the values (FITS standard 4.0, 4.4.2.5), and one of cameras.
OF_VALUES = ("BUNIT", "DATAMIN", "DATAMAX", "SATURATE")


def enlarged(metadata: Metadata, width: int, height: int, factor: int) -> Metadata:
    """The metadata of an image that was enlarged ``factor`` times, to ``width`` x ``height`` pixels.

    It shows the same area, so a pixel is smaller: in the resolution, in the descriptions of microscopes' programs, and
    in the coordinates of maps and of the sky.
    """
    resolution, tiff = metadata.resolution, metadata.tiff_resolution
    return replace(
        metadata,
        exif=resized(metadata.exif, width, height, factor),
        resolution=None if resolution is None else (factor * resolution[0], factor * resolution[1]),
        tiff_resolution=None if tiff is None else (factor * tiff[0], factor * tiff[1], tiff[2]),
        chunks=tuple((name, _enlarged_chunk(name, body, factor)) for name, body in metadata.chunks),
        tags=tuple(
            _enlarged_tag(tag, width, height, factor, metadata.byteorder)
            for tag in metadata.tags
            if not (tag[0] == DESCRIPTION and tag[3].startswith(SHAPE))
        ),
        header=None if metadata.header is None else _enlarged_header(metadata.header, factor),
    )


def retyped(metadata: Metadata, dtype: npt.DTypeLike) -> Metadata:
    """The metadata of an image that was converted to another number type, its range stretched to that of the type."""
    name = np.dtype(dtype).name
    stated, header = OME_TYPES.get(name, name), metadata.header

    def described(text: bytes) -> bytes:
        if b"<OME" in text:
            return _of_pixels(
                text, (rb' Type="[^"]*"', f' Type="{stated}"'.encode()), (rb' SignificantBits="[^"]*"', b"")
            )
        if text.startswith(b"ImageJ="):  # limits of the display, in the values before
            return re.sub(rb"\n(min|max)=[^\n]*", b"", text)
        return text

    if header is not None:  # the values have no unit any more
        header = header.copy()
        for key in OF_VALUES:
            header.remove(key, ignore_missing=True)
    return replace(metadata, tags=tuple(_described(tag, described) for tag in metadata.tags), header=header)


def _of_pixels(text: bytes, *changes: tuple[bytes, Any]) -> bytes:
    """OME-XML with attributes of its images replaced; lasers and lenses have some of the same names."""

    def changed(element: re.Match[bytes]) -> bytes:
        found = element[0]
        for pattern, new in changes:
            found = re.sub(pattern, new, found)
        return found

    return re.sub(rb"<(\w+:)?Pixels\b[^>]*", changed, text)


def _described(tag: TiffTag, change: Callable[[bytes], bytes]) -> TiffTag:
    code, kind, count, content = tag
    if code != DESCRIPTION:
        return tag
    text = change(content)
    return code, kind, count + len(text) - len(content), text


def _enlarged_chunk(name: bytes, body: bytes, factor: int) -> bytes:
    if name != b"pHYs" or len(body) != 9:
        return body
    across, down, unit = struct.unpack(">IIB", body)
    return struct.pack(">IIB", *(min(factor * n, LARGEST_PHYS) for n in (across, down)), unit)


def _enlarged_tag(tag: TiffTag, width: int, height: int, factor: int, order: str) -> TiffTag:
    code, kind, count, content = tag
    if code in (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION) and len(content) == 8 * count:
        values = np.frombuffer(content, f"{order}f8").copy()
        if code == TIE_POINTS:
            values[0::6] *= factor
            values[1::6] *= factor
        else:
            step = slice(0, 2) if code == PIXEL_SCALE else [i for i in range(count) if i % 4 < 2]
            values[step] /= factor
        return code, kind, count, values.tobytes()

    def described(text: bytes) -> bytes:
        if b"<OME" not in text:
            return text
        size = rb'( PhysicalSize[XY]=")(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"'
        return _of_pixels(
            text,
            (rb' SizeX="\d+"', f' SizeX="{width}"'.encode()),
            (rb' SizeY="\d+"', f' SizeY="{height}"'.encode()),
            (size, lambda m: m[1] + repr(float(m[2]) / factor).encode() + b'"'),
        )

    return _described(tag, described)


def _enlarged_header(header: Any, factor: int) -> Any:
    """The FITS header with the world coordinates of the smaller pixels (Greisen and Calabretta 2002, equations 1 to 3).

    Pixel ``p`` becomes ``factor (p - 1/2) + 1/2``: the first pixel has its middle at 1. A distortion ``A_p_q u^p v^q``
    (SIP, Shupe et al. 2005, equations 2 and 3) is in pixels, as ``u`` and ``v`` are.
    """
    header = header.copy()
    matrix = any(re.fullmatch(r"CD[1-9]_[1-9][A-Z]?", key) for key in header)
    for key in list(header):
        value = header[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if re.fullmatch(r"CRPIX[12][A-Z]?", key):
            header[key] = factor * (value - 0.5) + 0.5
        elif re.fullmatch(r"CD[1-9]_[12][A-Z]?", key) or (not matrix and re.fullmatch(r"CDELT[12][A-Z]?", key)):
            header[key] = value / factor
        elif sip := re.fullmatch(r"(?:A|B|AP|BP)_(\d)_(\d)", key):
            header[key] = value * float(factor) ** (1 - int(sip[1]) - int(sip[2]))
    return header
