"""Every kind of image file goes through a restoration that changes nothing: no pixel and no metadata may change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from kinds_of_file import HEIGHT, KINDS, WIDTH, exif_record, picture, raw_file
from PIL import Image

from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import count_pages, read_photo
from daep_cli.photographs.value_range import ranged
from daep_cli.photographs.writing import converted, encode, write_photo

#: Kinds that are decoded and encoded again with losses.
LOSSY = ".jpg"


@pytest.fixture
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    name = request.param
    if name.endswith(".fits"):
        pytest.importorskip("astropy")
    path = tmp_path / name
    path.write_bytes(KINDS[name][1]())
    return path


def check_alike(a: Photo, b: Photo, exact: bool) -> None:
    assert (a.colour.shape, a.colour.dtype, a.icc) == (b.colour.shape, b.colour.dtype, b.icc)
    assert (a.alpha is None) == (b.alpha is None)
    if exact:
        np.testing.assert_array_equal(a.colour, b.colour)
        np.testing.assert_array_equal(a.alpha, b.alpha) if a.alpha is not None else None
    else:
        assert np.abs(a.colour.astype(int) - b.colour).mean() < 3
    for name in ("exif", "resolution", "tiff_resolution", "chunks", "segments", "tags", "premultiplied", "separate"):
        assert getattr(a.metadata, name) == getattr(b.metadata, name), name


@pytest.mark.parametrize("file", KINDS, indirect=True)
def test_a_file_is_written_as_it_was_read(file: Path) -> None:
    page = count_pages(file) - 1 or None
    photo = read_photo(file, page)
    again = file.with_stem("again")
    again.write_bytes(encode(photo, file.suffix))
    check_alike(read_photo(again), photo, exact=file.suffix != LOSSY)


@pytest.mark.parametrize("file", KINDS, indirect=True)
def test_a_kernel_of_one_pixel_without_noise_changes_nothing(daep, file: Path, tmp_path: Path, weights: Path) -> None:
    kernel = np.zeros((3, 3))
    kernel[1, 1] = 1
    np.save(tmp_path / "k.npy", kernel)
    out = tmp_path / f"out{''.join(file.suffixes)}"
    command = ["restore", file, "-o", out, "--kernel", tmp_path / "k.npy", "--noise", 0, "--denoiser", weights]
    outcome = daep(*command, "--iterations", 1)
    assert (outcome.status, outcome.err) == (0, "")
    pages = count_pages(file)
    assert count_pages(out) == pages
    for page in range(pages):
        before, after = read_photo(file, page), read_photo(out, page)
        if before.missing is not None:  # they are restored, all others are as they were
            after.colour[before.missing] = 0
            assert after.missing is None
        check_alike(before, after, exact=file.suffix != LOSSY)


def test_the_page_about_files_lists_every_kind(root: Path) -> None:
    text = " ".join((root / "docs" / "files.md").read_text(encoding="utf-8").split())
    missing = [title for title, _ in KINDS.values() if title not in text]
    assert not missing


# -- metadata ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("target", [".png", ".jpg", ".tif"])
def test_camera_and_place_move_between_formats_and_the_orientation_is_applied(tmp_path, suffix, target) -> None:
    source = tmp_path / f"in{suffix}"
    if suffix == ".tif":  # Pillow writes no folders into a TIFF
        Image.fromarray(picture()).save(tmp_path / "in.jpg", exif=exif_record(6))
        write_photo(read_photo(tmp_path / "in.jpg"), source)
    else:
        Image.fromarray(picture()).save(source, exif=exif_record(6))
    out = tmp_path / f"out{target}"
    write_photo(read_photo(source), out)
    with Image.open(out) as file:
        record = file.getexif()
        assert file.size == (HEIGHT, WIDTH)
        assert record.get(274, 1) == 1
        assert record[272] == "Camera 1" and record[33432] == "Somebody"
        assert record.get_ifd(34665)[33434] == pytest.approx(1 / 125)
        assert tuple(record.get_ifd(34853)[2]) == (47.0, 30.0, 0.0)


def test_damaged_camera_data_are_left_out(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=exif_record())
    content = (tmp_path / "a.jpg").read_bytes()
    place = content.index(b"Exif\0\0") + 6
    for damage in (b"XX", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"):
        (tmp_path / "b.jpg").write_bytes(content[:place] + damage + content[place + len(damage) :])
        photo = read_photo(tmp_path / "b.jpg")
        assert photo.metadata.exif == b""
        encode(photo, ".tif")


# -- number types ------------------------------------------------------------------------------------------------------


def test_png_and_jpeg_refuse_floats_and_format_converts_them(daep, refused, tmp_path: Path, weights: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", picture(1, np.float32, 2.0)[..., 0])
    command = ["restore", tmp_path / "in.tif", "-o", tmp_path / "out.png", "--noise", 5]
    assert "--format uint16" in refused(*command, "--denoiser", weights, "--iterations", 1)
    assert daep(*command, "--denoiser", weights, "--iterations", 1, "--format", "uint16").status == 0
    assert read_photo(tmp_path / "out.png").colour.dtype == np.uint16
    assert "--format complex: expected one of uint8" in refused(*command, "--format", "complex")


def test_converting_stretches_the_range_to_that_of_the_type() -> None:
    photo = ranged(Photo(np.array([[[0], [1000], [4095]]], np.uint16)), 4095)
    np.testing.assert_array_equal(converted(photo, np.uint8).colour.ravel(), [0, 62, 255])
    np.testing.assert_allclose(converted(photo, np.float32).colour.ravel(), [0, 1000 / 4095, 1], rtol=1e-6)


def test_cmyk_with_a_damaged_profile_says_so(tmp_path: Path) -> None:
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=b"nonsense")
    with pytest.raises(ValueError, match="CMYK profile cannot be used; convert it to RGB"):
        read_photo(tmp_path / "a.jpg")


def test_a_raw_file_is_developed_and_restored_in_linear_light(daep, tmp_path: Path, weights: Path) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "a.dng"
    path.write_bytes(raw_file())
    photo = read_photo(path)
    assert photo.developed and photo.colour.dtype == np.uint16 and photo.colour.shape[2] == 3
    values = photo.colour[8:-8, 8:-8].astype(float) / 65535
    # half of the sensor's range is 0.735 in sRGB
    assert np.abs(values.mean((0, 1)) - 0.735).max() < 0.05
    command = ["restore", path, "-o", tmp_path / "out.tif", "--noise", 5, "--denoiser", weights]
    outcome = daep(*command, "--iterations", 1)
    assert outcome.status == 0 and "in linear light (tone curve of its profile)" in outcome.out
    assert read_photo(tmp_path / "out.tif").colour.dtype == np.uint16
    with Image.open(tmp_path / "out.tif") as file:
        assert (file.tag_v2[271], file.tag_v2[272]) == ("Test", "Camera 1")
