"""What the noise models of deepinv state, as a law of variance for a measurement whose mean is ``K x``."""

import math

import deepinv as dinv
import pytest
import torch
from deepinv.utils import TensorList

from daep_deepinv import SignalNoise
from daep_deepinv.noise.given import given_noise
from daep_deepinv.noise.stated import stated_noise
from daep_deepinv.noise.variance import MapVariance, QuadraticVariance

P = dinv.physics

#: Noise model, mean of the image, and whether the noise is that of prepared values.
MODELS = [
    P.GaussianNoise(0.1),
    P.GaussianNoise(torch.tensor([0.1])),
    P.PoissonNoise(0.05),
    P.PoissonNoise(0.05, normalize=False),
    P.PoissonGaussianNoise(0.05, 0.1),
    P.UniformNoise(0.1),
    P.LaplaceNoise(0.1),
    P.GammaNoise(20.0),
    P.FisherTippettNoise(20.0),
    P.LogPoissonNoise(2000.0, 1.0),
    P.RicianNoise(0.02),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("mean", [0.3, 0.9])
def test_a_prepared_measurement_has_the_mean_and_the_stated_variance(model, mean) -> None:
    torch.manual_seed(0)
    x = torch.full((1, 1, 300, 300), mean)
    y = model(x)
    stated = stated_noise(P.Denoising(model), y)
    prepared = stated.prepare(y)
    assert float(prepared.mean()) == pytest.approx(mean, abs=0.006)
    (level,) = stated.law(0).level(x)
    assert float(prepared.std()) == pytest.approx(level, rel=0.03)
    assert not stated.doubtful


def test_prepared_black_values_under_rician_noise_look_like_gaussian_noise() -> None:
    """With 0 for negative ones, 0.39 of the values are 0, the mean is 0.76 and the deviation 0.80 of the noise."""
    torch.manual_seed(0)
    model = P.RicianNoise(0.02)
    y = model(torch.zeros(1, 1, 300, 300))
    prepared = stated_noise(P.Denoising(model), y).prepare(y) / 0.02
    assert float((prepared == 0).float().mean()) < 0.01
    assert 0 < float(prepared.mean()) < 0.6
    assert float(prepared.std()) == pytest.approx(1, abs=0.15)


def test_the_level_of_complex_noise_is_that_of_its_parts() -> None:
    model = P.GaussianNoise(0.1)
    torch.manual_seed(0)
    y = model(torch.zeros(1, 1, 300, 300, dtype=torch.complex64))
    (level,) = stated_noise(P.Denoising(model), y).law(0).level(y.real)
    assert float(y.imag.std()) == pytest.approx(level, rel=0.03)


@pytest.mark.parametrize("factor", [0.01, 7.0])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_the_law_of_a_multiple_is_the_scaled_law(model, factor) -> None:
    x = torch.rand(1, 1, 8, 8)
    law = stated_noise(P.Denoising(model), x).law(0)
    assert torch.allclose(law.scaled(factor).variance(factor * x), factor**2 * law.variance(x), rtol=1e-5)
    assert law == law.scaled(1.0)


def test_one_level_an_image_is_one_law_an_image() -> None:
    y = torch.rand(2, 3, 8, 8)
    stated = stated_noise(P.Denoising(P.GaussianNoise(torch.tensor([0.1, 0.2]))), y)
    assert [stated.level(i) for i in range(2)] == pytest.approx([0.1, 0.2])
    assert stated.select([1]).level(0) == pytest.approx(0.2)
    counts = P.PoissonNoise(torch.tensor([0.5, 0.25]), normalize=False)
    assert torch.equal(stated_noise(P.Denoising(counts), y).prepare(y)[1], 0.25 * y[1])


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 3, 8, 8), (2, 3, 8, 8), (1, 3, 1, 1)])
def test_a_map_is_a_law_of_each_pixel(shape) -> None:
    y, levels = torch.rand(2, 3, 8, 8), torch.rand(shape)
    model = P.GaussianNoise(0.1)
    model.sigma = levels
    stated = stated_noise(P.Denoising(model), y)
    assert stated.level(0) is None
    one = levels[1 if shape[0] == 2 else 0]
    assert torch.allclose(stated.law(1).variance(y[1:]), one[None].square().expand(1, 3, 8, 8))
    assert stated.law(1) == MapVariance(one[None].square()) != MapVariance(2 * one[None].square())


def test_levels_that_do_not_fit_are_refused() -> None:
    y = torch.rand(2, 3, 8, 8)
    for bad, said in (
        (torch.rand(3), "shape \\(3,\\)"),
        (torch.tensor(-0.1), ">= 0"),
        (torch.tensor(torch.nan), ">= 0"),
    ):
        model = P.GaussianNoise(0.1)
        model.sigma = bad
        with pytest.raises(ValueError, match=said):
            stated_noise(P.Denoising(model), y)
    with pytest.raises(ValueError, match="gain: the physics states 0"):
        stated_noise(P.Denoising(P.PoissonNoise(0.0)), y)


