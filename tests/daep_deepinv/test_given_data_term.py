"""deepinv's data fidelities in the place of least squares."""

from dataclasses import replace

import deepinv as dinv
import pytest
import torch
from deepinv.optim import L1, L2, IndicatorL2, ItohFidelity, PoissonLikelihood
from deepinv.optim.data_fidelity import LogPoissonLikelihood

from daep_deepinv import DAEP
from daep_deepinv.data_terms.given import GivenDataTerm
from daep_deepinv.used_values import UsedValues
from daep_deepinv.view import COLOUR, View


@pytest.fixture
def blur():
    return dinv.physics.Blur(torch.full((1, 1, 3, 3), 1 / 9), padding="circular", max_iter=100, tol=1e-6)


@pytest.fixture
def clean(photograph):
    return 0.1 + 0.8 * photograph[..., 40:64, 40:64]


def term(fidelity, y, physics, sigma=1.0):
    return GivenDataTerm(fidelity, View([0], y, physics, y, "", COLOUR), sigma)


@pytest.mark.parametrize(
    "fidelity",
    [L1(), PoissonLikelihood(gain=0.05), PoissonLikelihood(gain=0.05, bkg=2.0), LogPoissonLikelihood(N0=50.0, mu=1.0)],
    ids=["L1", "Poisson", "Poisson with background", "log-Poisson"],
)
def test_the_prox_lowers_the_objective_more_than_any_point_near_it(fidelity, clean, blur):
    y = blur.A(clean) + 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    v, gamma = clean.flip(-1), 0.1
    data = term(fidelity, y.clamp_min(0.01), blur)

    def objective(x):
        return float(gamma * data.fidelity.d.fn(blur.A(x), data._y).sum() + 0.5 * (x - v).square().sum())

    found = data.prox(v, y, blur, gamma=gamma)
    assert objective(found) < objective(v)
    for seed in range(5):
        step = 0.02 * torch.randn(v.shape, generator=torch.Generator().manual_seed(seed))
        assert objective(found) < objective((found + step).clamp_min(1e-3))


def test_the_prox_of_l1_for_noisy_images_is_soft_thresholding(clean):
    physics, y, v = dinv.physics.Denoising(), clean, clean.flip(-1)
    found = term(L1(), y, physics).prox(v, y, physics, gamma=0.1 / 2**0.5)
    assert torch.allclose(found, torch.where((v - y).abs() <= 0.1, y, v - 0.1 * (v - y).sign()), atol=1e-6)


def test_the_prox_of_l1_leaves_unknown_values_out(clean, blur):
    y = blur.A(clean)
    unknown = torch.rand(y.shape, generator=torch.Generator().manual_seed(0)) < 0.1
    view = View([0], torch.where(unknown, 0.5 * y, y), blur, y, "", COLOUR, used=UsedValues(unknown))
    found = GivenDataTerm(L1(), view, 2**0.5).prox(clean.flip(-1), view.y, blur, gamma=0.1)
    again = GivenDataTerm(L1(), replace(view, y=y), 2**0.5).prox(clean.flip(-1), y, blur, gamma=0.1)
    assert torch.allclose(found, again, atol=1e-5)


@pytest.mark.parametrize("gamma", [0.1, 10.0])
@pytest.mark.parametrize("sigma", [1.0, 0.5])
def test_the_prox_of_wrapped_differences_is_optimal(gamma, sigma, clean):
    physics, fidelity = dinv.physics.SpatialUnwrapping(threshold=1.0), ItohFidelity(sigma=sigma, threshold=1.0)
    y, v = physics.A(3 * clean), clean.flip(-1)
    data = term(fidelity, y, physics)
    found = data.prox(v, y, physics, gamma=gamma)
    optimality = found - v + gamma * data.weight * fidelity.grad(found, y)
    assert float(optimality.abs().max()) < 1e-4 * max(1.0, gamma)


