"""The noise level of JPEG photographs: the shipped constants are those that the measured crops choose."""

import csv
import math
from pathlib import Path

import jpeg_noise
import pytest

from daep_deepinv.noise_estimation.jpeg import OF_ERROR, OF_NOISE


def row(number, channels, error, noise, best):
    """A crop whose PSNR falls with the distance to the best level, in octaves."""
    psnr = {f"{level:g}": f"{30 - abs(math.log2(level / best)):.3f}" for level in jpeg_noise.LEVELS}
    case = f"{number}, {channels}, 0.0, 75"
    return {"case": case, "error": f"{error}", "noise": f"{noise}", "white": "0.3", **psnr}


def test_the_loss_of_a_level_is_interpolated():
    one = row(1, 3, 1.0, 1.0, best=4.0)
    assert jpeg_noise.loss(one, 4.0) == 0
    assert jpeg_noise.loss(one, 2.0) == pytest.approx(1.0, abs=0.01)
    assert jpeg_noise.loss(one, math.sqrt(8)) == pytest.approx(0.5, abs=0.05)


def test_the_constants_of_the_best_levels_are_found():
    pairs = [(2.0, 1.0), (1.0, 3.0), (0.5, 4.0), (2.5, 0.5)]
    rows = [row(k, 3, e, s, math.hypot(1.2 * e, 0.9 * s)) for k, (e, s) in enumerate(pairs)]
    assert jpeg_noise.best_constants(rows, 3) == pytest.approx((1.2, 0.9), abs=0.11)
    rows = [row(k, 1, e, 5.0, 1.4 * e) for k, (e, _) in enumerate(pairs)]
    assert jpeg_noise.best_constants(rows, 1) == pytest.approx((1.4, 0.0), abs=0.11)


def test_every_third_crop_is_held_out():
    rows = [row(k, channels, 1.0, 1.0, 2.0) for k in range(6) for channels in (3, 1)]
    chosen, held = jpeg_noise.split(rows, 3)
    assert [one["case"].split(",")[0] for one in held] == ["0", "3"]
    assert len(chosen) == 4


@pytest.mark.parametrize("channels", [3, 1])
def test_the_shipped_constants_are_those_of_the_results(channels):
    with (Path(jpeg_noise.RESULTS) / "jpeg-noise.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen, held = jpeg_noise.split(rows, channels)
    constants = OF_ERROR[channels], OF_NOISE[channels]
    assert jpeg_noise.best_constants(chosen, channels) == pytest.approx(constants, abs=0.01)
    assert jpeg_noise.mean_loss(held, channels, *constants) < 0.5
