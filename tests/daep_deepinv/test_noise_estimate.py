"""The noise that is found where none is stated: its level, or its rise with the signal."""

import deepinv as dinv
import pytest
import skimage.data
import torch
from deepinv.optim import L2
from deepinv.utils import TensorList

from daep_deepinv import DAEP, DAEPrior, starting_point
from daep_deepinv.noise.model import NoiseModel
from daep_deepinv.noise_estimation.by_restoration import _squares, restored_level
from daep_deepinv.noise_estimation.estimate import contradicting_noise, estimated_noise, law_in_detail
from daep_deepinv.noise_estimation.impulses import impulses_in
from daep_deepinv.noise_estimation.neighbours import level_of_neighbours
from daep_deepinv.noise_estimation.noisy_pixels import usable_pixels
from daep_deepinv.noise_estimation.pixels import pixel_noise
from daep_deepinv.noise_estimation.response import gain_of
from daep_deepinv.noise_estimation.signal_fit import fit_line
from daep_deepinv.operators.measured import measured_values

P = dinv.physics


@pytest.fixture(scope="module")
def prior() -> DAEPrior:
    return DAEPrior("dae")


def normal(shape, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def estimated(y, physics, prior):
    with torch.no_grad():
        return estimated_noise(y, physics, prior, starting_point(y, physics))


def contradicting(y, physics, prior):
    with torch.no_grad():
        return contradicting_noise(y, physics, prior, starting_point(y, physics))


# -- pixels that hold no noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("when", ["before the noise", "after the noise"])
def test_black_bars_do_not_count(photograph, channels, when) -> None:
    level, y = 25 / 255, photograph[:, :channels].clone()
    if when == "before the noise":
        y[..., :28] = 0
    y = (255 * (y + level * normal(y.shape))).round().clamp(0, 255) / 255
    if when == "after the noise":
        y[..., :28] = 0
    assert pixel_noise(y).level == pytest.approx(level, rel=0.05 if channels == 3 else 0.15)


def test_a_drawing_of_many_flat_colours_has_no_noise() -> None:
    colours = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert pixel_noise(colours.repeat_interleave(16, -1).repeat_interleave(16, -2)).level < 1e-3


def test_bars_and_clipped_pixels_are_found() -> None:
    image = 0.5 + 0.2 * normal((3, 64, 64))
    image[:, :10] = 0.25
    image = image.clamp(0, 1)
    usable = usable_pixels(image)
    assert not bool(usable[:9].any())
    at_limits = ((image == 0) | (image == 1)).any(0)
    assert not bool((usable & at_limits).any())


@pytest.mark.parametrize("factor", [1 / 256, 256.0])
def test_a_multiple_has_the_multiple_of_the_level(photograph, factor) -> None:
    y = photograph + 0.05 * normal(photograph.shape)
    one, other = pixel_noise(y), pixel_noise(factor * y)
    assert other.level == pytest.approx(factor * one.level, rel=1e-3)
    assert other.uncertainty == pytest.approx(one.uncertainty, rel=0.01)


def test_a_small_image_is_less_sure(photograph) -> None:
    y = photograph + 0.05 * normal(photograph.shape)
    assert pixel_noise(y[..., :36, :36]).uncertainty > pixel_noise(y).uncertainty > 0


def test_an_unsure_estimate_warns() -> None:
    sure, unsure = (NoiseModel(0.1, "estimated", uncertainty=error) for error in (0.1, 0.5))
    assert sure.warning() is None and "may be 13 to 38/255" in str(unsure.warning())
    assert NoiseModel(0.0, "estimated", uncertainty=0.5).warning() is None  # a constant image: there is no other level
    assert "25.5/255 +- 10 %" in str(sure) and "25.5/255 (13 to 38/255)" in str(unsure)
    of_sinogram = NoiseModel(0.592, "estimated", uncertainty=0.99)
    assert "estimated as 0.592, and may be 0.0059 to 1.2." in str(of_sinogram.warning())


# -- missing pixels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.005, 0.05])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_noise_of_an_image_with_missing_pixels_is_found(photograph, prior, level, share) -> None:
    mask = (torch.rand(1, 1, 112, 112, generator=torch.Generator().manual_seed(1)) > share).float()
    physics = P.Inpainting((3, 112, 112), mask=mask)
    y = mask * (photograph + level * normal(photograph.shape))
    assert 0.8 * level < estimated(y, physics, prior).level < (1.2 if level > 0.01 else 2.2) * level


def test_without_neighbours_there_is_no_estimate() -> None:
    known = torch.zeros(64, 64, dtype=torch.bool)
    known[::3, ::3] = True
    assert level_of_neighbours(torch.rand(3, 64, 64), known) is None


# -- signal-dependent noise --------------------------------------------------------------------------------------------


def test_gain_and_read_noise_of_a_noisy_image_are_found_together(photograph, prior) -> None:
    gain, sigma = 0.03, 0.03
    torch.manual_seed(0)
    y = gain * torch.poisson(photograph / gain) + sigma * normal(photograph.shape)
    noise = estimated(y, P.Denoising(), prior)
    assert noise.law.linear == pytest.approx(gain, rel=0.25)
    assert noise.law.constant**0.5 == pytest.approx(sigma, rel=0.4)
    assert noise.level == pytest.approx(float(gain * photograph.mean() + sigma**2) ** 0.5, rel=0.1)
    assert "rising with the signal" in str(noise) and noise.uncertainty > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_white_noise_of_a_noisy_image_does_not_rise_with_the_signal(photograph, prior, channels) -> None:
    x = photograph[:, :channels]
    noise = estimated(x + 0.05 * normal(x.shape), P.Denoising(), prior)
    assert noise.law is None and noise.level == pytest.approx(0.05, rel=0.12)


def test_the_rise_shows_in_the_detail_of_a_blurred_measurement(photograph) -> None:
    blurred = P.Blur(P.functional.gaussian_blur(sigma=(2.0, 2.0)), padding="valid").A(photograph)
    torch.manual_seed(0)
    counts = law_in_detail(0.01 * torch.poisson(blurred / 0.01) + 0.02 * normal(blurred.shape))
    assert counts.law.linear == pytest.approx(0.01, rel=0.3)
    assert law_in_detail(blurred + 0.05 * normal(blurred.shape)) is None


def test_a_line_is_fitted_to_the_variance() -> None:
    mean = torch.linspace(0.1, 1, 8)
    fit = fit_line(mean, 0.01 + 0.04 * mean)
    assert (fit.constant, fit.linear) == pytest.approx((0.01, 0.04), rel=1e-3)
    assert fit.ratio == pytest.approx(0.05 / 0.014, rel=1e-3) and fit.sigmas > 3
    falling = fit_line(mean, 0.05 - 0.04 * mean)
    assert falling.linear == 0 and falling.ratio == 1
    from_zero = fit_line(mean, 0.04 * (mean - 0.05))
    assert from_zero.constant == 0 and from_zero.linear == pytest.approx(0.04, rel=0.2)
    assert fit_line(0 * mean, mean) is None and fit_line(mean, 0 * mean) is None


# -- any operator ------------------------------------------------------------------------------------------------------


def test_the_level_is_found_behind_an_operator_that_is_not_normalised(photograph, prior) -> None:
    physics = P.Tomography(20, 48, normalize=False)
    x = photograph.mean(1, keepdim=True)[..., 30:78, 30:78]
    gain = gain_of(physics, x)
    assert gain > 10
    clean = physics.A(x)
    level = 0.02 * gain
    assert estimated(clean + level * normal(clean.shape), physics, prior).level == pytest.approx(level, rel=0.25)


def test_missing_pixels_do_not_change_the_gain() -> None:
    mask = (torch.rand(1, 1, 16, 16) > 0.7).float()
    assert gain_of(P.Inpainting((1, 16, 16), mask=mask), torch.rand(1, 1, 16, 16)) == pytest.approx(1)


def test_a_fourier_transform_has_gain_one() -> None:
    physics = P.MRI((torch.arange(32) % 2 == 0).float().expand(1, 1, 32, 32), (32, 32))
    assert gain_of(physics, torch.rand(1, 2, 32, 32)) == pytest.approx(1, rel=0.1)


# -- texture -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texture() -> torch.Tensor:
    """Grass and a coat: grey, sharp, 64 x 64 pixels."""
    return torch.from_numpy(skimage.data.camera()[150:214, 230:294] / 255).float()[None, None]


def in_complex_channels(x) -> torch.Tensor:
    return torch.cat([0.8 * x, 0.6 * x], 1)


#: Name -> physics of an image (1, C, H, W). None measures what its pixels show, but for the first two.
BEHIND = {
    "denoising": lambda x: P.Denoising(),
    "missing pixels": lambda x: P.Inpainting(tuple(x.shape[1:]), mask=0.5, rng=torch.Generator().manual_seed(0)),
    "random Hadamard": lambda x: P.SinglePixelCamera(1200, tuple(x.shape[1:]), rng=torch.Generator().manual_seed(0)),
    "Fourier": lambda x: P.MRI((torch.arange(64) % 3 == 0).float().expand(1, 1, 64, 64), (64, 64)),
}


@pytest.mark.parametrize("name", BEHIND)
def test_texture_is_not_taken_for_noise(texture, prior, name) -> None:
    x = in_complex_channels(texture) if name == "Fourier" else texture
    physics, level = BEHIND[name](x), 0.04
    clean = physics.A(x)
    # a mask of the same seed would choose the weaker noise
    noise = estimated(clean + level * normal(clean.shape, 5) * (clean != 0), physics, prior)
    assert 0.7 * level < noise.level < 1.4 * level and noise.law is None


def test_a_clean_grey_image_may_be_noise_free_and_the_plan_says_so(texture, prior) -> None:
    noise = estimated(texture, P.Denoising(), prior)
    assert noise.level < 3 / 255
    assert "(0 to" in str(noise) and "may be 0 to" in str(noise.warning())


def test_parts_of_unlike_noise_have_a_level_each(texture, prior) -> None:
    kernel = P.functional.gaussian_blur(sigma=(1.0, 1.0))
    physics = P.stack(P.BlurFFT((1, 64, 64), kernel), P.Denoising())
    y = physics.A(texture)
    y = TensorList([part + s * normal(part.shape, k) for k, (part, s) in enumerate(zip(y, (0.02, 0.1), strict=True))])
    noise = estimated(y, physics, prior)
    assert [part.constant**0.5 for part in noise.law.parts] == pytest.approx([0.02, 0.1], rel=0.3)


def test_the_photons_of_a_tomograph_have_a_gain(photograph, prior) -> None:
    """A sinogram is no image, but amounts; its noise rises with them, or does not."""
    x = photograph.mean(1, keepdim=True)[..., :32, :32]
    physics, gain = P.Tomography(20, 32, circle=False, normalize=True), 0.003
    clean = physics.A(x).clamp_min(0)
    torch.manual_seed(0)
    photons = estimated(gain * torch.poisson(clean / gain), physics, prior)
    assert photons.law.linear == pytest.approx(gain, rel=0.35) and "Poisson" in photons.words
    assert photons.level == pytest.approx(float((gain * clean).mean()) ** 0.5, rel=0.25)
    assert estimated(clean + 0.03 * normal(clean.shape, 5), physics, prior).law is None


def test_missing_colours_without_noise_are_believed(photograph, prior) -> None:
    """Where each channel misses pixels of its own, few pixels show all colours: a restoration shows the noise."""
    x = photograph[..., :64, :64]
    physics = P.Inpainting((3, 64, 64), mask=(torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) < 0.5))
    clean = physics.A(x)
    assert contradicting(clean, physics, prior) is None
    assert contradicting(clean + 0.06 * normal(clean.shape) * (clean != 0), physics, prior) is not None