def test_an_image_is_unwrapped_by_wrapped_differences(photograph, unet):
    x = torch.nn.functional.avg_pool2d(photograph[:, :1, 30:72, 30:72], 7, 1)
    physics = dinv.physics.SpatialUnwrapping(threshold=0.4)
    y = physics.A(x)
    restored = DAEP(0.01, unet, "fast", data_fidelity=ItohFidelity(threshold=0.4))(y, physics)
    error = restored - x
    assert float((error - error.mean()).square().mean().sqrt()) < 0.03


@pytest.mark.parametrize("fidelity", [L2(), L2(sigma=0.02)], ids=["of the assumed level", "of a level of its own"])
def test_deepinvs_l2_is_least_squares(fidelity, clean, unet):
    # circular blurs have a schedule of their own, but not with a given data fidelity
    blur = dinv.physics.Blur(torch.full((1, 1, 3, 3), 1 / 9), padding="reflect", max_iter=100, tol=1e-6)
    y = blur.A(clean) + 0.02 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    given, ours = DAEP(0.02, unet, "fast", data_fidelity=fidelity), DAEP(0.02, unet, "fast")
    assert float((given(y, blur) - ours(y, blur)).square().mean().sqrt()) < 0.005
    assert given.plans[0].data_term == "L2, given"


@pytest.mark.parametrize("fidelity", [L1(), L2(), IndicatorL2(radius=0.5)], ids=["L1", "L2", "indicator"])
def test_a_scaled_measurement_gives_the_scaled_image(fidelity, clean, unet):
    blur = dinv.physics.Blur(torch.full((1, 1, 3, 3), 1 / 9), padding="circular")
    y = 0.2 * blur.A(clean)
    scaled = IndicatorL2(radius=32.0) if isinstance(fidelity, IndicatorL2) else fidelity
    one = DAEP(0.05, unet, "fast", data_fidelity=fidelity)(y, blur)
    many = DAEP(64 * 0.05, unet, "fast", data_fidelity=scaled)(64 * y, blur) / 64
    assert torch.allclose(one, many, atol=1e-4)


def test_l1_removes_impulses(clean, shipped):
    physics = dinv.physics.Denoising(dinv.physics.SaltPepperNoise(0.05, 0.05))
    torch.manual_seed(0)
    y = physics(clean)
    restored = DAEP(denoiser=shipped("dae"), data_fidelity=L1())(y, physics)
    assert dinv.metric.PSNR()(restored, clean) > dinv.metric.PSNR()(y, clean) + 8


def test_l1_leaves_impulses_of_a_blur_out(clean, shipped):
    kernel = torch.full((1, 1, 3, 3), 1 / 9)
    blur = dinv.physics.BlurFFT(clean.shape[1:], kernel, noise_model=dinv.physics.SaltPepperNoise(0.05, 0.05))
    torch.manual_seed(0)
    y = blur(clean)
    options = {"denoiser": shipped("dae"), "preset": "fast"}
    psnr = dinv.metric.PSNR()
    model = DAEP(data_fidelity=L1(), **options)
    assert psnr(model(y, blur), clean) > psnr(DAEP(**options)(y, blur), clean) - 2
    assert "unknown" in model.plans[0].data_term


def test_l1_finds_impulses_that_nobody_stated(clean, shipped):
    """Given a level, the weight of L1 was for that, and the impulses stayed. The image without impulses keeps it."""
    torch.manual_seed(0)
    physics, psnr = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.05)), dinv.metric.PSNR()
    noisy, spotted = physics(clean), dinv.physics.SaltPepperNoise(0.05, 0.05)(clean)
    model = DAEP(denoiser=shipped("dae"), preset="fast", data_fidelity=L1())
    with pytest.warns(UserWarning, match="beside impulses"):
        both = model(torch.cat([noisy, spotted]), physics)
    stated = model(spotted, dinv.physics.Denoising(dinv.physics.SaltPepperNoise(0.05, 0.05)))
    assert psnr(both[1:], clean) > psnr(stated, clean) - 1
    assert torch.allclose(both[:1], model(noisy, physics), atol=1e-5)
    trusting = DAEP(denoiser=shipped("dae"), preset="fast", data_fidelity=L1(), check_noise=False)
    assert "unknown" not in trusting.plan(spotted, physics)[0].data_term
