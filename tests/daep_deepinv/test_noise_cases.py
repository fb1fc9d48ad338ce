"""Measurements with the noise that people have, restored by ``DAEP``."""

import math

import deepinv as dinv
import numpy as np
import pytest
import skimage.data
import torch
from deepinv.models import AnscombeDenoiser
from deepinv.utils import TensorList

from daep_deepinv import DAEP, DAEDenoiser, SignalNoise

P = dinv.physics


@pytest.fixture(scope="module")
def cat() -> torch.Tensor:
    """A part of a photograph, (1, 3, 64, 64)."""
    return torch.from_numpy(skimage.data.chelsea()[90:154, 140:204] / 255).float().permute(2, 0, 1)[None]


def psnr(x: torch.Tensor, truth: torch.Tensor) -> float:
    return -10 * math.log10(float((x.clamp(0, 1) - truth).square().mean()))


def measured(physics, x):
    torch.manual_seed(0)
    return physics(x)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "model", [P.PoissonNoise(0.05), P.PoissonGaussianNoise(0.05, 0.01)], ids=lambda m: type(m).__name__
)
def test_stated_poisson_noise_is_removed_as_well_as_by_deepinvs_denoiser(cat, channels, model) -> None:
    x = cat[:, :channels]
    physics = P.Denoising(model)
    y = measured(physics, x)
    with torch.no_grad():
        theirs = AnscombeDenoiser(DAEDenoiser("dae"))(y, sigma=float(getattr(model, "sigma", 0)), gain=0.05)
    assert psnr(DAEP()(y, physics), x) > psnr(theirs, x) - 0.05


def test_counts_are_restored_as_the_image(cat) -> None:
    normalised, raw = (P.Denoising(P.PoissonNoise(0.05, normalize=flag)) for flag in (True, False))
    y = measured(raw, cat)
    assert torch.allclose(DAEP()(y, raw), DAEP()(0.05 * y, normalised), atol=1e-4)


def test_counts_over_a_background_are_restored(cat) -> None:
    """As in positron emission tomography: without the background, the image is lost in it."""
    x, gain, background = cat[:, :1], 0.02, 1.5
    kernel = P.functional.gaussian_blur(sigma=(1.0, 1.0))
    physics = P.Blur(kernel, padding="circular")
    torch.manual_seed(0)
    y = gain * torch.poisson((physics.A(x) + background) / gain)
    noise = SignalNoise(gain=gain, background=background)
    restored = psnr(DAEP(noise, preset="fast")(y, physics), x)
    level = (gain * (float(x.mean()) + background)) ** 0.5
    assert restored > psnr(DAEP(level, preset="fast")(y - background, physics), x) - 0.1
    assert restored > psnr(y - background, x) + 5


def test_parts_of_unlike_noise_are_weighted(cat) -> None:
    kernel = P.functional.gaussian_blur(sigma=(1.6, 1.6))
    mask = (torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    gains = []
    for levels in ((0.01, 0.1), (0.1, 0.01)):
        blur = P.BlurFFT((3, 64, 64), kernel, noise_model=P.GaussianNoise(levels[0]))
        holes = P.Inpainting((3, 64, 64), mask=mask, noise_model=P.GaussianNoise(levels[1]))
        physics = P.stack(blur, holes)
        y = measured(physics, cat)
        both = psnr(DAEP(preset="fast")(y, physics), cat)
        rms = math.sqrt((levels[0] ** 2 + levels[1] ** 2) / 2)
        gains.append(both - psnr(DAEP(rms, preset="fast")(y, physics), cat))
    assert min(gains) > 0.5


def test_parts_of_like_noise_are_not_noise_free(cat) -> None:
    part = P.BlurFFT((3, 64, 64), P.functional.gaussian_blur(sigma=(1.6, 1.6)), noise_model=P.GaussianNoise(0.03))
    physics = P.stack(part, part)
    y = measured(physics, cat)
    assert isinstance(y, TensorList)
    stated = DAEP(preset="fast")
    x = stated(y, physics)
    assert stated.noise_level == pytest.approx([0.03], rel=1e-5)
    assert psnr(x, cat) > psnr(DAEP(0.03, preset="fast")(y, physics), cat) - 0.05


def test_one_level_an_image_and_a_map_restore_each_for_its_own(cat) -> None:
    levels = torch.tensor([0.05, 0.2])
    both = cat.repeat(2, 1, 1, 1)
    physics = P.Denoising(P.GaussianNoise(levels))
    y = measured(physics, both)
    stated, given = DAEP(), DAEP(levels)
    assert torch.allclose(stated(y, physics), given(y, P.Denoising()), atol=1e-6)
    assert stated.noise_level == pytest.approx([0.05, 0.2])
    halves = torch.full((1, 1, 64, 64), 0.02)
    halves[..., 32:] = 0.2
    torch.manual_seed(0)
    z = cat + halves * torch.randn(cat.shape)
    of_map, rms = DAEP(halves)(z, P.Denoising()), DAEP(float(halves.square().mean().sqrt()))(z, P.Denoising())
    assert psnr(of_map, cat) > psnr(rms, cat) + 2


def test_a_level_of_any_type_is_that_level(cat) -> None:
    y = cat + 0.1 * torch.randn(cat.shape, generator=torch.Generator().manual_seed(0))
    expected = DAEP(0.1)(y, P.Denoising())
    for level in (np.float32(0.1), np.array(0.1), torch.tensor(0.1), torch.tensor([0.1])):
        assert torch.allclose(DAEP(level)(y, P.Denoising()), expected, atol=1e-5)


def test_impulses_are_left_out(cat) -> None:
    physics = P.Denoising(P.SaltPepperNoise(0.05, 0.05))
    y = measured(physics, cat)
    assert psnr(DAEP(preset="fast")(y, physics), cat) > 33


def test_noise_behind_unnormalised_tomography_is_found(cat) -> None:
    physics = P.Tomography(20, 48, normalize=False, noise_model=P.LogPoissonNoise(1024.0, 1 / 50))
    x = cat.mean(1, keepdim=True)[..., 8:56, 8:56]
    y = measured(physics, x)
    level = float((y - physics.A(x)).square().mean().sqrt())
    estimated, known = DAEP("estimate", preset="fast"), DAEP(level, preset="fast")
    restored, best = psnr(estimated(y, physics), x), psnr(known(y, physics), x)
    assert restored > best - 0.5
    assert psnr(DAEP(preset="fast")(y, physics), x) > best - 0.3