def test_a_large_noisy_image_is_estimated_from_squares(photograph, prior) -> None:
    large = photograph.repeat(1, 1, 3, 3)[:, :1]
    y = large + 0.05 * normal(large.shape)
    assert _squares(y).shape == (4, 1, 128, 128)
    assert restored_level(y, P.Denoising(), prior, y).level == pytest.approx(0.05, rel=0.1)


# -- other laws --------------------------------------------------------------------------------------------------------


def test_multiplicative_noise_is_told_from_photons(photograph, prior) -> None:
    torch.manual_seed(0)
    gamma = estimated(P.GammaNoise(50.0)(photograph.clamp_min(1e-3)), P.Denoising(), prior)
    assert gamma.law.quadratic == pytest.approx(1 / 50, rel=0.25) and "multiplicative" in str(gamma)
    photons = estimated(P.PoissonNoise(0.02)(photograph), P.Denoising(), prior)
    assert photons.law.quadratic == 0 and photons.law.linear == pytest.approx(0.02, rel=0.25)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_impulses_are_found_and_left_out(photograph, share) -> None:
    torch.manual_seed(0)
    y = P.SaltPepperNoise(share / 2, share / 2)(photograph)
    found = impulses_in(y)
    assert (found.low, found.high) == (0, 1) and found.share == pytest.approx(share, rel=0.25)
    both = torch.cat([photograph + 0.05 * normal(photograph.shape), y])
    model = DAEP("estimate", preset="fast")
    together = model(both, P.Denoising())
    assert float((together[1:] - photograph).square().mean()) < 0.3 * 0.05**2
    assert "impulses" in str(model.plan(y, P.Denoising()))
    for i in range(2):
        assert torch.allclose(model(both[i : i + 1], P.Denoising()), together[i : i + 1], atol=1e-5)


