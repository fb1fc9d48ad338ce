"""What JPEG has done to a photograph, read from its pixels, and the noise level that covers it."""

import warnings

import pytest
import torch
from deepinv.physics import Denoising, GaussianNoise, Inpainting

from daep_deepinv import DAEP, degradation
from daep_deepinv.blind.restoration import LEAST_NOISE, assumed_noise
from daep_deepinv.noise.model import NoiseWarning
from daep_deepinv.noise_estimation.jpeg import jpeg_level, jpeg_traces


@pytest.fixture
def scene():
    """A portrait, (1, 3, 240, 240)."""
    skimage = pytest.importorskip("skimage")
    image = torch.from_numpy(skimage.data.astronaut()[0:240, 120:360].copy())
    return image.permute(2, 0, 1)[None].float() / 255


@pytest.fixture
def physics(kernel):
    return degradation(kernel[0, 0].numpy())


@pytest.fixture
def blurred(scene, physics):
    """Blurred, with a little noise."""
    y = physics.A(scene)
    return y + 1 / 255 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))


def eight_bits(y):
    return (255 * y.clamp(0, 1)).round() / 255


def psnr(x, y):
    return -10 * (x - y)[..., 8:-8, 8:-8].square().mean().log10().item()


@pytest.mark.parametrize("quality", [50, 75, 90, 95])
@pytest.mark.parametrize("grey", [False, True])
def test_the_error_of_jpeg_is_found(blurred, as_jpeg, quality, grey):
    """The oracle: the difference to what was stored."""
    y = blurred.mean(1, keepdim=True).expand(-1, 3, -1, -1) if grey else blurred
    stored = as_jpeg(y, quality)
    changed = (stored - eight_bits(y)).mean(1).square().mean().sqrt().item()
    assert jpeg_traces(stored[:, :1] if grey else stored).error == pytest.approx(changed, rel=0.45)


@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("grey", [False, True])
def test_strong_noise_that_jpeg_has_left_is_found(scene, physics, as_jpeg, quality, grey):
    """In colour, that of the luminance: 0.668 times that of a channel."""
    y = physics.A(scene)
    y = y.mean(1, keepdim=True).expand(-1, 3, -1, -1) if grey else y
    noise = torch.randn((1, 1 if grey else 3, *y.shape[2:]), generator=torch.Generator().manual_seed(0))
    stored = as_jpeg(y + 8 / 255 * noise, quality)
    level = 8 / 255 * (1 if grey else 0.668)
    assert jpeg_traces(stored[:, :1] if grey else stored).noise == pytest.approx(level, rel=0.2)


def test_more_compression_is_more_noise(blurred, as_jpeg):
    levels = [jpeg_level(as_jpeg(blurred, quality)) for quality in (95, 90, 75, 50)]
    assert levels == sorted(levels)


@pytest.mark.parametrize(("top", "left"), [(0, 3), (5, 0), (7, 7)])
def test_a_part_of_a_file_may_begin_anywhere(blurred, as_jpeg, top, left):
    stored = as_jpeg(blurred)
    assert jpeg_level(stored[..., top:, left:]) == pytest.approx(jpeg_level(stored), rel=0.1)


def test_what_was_never_stored_as_jpeg_is_left_alone(scene, blurred, as_jpeg):
    """Noise of 8 bits, smooth images, numbers that are no 8 bits, and small images."""
    noise = torch.rand(scene.shape, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(0, 1, 240).expand(1, 3, 240, 240)
    constant = torch.full_like(scene, 0.5)
    for image in (blurred, eight_bits(blurred), eight_bits(noise), ramp, eight_bits(ramp), constant):
        assert jpeg_level(image) is None
    assert jpeg_level(as_jpeg(blurred)[..., :40, :40]) is None
    stored = as_jpeg(blurred)
    assert jpeg_level(stored + 0.3 / 255) is None
    assert jpeg_level(torch.nn.functional.interpolate(stored, scale_factor=0.7, mode="bilinear")) is None


@pytest.mark.parametrize("quality", [60, 90])
def test_a_stored_photograph_is_restored_for_enough_noise(scene, blurred, physics, as_jpeg, quality):
    """Of eleven levels, the best gains at most 0.5 dB over the estimated one."""
    y = as_jpeg(blurred, quality)
    model = DAEP("estimate", preset="fast")
    found = psnr(model(y, physics), scene)
    assert model.noise_level[0] >= jpeg_level(y) - 1e-6
    levels = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12)
    best = max(psnr(DAEP(level / 255, preset="fast", check_noise=False)(y, physics), scene) for level in levels)
    assert found > best - 0.5


