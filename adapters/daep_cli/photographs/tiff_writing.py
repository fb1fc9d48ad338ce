"""Write TIFF files of one or many pages, with the tags of their sources."""

import io
import logging
import struct
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from PIL import TiffImagePlugin

from daep_cli.photographs import exif
from daep_cli.photographs.metadata import Metadata, TiffTag
from daep_cli.photographs.photo import Array, Photo

#: Tags of text that an EXIF record brings from other formats: description, camera, program, date, author, rights.
TEXTS = (270, 271, 272, 305, 306, 315, 33432)
ASCII = 2
#: tifffile's names of the tags of EXIF folders.
FOLDERS: dict[int, str] = {exif.EXIF_FOLDER: "ExifTag", exif.GPS_FOLDER: "GPSTag"}
#: Number of the unit of a resolution in pixels per inch.
INCH = 2
#: Bytes of values above which offsets need 64 bits.
CLASSIC = 2**32 - 2**25


def encode_tiff(photo: Photo) -> bytes:
    """A file of one page."""
    buffer = io.BytesIO()
    write_tiff(buffer, [photo], photo.colour.nbytes + (0 if photo.alpha is None else photo.alpha.nbytes))
    return buffer.getvalue()


def write_tiff(file: IO[bytes], photos: Iterable[Photo], size: int) -> None:
    """Write pages one after another to a file that is open for reading and writing.

    :param size: bytes of all values.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    writer, folders, order = None, [], "<"
    for photo in photos:
        if writer is None:
            order = photo.metadata.byteorder
            writer = tifffile.TiffWriter(file, bigtiff=size > CLASSIC, byteorder=order)  # type: ignore[arg-type]
        _write_page(writer, photo, order)
        folders.append(exif.folders(photo.metadata.exif) if photo.metadata.exif else {})
    if writer is not None:
        writer.close()
    if any(folders) and size <= CLASSIC:
        _append_folders(file, folders, order)


def _write_page(writer: Any, photo: Photo, order: str) -> None:
    colour, alpha, metadata = photo.with_nan(), photo.alpha, photo.metadata
    if alpha is not None and metadata.premultiplied:
        colour = _premultiplied(colour, alpha, photo.largest)
    pixels = colour if alpha is None else np.dstack([colour, alpha])
    channels = colour.shape[2]
    rgb = channels == 3
    tags = _tags(metadata)
    if pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim == 3 and metadata.separate:
        pixels = np.moveaxis(pixels, -1, 0)
    resolution = metadata.tiff_resolution or (metadata.resolution and (*metadata.resolution, INCH))
    extra = ["unspecified"] * (0 if rgb else channels - 1)
    if alpha is not None:
        extra.append("assocalpha" if metadata.premultiplied else "unassalpha")
    # the places of the two folders are written when the file is complete
    tags += [(code, 4, 1, struct.pack(f"{order}I", 0)) for code in exif.folders(metadata.exif)] if metadata.exif else []
    writer.write(
        np.ascontiguousarray(pixels),
        photometric="rgb" if rgb else "minisblack",
        planarconfig=None if pixels.ndim == 2 else "separate" if metadata.separate else "contig",
        extrasamples=extra or None,
        compression="adobe_deflate",
        predictor=pixels.dtype.itemsize <= 4 or pixels.dtype.kind == "f",
        iccprofile=photo.icc,
        resolution=None if resolution is None else resolution[:2],
        resolutionunit=None if resolution is None else resolution[2],
        metadata=None,
        software=False,
        contiguous=False,
        extratags=[(FOLDERS.get(code, code), *rest, True) for code, *rest in tags],
    )


def _tags(metadata: Metadata) -> list[TiffTag]:
    tags = list(metadata.tags)
    if tags or not metadata.exif:
        return tags
    from PIL import Image

    record = Image.Exif()
    record.load(metadata.exif)
    texts = {code: str(record[code]).encode() + b"\0" for code in TEXTS if code in record}
    return [(code, ASCII, len(text), text) for code, text in texts.items()]


def _premultiplied(colour: Array, alpha: Array, top: float) -> Array:
    product = colour * (alpha[..., None] / top)
    return (product.round() if colour.dtype.kind in "iu" else product).astype(colour.dtype)


def _append_folders(file: IO[bytes], folders: list[dict[int, dict[int, Any]]], order: str) -> None:
    """Write the EXIF folders behind the pages, and their places into the tags."""
    import tifffile

    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    file.seek(0)
    with tifffile.TiffFile(file) as written:
        offsets = [page.offset for page in written.pages]
    for offset, wanted in zip(offsets, folders, strict=True):
        for code, entries in wanted.items():
            place = file.seek(0, 2)
            place += file.write(bytes(place % 2))
            folder = TiffImagePlugin.ImageFileDirectory_v2(ifh=header)
            for tag, value in entries.items():
                folder[tag] = value
            file.write(folder.tobytes(place))
            file.seek(_value_of_tag(file, order, offset, code))
            file.write(struct.pack(f"{order}I", place))


def _value_of_tag(file: IO[bytes], order: str, folder: int, code: int) -> int:
    """Where the value of a tag stands; tifffile skips folders without a place."""
    file.seek(folder)
    (count,) = struct.unpack(f"{order}H", file.read(2))
    codes = [struct.unpack(f"{order}H", file.read(12)[:2])[0] for _ in range(count)]
    return folder + 2 + 12 * codes.index(code) + 8