def test_one_bright_pixel_hides_no_impulses(photograph) -> None:
    torch.manual_seed(0)
    y = P.SaltPepperNoise(0.05, 0.05)(0.2 + 0.6 * photograph)
    y[..., 20, 20] = 0.95
    assert impulses_in(y) is not None


@pytest.mark.parametrize("sigma", [0.05, None])
def test_impulses_overrule_a_level(photograph, sigma) -> None:
    """Given, or stated by the physics. The other image of the batch keeps it."""
    torch.manual_seed(0)
    noisy = photograph + 0.05 * normal(photograph.shape)
    y = torch.cat([noisy, P.SaltPepperNoise(0.05, 0.05)(photograph)])
    physics, model = P.Denoising(P.GaussianNoise(0.05)), DAEP(sigma, preset="fast")
    with pytest.warns(UserWarning, match="more than 12.8/255.*, beside impulses.*check_noise=False"):
        out = model(y, physics)
    assert float((out[1:] - photograph).square().mean()) < 0.3 * 0.05**2
    assert torch.allclose(out[:1], model(noisy, physics), atol=1e-5)
    with pytest.raises(ValueError, match="y: some images have impulses and some have none"):
        DAEP("estimate", data_fidelity=L2())(y, physics)


@pytest.mark.parametrize("level", [0.0, 0.1, 0.3])
def test_clipped_noise_halftone_and_stars_are_no_impulses(photograph, level) -> None:
    noisy = (photograph + level * normal(photograph.shape)).clamp(0, 1)
    assert impulses_in(noisy) is None
    assert impulses_in((noisy > 0.5).float()) is None
    stars = 0.02 * normal((1, 1, 64, 64)).abs()
    stars[..., ::7, ::9] = 1
    assert impulses_in(stars.clamp(0, 1)) is None


