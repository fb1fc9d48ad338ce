"""Noise that shows in the finest detail."""

from __future__ import annotations

import io

import deepinv as dinv
import numpy as np
import pytest
import skimage.data
import torch
from deepinv.physics import Blur
from deepinv.physics.functional import gaussian_blur
from PIL import Image

from daep_deepinv.noise_estimation.patches import patch_level, visible_noise


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
    assert 255 * patch_level(noisy(photograph, level)) == pytest.approx(level, rel=0.1)


@pytest.mark.parametrize("level", [2.55, 7.65])
def test_a_blurred_grey_photograph_is_estimated_within_a_tenth(photograph, level: float) -> None:
    blurred = Blur(gaussian_blur(sigma=(1.6, 1.6)), padding="valid")(photograph.mean(1, keepdim=True))
    assert 255 * patch_level(noisy(blurred, level)) == pytest.approx(level, rel=0.1)


def test_equal_channels_are_one(photograph) -> None:
    grey = noisy(photograph.mean(1, keepdim=True), 10)
    assert patch_level(grey.expand(-1, 3, -1, -1)) == patch_level(grey)


def test_an_image_that_is_sampled_is_estimated_as_well(photograph, monkeypatch) -> None:
    monkeypatch.setattr("daep_deepinv.noise_estimation.patches.MAX_PATCHES", 2000)
    assert 255 * patch_level(noisy(photograph, 10)) == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (20, 20)])
def test_too_few_pixels_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="too few to estimate the noise; give a number"):
        patch_level(torch.rand(1, 3, *size))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_image_has_no_noise(value: float) -> None:
    assert patch_level(torch.full((1, 3, 64, 64), value)) == pytest.approx(0, abs=1e-3)


def test_a_level_that_rounding_makes_imaginary_is_none(monkeypatch) -> None:
    """deepinv takes the root of a variance that the rounding of a flat image may leave slightly negative."""
    monkeypatch.setattr(
        "daep_deepinv.noise_estimation.patches.PatchCovarianceNoiseEstimator.estimate_noise",
        lambda *_: torch.tensor(torch.nan),
    )
    assert patch_level(torch.full((1, 3, 64, 64), 0.5)) == 0


def test_an_image_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be estimated; give a number"):
        patch_level(torch.full((1, 3, 64, 64), torch.nan))


# -- noise that a blur cannot hide -------------------------------------------------------------------------------------


def blur(width: float) -> Blur:
    return Blur(gaussian_blur(sigma=(width, width)), padding="valid")


@pytest.mark.parametrize("level", [2.55, 12.75])
def test_the_noise_of_a_blurred_photograph_shows(photograph, level: float) -> None:
    y = noisy(blur(1.6)(photograph), level)
    (found,) = visible_noise(y, blur(1.6), photograph)
    assert found.white
    assert 255 * found.level == pytest.approx(level, rel=0.1)


def test_noise_that_the_channels_share_counts_for_more(photograph) -> None:
    y = blur(1.6)(photograph)
    y = y + 0.02 * torch.randn((1, 1, *y.shape[2:]), generator=torch.Generator().manual_seed(0))
    (found,) = visible_noise(y, blur(1.6), photograph)
    assert found.level == pytest.approx(0.02 * 3**0.5, rel=0.1)


def test_texture_is_not_added_to_the_noise() -> None:
    """Of what a texture adds to most modes the weakest has little: without it the level would be 1.19 times."""
    skimage = pytest.importorskip("skimage")
    grass = torch.from_numpy(skimage.data.grass()[:200, :200] / 255).float().expand(1, 3, -1, -1)
    y = noisy(blur(0.75)(grass), 2.55)
    (found,) = visible_noise(y, blur(0.75), grass)
    assert found.white
    assert 255 * found.level == pytest.approx(2.55, rel=0.1)


def test_each_image_has_its_own_noise(photograph) -> None:
    y = blur(1.6)(photograph)
    levels = visible_noise(torch.cat([noisy(y, 5), noisy(y, 20)]), blur(1.6), torch.cat([photograph, photograph]))
    assert [255 * noise.level for noise in levels] == pytest.approx([5, 20], rel=0.1)


def test_a_blur_that_hides_nothing_is_that_of_its_own_image_alone(photograph) -> None:
    wide = dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6))
    sharp = torch.zeros_like(wide)
    sharp[..., wide.shape[-2] // 2, wide.shape[-1] // 2] = 1
    physics = dinv.physics.Blur(torch.cat([sharp, wide]), padding="circular")
    x = torch.cat([photograph, photograph])
    hidden, shown = visible_noise(noisy(physics.A(x), 5), physics, x)
    assert hidden is None and 255 * shown.level == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize(
    "physics",
    [
        blur(0.4),
        dinv.physics.Denoising(),
        dinv.physics.Inpainting((3, 200, 200), mask=0.5),
        dinv.physics.Downsampling((3, 200, 200), filter="bicubic", factor=2),
    ],
    ids=["hardly a blur", "nothing", "holes", "small"],
)
def test_detail_is_not_taken_for_noise(photograph, physics) -> None:
    assert visible_noise(physics.A(photograph), physics, photograph) == [None]


def test_a_few_pixels_and_other_measurements_say_nothing(photograph) -> None:
    small = photograph[..., :90, :90]
    assert visible_noise(blur(1.6)(small), blur(1.6), small) == [None]
    sensed = dinv.physics.CompressedSensing(m=50, img_size=(3, 16, 16))
    image = photograph[..., :16, :16]
    assert visible_noise(sensed.A(image), sensed, image) == [None]


def test_a_flat_measurement_holds_no_noise() -> None:
    flat = torch.full((1, 3, 128, 128), 0.5)
    (found,) = visible_noise(blur(1.6)(flat), blur(1.6), flat)
    assert found.level < 1e-3


def test_noise_that_is_smoothed_or_compressed_is_not_white(photograph) -> None:
    clean = blur(1.6)(photograph)
    field = torch.randn((1, 3, *(n + 2 for n in clean.shape[2:])), generator=torch.Generator().manual_seed(0))
    smoothed = clean + 0.03 * torch.nn.functional.avg_pool2d(field, 3, 1)
    file = io.BytesIO()
    pixels = (255 * noisy(clean, 3)[0].permute(1, 2, 0)).round().byte().numpy()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    stored = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255
    for y in (smoothed, stored):
        (found,) = visible_noise(y, blur(1.6), photograph)
        assert not found.white
