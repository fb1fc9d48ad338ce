"""The noise of a measurement: as the physics states it, or estimated."""

import warnings

import deepinv as dinv
import pytest
import torch

from daep_deepinv import DAEP, degradation


@pytest.mark.parametrize("true", [2.55, 7.65, 20.0])
def test_the_noise_of_a_blurred_photograph_is_found(true, photograph, kernel):
    """Rather too large than too small."""
    physics = degradation(kernel[0, 0].numpy())
    y = physics.A(photograph)
    y = y + true / 255 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    model = DAEP("estimate", preset="fast")
    model(y, physics)
    assert 0.9 * true < 255 * model.noise_level[0] < 1.35 * true


def test_white_noise_is_found_exactly_and_without_the_network(photograph, make_spy):
    """Where the blur has left nothing of the fine detail it need not be restored for."""
    physics = degradation(dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)))
    y = physics.A(photograph)
    y = y + 1.5 / 255 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    spy = make_spy()
    spy.sigma = 0.1
    model = DAEP("estimate", denoiser=spy, max_iter=1)
    model(y, physics)
    assert 255 * model.noise_level[0] == pytest.approx(1.5, rel=0.1)
    assert spy.evaluations == 1, "the estimate asked the network"


@pytest.mark.parametrize("true", [2.55, 7.65])
def test_the_noise_of_a_jpeg_file_is_not_underestimated(true, photograph, kernel, as_jpeg):
    """Compression takes the noise of the finest detail away, which is where it would show."""
    physics = degradation(kernel[0, 0].numpy())
    y = physics.A(photograph)
    y = y + true / 255 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    model = DAEP("estimate", preset="fast")
    model(as_jpeg(y), physics)
    assert 0.9 * true < 255 * model.noise_level[0] < 2.5 * true


def test_the_noise_of_a_stored_photograph_is_not_taken_for_image(photograph, kernel):
    """Its noise is equal in the channels. The denoiser assumes independent channels, so it needs a higher level."""
    physics = degradation(kernel[0, 0].numpy())
    y = physics.A(photograph)
    y = y + 5 / 255 * torch.randn((1, 1, *y.shape[2:]), generator=torch.Generator().manual_seed(0))
    model = DAEP("estimate", preset="fast")
    model(y, physics)
    assert 255 * model.noise_level[0] == pytest.approx(5 * 3**0.5, rel=0.15)


def test_each_image_of_a_batch_has_its_own_noise(photograph, kernel):
    physics = degradation(kernel[0, 0].numpy())
    clean = physics.A(photograph[..., :64, :64])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    y = torch.cat([clean + 0.01 * noise, clean + 0.08 * noise])
    model = DAEP("estimate", preset="fast")
    together = model(y, physics)
    levels = model.noise_level
    assert levels[1] > 3 * levels[0]
    assert len(model.history["discrepancy"]) == 2
    alone = model(y[1:], physics)
    assert torch.allclose(together[1:], alone, atol=1e-6)
    assert model.noise_level == pytest.approx(levels[1:])


def test_a_restoration_at_the_estimated_noise_is_as_good_as_at_the_true_one(photograph, kernel):
    physics = degradation(kernel[0, 0].numpy())
    y = physics.A(photograph)
    y = y + 0.03 * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))

    def error(model):
        return float((model(y, physics) - photograph).square().mean())

    assert error(DAEP("estimate", preset="fast")) < 1.1 * error(DAEP(0.03, preset="fast"))


def test_a_denoiser_for_one_level_cannot_estimate(make_spy, photograph):
    spy = make_spy()
    spy.sigma = 0.1
    with pytest.raises(ValueError, match="sigma: the noise is estimated with a noise-conditional denoiser"):
        DAEP("estimate", denoiser=spy)(photograph[..., :8, :8], dinv.physics.Denoising())
    assert spy.evaluations == 0


def test_each_image_of_a_batch_may_have_a_kernel_of_its_own(photograph, kernel):
    filters = torch.cat([kernel, kernel.flip(3)])
    physics = dinv.physics.Blur(filter=filters, padding="valid")
    y = physics.A(torch.cat([photograph, photograph]))
    y = y + torch.tensor([0.01, 0.04]).view(2, 1, 1, 1) * torch.randn(
        y.shape, generator=torch.Generator().manual_seed(0)
    )
    for sigma in ("estimate", 0.01):  # estimated for each, and noticed in one of the two
        model = DAEP(sigma, preset="fast")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            together = model(y, physics)
            levels = model.noise_level
            assert levels == pytest.approx([0.01, 0.04], rel=0.2)
            for i in range(2):
                alone = model(y[i : i + 1], dinv.physics.Blur(filter=filters[i : i + 1], padding="valid"))
                assert model.noise_level == pytest.approx([levels[i]])
                assert torch.allclose(alone, together[i : i + 1], atol=1e-5)