# -- no noise, or none stated ------------------------------------------------------------------------------------------


def silent_physics() -> dict:
    """Physics without noise model, which deepinv calls noise-free."""
    size = (3, 112, 112)
    return {
        "denoising": P.Denoising(),
        "inpainting": P.Inpainting(size, mask=0.5),
        "valid blur": P.Blur(P.functional.gaussian_blur(sigma=(1.0, 1.0)), padding="valid"),
        "downsampling": P.Downsampling(size, filter="bicubic", factor=2),
    }


@pytest.mark.parametrize("name", list(silent_physics()))
def test_no_noise_is_believed_only_if_the_measurement_agrees(photograph, prior, name) -> None:
    physics = silent_physics()[name]
    clean = physics.A(photograph)
    clean = (255 * clean).round() / 255
    assert contradicting(clean, physics, prior) is None
    noise = 0.04 * normal(clean.shape)
    noisy = clean + (noise * (clean != 0) if name == "inpainting" else noise)
    found = contradicting(noisy, physics, prior)
    assert found.level == pytest.approx(0.04, rel=0.3)
    assert found.source == "overruled" and found.assumed == 0


def test_a_large_image_is_sampled(photograph, monkeypatch) -> None:
    monkeypatch.setattr("daep_deepinv.noise_estimation.pixels.MAX_TILES", 2)
    large = photograph.repeat(1, 1, 3, 3)
    level = pixel_noise(large + 0.05 * normal(large.shape)).level
    assert level == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("kind", ["shared by the channels", "averaged over 3 x 3 pixels"])
