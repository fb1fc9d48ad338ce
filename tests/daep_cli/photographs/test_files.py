"""Files in, files out: nothing of a photograph may get lost or turned."""

from __future__ import annotations

import contextlib
import gzip
import struct
import tracemalloc
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from daep_cli.photographs import metadata, photo, reading, tiff_reading
from daep_cli.photographs.exif import ORIENTATION
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import count_pages, read_photo
from daep_cli.photographs.writing import encode, write_photo

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DEPTHS = [np.uint8, np.uint16]


@pytest.fixture
def make(scene):
    """``make(channels, dtype, icc)``: a photograph with or without transparency."""

    def photo(channels: int, dtype: type, icc: bytes | None = None) -> Photo:
        pixels = scene(7, 9, channels, dtype)
        alpha = pixels[..., -1].copy() if channels in (2, 4) else None
        return Photo(pixels[..., : 1 if channels < 3 else 3].copy(), alpha, icc)

    return photo


def equal(a: Photo, b: Photo) -> bool:
    same_alpha = (a.alpha is None and b.alpha is None) or np.array_equal(a.alpha, b.alpha)
    return a.colour.dtype == b.colour.dtype and np.array_equal(a.colour, b.colour) and same_alpha and a.icc == b.icc


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("icc", [None, ICC], ids=["plain", "icc"])
def test_lossless_formats_return_every_bit(make, tmp_path: Path, suffix: str, dtype: type, channels: int, icc) -> None:
    path, photo = tmp_path / f"a{suffix}", make(channels, dtype, icc)
    write_photo(photo, path)
    assert equal(read_photo(path), photo)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", DEPTHS)
def test_jpeg_is_close_in_8_bits(make, tmp_path: Path, suffix: str, channels: int, dtype: type) -> None:
    path, photo = tmp_path / f"a{suffix}", make(channels, dtype, ICC)
    write_photo(photo, path)
    back = read_photo(path)
    assert back.colour.dtype == np.uint8
    assert back.icc == ICC
    assert np.abs(back.colour / 255 - photo.colour / photo.largest).max() < 0.1
    with Image.open(path) as file:
        assert file.mode == ("L" if channels == 1 else "RGB")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_other_readers_understand_our_16_bit_png(make, tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.png"
    write_photo(make(channels, np.uint16, ICC), path)
    with Image.open(path) as file:
        file.load()
        assert file.info["icc_profile"] == ICC


def upright_by_pillow(pixels: np.ndarray, orientation: int) -> np.ndarray:
    from PIL import ImageOps

    image = Image.fromarray(pixels)
    image.getexif()[ORIENTATION] = orientation
    return np.array(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_orientation_of_8_bit_files_is_applied_once(scene, tmp_path: Path, orientation: int, suffix: str) -> None:
    pixels = scene(16, 24)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path, exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))
    wanted = upright_by_pillow(pixels, orientation)
    colour = read_photo(path).colour
    assert colour.shape == wanted.shape
    assert np.abs(colour.astype(int) - wanted).max() < 20


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_16_bit_files_is_applied_once(scene, tmp_path: Path, orientation: int) -> None:
    pixels = scene(6, 9, 3, np.uint16)
    wanted = upright_by_pillow((pixels >> 8).astype(np.uint8), orientation)
    tif = tmp_path / "a.tif"
    tag = (ORIENTATION, "H", 1, orientation, True)
    tifffile.imwrite(tif, pixels, photometric="rgb", extratags=[tag], metadata=None)
    png = tmp_path / "a.png"
    data = bytes(imagecodecs.png_encode(pixels))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    png.write_bytes(data[:33] + chunk + data[33:])
    for path in (tif, png):
        np.testing.assert_array_equal(read_photo(path).colour >> 8, wanted)


