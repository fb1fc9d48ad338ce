"""More than sixty kinds of image file, made in a folder; the page about files lists them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms, TiffImagePlugin

__all__ = ["KINDS", "exif_record", "picture", "profile", "raw_file", "with_chunk"]

HEIGHT, WIDTH = 12, 17


def picture(channels: int = 3, dtype: Any = np.uint8, top: float | None = None) -> np.ndarray:
    """A smooth picture (H, W, C) from 0 to ``top``, different in each channel."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [np.sin(0.3 * x + c) * np.cos(0.2 * y + 2 * c) for c in range(channels)]
    kind = np.dtype(dtype)
    top = (float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0) if top is None else top
    values = (np.stack(planes, -1) + 1) / 2 * top
    return (values.round().clip(0, top) if kind.kind in "iu" else values).astype(kind)


def profile() -> bytes:
    """An sRGB profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_record(orientation: int = 1) -> Image.Exif:
    """Camera, rights, exposure and place."""
    record = Image.Exif()
    record[271], record[272], record[33432], record[274] = "Maker", "Camera 1", "Somebody", orientation
    record.get_ifd(34665).update(
        {33434: TiffImagePlugin.IFDRational(1, 125), 36867: "2026:11:28 10:00:00", 40962: WIDTH, 40963: HEIGHT}
    )
    record.get_ifd(34853).update({1: "N", 2: (47.0, 30.0, 0.0)})
    return record


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    """The PNG file with one more chunk behind its header."""
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return png[:33] + chunk + png[33:]


def _pillow(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels.squeeze())
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _png(pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    data = bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels.squeeze())))
    for name, body in chunks:
        data = with_chunk(data, name, body)
    return data


def _tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    options.setdefault("metadata", None)
    tifffile.imwrite(buffer, pixels.squeeze(), **options)
    return buffer.getvalue()


def _fits(values: np.ndarray, **cards: Any) -> bytes:
    from astropy.io import fits

    extension = fits.PrimaryHDU(np.ascontiguousarray(values), uint=True)
    for key, value in cards.items():
        extension.header[key] = value
    buffer = io.BytesIO()
    extension.writeto(buffer)
    return buffer.getvalue()


def _planes(channels: int, dtype: Any, top: float | None = None) -> np.ndarray:
    return np.moveaxis(picture(channels, dtype, top), -1, 0).copy()


def _axes() -> np.ndarray:
    return _planes(6, np.uint16).reshape(2, 3, HEIGHT, WIDTH)


def _twelve_bits() -> np.ndarray:
    values = picture(1, np.uint16, 4095)
    values.flat[0] = 4095
    return values


def _with_nan() -> np.ndarray:
    values = picture(1, np.float32)
    values[3:5, 4:7] = np.nan
    return values


def _straight(dtype: Any) -> np.ndarray:
    values = picture(4, dtype)
    values[:4, :4, 3] = 0
    return values


def _premultiplied() -> np.ndarray:
    values = _straight(np.uint8).astype(float)
    values[..., :3] *= values[..., 3:] / 255
    return values.round().astype(np.uint8)


DESCRIPTION = "a description"
RESOLUTION: dict[str, Any] = {"resolution": (300, 300), "resolutionunit": "inch"}
GREY16: dict[str, Any] = {"photometric": "minisblack"}
RGB: dict[str, Any] = {"photometric": "rgb"}
#: Name of a file -> (what it is, its content).
KINDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    # PNG
    "rgb8.png": ("PNG, 8-bit colour", lambda: _png(picture())),
    "grey8.png": ("PNG, 8-bit grey", lambda: _png(picture(1))),
    "rgba8.png": ("PNG, 8-bit colour with transparency", lambda: _png(_straight(np.uint8))),
    "greya8.png": ("PNG, 8-bit grey with transparency", lambda: _png(picture(2))),
    "rgb16.png": ("PNG, 16-bit colour", lambda: _png(picture(3, np.uint16))),
    "grey16.png": ("PNG, 16-bit grey", lambda: _png(picture(1, np.uint16))),
    "rgba16.png": ("PNG, 16-bit colour with transparency", lambda: _png(_straight(np.uint16))),
    "greya16.png": ("PNG, 16-bit grey with transparency", lambda: _png(picture(2, np.uint16))),
    "grey12in16.png": ("PNG, 12 bits in 16", lambda: _png(_twelve_bits())),
    "palette.png": ("PNG, palette", lambda: _pillow(Image.fromarray(picture()).quantize(16), "PNG")),
    "palette-trns.png": (
        "PNG, palette with a transparent colour",
        lambda: _pillow(Image.fromarray(picture()).quantize(16), "PNG", transparency=0),
    ),
    "grey-trns.png": ("PNG, grey with a transparent value", lambda: _pillow(picture(1), "PNG", transparency=0)),
    "rgb-trns.png": ("PNG, a transparent colour", lambda: _pillow(picture(), "PNG", transparency=(0, 1, 2))),
    "bits.png": ("PNG, 1 bit", lambda: _pillow(Image.fromarray(picture()).convert("1"), "PNG")),
    "interlaced.png": ("PNG, 16-bit colour, gAMA and cHRM", lambda: _png(picture(3, np.uint16), (b"cHRM", bytes(32)))),
    "gamma.png": ("PNG, gAMA", lambda: _png(picture(), (b"gAMA", struct.pack(">I", 100000)))),
    "gamma16.png": ("PNG, 16 bits, gAMA", lambda: _png(picture(3, np.uint16), (b"gAMA", struct.pack(">I", 55555)))),
    "srgb.png": ("PNG, sRGB chunk", lambda: _png(picture(), (b"sRGB", b"\0"))),
    "icc.png": ("PNG, ICC profile", lambda: _pillow(picture(), "PNG", icc_profile=profile())),
    "icc16.png": (
        "PNG, 16 bits, ICC profile",
        lambda: _png(picture(3, np.uint16), (b"iCCP", b"x\0\0" + zlib.compress(profile()))),
    ),
    "text.png": ("PNG, text", lambda: _png(picture(), (b"tEXt", b"Title\0a title"), (b"iTXt", b"Note\0\0\0\0\0ok"))),
    "dpi.png": ("PNG, resolution", lambda: _pillow(picture(), "PNG", dpi=(300, 300))),
    "exif.png": ("PNG, EXIF", lambda: _pillow(picture(), "PNG", exif=exif_record())),
    "exif-turned.png": ("PNG, EXIF, turned", lambda: _pillow(picture(), "PNG", exif=exif_record(6))),
    # JPEG: the pixels change, the rest stays
    "rgb.jpg": ("JPEG, colour", lambda: _pillow(picture(), "JPEG", quality=95)),
    "grey.jpg": ("JPEG, grey", lambda: _pillow(picture(1), "JPEG")),
    "progressive.jpg": ("JPEG, progressive", lambda: _pillow(picture(), "JPEG", progressive=True)),
    "cmyk.jpg": ("JPEG, CMYK", lambda: _pillow(Image.fromarray(picture()).convert("CMYK"), "JPEG")),
    "exif.jpg": ("JPEG, EXIF", lambda: _pillow(picture(), "JPEG", exif=exif_record())),
    "exif-turned.jpg": ("JPEG, EXIF, turned", lambda: _pillow(picture(), "JPEG", exif=exif_record(8))),
    "icc.jpg": (
        "JPEG, ICC profile and resolution",
        lambda: _pillow(picture(), "JPEG", icc_profile=profile(), dpi=(72, 72)),
    ),
    "xmp.jpg": ("JPEG, XMP and a comment", lambda: _pillow(picture(), "JPEG", xmp=b"<x:xmpmeta/>", comment=b"hello")),
    # TIFF
    "rgb8.tif": ("TIFF, 8-bit colour", lambda: _tiff(picture(), **RGB)),
    "grey8.tif": ("TIFF, 8-bit grey", lambda: _tiff(picture(1), **GREY16)),
    "rgb16.tif": ("TIFF, 16-bit colour", lambda: _tiff(picture(3, np.uint16), **RGB)),
    "grey16.tif": ("TIFF, 16-bit grey", lambda: _tiff(picture(1, np.uint16), **GREY16)),
    "grey12in16.tif": ("TIFF, 12 bits in 16", lambda: _tiff(_twelve_bits(), **GREY16)),
    "grey32.tif": ("TIFF, 32-bit integers", lambda: _tiff(picture(1, np.uint32), **GREY16)),
    "int16.tif": ("TIFF, signed 16-bit integers", lambda: _tiff(picture(1, np.int16) - np.int16(9000), **GREY16)),
    "int32.tif": ("TIFF, signed 32-bit integers", lambda: _tiff(picture(1, np.int32), **GREY16)),
    "int64.tif": ("TIFF, 64-bit integers", lambda: _tiff(picture(1, np.uint64, 2.0**62), **GREY16)),
    "float32.tif": ("TIFF, 32-bit floats", lambda: _tiff(picture(3, np.float32), **RGB)),
    "float64.tif": ("TIFF, 64-bit floats", lambda: _tiff(picture(1, np.float64), **GREY16)),
    "float-1000.tif": (
        "TIFF, floats from -1000 to 1000",
        lambda: _tiff(picture(1, np.float32, 2000.0) - np.float32(1000), **GREY16),
    ),
    "rgba8.tif": ("TIFF, straight alpha", lambda: _tiff(_straight(np.uint8), extrasamples=["unassalpha"], **RGB)),
    "rgba16.tif": (
        "TIFF, 16 bits, straight alpha",
        lambda: _tiff(_straight(np.uint16), extrasamples=["unassalpha"], **RGB),
    ),
    "premultiplied.tif": (
        "TIFF, premultiplied alpha",
        lambda: _tiff(_premultiplied(), extrasamples=["assocalpha"], **RGB),
    ),
    "two-channels.tif": (
        "TIFF, two channels",
        lambda: _tiff(picture(2, np.uint16), planarconfig="contig", extrasamples=["unspecified"], **GREY16),
    ),
    "white-is-zero.tif": ("TIFF, 0 is white", lambda: _tiff(picture(1, np.uint16), photometric="miniswhite")),
    "planes.tif": ("TIFF, separate planes", lambda: _tiff(_planes(3, np.uint16), planarconfig="separate", **RGB)),
    "tiles.tif": (
        "TIFF, tiles",
        lambda: _tiff(picture(3, np.uint16), tile=(16, 16), compression="adobe_deflate", **RGB),
    ),
    "lzw.tif": ("TIFF, LZW", lambda: _tiff(picture(3, np.uint16), compression="lzw", predictor=True, **RGB)),
    "motorola.tif": ("TIFF, big-endian", lambda: _tiff(picture(3, np.uint16), byteorder=">", **RGB, **RESOLUTION)),
    "big.tif": ("BigTIFF", lambda: _tiff(picture(3, np.uint16), bigtiff=True, **RGB)),
    "tags.tif": (
        "TIFF, description, program, resolution, ICC profile",
        lambda: _tiff(
            picture(3, np.uint16),
            description=DESCRIPTION,
            software="a program",
            iccprofile=profile(),
            **RGB,
            **RESOLUTION,
        ),
    ),
    "private.tif": (
        "TIFF, private tags",
        lambda: _tiff(picture(1, np.uint16), extratags=[(65000, 12, 2, (1.5, 2.5), True)], **GREY16),
    ),
    "exif.tif": ("TIFF, EXIF", lambda: _pillow(picture(), "TIFF", exif=exif_record())),
    "stack.tif": ("TIFF, several pages", lambda: _tiff(_planes(5, np.uint16), **GREY16)),
    "imagej.tif": (
        "ImageJ stack",
        lambda: _tiff(
            _planes(5, np.uint16),
            imagej=True,
            resolution=(10, 10),  # pixels a micrometre
            metadata={"axes": "ZYX", "spacing": 0.5, "unit": "um"},
        ),
    ),
    "axes.tif": ("TIFF, an array of four axes, by tifffile", lambda: _tiff(_axes(), metadata={}, **GREY16)),
    "channels.ome.tif": (
        "OME-TIFF, channels",
        lambda: _tiff(_planes(3, np.uint16), ome=True, metadata={"axes": "CYX"}, photometric="minisblack"),
    ),
    # FITS
    "float.fits": ("FITS, floats with missing pixels", lambda: _fits(_with_nan()[..., 0], OBJECT="M 31")),
    "ushort.fits": ("FITS, unsigned 16-bit integers", lambda: _fits(picture(1, np.uint16)[..., 0], EXPTIME=30.0)),
    "colour.fits": ("FITS, three colours", lambda: _fits(_planes(3, np.float32))),
    "cube.fits": ("FITS, a stack", lambda: _fits(_planes(5, np.float32), OBJECT="M 31")),
}


def raw_file() -> bytes:
    """A DNG of a grey card at half of the range of 12 bits."""
    side, buffer = 64, io.BytesIO()
    identity = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        ("CFARepeatPatternDim", 3, 2, (2, 2), True),
        ("CFAPattern", 1, 4, bytes([0, 1, 1, 2]), True),
        (271, 2, 0, "Test", True),
        (272, 2, 0, "Camera 1", True),
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),
        (50708, 2, 0, "Test Camera", True),
        (50714, 3, 1, 0, True),
        (50717, 3, 1, 4095, True),
        (50721, 10, 9, identity, True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
        (50778, 3, 1, 21, True),
    ]
    pixels = np.full((side, side), 2048, np.uint16)
    tifffile.imwrite(buffer, pixels, photometric="cfa", metadata=None, extratags=tags)
    return buffer.getvalue()


def make(folder: Path) -> Iterator[Path]:
    """Write one file of each kind."""
    for name, (_, content) in KINDS.items():
        path = folder / name
        path.write_bytes(content())
        yield path
