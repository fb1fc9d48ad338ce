"""Images of any range: found, given, undone at the end."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv import DAEP
from daep_deepinv.value_range import ValueRange, find_ranges

SIZE, NOISE = (3, 24, 32), 0.02


@pytest.fixture
def clean(photograph):
    return photograph[..., 40 : 40 + SIZE[1], 40 : 40 + SIZE[2]]


@pytest.fixture
def blur():
    return dinv.physics.Blur(torch.full((1, 1, 3, 3), 1 / 9), padding="circular")


def noisy(x, physics):
    y = physics.A(x)
    return y + NOISE * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))


def found(x):
    return find_ranges(x, None, "found")[0]


# -- what is found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.7, 0.8, 1.0])
def test_an_image_in_0_to_1_keeps_its_values(clean, factor):
    x = factor * clean / clean.max()
    assert found(x).scale == 1 and found(x).offset == (0, 0, 0) and found(x).bounds == (0, 1)


@pytest.mark.parametrize("factor", [1 / 256, 0.01, 0.3, 3, 255, 4095])
def test_other_ranges_are_scaled_to_about_1_and_have_no_upper_limit(clean, factor):
    x = factor * clean / clean.max()
    assert 0.6 < float(x.max()) / found(x).scale <= 1.5
    assert found(x).bounds == (0, None)


def test_a_single_value_beyond_1_removes_the_limit(clean):
    x = clean.clone()
    x[0, :, 5, 5] = 3
    assert found(x).scale == 1 and found(x).bounds == (0, None)


def test_signed_images_are_shifted_and_have_no_limits(clean):
    signed = found(clean - 0.5)
    assert signed.bounds == (None, None)
    assert (clean - 0.5 - torch.tensor(signed.offset).view(3, 1, 1)).min() > -0.15


def test_noise_makes_no_image_signed(clean):
    y = 0.2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) + clean
    assert found(y).offset == (0, 0, 0) and found(y).scale == 1


def test_an_image_of_zeros_has_a_range():
    assert found(torch.zeros(1, 3, 8, 8)).scale == 1


# -- what is restored ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2.0**-8, 2.0**-5, 2.0**6, 2.0**8])
@pytest.mark.parametrize("sigma", ["given", "estimated"])
def test_a_measurement_times_a_factor_gives_the_image_times_the_factor(clean, blur, unet, factor, sigma):
    y = 0.3 * noisy(clean, blur)  # not treated as an image in [0, 1] at either scale

    def restored(c):
        level = "estimate" if sigma == "estimated" else 0.3 * c * NOISE
        return DAEP(level, unet, "fast")(c * y, blur) / c

    assert torch.allclose(restored(factor), restored(1.0), atol=1e-5)


def test_an_offset_is_undone(clean, blur, shipped):
    y = noisy(clean, blur)
    model = DAEP(NOISE, shipped("dae"), "fast")
    plain, shifted = model(y, blur), model(y - 0.5, blur)  # the kernel sums to 1
    assert float((shifted + 0.5 - plain).square().mean().sqrt()) < 0.02
    assert model.plans[0].range.bounds == (None, None)


def test_history_and_callback_are_in_the_units_of_the_image(clean, blur, unet):
    y, seen = noisy(clean, blur), []
    model = DAEP(64 * NOISE, unet, "fast")
    x = model(64 * y, blur, callback=lambda plan, k, image: seen.append(image))
    assert model.noise_level == [pytest.approx(64 * NOISE)]
    assert float(seen[-1].mean()) == pytest.approx(float(x.mean()), rel=0.05)
    residual = model.history["data_residual"][0][-1]
    assert residual == pytest.approx(float((blur.A(seen[-1]) - 64 * y).square().mean().sqrt()), rel=0.5)
    assert model.history["discrepancy"][0][-1] == pytest.approx((residual / (64 * NOISE)) ** 2, rel=1e-4)


def test_an_image_is_restored_alike_alone_and_beside_one_of_another_range(clean, blur, unet):
    y = torch.cat([noisy(clean, blur), 100 * noisy(clean, blur)])
    model = DAEP(torch.tensor([NOISE, 100 * NOISE]), unet, "fast")
    together = model(y, blur)
    for i in range(2):
        alone = DAEP([NOISE, 100 * NOISE][i], unet, "fast")(y[i : i + 1], blur)
        assert torch.allclose(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_scale_and_bounds_are_given(clean, blur, unet):
    y = noisy(clean, blur)
    plan = DAEP(NOISE, unet, scale=2, bounds=(0.1, None)).plan(y, blur)[0]
    assert plan.range.scale == 2 and plan.range.bounds == (0.1, None)
    x = DAEP(NOISE, unet, "fast", bounds=(0.4, 0.6))(y, blur)
    assert float(x.min()) == pytest.approx(0.4) and float(x.max()) == pytest.approx(0.6)
    free = DAEP(NOISE, unet, "fast", bounds=None)(y - 0.5 * y.mean(), blur)
    assert float(free.min()) < 0


def test_the_papers_presets_and_a_given_schedule_assume_images_in_0_to_1(clean, blur, unet):
    y = noisy(clean, blur)
    for model in (DAEP(NOISE, unet, "paper"), DAEP(NOISE, unet, schedule=DAEP(NOISE, unet).plan(y, blur)[0].schedule)):
        assert model.plan(0.1 * y, blur)[0].range.source == "assumed"


def test_limits_that_the_measurement_contradicts_warn(clean, blur, unet):
    y = noisy(2 * clean, blur)
    with pytest.warns(UserWarning, match="bounds: the measurement shows values up to"):
        DAEP(NOISE, unet, "fast", scale=1, bounds=(0, 1))(y, blur)
    with pytest.warns(UserWarning, match="bounds: .* down to"):
        DAEP(NOISE, unet, "fast", bounds=(0, None))(y - 1, blur)
    (warning,) = DAEP(NOISE, unet, "paper").plan(y, blur)[0].warnings
    assert "bounds: " in str(warning)
    assert DAEP(NOISE, unet).plan(y, blur)[0].warnings == ()


@pytest.mark.parametrize("sigma", [NOISE, "estimate"])
def test_a_measurement_of_zeros_is_restored_to_zeros(blur, unet, sigma):
    found = DAEP(sigma, unet, "fast")(torch.zeros(1, 3, 24, 24), blur)
    assert float(found.abs().max()) < 0.05


def test_a_range_without_a_limit_says_so():
    assert str(ValueRange(bounds=(0.0, None), source="found")) == "0 to unbounded (found)"
    assert str(ValueRange(bounds=(None, None), source="given")) == "unbounded (given)"


def test_the_peak_of_a_dark_field_decides_its_scale():
    """A blur has lowered the stars; one bright pixel among them is no star; a photograph has its own range."""
    stars = torch.full((1, 1, 64, 64), 0.01)
    stars[..., 10::20, 10::20] = 1.0
    blurred = dinv.physics.Blur(dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)), padding="circular").A(stars)
    assert 0.05 < blurred.max() < 0.1
    (found,) = find_ranges(blurred, None, "found")
    (double,) = find_ranges(2 * blurred, None, "found")
    assert 0.08 < found.scale < 0.2 and double.scale == pytest.approx(2 * found.scale)
    blurred[..., 20, 20] = 0.2
    assert find_ranges(blurred, None, "found")[0].scale == found.scale
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    assert find_ranges(ramp, None, "found")[0].scale == 1
