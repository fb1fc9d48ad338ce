"""``daep kernel``: what it says of a kernel is true, and what it writes is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daep_cli.kernels.drawing import WRITABLE, facts, sketch
from daep_cli.kernels.reading import read_kernel
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.writing import write_photo


@pytest.mark.parametrize("suffix", sorted(WRITABLE))
def test_a_kernel_that_was_written_is_read_back(daep, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"k{suffix}"
    outcome = daep("kernel", "motion:15:30", "-o", path)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"wrote {path}" in outcome.out
    np.testing.assert_allclose(read_kernel(str(path)), read_kernel("motion:15:30"), atol=2e-6)


def test_what_is_said_of_a_kernel(daep) -> None:
    outcome = daep("kernel", "motion:15:30")
    for words in ("15 x 9 pixels", "sum             1.0000", "in the middle", "4.33 by 0.41", "at 30 degrees"):
        assert words in outcome.out
    assert "1.60 pixels (standard deviation)" in daep("kernel", "gaussian:1.6").out


def test_an_eccentric_kernel_and_negative_values_are_pointed_out() -> None:
    kernel = np.zeros((7, 9))
    kernel[1, 6] = 1
    described = facts(kernel)
    assert described["centre of mass"] == "2.00 pixels right of the middle, 2.00 pixels above it"
    assert "shifted by as much" in described["note"]
    kernel[3, 3], kernel[3, 4] = -0.5, 0.5
    assert "down to -0.5" in facts(kernel)["negative"]
    assert set(facts(read_kernel("disk:4"))) == {"size", "sum", "peak", "centre of mass", "width"}


def test_the_sketch_shows_the_kernel_and_fits_on_the_screen() -> None:
    assert sketch(np.diag([1.0, 1.0, 1.0]) / 3) == ["@@    ", "  @@  ", "    @@"]
    lines = sketch(read_kernel("disk:120"))
    assert max(map(len, lines)) <= 66
    assert "@" in "".join(lines)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("none.png", "none.png: no such file, and no shape such as motion:15:30"),
        ("moton:15:30", "error: moton:15:30: no such file, and no shape such as motion:15:30"),
        ("motion:15", "expected motion:LENGTH:ANGLE"),
        ("spot:none.jpg", "error: spot:none.jpg: no such file; check its name"),
        ("spot:{photo}", "error: spot:"),
        ("disk:4 -o k.jpg", "cannot write this format"),
        ("disk:4 -o none/k.png", "create it first"),
        ("disk:4 -o {photo}", "give --overwrite"),
        ("spot:{photo} -o {photo} --overwrite", "also an input"),
    ],
)
def test_bad_input_is_one_line(refused, tmp_path, photo, arguments: str, reason: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = photo.read_bytes()
    assert reason in refused("kernel", *arguments.format(photo=photo).split())
    assert photo.read_bytes() == before
    assert not (tmp_path / "k.jpg").exists()


def test_a_spot_becomes_a_file_that_deblurs(daep, tmp_path, scene, weights) -> None:
    light = np.zeros((40, 50), np.uint8)
    light[18:21, 20:27] = 180
    write_photo(Photo(light[..., None]), tmp_path / "lamp.png")
    assert daep("kernel", f"spot:{tmp_path / 'lamp.png'}", "-o", tmp_path / "psf.png").status == 0
    write_photo(Photo(scene(60, 64)), tmp_path / "in.png")
    for kernel in (tmp_path / "psf.png", f"spot:{tmp_path / 'lamp.png'}", "motion:7:0"):
        options = ["--kernel", kernel, "--noise", "2", "--iterations", 2, "--denoiser", weights, "--overwrite"]
        outcome = daep("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", *options)
        assert outcome.status == 0, outcome.err
    assert (
        "also an input"
        in daep(
            "restore",
            tmp_path / "in.png",
            "-o",
            tmp_path / "lamp.png",
            "--kernel",
            f"spot:{tmp_path / 'lamp.png'}",
            "--noise",
            2,
            "--overwrite",
        ).err
    )


def test_several_kernels_are_shown_one_after_another_and_saved_as_numbers(daep, refused, tmp_path: Path) -> None:
    kernels = np.stack([np.eye(5), np.ones((5, 5))])
    np.save(tmp_path / "k.npy", kernels)
    assert "cannot store 2 kernels; use .npy" in refused("kernel", tmp_path / "k.npy", "-o", tmp_path / "out.png")
    outcome = daep("kernel", tmp_path / "k.npy", "-o", tmp_path / "out.npy")
    assert outcome.status == 0
    assert outcome.out.count("5 x 5 pixels") == 2 and "kernel 2 of 2" in outcome.out
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), kernels / kernels.sum((1, 2), keepdims=True))
