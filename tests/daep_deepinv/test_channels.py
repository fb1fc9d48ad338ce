"""Any number of channels, complex numbers and volumes with deepinv: the prior, the wrapper for denoisers, ``DAEP``."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv import DAEP, AnyChannelDenoiser, DAEPrior
from daep_prior import range_transform

NOISE = 0.02
ARRAYS = {
    "two channels": ((1, 2, 24, 20), torch.float32),
    "five channels": ((2, 5, 24, 20), torch.float32),
    "complex": ((1, 1, 24, 20), torch.complex64),
    "volume": ((1, 1, 3, 24, 20), torch.float32),
    "sequence of complex images": ((1, 2, 3, 24, 20), torch.float32),
}


@pytest.fixture(params=ARRAYS)
def array(request):
    shape, dtype = ARRAYS[request.param]
    return torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def complex_image(images, height=32, width=32):
    """Real and imaginary part (1, 2, H, W) of an image with a smooth phase."""
    magnitude = images(1, 1, height, width)
    phase = torch.linspace(-1, 1, width).expand_as(magnitude)
    return torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1)


def mask(height, width):
    """Every second line is measured, and the middle of the spectrum."""
    lines = torch.zeros(1, 1, height, width)
    lines[..., ::2] = 1
    lines[..., width // 2 - 4 : width // 2 + 4] = 1
    return lines


def psnr(x, truth):
    return float(-10 * (x - truth).abs().square().mean().log10())


@pytest.mark.parametrize("name", ["DAE", "DRUNet", "DnCNN", "median filter"])
def test_every_denoiser_serves_every_array(array, unet, name):
    denoiser = {
        "DAE": lambda: unet,
        "DRUNet": lambda: dinv.models.DRUNet(nc=[4, 4, 4, 4], nb=1, pretrained=None),
        "DnCNN": lambda: dinv.models.DnCNN(1, 1, depth=3, nf=4, pretrained=None),
        "median filter": lambda: dinv.models.MedianFilter(),
    }[name]()
    wrapped = AnyChannelDenoiser(denoiser)
    with torch.no_grad():
        denoised = wrapped(array, NOISE)
        assert denoised.shape == array.shape and denoised.dtype == array.dtype
        assert torch.allclose(wrapped(array[:1], NOISE), denoised[:1], atol=1e-5)
    prior = DAEPrior(denoiser, jacobian=name != "median filter", sigma=NOISE)
    assert prior.grad(array).shape == array.shape and prior(array).shape == array.shape[:1]


def test_the_wrapper_leaves_colour_and_grey_images_as_they_are(unet, images):
    for channels in (1, 3):
        x = images(2, channels, 16, 16)
        assert torch.equal(AnyChannelDenoiser(unet)(x, NOISE), unet(x, NOISE))


def test_a_given_transform_is_used_for_all_images(unet, images):
    x = 2 * images(1, 2, 16, 16) - 1
    assert torch.allclose(
        AnyChannelDenoiser(unet, transform=range_transform(-1, 1))(x, 2 * NOISE),
        2 * AnyChannelDenoiser(unet, transform=range_transform(0, 1))((x + 1) / 2, NOISE) - 1,
        atol=1e-6,
    )


def test_principal_components_denoise_better_than_channel_by_channel(shipped, images):
    """Bands that are mixtures of few signals: the noise of all but the first components is nearly all removed."""
    colour = images(1, 3, 32, 32)
    mixture = torch.rand(12, 3, generator=torch.Generator().manual_seed(1)) / 3
    x = torch.einsum("cj,bjhw->bchw", mixture, colour)
    y = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    network = shipped("dae")
    assert psnr(AnyChannelDenoiser(network)(y, 0.1), x) > psnr(DAEPrior(network).denoise(y, 0.1), x) + 3


def test_the_smooth_phase_denoises_better_than_real_and_imaginary_part(shipped, photograph):
    magnitude = photograph[..., 20:68, 20:68].mean(1, keepdim=True)
    phase = torch.linspace(-1, 1, 48).expand_as(magnitude)
    x = torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1)
    y = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    network = shipped("dae")
    shifted = AnyChannelDenoiser(network, transform=range_transform(-1, 1))(y, 0.1)
    assert psnr(AnyChannelDenoiser(network)(y, 0.1), x) > psnr(shifted, x) + 0.3


def test_plug_and_play_restores_mri_with_the_wrapper(shipped, images):
    x = complex_image(images)
    physics = dinv.physics.MRI(mask=mask(32, 32), img_size=(2, 32, 32), noise_model=dinv.physics.GaussianNoise(NOISE))
    y = physics(x)
    model = dinv.optim.DPIR(sigma=NOISE, denoiser=AnyChannelDenoiser(shipped("dae")), device="cpu")
    assert psnr(model(y, physics), x) > psnr(physics.A_adjoint(y), x) + 1


def test_daep_restores_mri_without_clipping(shipped, images):
    x = complex_image(images)
    physics = dinv.physics.MRI(mask=mask(32, 32), img_size=(2, 32, 32), noise_model=dinv.physics.GaussianNoise(NOISE))
    y = physics(x)
    model = DAEP(NOISE, preset="fast", denoiser=shipped("dae"))
    restored = model(y, physics)
    assert psnr(restored, x) > psnr(physics.A_adjoint(y), x) + 2
    assert float(restored.min()) < -0.2
    assert "smooth phase" in model.plans[0].channels


def test_complex_numbers_have_no_limits(images):
    """The first image of random projections does not show whether there are negative values."""
    real, imaginary = complex_image(images, 16, 16).split(1, 1)
    x = torch.complex(real, imaginary)
    rng = torch.Generator().manual_seed(0)
    physics = dinv.physics.CompressedSensing(64, (1, 16, 16), dtype=torch.cfloat, rng=rng)
    (plan,) = DAEP(NOISE).plan(physics.A(x), physics)
    assert plan.range.bounds == (None, None)
    (plan,) = DAEP(NOISE, bounds=(0, None)).plan(physics.A(x), physics)
    assert plan.range.bounds == (0, None)


def coil_maps(size, count=4):
    """Smooth sensitivities of coils around the image, their squares adding up to 1."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    angles = [2 * torch.pi * torch.tensor(i / count) for i in range(count)]
    maps = torch.stack(
        [
            torch.polar(torch.exp(-((columns - a.cos()) ** 2 + (rows - a.sin()) ** 2) / 1.5), a + columns * a.cos())
            for a in angles
        ]
    )
    return (maps / maps.abs().square().sum(0).sqrt())[None]