def test_stacked_physics_state_the_noise_of_their_parts() -> None:
    parts = [P.Denoising(P.GaussianNoise(0.1)), P.Denoising(P.PoissonNoise(0.2, normalize=False))]
    y = TensorList([torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)])
    stated = stated_noise(P.stack(*parts), y)
    assert [part.variance(torch.ones(1)).item() for part in stated.law(0).parts] == pytest.approx([0.01, 0.2])
    assert torch.equal(stated.prepare(y)[0], y[0]) and torch.allclose(stated.prepare(y)[1], 0.2 * y[1])
    assert "part 1: white Gaussian of 0.1, part 2: Poisson" in stated.of(0).words
    alike = P.stack(P.Denoising(P.GaussianNoise(0.1)), P.Denoising(P.GaussianNoise(0.1)))
    assert stated_noise(alike, y).level(0) == pytest.approx(0.1)
    unknown = P.stack(parts[0], P.Denoising(P.NoiseModel(lambda x: x)))
    assert stated_noise(unknown, y) is None


def test_composed_physics_state_the_noise_of_the_last() -> None:
    inner, outer = P.Denoising(P.GaussianNoise(0.5)), P.Denoising(P.GaussianNoise(0.1))
    assert stated_noise(outer * inner, torch.rand(1, 1, 8, 8)).level(0) == pytest.approx(0.1)


def test_no_noise_may_only_be_the_default() -> None:
    y = torch.rand(1, 3, 8, 8)
    assert stated_noise(P.Denoising(P.ZeroNoise()), y).doubtful
    assert stated_noise(P.stack(P.Blur(torch.ones(1, 1, 3, 3) / 9)), TensorList([y])).doubtful


def test_a_product_of_noise_models_states_nothing() -> None:
    assert stated_noise(P.Denoising(P.UniformNoise(0.1) * P.GaussianNoise(0.1)), torch.rand(1, 1, 8, 8)) is None


def test_impulses_are_unknown_but_saturated_regions_are_not() -> None:
    torch.manual_seed(0)
    x = torch.full((1, 1, 64, 64), 0.5)
    x[..., :20] = 1.0
    model = P.SaltPepperNoise(0.1, 0.1)
    y = model(x)
    known = stated_noise(P.Denoising(model), y).known(y)
    assert float((y == x)[known].float().mean()) > 0.995
    assert float(known[..., 3:17].float().mean()) == pytest.approx(0.9, abs=0.03)
    assert float(known[..., 23:].float().mean()) == pytest.approx(0.8, abs=0.03)


def test_an_unknown_level_between_two_is_a_range() -> None:
    stated = stated_noise(P.Denoising(P.UniformGaussianNoise(0.1, 0.3)), torch.rand(1, 1, 8, 8))
    assert stated.of(0).between == pytest.approx((0.1, 0.3))


# -- noise that a caller gives -----------------------------------------------------------------------------------------


def test_counts_over_a_background_have_its_variance_too() -> None:
    torch.manual_seed(0)
    x, background = torch.full((1, 1, 300, 300), 0.5), torch.linspace(0.1, 2, 300).expand(1, 1, 300, 300)
    noise = SignalNoise(gain=0.01, sigma=0.05, background=background, offset=0.3)
    y = 0.01 * torch.poisson((x + background) / 0.01) + 0.3 + 0.05 * torch.randn(x.shape)
    stated = given_noise(noise, y)
    error = stated.prepare(y) - x
    assert float(error.mean()) == pytest.approx(0, abs=2e-3)
    standard = error / stated.law(0).variance(x).sqrt()
    for columns in (standard[..., :50], standard[..., -50:]):
        assert float(columns.std()) == pytest.approx(1, rel=0.03)
    assert str(noise) == "Poisson, gain 0.01 and Gaussian of 0.05, over a background, with an offset"


def test_a_given_background_must_fit_the_measurement() -> None:
    noise = SignalNoise(gain=0.1, background=torch.rand(1, 1, 9, 9))
    with pytest.raises(ValueError, match="background, offset: got shape"):
        given_noise(noise, torch.rand(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"gain": -1}, "gain: got -1"),
        ({"sigma": math.nan}, "sigma: got nan"),
        ({"gain": 1, "background": -0.1}, "background: .* negative"),
        ({"gain": 1, "offset": math.inf}, "offset: .*finite"),
        ({}, "gain, sigma: got 0 for both"),
    ],
)
def test_bad_parameters_of_a_sensor_are_refused(arguments, said) -> None:
    with pytest.raises(ValueError, match=said):
        SignalNoise(**arguments)


def test_without_gain_and_background_it_is_gaussian_noise() -> None:
    assert given_noise(SignalNoise(sigma=0.1), torch.rand(1, 1, 8, 8)).law(0) == QuadraticVariance(0.1**2)
