"""Sizes, resolutions and coordinates in a file that was enlarged, or got another number type."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from kinds_of_file import HEIGHT, KINDS, WIDTH, exif_record, picture, with_chunk
from PIL import Image

from daep_cli.photographs.changed_metadata import enlarged, retyped
from daep_cli.photographs.metadata import Metadata
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.writing import converted, encode

FACTOR = 3


def larger(path: Path) -> Path:
    """The file enlarged, as `daep restore --scale` writes it."""
    photo, out = read_photo(path, 0), path.with_stem("out")
    metadata = enlarged(photo.metadata, FACTOR * WIDTH, FACTOR * HEIGHT, FACTOR)
    colour = photo.colour.repeat(FACTOR, 0).repeat(FACTOR, 1)
    out.write_bytes(encode(Photo(colour, metadata=metadata), path.suffix))
    return out


def test_an_enlarged_photograph_states_its_size_and_resolution(daep, tmp_path: Path, weights: Path) -> None:
    record = exif_record()
    record[282] = record[283] = 300.0
    Image.fromarray(picture()).save(tmp_path / "in.jpg", exif=record, dpi=(300, 300))
    command = ["restore", tmp_path / "in.jpg", "-o", tmp_path / "out.jpg", "--scale", 3]
    assert daep(*command, "--denoiser", weights, "--iterations", 1).status == 0
    with Image.open(tmp_path / "out.jpg") as file:
        folder = file.getexif().get_ifd(34665)
        assert (folder[40962], folder[40963]) == (3 * WIDTH, 3 * HEIGHT) == file.size
        assert file.info["dpi"] == (900, 900) and file.getexif()[282] == 900


def test_a_png_has_more_pixels_a_metre(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "in.png")
    content = (tmp_path / "in.png").read_bytes()
    (tmp_path / "in.png").write_bytes(with_chunk(content, b"pHYs", struct.pack(">IIB", 1000, 2000, 0)))
    chunks = dict(read_photo(larger(tmp_path / "in.png")).metadata.chunks)
    assert struct.unpack(">IIB", chunks[b"pHYs"]) == (3000, 6000, 0)


def test_the_scale_of_an_imagej_file_is_kept_and_follows_the_size(tmp_path: Path) -> None:
    options = {"imagej": True, "resolution": (10, 5), "metadata": {"unit": "um"}}
    tifffile.imwrite(tmp_path / "in.tif", picture(1, np.uint16)[..., 0], **options)
    photo = read_photo(tmp_path / "in.tif")
    assert photo.metadata.resolution is None  # the unit is not one of TIFF
    for content, resolution in ((encode(photo, ".tif"), (10, 5)), (larger(tmp_path / "in.tif").read_bytes(), (30, 15))):
        (tmp_path / "again.tif").write_bytes(content)
        with tifffile.TiffFile(tmp_path / "again.tif") as file:
            assert file.imagej_metadata["unit"] == "um"
            assert file.pages[0].resolution == resolution and file.pages[0].resolutionunit == 1


def test_ome_tiff_that_is_enlarged_states_its_size(daep, tmp_path: Path, weights: Path) -> None:
    path, out = tmp_path / "in.ome.tif", tmp_path / "out.ome.tif"
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0}
    pixels = np.moveaxis(picture(3, np.uint16), -1, 0).copy()
    tifffile.imwrite(path, pixels, ome=True, metadata=metadata, photometric="minisblack")
    command = ["restore", path, "-o", out, "--scale", 2, "--denoiser", weights, "--iterations", 1]
    assert daep(*command).status == 0
    with tifffile.TiffFile(out) as file:
        assert file.series[0].axes == "CYX"
        assert file.series[0].shape == (3, 2 * HEIGHT, 2 * WIDTH)
        for text in ('PhysicalSizeX="0.25"', 'PhysicalSizeY="0.125"', 'PhysicalSizeZ="2.0"'):
            assert text in file.ome_metadata


def test_an_array_of_several_axes_loses_its_shape_only_if_it_is_enlarged(tmp_path: Path) -> None:
    (tmp_path / "in.tif").write_bytes(KINDS["axes.tif"][1]())
    assert 270 in [code for code, *_ in read_photo(tmp_path / "in.tif", 0).metadata.tags]
    assert 270 not in [code for code, *_ in read_photo(larger(tmp_path / "in.tif")).metadata.tags]


@pytest.mark.parametrize("order", "<>")
def test_maps_keep_their_coordinates(order: str) -> None:
    def tag(code: int, *values: float) -> tuple[int, int, int, bytes]:
        return code, 12, len(values), np.array(values, f"{order}f8").tobytes()

    scale, points = tag(33550, 6.0, 6.0, 0.0), tag(33922, 10.0, 20.0, 0.0, 500.0, 600.0, 0.0)
    matrix = tag(34264, *[3.0, 0.0, 0.0, 500.0, 0.0, -3.0, 0.0, 600.0, *[0.0] * 7, 1.0])
    found = enlarged(Metadata(tags=(scale, points, matrix), byteorder=order), 9, 9, FACTOR).tags
    assert found[0] == tag(33550, 2.0, 2.0, 0.0)
    assert found[1] == tag(33922, 30.0, 60.0, 0.0, 500.0, 600.0, 0.0)
    assert found[2] == tag(34264, *[1.0, 0.0, 0.0, 500.0, 0.0, -1.0, 0.0, 600.0, *[0.0] * 7, 1.0])


@pytest.mark.parametrize("matrix", [True, False])
def test_the_sky_stays_where_it_is(daep, tmp_path: Path, weights: Path, matrix: bool) -> None:
    fits, wcs = pytest.importorskip("astropy.io.fits"), pytest.importorskip("astropy.wcs")
    extension = fits.PrimaryHDU(np.stack(4 * [picture(1, np.float32)[..., 0]]))
    scale = {"CD1_1": -1e-3, "CD2_2": 1e-3} if matrix else {"CDELT1": -1e-3, "CDELT2": 1e-3}
    place = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 3.0, "CRPIX2": 5.0, "CRVAL1": 9.0, "CRVAL2": 40.0}
    extension.header.update(place | scale)
    extension.writeto(tmp_path / "in.fits")
    command = ["restore", tmp_path / "in.fits", "-o", tmp_path / "out.fits", "--scale", 2, "--denoiser", weights]
    assert daep(*command, "--iterations", 1).status == 0
    there = [wcs.WCS(fits.getheader(tmp_path / name), naxis=2) for name in ("in.fits", "out.fits")]
    # the middle of a pixel is the corner between four
    before, after = there[0].pixel_to_world(7, 4), there[1].pixel_to_world(2 * 7 + 0.5, 2 * 4 + 0.5)
    assert before.separation(after).arcsec < 1e-6


def test_another_number_type_is_stated(tmp_path: Path) -> None:
    (tmp_path / "in.ome.tif").write_bytes(KINDS["channels.ome.tif"][1]())
    for kind, name in (("uint8", "uint8"), ("float32", "float"), ("float64", "double")):
        tags = converted(read_photo(tmp_path / "in.ome.tif", 0), kind).metadata.tags
        assert f' Type="{name}"'.encode() in next(content for code, *_, content in tags if code == 270)


def test_lasers_and_lenses_of_ome_keep_their_types_and_sizes() -> None:
    around = b'<OME><Laser Type="Gas"/><Plate Type="x" PhysicalSizeX="3.0"/>%s<Detector Type="EMCCD"/></OME>\0'
    text = around % b'<Pixels ID="p" Type="uint16" SignificantBits="12" SizeX="17" SizeY="12" PhysicalSizeX="1.5">'
    metadata = Metadata(tags=((270, 2, len(text), text),))
    typed = around % b'<Pixels ID="p" Type="float" SizeX="17" SizeY="12" PhysicalSizeX="1.5">'
    assert retyped(metadata, np.float32).tags == ((270, 2, len(typed), typed),)
    large = text.replace(b'SizeX="17" SizeY="12" PhysicalSizeX="1.5"', b'SizeX="51" SizeY="36" PhysicalSizeX="0.5"')
    assert enlarged(metadata, 51, 36, 3).tags == ((270, 2, len(large), large),)


def test_the_distortion_of_a_telescope_is_enlarged_too() -> None:
    fits, wcs = pytest.importorskip("astropy.io.fits"), pytest.importorskip("astropy.wcs")
    header = fits.Header()
    header.update({"NAXIS": 2, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRPIX1": 9.0, "CRPIX2": 5.0})
    header.update({"CRVAL1": 9.0, "CRVAL2": 40.0, "CD1_1": -1e-3, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-3})
    header.update({"A_ORDER": 2, "B_ORDER": 3, "A_2_0": 3e-3, "A_1_1": 1e-3, "B_0_2": -2e-3, "B_1_2": 4e-4})
    before, after = wcs.WCS(header), wcs.WCS(enlarged(Metadata(header=header), 0, 0, 3).header)
    x, y = np.meshgrid(np.arange(18.0), np.arange(12.0))
    there = before.pixel_to_world(x, y)  # the middle of a pixel is that of the middle one of nine
    assert there.separation(after.pixel_to_world(3 * x + 1, 3 * y + 1)).arcsec.max() < 1e-6


def test_stretched_values_have_no_unit() -> None:
    fits = pytest.importorskip("astropy.io.fits")
    header = fits.Header([("BUNIT", "electron"), ("DATAMAX", 9.0), ("EXPTIME", 30.0)])
    photo = Photo(picture(1, np.float32), metadata=Metadata(header=header))
    assert list(converted(photo, np.uint16).metadata.header) == ["EXPTIME"] and len(header) == 3
    assert converted(photo, np.float32).metadata.header == header


def test_the_display_limits_of_imagej_are_of_the_values_before() -> None:
    text = b"ImageJ=1.11a\nimages=5\nmin=0.0\nmax=4095.0\nunit=um\n\0"
    (tag,) = retyped(Metadata(tags=((270, 2, len(text), text),)), np.float32).tags
    assert tag == (270, 2, len(tag[3]), b"ImageJ=1.11a\nimages=5\nunit=um\n\0")
