"""Read and write FITS images, by astropy (the extra ``[fits]``)."""

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from daep_cli.photographs.errors import TooLarge, Unsupported
from daep_cli.photographs.metadata import Metadata
from daep_cli.photographs.photo import MAX_BYTES, Array, Photo
from daep_cli.photographs.pixels import split

#: Planes of a cube that are red, green and blue, as programs for astronomical photographs write them.
COLOURS = 3
HISTORY = "restored by daep"


def _fits() -> ModuleType:
    try:
        from astropy.io import fits
    except ImportError as error:
        raise Unsupported("FITS files need astropy; pip install 'daep-prior[fits]'.") from error
    return fits


def _image(file: Any) -> Any:
    """The first extension that contains an image."""
    fits = _fits()
    for extension in file:
        if isinstance(extension, (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)) and extension.header["NAXIS"] > 0:
            sides = [extension.header[f"NAXIS{i + 1}"] for i in range(extension.header["NAXIS"])]
            while len(sides) > 2 and sides[-1] == 1:
                sides.pop()
            if len(sides) not in (2, 3):
                axes = "one axis" if len(sides) == 1 else f"{len(sides)} axes"
                raise Unsupported(f"its image has {axes}; save two (an image) or three (a stack).")
            return extension
    raise ValueError("it contains no image")


def _shape(extension: Any) -> tuple[int, int, int]:
    """(planes, height, width)."""
    sides = [int(extension.header[f"NAXIS{i + 1}"]) for i in range(extension.header["NAXIS"])]
    width, height, *planes = sides
    return int(np.prod(planes, dtype=object)) if planes else 1, height, width


def _is_colour(extension: Any) -> bool:
    return _shape(extension)[0] == COLOURS


def count_planes(path: Path) -> int:
    """Number of images of the file; three planes are the colours of one."""
    with _fits().open(path, lazy_load_hdus=True) as file:
        extension = _image(file)
        return 1 if _is_colour(extension) else _shape(extension)[0]


def read_plane(path: Path, number: int) -> Photo:
    """One image of the file. Its values are amounts of light; those that are no numbers are missing."""
    with _fits().open(path, memmap=False, lazy_load_hdus=True, uint=True) as file:
        extension = _image(file)
        planes, height, width = _shape(extension)
        wanted = COLOURS if _is_colour(extension) else 1
        if wanted * height * width * abs(int(extension.header.get("BITPIX", 8))) // 8 > MAX_BYTES:
            raise TooLarge
        if planes * height * width == 0:
            raise ValueError("no pixels")
        # the section reads these planes only
        shape = extension.shape
        leading = [int(i) for i in np.unravel_index(number, shape[:-2])] if wanted == 1 and len(shape) > 2 else []
        place = (*leading, slice(None), slice(None))
        data = np.asarray(extension.section[place] if leading else extension.data)
        if data.dtype.kind not in "iuf":
            raise Unsupported(f"its values are {data.dtype}; convert them to integers or floats.")
        values = data.reshape(wanted, height, width)
        pixels = np.array(np.moveaxis(values, 0, -1), dtype=data.dtype.newbyteorder("="))
        return replace(
            split(pixels, None, alpha=False), metadata=Metadata(header=_header(file, extension)), linear=True
        )


def _header(file: Any, extension: Any) -> Any:
    """The header of an extension, and what the file says before it of telescope and observation."""
    header, first = extension.header.copy(), file[0].header
    if first is not extension.header:
        for card in first.cards:
            if card.keyword not in header or card.keyword in ("COMMENT", "HISTORY"):
                header.append(card, end=True)
    for number in reversed(range(len(header))):
        if not _can_be_written(header.cards[number]):
            del header[number]
    header["NAXIS"] = extension.header["NAXIS"]  # its card may be among these, see :func:`_leading`
    return header


def _can_be_written(card: Any) -> bool:
    """Whether a card is as FITS asks, or could be mended. Others, as one with control characters, are left out."""
    try:
        card.verify("silentfix")
        str(card)
    except (ValueError, _fits().VerifyError):
        return False
    return True


def _leading(header: Any, axes: int) -> tuple[int, ...]:
    """The axes of length 1 before the others, which radio astronomy has for polarisation and frequency."""
    return (1,) * (0 if header is None else max(0, header["NAXIS"] - axes))


def encode_fits(photo: Photo) -> bytes:
    """The bytes of a file, with the header of the source."""
    fits = _fits()
    planes = np.moveaxis(photo.with_nan(), -1, 0)
    planes = planes[0] if len(planes) == 1 else planes
    axes = _leading(photo.metadata.header, planes.ndim)
    extension = fits.PrimaryHDU(np.ascontiguousarray(planes.reshape(*axes, *planes.shape)), uint=True)
    _describe(extension.header, photo.metadata.header)
    buffer = io.BytesIO()
    extension.writeto(buffer, output_verify="silentfix")
    return buffer.getvalue()


def write_cube(path: Path, header: Any, photos: Iterable[Photo], count: int) -> None:
    """Write the planes of a stack one after another, with the header of the source."""
    fits, stream = _fits(), None
    try:
        for photo in photos:
            plane = photo.with_nan()[..., 0]
            if stream is None:
                # its header says how the values of this type are stored
                shape = (*_leading(header, 3), 1, *plane.shape)
                small = fits.PrimaryHDU(np.zeros(shape, plane.dtype), uint=True)
                small.header["NAXIS3"] = count
                _describe(small.header, header)
                stream = fits.StreamingHDU(str(path), small.header)
            stream.write(np.ascontiguousarray(_as_stored(plane)))
    finally:
        if stream is not None:
            stream.close()


def _as_stored(plane: Array) -> Array:
    """FITS has unsigned integers of 8 bits, and signed ones of more; the sign bit as offset makes the others."""
    size, unsigned = plane.dtype.itemsize, plane.dtype.kind == "u"
    if plane.dtype.kind == "f" or unsigned == (size == 1):
        return plane
    flipped: Array = plane.view(f"u{size}") ^ 2 ** (8 * size - 1)
    return flipped.view(f"i{size}" if unsigned else "u1")


def _describe(header: Any, source: Any) -> None:
    """Copy what a header says about the image, but not how it is stored."""
    if source is not None:
        storage = {*header, "XTENSION", "PCOUNT", "GCOUNT", "CHECKSUM", "DATASUM", "BSCALE", "BZERO", "BLANK"}
        for card in source.cards:
            if card.keyword not in storage and not card.keyword.startswith(("NAXIS", "ZNAXIS", "ZTILE", "ZCMPTYPE")):
                header.append(card, end=True)
    header.add_history(HISTORY)
