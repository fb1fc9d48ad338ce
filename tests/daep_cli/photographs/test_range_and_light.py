"""The values of white and black, tone curves, and colours that nobody sees."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from kinds_of_file import profile, with_chunk
from PIL import Image, ImageCms

from daep_cli.kernels.shapes import draw_kernel
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.tensors import to_pixels
from daep_cli.photographs.tone_curves import LINEAR, SRGB, curve_of
from daep_cli.photographs.transparency import without_hidden
from daep_cli.photographs.value_range import find_ranges, ranged
from daep_cli.photographs.writing import encode


def grey(values: np.ndarray) -> Photo:
    return Photo(values.reshape(*values.shape[:2], -1))


@pytest.mark.parametrize(
    ("dtype", "largest", "found"),
    [
        (np.uint8, 200, None),
        (np.uint16, 65000, None),
        (np.uint16, 4095, (0, 4095)),
        (np.uint16, 3000, (0, 4095)),
        (np.uint16, 900, (0, 1023)),
        (np.uint16, 12000, (0, 16383)),
        (np.uint16, 17, (0, 17)),
        (np.uint32, 70000, (0, 2**24 - 1)),
        (np.float32, 0.8, None),
        (np.float32, 1.5, (0, 1.5)),
        (np.float64, 900.0, (0, 900)),
        (np.int8, 100, None),
        (np.int64, 2**62, (0, 2**62)),
        (np.int64, 70000, (0, 2**24 - 1)),
        (np.uint64, 2**63, (0, 2**63)),
    ],
)
def test_white_is_found(dtype: type, largest: float, found: tuple | None) -> None:
    """By the number of bits, of counts and floats by the largest value."""
    values = np.linspace(0, largest, 400).reshape(20, 20).astype(dtype)
    assert ranged(grey(values)).range == found


@pytest.mark.parametrize(
    ("low", "high", "linear", "found"),
    [
        (-0.01, 0.2, False, None),
        (-0.4, 1.4, False, None),
        (-0.2, 0.2, False, (-0.2, 0.2)),
        (-0.6, 1.0, False, (-0.6, 1.0)),
        (-0.1, 1.6, False, (-0.1, 1.6)),
        (-0.01, 0.2, True, (-0.01, 0.2)),
    ],
)
def test_noise_beyond_0_and_1_does_not_change_black_and_white(low, high, linear, found) -> None:
    """--noise is relative to white: a photograph with noise has the white that it has without."""
    values = np.linspace(low, high, 400).reshape(20, 20, 1).astype(np.float64)
    assert ranged(Photo(values, linear=linear)).range == found


def test_black_may_be_given() -> None:
    values = np.linspace(90, 3000, 400).reshape(20, 20).astype(np.uint16)
    assert ranged(grey(values), None, 100).range == (100, 4095)
    assert ranged(grey(values), 3000, 100).range == (100, 3000)
    assert ranged(grey((values // 20).astype(np.uint8)), None, 10).range == (10, 255)
    with pytest.raises(ValueError, match="--black 5000: expected a value below 4095, white"):
        ranged(grey(values), None, 5000)
    with pytest.raises(ValueError, match="--white 50: expected a value above 100, black"):
        ranged(grey(values), 50, 100)


def test_64_bits_are_written_within_their_type() -> None:
    ones = torch.ones(1, 1, 2, 2)
    for kind in (np.int64, np.uint64):
        assert (to_pixels(ones, kind) > 0.99 * np.iinfo(kind).max).all()


def test_a_plateau_is_the_white_of_a_sensor() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(11000, 4000, (100, 100)).clip(0, 13600).round().astype(np.uint16)
    assert ranged(grey(values)).range == (0, 13600)


def test_white_may_be_given_and_black_is_negative_at_most() -> None:
    values = np.linspace(-1000, 1000, 400).reshape(20, 20).astype(np.float32)
    assert ranged(grey(values)).range == (-1000, 1000)
    assert ranged(grey(values), 2000).range == (-1000, 2000)
    assert ranged(grey(abs(values)), 2000).range == (0, 2000)
    with pytest.raises(ValueError, match="--white -2000: expected a value above -1000, the smallest of the image"):
        ranged(grey(values), -2000)


def test_pages_have_one_range_and_what_is_hidden_does_not_count() -> None:
    pages = [grey(np.full((4, 4), value, np.uint16)) for value in (10, 3000, 500)]
    assert find_ranges(pages) == {np.dtype(np.uint16): (0, 4095)}
    colour, alpha = np.full((4, 4, 1), 900, np.uint16), np.full((4, 4), 65535, np.uint16)
    colour[0], alpha[0] = 60000, 0
    assert ranged(Photo(colour, alpha)).range == (0, 1023)


def test_twelve_bits_in_sixteen_are_restored_like_the_stretched_file(daep, scene, tmp_path: Path) -> None:
    """Noise 10 of 255, where white is 4095; the result keeps the range of the file."""
    clean = scene(48, 48, 1)[..., 0] / 255
    noisy = (clean + np.random.default_rng(0).normal(0, 10 / 255, clean.shape)).clip(0, 1)
    files = {"12.tif": (4095 * noisy).round(), "16.tif": (65535 * noisy).round()}
    errors = {}
    for name, values in files.items():
        tifffile.imwrite(tmp_path / name, values.astype(np.uint16))
        out = tmp_path / f"out-{name}"
        outcome = daep("restore", tmp_path / name, "-o", out, "--noise", 10, "--preset", "fast")
        assert outcome.status == 0
        assert ("white 4095 (--white sets another)" in outcome.out) == (name == "12.tif")
        top = int(name[:2])
        errors[name] = float(np.square(tifffile.imread(out) / (2.0**top - 1) - clean).mean())
    assert errors["12.tif"] == pytest.approx(errors["16.tif"], rel=0.02)
    assert errors["12.tif"] < (10 / 255) ** 2 / 4


# -- tone curves -------------------------------------------------------------------------------------------------------


def test_a_tone_curve_and_its_inverse_cancel_beyond_black_and_white_too(tmp_path: Path) -> None:
    p3 = Photo(np.zeros((2, 2, 3), np.uint8), icc=profile())
    values = np.linspace(-0.2, 1.3, 301)
    for curve in (SRGB, LINEAR, curve_of(p3)):
        np.testing.assert_allclose(curve.values(curve.light(values)), values, atol=5e-5)
        assert (np.diff(curve.light(values)) > 0).all()
    np.testing.assert_allclose(curve_of(p3).light(values), SRGB.light(values), atol=2e-4)


def test_the_curve_is_that_of_the_profile_the_chunk_or_srgb(scene, tmp_path: Path) -> None:
    pixels = scene(8, 8)
    for name, gamma in (("linear", 100000), ("two", 50000), ("srgb", 45455)):
        png = with_chunk(encode(Photo(pixels), ".png"), b"gAMA", struct.pack(">I", gamma))
        (tmp_path / f"{name}.png").write_bytes(png)
    half = np.array(0.5)
    found = {
        name: float(curve_of(read_photo(tmp_path / f"{name}.png")).light(half)) for name in ("linear", "two", "srgb")
    }
    assert found == pytest.approx({"linear": 0.5, "two": 0.25, "srgb": float(SRGB.light(half))}, abs=1e-6)
    assert curve_of(Photo(pixels.astype(np.float32))) is LINEAR
    assert curve_of(Photo(pixels, linear=True)) is LINEAR
    gamma = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with pytest.raises(ValueError, match="no single tone curve"):
        curve_of(Photo(pixels, icc=gamma[:100]))


def test_restoring_in_light_removes_the_rings_around_lights(daep, tmp_path: Path) -> None:
    """A lamp before a dark ground, blurred as a lens blurs it: in amounts of light."""
    from scipy.ndimage import convolve

    from daep_cli.kernels.shapes import disk

    scene = np.full((64, 64, 3), 0.25)
    scene[24:40, 24:40] = 0.95
    light = np.stack([convolve(plane, disk(3), mode="reflect") for plane in np.moveaxis(SRGB.light(scene), -1, 0)], -1)
    blurred = SRGB.values(light) + np.random.default_rng(0).normal(0, 2 / 255, light.shape)
    Image.fromarray((255 * blurred.clip(0, 1)).round().astype(np.uint8)).save(tmp_path / "in.png")
    errors = {}
    for option in ("--linear", "--no-linear"):
        out = tmp_path / f"out{option}.png"
        command = ["restore", tmp_path / "in.png", "-o", out, "--kernel", "disk:3", "--noise", 2, option]
        outcome = daep(*command, "--preset", "fast")
        assert outcome.status == 0, outcome.err
        assert ("in linear light (tone curve sRGB)" in outcome.out) == (option == "--linear")
        errors[option] = float(np.square(read_photo(out).colour / 255 - scene).mean())
    assert errors["--linear"] < errors["--no-linear"] / 1.5


# -- transparency ------------------------------------------------------------------------------------------------------


def sprite(hidden: int) -> Photo:
    """A disk with a soft border; ``hidden`` is the colour where it is fully transparent."""
    y, x = np.mgrid[:24, :24] - 11.5
    opacity = (9.5 - np.hypot(x, y)).clip(0, 1)
    colour = np.where(opacity[..., None] > 0, np.array([200, 120, 60]), hidden)
    return Photo(colour.astype(np.uint8), (255 * opacity).round().astype(np.uint8))


def test_colours_that_nobody_sees_do_not_mix_into_the_border_of_a_sprite(daep, tmp_path: Path) -> None:
    seen = []
    for hidden in (0, 255):
        path, out = tmp_path / f"{hidden}.png", tmp_path / f"out{hidden}.png"
        path.write_bytes(encode(sprite(hidden), ".png"))
        assert daep("restore", path, "-o", out, "--scale", 3, "--preset", "fast").status == 0
        photo = read_photo(out)
        assert photo.alpha is not None
        seen.append(photo.colour * (photo.alpha[..., None] / 255.0))
        visible = photo.alpha > 60
        assert np.abs(photo.colour[visible] - [200.0, 120, 60]).max() < 12
    np.testing.assert_allclose(*seen, atol=1)


def test_hidden_colours_stay_in_a_result_of_the_same_size(daep, tmp_path: Path, weights: Path) -> None:
    path, out, photo = tmp_path / "in.png", tmp_path / "out.png", sprite(77)
    path.write_bytes(encode(photo, ".png"))
    options = ["--noise", 10, "--denoiser", weights, "--iterations", 1]
    assert daep("restore", path, "-o", out, *options).status == 0
    assert (read_photo(out).colour[photo.alpha == 0] == 77).all()
    assert not (without_hidden(photo).colour == 77).all(axis=2).any()


@pytest.mark.parametrize(("suffix", "noise"), [(".fits", "0.5"), (".tif", "poisson:1")])
def test_a_sharpened_star_may_be_brighter_than_all_that_was_measured(
    daep, tmp_path: Path, suffix: str, noise: str
) -> None:
    """The brightest pixel of the frame has 921 units, and white is 1023; the star has 9000 in its pixel."""
    if suffix == ".fits":
        pytest.importorskip("astropy")
    kernel = draw_kernel("gaussian:1.3")
    start = 16 - len(kernel) // 2
    frame = np.full((32, 32, 1), 50.0)
    frame[start : start + len(kernel), start : start + len(kernel), 0] += 9000 * kernel
    source, result = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    source.write_bytes(encode(Photo(frame.round().astype(np.uint16)), suffix))
    outcome = daep("restore", source, "-o", result, "--kernel", "gaussian:1.3", "--noise", noise, "--preset", "fast")
    assert (outcome.status, outcome.err) == (0, "") and "white 1023" in outcome.out
    values = read_photo(result).colour
    assert values[16, 16] == values.max() > 1500


def test_sums_of_more_than_32_bits_and_faint_floats_have_their_largest_value_as_white() -> None:
    assert ranged(grey(np.array([[0, 5e9]], np.int64))).white == 5e9
    assert ranged(grey(np.array([[0, 2e-3]], np.float32))).white == pytest.approx(2e-3)
    assert ranged(grey(np.array([[0, 5e-3]], np.float32))).white == 1