@pytest.mark.parametrize(
    "layout",
    [
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True},
        {"compression": "adobe_deflate", "tile": (16, 16)},
        {"planarconfig": "separate"},
        {"byteorder": ">"},
        {"bigtiff": True},
    ],
    ids=str,
)
def test_16_bit_tiff_in_every_usual_layout(scene, tmp_path: Path, layout: dict) -> None:
    pixels, path = scene(20, 30, 3, np.uint16), tmp_path / "a.tif"
    plane = np.moveaxis(pixels, -1, 0) if "planarconfig" in layout else pixels
    tifffile.imwrite(path, np.ascontiguousarray(plane), photometric="rgb", **layout)
    np.testing.assert_array_equal(read_photo(path).colour, pixels)


def test_16_bit_tiff_whose_zero_is_white(scene, tmp_path: Path) -> None:
    pixels, path = scene(5, 6, 1, np.uint16)[..., 0], tmp_path / "a.tif"
    tifffile.imwrite(path, 65535 - pixels, photometric="miniswhite")
    np.testing.assert_array_equal(read_photo(path).colour[..., 0], pixels)


def test_palettes_and_bilevel_images_become_rgb_and_grey(scene, tmp_path: Path) -> None:
    rgb = Image.fromarray(scene(8, 8))
    rgb.quantize(16).save(tmp_path / "p.png")
    assert read_photo(tmp_path / "p.png").colour.shape == (8, 8, 3)
    clear = rgb.quantize(16)
    clear.save(tmp_path / "t.png", transparency=0)
    assert read_photo(tmp_path / "t.png").alpha is not None
    rgb.convert("1").save(tmp_path / "b.png")
    assert set(np.unique(read_photo(tmp_path / "b.png").colour)) <= {0, 255}


def bytes_of(kind: str) -> bytes:
    suffix, bits = kind.split()
    pixels = np.random.default_rng(0).integers(0, 2 ** int(bits), (40, 50, 3)).astype(f"uint{bits}")
    return encode(Photo(pixels), f".{suffix}")


KINDS = ["png 8", "png 16", "jpg 8", "tif 8", "tif 16"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9])
def test_truncated_files_are_refused_in_one_sentence(tmp_path: Path, kind: str, part: float) -> None:
    whole = bytes_of(kind)
    path = tmp_path / f"a.{kind[:3]}"
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ValueError, match=r"a\.\w+: not a readable") as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_never_raise_anything_but_value_error(tmp_path: Path, kind: str) -> None:
    whole, rng = bytes_of(kind), np.random.default_rng(0)
    path, refusals = tmp_path / "damaged.tmp", []
    for _ in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 400), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_photo(path)
        except ValueError as error:
            refusals.append(str(error))
    assert all("damaged.tmp" in line for line in refusals)


def test_uncompressed_16_bit_tiff_without_its_end_is_not_filled_with_black(scene, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, scene(40, 50, 3, np.uint16), photometric="rgb")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a readable"):
        read_photo(path)


def huge_png(depth: int) -> bytes:
    """A header that announces 30000 x 30000 pixels, and little else."""
    chunks = b""
    header = struct.pack(">IIBBBBB", 30000, 30000, depth, 2, 0, 0, 0)
    for body in (b"IHDR" + header, b"IDAT" + zlib.compress(b"\0" * 100), b"IEND"):
        chunks += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return metadata.PNG_SIGNATURE + chunks


@pytest.mark.parametrize("depth", [8, 16])
def test_decompression_bombs_are_refused_before_they_unpack(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(huge_png(depth))
    with pytest.raises(ValueError, match="million pixels"):
        read_photo(path)


def test_between_one_and_two_of_pillows_limits_is_refused_too(make, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.png"
    write_photo(make(3, np.uint8), path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(ValueError, match="million pixels"):
        read_photo(path)


def test_an_ordinary_50_megapixel_photo_is_below_the_limit() -> None:
    assert photo.MAX_PIXELS > 8700 * 5800


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda p: Image.new("LAB", (4, 4)).save(p), "LAB"),
        (lambda p: tifffile.imwrite(p, np.zeros((4, 4), np.complex64)), "complex64"),
        (lambda p: tifffile.imwrite(p, np.zeros((3, 4, 4), np.uint16), photometric="minisblack"), "contains 3 images"),
    ],
    ids=["lab", "complex", "pages"],
)
def test_intact_images_of_kinds_we_do_not_handle_say_which(tmp_path: Path, write, reason: str) -> None:
    path = tmp_path / "a.tif"
    write(path)
    with pytest.raises(ValueError, match=reason):
        read_photo(path)


