"""``--noise``: a number, or ``auto``."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from daep_cli.jobs.file_noise import light_noise, noise_beside_found_blur
from daep_cli.jobs.job import Job
from daep_cli.jobs.measurement import Measurement
from daep_cli.jobs.restore_options import Options
from daep_cli.noise_option import AUTO, Counts, parse_noise
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.tensors import to_tensor
from daep_cli.photographs.tone_curves import SRGB
from daep_cli.photographs.value_range import ranged
from daep_deepinv.noise.given import SignalNoise
from daep_deepinv.noise_estimation.jpeg import jpeg_level


def test_numbers_and_auto_are_understood() -> None:
    assert parse_noise("2.55") == 2.55
    assert parse_noise("Auto") == AUTO
    for text in ("-1", "256", "nan", "inf", "automatic", ""):
        with pytest.raises(ValueError, match=r"--noise .*: expected a standard deviation from 0 to 255"):
            parse_noise(text)
    assert parse_noise("0") == 0


def test_the_noise_of_a_sensor_is_in_the_values_of_the_file() -> None:
    assert parse_noise("poisson:2.5") == Counts(2.5)
    assert parse_noise("Poisson:2.5:8") == Counts(2.5, 8)
    for text in ("poisson", "poisson:", "poisson:1:-2", "poisson:1:2:3", "poisson:a"):
        with pytest.raises(ValueError, match=r"--noise .*: expected poisson:GAIN or poisson:GAIN:READ"):
            parse_noise(text)
    for text in ("poisson:0", "poisson:-1"):
        with pytest.raises(ValueError, match=r"the gain is .*; expected the value of one photon in the file, above 0"):
            parse_noise(text)
    photo = Photo(np.full((8, 8, 1), 900, np.uint16), range=(0.0, 4095.0))
    noise = Job(Options(noise=Counts(2.0, 8.0))).measure(photo).noise
    assert isinstance(noise, SignalNoise)
    assert (noise.gain, noise.sigma) == pytest.approx((2 / 4095, 8 / 4095))
    with pytest.raises(ValueError, match=r"--noise poisson:5000: one photon would be more than white, 4095"):
        Job(Options(noise=Counts(5000.0))).measure(photo)


def test_the_offset_of_a_camera_is_no_light() -> None:
    photo = Photo(np.linspace(1900, 4000, 64).reshape(8, 8, 1).astype(np.uint16))
    measured = Job(Options(noise=Counts(2.0, 8.0), black=2000.0)).measure(photo)
    assert (measured.photo.black, measured.photo.white) == (2000, 4095)
    assert isinstance(measured.noise, SignalNoise)
    assert (measured.noise.gain, measured.noise.sigma) == pytest.approx((2 / 2095, 8 / 2095))
    with pytest.raises(ValueError, match="--black nan: expected a number"):
        Options(noise=5.0, black=math.nan)


def test_the_noise_of_light_follows_the_tone_curve() -> None:
    """Noise of one level in the values: in amounts of light, little in the shadows and much in the lights."""
    values = np.linspace(0.05, 1, 400).reshape(20, 20, 1)
    photo = Photo((255 * values).round().astype(np.uint8))
    noise = light_noise(Measurement(photo, 0.0), SRGB, 5 / 255)
    assert noise.sigma < 0.2 * 5 / 255
    for value in (0.3, 0.6, 0.95):
        light = float(SRGB.light(np.array(value)))
        rng = np.random.default_rng(0)
        measured = SRGB.light(value + 5 / 255 * rng.standard_normal(20000)).std()
        assert np.sqrt(noise.sigma**2 + noise.gain * light) == pytest.approx(measured, rel=0.2)


def test_counts_need_no_tone_curve() -> None:
    with pytest.raises(ValueError, match="counts are amounts of light already; leave --linear out"):
        Job(Options(noise=Counts(1.0), linear=True)).measure(Photo(np.full((8, 8, 3), 9, np.uint8)))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A blurred portrait of 200 x 200 pixels with a little noise, as JPEG of quality 75."""
    skimage = pytest.importorskip("skimage")
    values = ndimage.gaussian_filter(skimage.data.astronaut()[:200, 140:340].astype(float), (1.6, 1.6, 0))
    values += np.random.default_rng(0).normal(0, 1, values.shape)
    path = tmp_path / "blurred.jpg"
    Image.fromarray(values.round().clip(0, 255).astype(np.uint8)).save(path, quality=75)
    return path


@pytest.mark.parametrize("linear", [[], ["--linear"]])
def test_the_noise_of_a_jpeg_file_covers_what_jpeg_has_changed(daep, stored: Path, weights: Path, linear) -> None:
    """Found in the pixels of the file, and in light at the slope of its tone curve; so nothing is warned of."""
    options = ["--kernel", "gaussian:1.6", "--noise", "auto", "--denoiser", weights, "--iterations", 1, *linear]
    outcome = daep("restore", stored, "-o", stored.with_suffix(".png"), *options)
    assert outcome.status == 0
    assert "JPEG" not in outcome.err
    found = re.search(r"noise ([\d.]+)", outcome.out)
    assert found is not None
    level = 255 * jpeg_level(to_tensor(ranged(read_photo(stored))))
    if linear:
        assert "Poisson" in outcome.out
    else:
        assert float(found[1]) == pytest.approx(level, abs=0.01)


def test_an_unknown_blur_in_a_jpeg_file_has_that_noise(stored: Path) -> None:
    photo = ranged(read_photo(stored))
    measured = Measurement(photo, 0.0, kernel=np.ones((3, 3)) / 9)
    level = jpeg_level(to_tensor(photo))
    assert noise_beside_found_blur(measured) == pytest.approx(level)
    light = noise_beside_found_blur(measured._replace(curve=SRGB))
    assert isinstance(light, SignalNoise)
    assert (light.gain, light.sigma) == pytest.approx(
        (light_noise(measured, SRGB, level).gain, light_noise(measured, SRGB, level).sigma)
    )
