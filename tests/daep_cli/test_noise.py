"""``--noise auto`` is worth as much as its estimate."""

from __future__ import annotations

import pytest
import skimage.data
import torch
from deepinv.physics import Blur
from deepinv.physics.functional import gaussian_blur

from daep_cli.noise import AUTO, estimate_noise, parse_noise


@pytest.fixture(scope="module")
def photograph() -> torch.Tensor:
    """A photograph with fur: texture that looks like noise; (1, 3, 200, 200)."""
    return torch.from_numpy(skimage.data.cat()[50:250, 100:300] / 255).float().permute(2, 0, 1)[None]


def noisy(image: torch.Tensor, level: float) -> torch.Tensor:
    """As a file of 8 bits holds it."""
    field = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return ((image + level / 255 * field).clamp(0, 1) * 255).round() / 255


@pytest.mark.parametrize("level", [2.55, 7.65, 25])
def test_colour_is_estimated_within_a_tenth(photograph, level: float) -> None:
    assert 255 * estimate_noise(noisy(photograph, level)) == pytest.approx(level, rel=0.1)


@pytest.mark.parametrize("level", [2.55, 7.65])
def test_a_blurred_grey_photograph_is_estimated_within_a_tenth(photograph, level: float) -> None:
    blurred = Blur(gaussian_blur(sigma=(1.6, 1.6)), padding="valid")(photograph.mean(1, keepdim=True))
    assert 255 * estimate_noise(noisy(blurred, level)) == pytest.approx(level, rel=0.1)


def test_equal_channels_are_one(photograph) -> None:
    grey = noisy(photograph.mean(1, keepdim=True), 10)
    assert estimate_noise(grey.expand(-1, 3, -1, -1)) == estimate_noise(grey)


def test_an_image_that_is_sampled_is_estimated_as_well(photograph, monkeypatch) -> None:
    monkeypatch.setattr("daep_cli.noise.MOST_PATCHES", 2000)
    assert 255 * estimate_noise(noisy(photograph, 10)) == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (20, 20)])
def test_too_few_pixels_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="too few to estimate the noise; give a number"):
        estimate_noise(torch.rand(1, 3, *size))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_image_has_no_noise(value: float) -> None:
    assert estimate_noise(torch.full((1, 3, 64, 64), value)) == pytest.approx(0, abs=1e-3)


def test_numbers_and_auto_are_understood() -> None:
    assert parse_noise("2.55") == 2.55
    assert parse_noise("Auto") == AUTO
    for text in ("-1", "256", "nan", "inf", "automatic", ""):
        with pytest.raises(ValueError, match=r"--noise .*: expected a standard deviation from 0 to 255"):
            parse_noise(text)
    assert parse_noise("0") == 0


def test_a_level_that_rounding_makes_imaginary_is_none(monkeypatch) -> None:
    """deepinv takes the root of a variance that the rounding of a flat image may leave slightly negative."""
    monkeypatch.setattr(
        "daep_cli.noise.PatchCovarianceNoiseEstimator.estimate_noise", lambda *_: torch.tensor(torch.nan)
    )
    assert estimate_noise(torch.full((1, 3, 64, 64), 0.5)) == 0


def test_an_image_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be estimated; give a number"):
        estimate_noise(torch.full((1, 3, 64, 64), torch.nan))