def test_other_formats_are_not_even_tried(make, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path, "GIF")
    with pytest.raises(ValueError, match="unknown format"):
        read_photo(path)
    with pytest.raises(ValueError, match="cannot write"):
        encode(make(3, np.uint8), ".gif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_chunk_that_claims_four_gigabytes_reserves_no_memory(make, tmp_path: Path, dtype: type) -> None:
    path, whole = tmp_path / "a.png", encode(make(3, dtype), ".png")
    place = whole.index(b"IDAT")
    path.write_bytes(whole[: place - 4] + b"\xff\xff\xff\xf0" + whole[place:])
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            read_photo(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_the_layout_is_that_of_the_header_and_no_pixel_is_decoded(make, tmp_path: Path) -> None:
    path, photo = tmp_path / "a.png", make(3, np.uint8)
    whole = encode(photo, ".png")
    path.write_bytes(whole[: whole.index(b"IDAT") + 20])
    assert reading.layout(path) == (*photo.size, "RGB")


def test_a_damaged_profile_of_a_16_bit_png_puts_nothing_on_the_screen(make, tmp_path: Path, capfd) -> None:
    path, photo = tmp_path / "a.png", make(3, np.uint16, ICC)
    whole = encode(photo, ".png")
    place, end = whole.index(b"iCCP") + 25, whole.index(b"IDAT") - 8
    path.write_bytes(whole[:place] + bytes(end - place) + whole[end:])
    capfd.readouterr()
    with contextlib.suppress(ValueError):
        np.testing.assert_array_equal(read_photo(path).colour, photo.colour)
    assert capfd.readouterr() == ("", "")


def test_a_wrong_check_sum_of_a_16_bit_png_is_refused_without_a_word(make, tmp_path: Path, capfd) -> None:
    path, whole = tmp_path / "a.png", encode(make(3, np.uint16), ".png")
    place = whole.index(b"IDAT")
    (length,) = struct.unpack_from(">I", whole, place - 4)
    body = whole[place : place + 4 + length - 1] + bytes([whole[place + 3 + length] ^ 1])
    path.write_bytes(whole[:place] + body + struct.pack(">I", zlib.crc32(body)) + whole[place + 8 + length :])
    capfd.readouterr()
    with pytest.raises(ValueError, match="not a readable"):
        read_photo(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("place", [26, 27, 28])
def test_an_unknown_method_of_a_16_bit_png_is_refused_without_a_word(make, tmp_path: Path, capfd, place: int) -> None:
    path, whole = tmp_path / "a.png", bytearray(encode(make(3, np.uint16), ".png"))
    whole[place] = 7
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    path.write_bytes(whole)
    capfd.readouterr()
    with pytest.raises(ValueError, match="not a readable"):
        read_photo(path)
    assert capfd.readouterr() == ("", "")


def test_a_file_larger_than_any_image_is_refused_unread(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST_FILE", 100)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read"))
    with pytest.raises(ValueError, match="more than 89 million pixels"):
        read_photo(photo)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a file; give the name of an image"):
        read_photo(tmp_path)


def test_a_file_that_may_not_be_read_is_not_called_damaged(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(photo))

    monkeypatch.setattr(reading, "open_pillow", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        read_photo(photo)


# -- stacks ------------------------------------------------------------------------------------------------------------


def test_the_pages_of_a_stack_are_found_once_and_again_in_another_file(tmp_path: Path, monkeypatch) -> None:
    """Page ``n`` is reached through all before it: else a stack would take the square of the number of its pages."""
    found, search = [], tiff_reading._pages
    monkeypatch.setattr(tiff_reading, "_pages", lambda file: found.append(file) or search(file))
    path = tmp_path / "stack.tif"
    for first in (0, 100):
        stack = np.arange(first, first + 30, dtype=np.uint8)[:, None, None] * np.ones((4, 5), np.uint8)
        tifffile.imwrite(path, stack, photometric="minisblack")
        assert [read_photo(path, page).colour[0, 0, 0] for page in range(count_pages(path))] == [*stack[:, 0, 0]]
    assert len(found) == 2


def test_a_thumbnail_before_the_pages_does_not_count(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 2, (3, 8, 16)).astype(bool)
    with tifffile.TiffWriter(tmp_path / "bits.tif") as file:
        file.write(np.zeros((4, 8), np.uint8), photometric="minisblack", subfiletype=1)
        for page in pages:
            file.write(page, photometric="minisblack")
    assert count_pages(tmp_path / "bits.tif") == 3
    for number, page in enumerate(pages):
        assert np.array_equal(read_photo(tmp_path / "bits.tif", number).colour[..., 0] > 0, page)


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_a_stack_without_its_last_pages_is_refused(tmp_path: Path, options: dict) -> None:
    """The description of each page names the place of the next one, which tifffile leaves out if it is missing."""
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path, **options) as file:
        for _ in range(4):
            file.write(np.zeros((20, 30), np.uint16), photometric="minisblack", metadata=None, contiguous=False)
    assert count_pages(path) == 4
    path.write_bytes(path.read_bytes()[:-2500])
    with pytest.raises(ValueError, match=r"truncated, or its page \d is damaged"):
        count_pages(path)


def test_the_transparency_of_a_page_is_no_page(scene, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(scene(), photometric="rgb", metadata=None)
        file.write(np.ones(scene().shape[:2], bool), photometric="minisblack", subfiletype=4, metadata=None)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").colour, scene())


def test_what_cannot_be_read_of_a_tiff_is_said(tmp_path: Path) -> None:
    options = {"volumetric": True, "tile": (4, 16, 16), "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 32, 32), np.uint16), **options)
    with pytest.raises(ValueError, match="it is a volume in one page; save its slices as pages"):
        read_photo(tmp_path / "a.tif")
    colours = np.zeros((3, 65536), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint16), photometric="palette", colormap=colours)
    with pytest.raises(ValueError, match="its palette has more than 256 colours; convert it to RGB"):
        read_photo(tmp_path / "a.tif")


def test_inks_of_16_bits_keep_their_precision(scene, tmp_path: Path) -> None:
    inks = scene(24, 32, 4, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated", metadata=None)
    share = 1 - inks / 65535
    expected = share[..., :3] * share[..., 3:] * 65535
    found = read_photo(tmp_path / "a.tif").colour
    assert found.dtype == np.uint16
    np.testing.assert_allclose(found, expected, atol=0.6)
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated", metadata=None, iccprofile=b"profile")
    with pytest.raises(ValueError, match="CMYK of more than 8 bits with a profile; convert it to RGB"):
        read_photo(tmp_path / "a.tif")


def test_planes_of_a_tiff_stay_planes(scene, tmp_path: Path) -> None:
    planes = np.moveaxis(scene(24, 32, 4, np.uint16), -1, 0).copy()
    options = {"photometric": "rgb", "planarconfig": "separate", "extrasamples": ["unassalpha"], "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    (tmp_path / "b.tif").write_bytes(encode(read_photo(tmp_path / "a.tif"), ".tif"))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), planes)


def test_a_compressed_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(b"SIMPLE  ="))
    with pytest.raises(ValueError, match="compressed by gzip; unpack it first"):
        read_photo(tmp_path / "a.fits.gz")


def test_an_extension_keeps_what_its_file_says(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    first = fits.PrimaryHDU()
    first.header["TELESCOP"], first.header["OBJECT"] = "VLT", "of the file"
    image = fits.ImageHDU(np.ones((4, 5), np.float32), fits.Header({"OBJECT": "M 31"}))
    fits.HDUList([first, image]).writeto(tmp_path / "a.fits")
    (tmp_path / "b.fits").write_bytes(encode(read_photo(tmp_path / "a.fits"), ".fits"))
    header = fits.getheader(tmp_path / "b.fits")
    assert (header["TELESCOP"], header["OBJECT"]) == ("VLT", "M 31")


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.int64, np.uint64, np.float32])
def test_cubes_of_every_number_type_keep_their_values(scene, tmp_path: Path, dtype: type) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    from daep_cli.photographs.fits import write_cube

    planes = scene(6, 8, 4).astype(dtype) * dtype(3)
    planes[0, 0], planes[0, 1] = (np.iinfo(dtype).max, np.iinfo(dtype).min) if dtype is not np.float32 else (1e9, -1)
    write_cube(tmp_path / "a.fits", None, [Photo(planes[..., i : i + 1]) for i in range(4)], 4)
    with fits.open(tmp_path / "a.fits", uint=True) as file:
        np.testing.assert_array_equal(file[0].data, np.moveaxis(planes, -1, 0))
        assert file[0].data.dtype.newbyteorder("=") == dtype
    assert count_pages(tmp_path / "a.fits") == 4
    np.testing.assert_array_equal(read_photo(tmp_path / "a.fits", 2).colour, planes[..., 2:3])


@pytest.mark.parametrize("planes", [1, 4])
def test_polarisation_and_frequency_stay_axes(daep, tmp_path: Path, weights: Path, scene, planes: int) -> None:
    """Radio astronomy stores images with four axes, of which two may have one element."""
    fits = pytest.importorskip("astropy.io.fits")
    values = np.moveaxis(scene(20, 24, planes).astype(np.float32), -1, 0)[None]
    extension = fits.PrimaryHDU(values)
    extension.header.update({"CTYPE3": "FREQ", "CTYPE4": "STOKES", "BUNIT": "Jy/beam"})
    extension.writeto(tmp_path / "in.fits")
    command = ["restore", tmp_path / "in.fits", "-o", tmp_path / "out.fits", "--noise", 5, "--denoiser", weights]
    assert daep(*command, "--iterations", 1).status == 0
    with fits.open(tmp_path / "out.fits") as file:
        assert file[0].data.shape == values.shape
        assert (file[0].header["CTYPE4"], file[0].header["BUNIT"]) == ("STOKES", "Jy/beam")


def test_a_page_that_describes_more_strips_than_it_has_is_refused(tmp_path: Path) -> None:
    """tifffile would look for each of them."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((6, 5), np.uint16), photometric="minisblack", rowsperstrip=6, metadata=None)
    assert read_photo(path).size == (5, 6)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["RowsPerStrip"].overwrite(1)
    with pytest.raises(ValueError, match=r"damaged \(truncated\)"):
        read_photo(path)


def test_a_damaged_card_of_a_fits_file_is_left_out(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    header = fits.Header([("OBJECT", "M 31"), ("EXPTIME", 30.0)])
    fits.PrimaryHDU(np.ones((4, 5), np.float32), header).writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes().replace(b"'M 31    '", b"'M 31 \x12  '")
    (tmp_path / "b.fits").write_bytes(content.replace(b"number of array", b"number of \0rray"))  # comment of NAXIS
    written = fits.Header.fromstring(encode(read_photo(tmp_path / "b.fits"), ".fits")[:2880].decode())
    assert written["EXPTIME"] == 30
    assert "OBJECT" not in written