def test_a_stated_level_is_compared_with_what_jpeg_has_done(blurred, physics, as_jpeg):
    y = as_jpeg(blurred, 50)
    model = DAEP(0.5 / 255, preset="fast", max_iter=1)
    with pytest.warns(NoiseWarning, match="JPEG"):
        model(y, physics)
    assert model.noise_level[0] == pytest.approx(jpeg_level(y), rel=0.01)
    trusting = DAEP(0.5 / 255, preset="fast", max_iter=1, check_noise=False)
    trusting(y, physics)
    assert trusting.noise_level[0] == pytest.approx(0.5 / 255)


@pytest.mark.parametrize("quality", [75, 95])
def test_a_stated_level_that_covers_jpeg_is_kept(blurred, physics, as_jpeg, quality):
    """Without a warning: that the noise is not white is known."""
    model = DAEP(10 / 255, preset="fast", max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(as_jpeg(blurred, quality), physics)
    assert model.noise_level[0] == pytest.approx(10 / 255)


def test_the_noise_of_a_sharp_photograph_is_not_raised(scene, as_jpeg):
    """The level is that of a deconvolution, which amplifies the error of JPEG."""
    model = DAEP(1 / 255, preset="fast", max_iter=1)
    y = as_jpeg(scene, 50)
    model(y, Denoising(GaussianNoise(1 / 255)))
    assert model.noise_level[0] < jpeg_level(y)


def test_the_noise_of_a_photograph_with_missing_pixels_is_not_raised(scene, as_jpeg):
    mask = (torch.rand(1, 1, 240, 240, generator=torch.Generator().manual_seed(0)) > 0.2).float()
    physics = Inpainting((3, 240, 240), mask=mask, noise_model=GaussianNoise(1 / 255))
    model = DAEP(1 / 255, preset="fast", max_iter=1)
    y = as_jpeg(scene, 50)
    model(y * mask, physics)
    assert model.noise_level[0] < jpeg_level(y)


def test_each_image_of_a_batch_has_its_own(blurred, physics, as_jpeg):
    few, much = as_jpeg(blurred, 95), as_jpeg(blurred, 50)
    model = DAEP(0.5 / 255, preset="fast", max_iter=1)
    with pytest.warns(NoiseWarning):
        model(torch.cat([few, eight_bits(blurred), much]), physics)
    levels = list(model.noise_level)
    assert levels[0] == pytest.approx(jpeg_level(few), rel=0.01)
    assert levels[2] == pytest.approx(jpeg_level(much), rel=0.01)
    assert levels[1] < levels[0]


def test_unknown_blur_assumes_what_jpeg_has_done(blurred, as_jpeg):
    y = as_jpeg(blurred, 60)
    assert assumed_noise(y) == pytest.approx(jpeg_level(y))
    assert assumed_noise(y, sigma=2 / 255) == 2 / 255
    assert assumed_noise(torch.full((1, 3, 64, 64), 0.5)) == LEAST_NOISE


@pytest.mark.parametrize("quality", [90, 95])
def test_a_level_that_is_stated_rightly_has_a_margin(scene, physics, as_jpeg, quality):
    """JPEG makes the channels share their noise, which a denoiser takes for image."""
    y = physics.A(scene)
    y = as_jpeg(y + 0.03 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0)), quality)
    model = DAEP(0.03, preset="fast")
    with pytest.warns(NoiseWarning, match="JPEG"):
        found = psnr(model(y, physics), scene)
    assert 1.15 * 0.03 - 1e-6 <= model.noise_level[0] < 1.4 * 0.03
    assert found > psnr(DAEP(0.03, preset="fast", check_noise=False)(y, physics), scene) - 0.1