@pytest.mark.parametrize("coils", ["single", "multiple"])
@pytest.mark.parametrize("acceleration", [4, 8])
def test_daep_is_ahead_of_plug_and_play_with_the_same_network_in_mri(shipped, photograph, coils, acceleration):
    magnitude = photograph[..., 16:80, 16:80].mean(1, keepdim=True)
    phase = torch.linspace(-1, 1, 64).expand_as(magnitude)
    x = torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1)
    generator = dinv.physics.generator.GaussianMaskGenerator(
        (64, 64), acceleration=acceleration, rng=torch.Generator().manual_seed(0)
    )
    options = {
        "mask": generator.step()["mask"],
        "img_size": (2, 64, 64),
        "noise_model": dinv.physics.GaussianNoise(0.01, rng=torch.Generator().manual_seed(1)),
    }
    if coils == "single":
        physics = dinv.physics.MRI(**options)
    else:
        physics = dinv.physics.MultiCoilMRI(coil_maps=coil_maps(64), **options)
    y = physics(x)
    network = shipped("dae")
    ours = psnr(DAEP(0.01, network)(y, physics), x)
    for options, ahead in (({"transform": range_transform(-1, 1)}, 0.3), ({}, 0.1)):
        other = dinv.optim.DPIR(0.01, AnyChannelDenoiser(network, **options), device="cpu")
        assert ours > psnr(other(y, physics), x) + ahead


def test_daep_restores_many_channels_in_their_principal_components(shipped, images):
    colour = images(1, 3, 32, 32)
    mixture = torch.rand(6, 3, generator=torch.Generator().manual_seed(1)) / 3
    x = torch.einsum("cj,bjhw->bchw", mixture, colour)
    kernel = torch.ones(1, 1, 3, 5) / 15
    physics = dinv.physics.Blur(kernel, padding="circular", noise_model=dinv.physics.GaussianNoise(NOISE))
    y = physics(x)
    model = DAEP(NOISE, preset="fast", denoiser=shipped("dae"))
    restored = model(y, physics)
    assert psnr(restored, x) > psnr(y, x) + 3
    assert "principal" in model.plans[0].channels
    assert torch.allclose(model(y.repeat(2, 1, 1, 1), physics)[1:], restored, atol=1e-6)


def test_daep_restores_volumes_in_slices(shipped, images):
    x = images(4, 1, 32, 32).transpose(0, 1)[None]  # (1, 1, 4, 32, 32)
    physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    y = physics(x)
    restored = DAEP(0.1, denoiser=shipped("dae"))(y, physics)
    assert restored.shape == x.shape and psnr(restored, x) > psnr(y, x) + 3


def test_slices_that_are_alike_help_each_other(shipped, images):
    """The network sees three at once; slices that are turned are not mixed."""
    alike = images(1, 1, 32, 32)[:, :, None].expand(1, 1, 4, 32, 32).contiguous()
    physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    noise = 0.1 * torch.randn(alike.shape, generator=torch.Generator().manual_seed(0))
    denoiser, model = AnyChannelDenoiser(shipped("dae")), DAEP(denoiser=shipped("dae"))
    alone = torch.stack([denoiser((alike + noise)[:, :, k], 0.1) for k in range(4)], 2)
    error, of_alone = ((out - alike).square().mean() for out in (denoiser(alike + noise, 0.1), alone))
    assert float(error) < 0.9 * float(of_alone)
    assert "three neighbouring slices" in str(model.plan(alike + noise, physics))
    turned = torch.stack([alike[:, :, k].rot90(k, (-2, -1)) for k in range(4)], 2)
    assert "neighbouring" not in str(model.plan(turned + noise, physics))
