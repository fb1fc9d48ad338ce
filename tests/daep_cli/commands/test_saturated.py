"""``daep restore`` on a photograph with a clipped lamp: what is clipped says only that it was at least white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import convolve

from daep_cli.kernels.reading import read_kernel
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.writing import write_photo

NOISE = 2.55


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((image - truth.clip(0, 1)) ** 2)))


def test_a_clipped_lamp_leaves_no_rings(daep, tmp_path: Path) -> None:
    """A disk of three times white, out of focus; 26.6 dB in the file, 18 dB where its clipped values are believed."""
    data = pytest.importorskip("skimage.data")
    truth = 0.6 * data.coffee()[60:252, 200:392] / 255
    y, x = np.mgrid[:192, :192]
    truth[(y - 96) ** 2 + (x - 96) ** 2 <= 16] = 3.0
    kernel = read_kernel("disk:5")
    blurred = np.stack([convolve(truth[..., i], kernel, mode="reflect") for i in range(3)], axis=-1)
    noise = np.random.default_rng(0).normal(0, NOISE / 255, blurred.shape)
    values = (255 * (blurred + noise).clip(0, 1)).round().astype(np.uint8)
    write_photo(Photo(values), tmp_path / "in.png")
    options = ["--kernel", "disk:5", "--noise", NOISE, "--preset", "fast"]
    outcome = daep("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", *options)
    assert (outcome.status, outcome.err) == (0, "")
    assert psnr(values / 255, truth) == pytest.approx(26.6, abs=0.2)
    assert psnr(read_photo(tmp_path / "out.png").colour / 255, truth) > 33.4
