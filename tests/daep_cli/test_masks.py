"""Masks: what is white is known, whatever a paint program makes of the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw

from daep_cli.jobs.job import Job
from daep_cli.jobs.restore_options import Options
from daep_cli.masks import check_marked, known_by_colour, parse_colour, read_mask
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.writing import write_photo


def save(path: Path, *values: int, mode: type = np.uint8) -> Path:
    Image.fromarray(np.array([values], mode)).save(path)
    return path


def test_grey_pixels_are_unknown(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", 0, 127, 200, 255)
    np.testing.assert_array_equal(read_mask(path), [[False, False, False, True]])


@pytest.mark.parametrize(("dtype", "white"), [(np.float32, 255), (np.float32, 1), (np.uint16, 255), (np.int32, 4095)])
def test_the_white_of_a_mask_is_found_in_every_number_type(tmp_path: Path, dtype: type, white: float) -> None:
    tifffile.imwrite(tmp_path / "m.tif", (np.array([[0, 0.5, 0.8, 1]]) * white).astype(dtype))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), [[False, False, False, True]])


@pytest.mark.parametrize("high", [1, 200, 255])
def test_a_mask_of_two_values_needs_no_white(tmp_path: Path, high: int) -> None:
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", 0, high, 0)), [[False, True, False]])


@pytest.mark.parametrize(
    ("value", "reason"), [(0, "no pixel is white"), (255, "all pixels are white, so none is missing")]
)
def test_a_mask_that_marks_nothing_or_everything_is_refused(tmp_path: Path, value: int, reason: str) -> None:
    path = tmp_path / "m.png"
    Image.new("L", (4, 4), value).save(path)
    with pytest.raises(ValueError, match=rf"--mask .*m.png: {reason}"):
        read_mask(path)


def test_holes_may_be_transparent_and_strokes_may_lie_on_a_transparent_ground(tmp_path: Path) -> None:
    hole = np.zeros((8, 8), bool)
    hole[2:5, 3:6] = True
    holes = Photo(np.full((8, 8, 3), 255, np.uint8), np.where(hole, 0, 255).astype(np.uint8))
    strokes = Photo(np.zeros((8, 8, 3), np.uint8), np.where(hole, 255, 0).astype(np.uint8))
    red = Photo(np.where(hole[..., None], [255, 0, 0], 255).astype(np.uint8))
    for i, photo in enumerate((holes, strokes, red)):
        write_photo(photo, tmp_path / f"{i}.png")
        np.testing.assert_array_equal(read_mask(tmp_path / f"{i}.png"), ~hole)


def test_a_colour_of_the_picture_is_a_mask(scene) -> None:
    picture = Image.fromarray(scene(24, 32))
    ImageDraw.Draw(picture).line((4, 4, 28, 20), fill="#ff00ff", width=3)
    pixels = np.array(picture)
    painted = (pixels == [255, 0, 255]).all(2)
    known = known_by_colour(Photo(pixels), "#ff00ff", jpeg=False)
    assert known is not None and not known[painted].any()
    assert known.mean() > 0.6
    deep = Photo(pixels.astype(np.uint16) * 257)
    np.testing.assert_array_equal(known_by_colour(deep, "f0f", jpeg=False), known)


def test_in_a_jpeg_more_pixels_around_a_colour_are_missing(scene, tmp_path: Path) -> None:
    picture = Image.fromarray(scene(24, 32))
    ImageDraw.Draw(picture).line((4, 4, 28, 20), fill="#ff00ff", width=3)
    missing = {}
    for name in ("a.png", "a.jpg"):
        picture.save(tmp_path / name, **({"quality": 95} if name == "a.jpg" else {}))
        photo = read_photo(tmp_path / name)
        assert photo.metadata.lossy == (name == "a.jpg")
        known = Job(Options(missing="#ff00ff")).measure(photo).known
        assert known is not None
        missing[name] = (~known).sum()
    assert missing["a.jpg"] > 1.5 * missing["a.png"]


@pytest.mark.parametrize("text", ["#ff00", "purple", "", "#gg0000"])
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match='expected a colour such as "#ff00ff"'):
        parse_colour(text)


def test_colours_that_no_pixel_can_have_are_refused(scene) -> None:
    grey, blank = Photo(scene(24, 32, 1)), Photo(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="the image is grey"):
        known_by_colour(grey, "#ff00ff", jpeg=False)
    with pytest.raises(ValueError, match="no pixel of the image has this colour"):
        check_marked([blank, blank], "#ff00ff")
    with pytest.raises(ValueError, match="none is known"):
        known_by_colour(blank, "#000", jpeg=False)
    with pytest.raises(ValueError, match="every pixel of the image has a value"):
        check_marked([grey], "nan")


@pytest.fixture
def drawn(tmp_path: Path, scene) -> tuple[Path, Path, np.ndarray]:
    """A photograph with a white stroke, its antialiased mask, and the photograph without the stroke."""
    clean = scene(48, 64)
    large = Image.new("L", (4 * 64, 4 * 48), 255)
    ImageDraw.Draw(large).line((40, 30, 210, 160), fill=0, width=12)
    mask = np.array(large.resize((64, 48), Image.Resampling.BOX))
    blended = clean + (255 - clean.astype(float)) * (1 - mask[..., None] / 255)
    Image.fromarray(blended.round().astype(np.uint8)).save(tmp_path / "in.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path / "in.png", tmp_path / "mask.png", clean


def psnr(path: Path, clean: np.ndarray) -> float:
    error = read_photo(path).colour.astype(float) - clean
    return float(-10 * np.log10((error**2).mean() / 255**2))


def test_an_antialiased_stroke_leaves_no_coloured_line(daep, drawn, tmp_path: Path) -> None:
    photo, mask, clean = drawn
    outcome = daep("restore", photo, "-o", tmp_path / "out.png", "--mask", mask, "--preset", "fast")
    assert outcome.status == 0
    assert f"inpainted, {100 * (~read_mask(mask)).mean():.3g} % of the pixels missing, " in outcome.out
    assert psnr(tmp_path / "out.png", clean) > 36


def test_a_mask_works_together_with_a_kernel_and_with_a_scale(daep, scene, tmp_path: Path) -> None:
    from scipy.ndimage import uniform_filter

    clean = scene(48, 64).astype(float)
    mask = np.full((48, 64), 255, np.uint8)
    mask[20:24, 10:50] = 0
    blurred = uniform_filter(clean, (3, 3, 1))
    blurred[20:24, 10:50] = 255
    Image.fromarray(blurred.round().astype(np.uint8)).save(tmp_path / "blurred.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    np.save(tmp_path / "k.npy", np.ones((3, 3)))
    common = ["--mask", tmp_path / "mask.png", "--preset", "fast"]
    options = ["--kernel", tmp_path / "k.npy", "--noise", 1]
    outcome = daep("restore", tmp_path / "blurred.png", "-o", tmp_path / "sharp.png", *options, *common)
    assert (outcome.status, outcome.err) == (0, "")
    assert psnr(tmp_path / "sharp.png", clean) > 33
    small = clean.reshape(24, 2, 32, 2, 3).mean((1, 3))
    small[10:12, 5:25] = 255
    Image.fromarray(small.round().astype(np.uint8)).save(tmp_path / "small.png")
    Image.fromarray(mask[::2, ::2]).save(tmp_path / "mask.png")
    outcome = daep("restore", tmp_path / "small.png", "-o", tmp_path / "large.png", "--scale", 2, *common)
    assert (outcome.status, outcome.err) == (0, "")
    assert psnr(tmp_path / "large.png", clean) > 30


def test_pixels_without_a_value_are_restored(daep, scene, tmp_path: Path) -> None:
    clean = scene(32, 32, 1).astype(np.float32)[..., 0] / 255
    torn = clean.copy()
    torn[10:14, 8:24] = np.nan
    tifffile.imwrite(tmp_path / "in.tif", torn)
    outcome = daep("restore", tmp_path / "in.tif", "-o", tmp_path / "out.tif", "--missing", "nan", "--preset", "fast")
    assert (outcome.status, outcome.err) == (0, "")
    restored = tifffile.imread(tmp_path / "out.tif")
    known = np.isfinite(torn)
    np.testing.assert_array_equal(restored[known], clean[known])
    assert np.abs(restored - clean)[~known].mean() < 0.03
