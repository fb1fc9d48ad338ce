"""Every message names what the user typed: options and files, not Python arguments."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from daep_cli.wording import in_options


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("steps: got 0; expected at least 1.", "--steps: got 0; expected at least 1."),
        ("a.png: size: got 99 pixels.", "a.png: --kernel-size: got 99 pixels."),
        ("sigma: more. DAEP(check_noise=False) trusts sigma.", "--noise: more. --no-check-noise trusts --noise."),
        ("y: the blur of photograph 0 is not found: why.", "the image: its blur is not found: why."),
        (
            "y: the kernel of photograph 0 fills size=15; 90% of it; if it is larger, a larger size=.",
            "the image: its kernel fills --kernel-size 15; 90% of it; if it is larger, a larger --kernel-size.",
        ),
        ("try edges, another size= or more starts=.", "try edges, or another --kernel-size."),
        (
            "y: the blur of photograph 0 may vary over it; try BlindDAEP(varying=True).",
            "the image: its blur may vary over it; try --varying.",
        ),
        (
            "a size= close to the blur, or a smaller size=.",
            "a --kernel-size close to the blur, or a smaller --kernel-size.",
        ),
        ("/tmp/y: no such file.", "/tmp/y: no such file."),
        ("family: got 3.", "family: got 3."),
        (
            "sigma: 0.02 is more than the largest value of the measurement, 0; for images in [0, 1] perhaps 0.02/255.",
            "--noise: is more than every value of the image; white is 255.",
        ),
    ],
)
def test_arguments_become_options(said: str, read: str) -> None:
    assert in_options(said) == read


def test_a_kernel_is_no_option_of_its_own_command() -> None:
    assert in_options("--kernel k.tif: size: got 99.", "kernel") == "k.tif: --size: got 99."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("restore in.png -o out.png --kernel blind --kernel-size 99", "--kernel-size: got 99 pixels"),
        ("kernel blind:in.png --size 99", "error: blind:in.png: --size: got 99 pixels"),
        ("kernel blind:in.png --kernel-size 9", "No such option: --kernel-size (Possible options: --size)"),
        ("kernel none.tif", "error: none.tif: no such file"),
        ("kernel blind", "error: blind names no photograph; expected one, as in blind:photo.png"),
        ("restore in.png -o out.png --noise 5 --kernel spot:", "--kernel spot: names no photograph"),
        ("kernel disk:4 --size 9", "--size 9: is for a kernel that is found"),
        ("restore in.png -o out.png --noise 5 --kernel motion:99:0", "48 pixels; give a smaller one"),
        ("restore in.png -o out.png --noise poisson:0", "the gain is 0; expected the value of one photon"),
        ("restore in.png -o out.png --noise 5 --white 999", "--white 999: expected at most 255"),
        ("restore in.png -o out.png --noise 5 --seed 99999999999999999999", "from 0 to 2^63 - 1"),
        ("demo -o out.png --seed -1", "--seed -1: expected"),
        ("demo -o out.png --preset none", "--preset none: expected one of annealed"),
        ("compare in.png -o out --kernel disk:2", "--noise 0 adds none"),
        ("compare in.png -o out --noise 999", "--noise 999: expected a standard deviation from 0 to 255"),
        ("compare in.png -o out", "give --noise above 0 (denoise), --kernel, --scale or --mask."),
    ],
)
def test_wrong_values_are_explained_by_the_option_that_was_typed(
    refused, photo: Path, scene, monkeypatch: pytest.MonkeyPatch, arguments: str, words: str
) -> None:
    monkeypatch.chdir(photo.parent)
    Image.fromarray(scene(48, 64)).save(photo)
    assert words in refused(*arguments.split())
    assert sorted(path.name for path in photo.parent.iterdir()) == ["in.png"]


@pytest.mark.parametrize(
    ("option", "given", "expected"),
    [("--seed", "1.5", "whole number|integer"), ("--scale", "99", "8"), ("--scale", "1", "2")],
)
def test_a_wrong_number_is_named_with_its_option_and_what_is_expected(
    refused, photo: Path, option: str, given: str, expected: str
) -> None:
    """The words differ between versions of typer."""
    assert re.search(rf"{option}.*{re.escape(given)}.*({expected})", refused("restore", photo, option, given))


@pytest.mark.parametrize("option", ["--mask", "--kernel", "--denoiser", "--noise", "-o"])
def test_an_empty_value_is_refused_by_its_option(refused, photo: Path, option: str) -> None:
    """An unset variable of a shell: as a path it would be the present folder."""
    assert f"error: {option}: is empty" in refused("restore", photo, option, "", "--seed", 1)


def test_the_plan_is_in_terms_of_the_file(daep, tmp_path: Path, scene, weights: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", scene(48, 64, 1, np.uint16)[..., 0] // 16, photometric="minisblack")
    options = ["--noise", 2, "--denoiser", weights, "--explain"]
    out = daep("restore", tmp_path / "in.tif", "--kernel", "disk:4", *options).out
    assert "image      64 x 48 pixels, grey, with the border that the blur reaches 72 x 56" in out
    assert "1 is white 4095 (--white sets another)" in out
    out = daep("restore", tmp_path / "in.tif", "--scale", 2, *options).out
    assert "image      64 x 48 pixels, grey, enlarged to 128 x 96" in out


def test_a_middle_between_pixels_is_in_the_middle_pixel(daep, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", [[0, 0, 0], [1, 2, 0.5], [0, 1, 0]])
    assert "in the middle pixel: 0.11 pixels left" in daep("kernel", tmp_path / "k.npy").out


def test_a_file_of_another_range_is_not_spoilt_by_a_white(daep, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 24), np.uint8)).save(folder / "a.png")
    outcome = daep("train", folder, "-o", tmp_path / "w.safetensors", "--crop", 16, "--white", 100)
    assert outcome.status == 2
    assert "no usable image among 1 images and arrays; a.png: 5" in outcome.err
    assert outcome.err.endswith("% of its values are above --white 100.\n")