def test_noise_that_is_not_white_is_said_to_be_so(photograph, kind) -> None:
    field = normal(photograph.shape)
    if kind == "shared by the channels":
        field = field[:, :1]
    else:
        field = 3 * torch.nn.functional.avg_pool2d(field, 3, 1, 1)
    assert not pixel_noise(photograph + 0.05 * field).white
    assert pixel_noise(photograph + 0.05 * normal(photograph.shape)).white


def test_texture_is_not_taken_for_the_noise_of_missing_pixels(prior) -> None:
    texture = torch.from_numpy(skimage.data.gravel()[:96, :96] / 255).float()[None, None]
    physics = P.Inpainting((1, 96, 96), mask=0.5)
    assert contradicting(physics.A(texture), physics, prior) is None


def test_zero_photons_are_counts_and_not_clipped(photograph, prior) -> None:
    torch.manual_seed(0)
    y = 0.1 * torch.poisson(photograph / 0.1)
    assert float((y == 0).float().mean()) > 0.01
    noise = estimated(y, P.Denoising(), prior)
    assert noise.law.linear == pytest.approx(0.1, rel=0.15)
    assert noise.level == pytest.approx(float(0.1 * photograph.mean()) ** 0.5, rel=0.1)


def test_a_mask_behind_a_wrapper_is_no_noise(photograph, prior) -> None:
    """Its zeros are no dark pixels: noise of 5 was found as 113, multiplicative."""
    mask = (torch.rand(photograph.shape[-2:], generator=torch.Generator().manual_seed(1)) < 0.5).float()
    for x in (photograph, photograph[:, :1]):
        blur = P.BlurFFT(tuple(x.shape[1:]), filter=P.functional.gaussian_blur(sigma=(1.0, 1.0)))
        physics = P.Inpainting(tuple(x.shape[1:]), mask=mask.expand(x.shape[1:])) * blur
        y = mask * (blur.A(x) + 5 / 255 * normal(x.shape))
        assert estimated(y, physics, prior).level == pytest.approx(5 / 255, rel=0.25)


@pytest.mark.parametrize("kind", ["blur", "holes", "function"])
def test_a_value_counts_as_measured_if_any_image_changes_it(kind) -> None:
    like, mask = torch.zeros(1, 3, 512, 512), torch.ones(512, 512)
    mask[100:200, 100:200] = 0
    blur = P.BlurFFT((3, 512, 512), filter=P.functional.gaussian_blur(sigma=(1.0, 1.0)))
    if kind == "blur":  # of a million values some are hardly changed by one random image
        assert measured_values(blur, like, like) is None
    elif kind == "holes":  # smoothed: beyond the kernel, rounding remains
        physics = blur * P.Inpainting((3, 512, 512), mask=mask.expand(3, 512, 512))
        assert not measured_values(physics, like, like)[..., 110:190, 110:190].any()
        assert measured_values(physics, like, like)[..., :100].all()
    else:
        physics = P.Physics(A=lambda x, **_: torch.exp(-mask * x))
        assert torch.equal(measured_values(physics, like, like), (mask > 0).expand(1, 3, 512, 512))
