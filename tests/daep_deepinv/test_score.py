"""The prior as a score: value and sign, deepinv's samplers, solvers that ask for a proximal step or no width."""

import deepinv as dinv
import pytest
import torch
from deepinv.optim import ADMM, FISTA, HQS, PGD, PnP, ScorePrior, optim_builder
from deepinv.optim.data_fidelity import L2
from deepinv.sampling import ULA, SKRock

from daep_deepinv import DAEPrior
from daep_deepinv.prior import DEFAULT_WIDTH
from daep_prior import MeanShiftPrior

WIDTH = 25 / 255
NOISE = 0.05


@pytest.fixture
def x(images):
    return images(2, 3, 16, 16)


@pytest.fixture
def blur():
    kernel = dinv.physics.functional.gaussian_blur(sigma=(1.0, 1.0))
    return dinv.physics.BlurFFT((3, 16, 16), filter=kernel, noise_model=dinv.physics.GaussianNoise(NOISE))


# -- the score ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [MeanShiftPrior, DAEPrior])
def test_the_score_of_a_gaussian_density_is_known(prior, make_gaussian, images):
    """``-(C + s^2 I)^-1 (x - m)``: the gradient of the logarithm of the smoothed density, with its sign."""
    gaussian = make_gaussian((3, 4, 3))
    x = images(2, 3, 4, 3, dtype=torch.float64)
    exact = -(x.flatten(1) - gaussian.mean) @ gaussian.residual_matrix(WIDTH) / WIDTH**2
    assert torch.allclose(prior(gaussian).score(x, WIDTH).flatten(1), exact, rtol=1e-10)


def test_the_score_is_deepinvs_for_each_form_of_the_width(unet, x):
    prior = DAEPrior(unet, noise="fresh")
    theirs = ScorePrior(prior.denoiser)
    for width in (WIDTH, torch.tensor(WIDTH), torch.tensor([[[[WIDTH]]], [[[0.05]]]])):
        level = width.reshape(-1) if isinstance(width, torch.Tensor) and width.numel() > 1 else width
        assert torch.allclose(prior.score(x, level), theirs.score(x, width), rtol=1e-4, atol=1e-3)
        assert torch.allclose(prior.as_score().grad(x, level), theirs.grad(x, width), rtol=1e-4, atol=1e-3)


def test_a_network_for_one_level_has_the_score_of_that_level(conv, x):
    prior = DAEPrior(conv)
    assert torch.equal(prior.score(x, 0.5), prior.score(x))


@pytest.mark.parametrize("width", [140 / 255, 1.0])
def test_beyond_the_trained_level_the_score_is_that_of_the_scaled_image(shipped, width):
    """``"dae"`` is trained up to 75/255. It scales with its input, so that the score still points to the image."""
    prior = DAEPrior(shipped("dae"))
    across, down = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="xy")
    clean = torch.stack([0.5 + 0.4 * (across / 7 + c).sin() * (down / 9).cos() for c in range(3)])[None]
    noisy = clean + width * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    step = noisy + width**2 * prior.score(noisy, width)
    scale = 75 / 255 / width
    scaled = prior.denoise(scale * noisy, 75 / 255) / scale
    assert (step - clean).square().mean() < 0.02 * (noisy - clean).square().mean()
    assert (step - scaled).square().mean() < 0.01 * (step - clean).square().mean()


@pytest.mark.parametrize("sampler", [ULA, SKRock])
def test_samplers_of_deepinv_give_what_they_give_with_a_score_prior(unet, x, blur, sampler):
    """Handed over as it is: its ``grad`` for optimizers would be another vector."""
    torch.manual_seed(0)
    y = blur(x)
    prior = DAEPrior(unet)
    options = {"max_iter": 6, "thinning": 1, "step_size": 1e-4, "sigma": WIDTH}
    ours, theirs = (
        sampler(p, L2(sigma=NOISE), **options).sample(y, blur, seed=1)[0] for p in (prior, ScorePrior(prior.denoiser))
    )
    assert torch.equal(ours, theirs)
    assert not torch.allclose(prior.as_score().grad(x, WIDTH), prior.grad(x, WIDTH), atol=1e-3)


# -- the proximal step -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [PGD, FISTA, HQS, ADMM])
def test_a_solver_with_a_proximal_step_pays_one_evaluation_an_iteration(make_spy, x, blur, solver):
    """As plug-and-play does, with its result."""
    results, evaluations = [], []
    for make in (lambda spy: DAEPrior(spy, explicit_prior=False), PnP):
        spy = make_spy()
        model = solver(data_fidelity=L2(), prior=make(spy), sigma_denoiser=WIDTH, stepsize=1.0, max_iter=4)
        torch.manual_seed(0)
        results.append(model(blur(x), blur))
        evaluations.append(spy.evaluations)
    assert torch.allclose(*results, atol=1e-6)
    assert evaluations[0] == evaluations[1]


def test_the_exact_proximal_operator_can_be_asked_for(unet, x):
    prior = DAEPrior(unet, noise="fixed", max_iter_inter=20)
    step = DAEPrior(unet, noise="fixed")
    exact = step.prox(x, WIDTH, gamma=0.5, max_iter_inter=20)
    assert torch.equal(prior.prox(x, WIDTH, gamma=0.5), exact)
    assert torch.equal(exact, MeanShiftPrior(unet, noise="fixed").prox(x, 0.5, WIDTH, iterations=20))
    assert torch.equal(step.prox(x, WIDTH, gamma=0.5), step.denoise(x, WIDTH))
    with pytest.raises(ValueError, match="max_iter_inter: got 0"):
        DAEPrior(unet, max_iter_inter=0)


# -- what a script may leave out, or train -------------------------------------------------------------------------


def test_a_solver_without_a_width_gets_one(unet, x, blur):
    y = blur(x)
    prior = DAEPrior(unet, noise="fixed")
    assert torch.equal(prior.grad(x), prior.grad(x, DEFAULT_WIDTH))
    assert torch.equal(DAEPrior(unet, noise="fixed", sigma=WIDTH).grad(x), prior.grad(x, WIDTH))
    assert PGD(data_fidelity=L2(), prior=prior, max_iter=2)(y, blur).shape == x.shape
    with pytest.raises(ValueError, match="sigma"):
        MeanShiftPrior(unet).gradient(x)


def test_the_energy_need_not_be_evaluated(make_spy, x, blur):
    spy = make_spy()
    model = PGD(data_fidelity=L2(), prior=DAEPrior(spy, explicit_prior=False), max_iter=3, sigma_denoiser=WIDTH)
    _, metrics = model(blur(x), blur, compute_metrics=True)
    assert spy.evaluations == 3
    assert "cost" not in metrics
    with pytest.raises(ValueError, match=r"explicit_prior.*jacobian=False"):
        DAEPrior(spy, explicit_prior=True, jacobian=False)


@pytest.mark.parametrize("iteration", ["GD", "PGD"])
def test_weight_and_step_can_be_trained_through_deepinvs_builder(unet, x, blur, iteration):
    """Its cost function flattens the weight, which fails for a trained number if the energy is one an image."""
    y = blur(x)
    exact = DAEPrior(unet, noise="fixed", max_iter_inter=1)
    model = optim_builder(
        iteration,
        prior=exact,
        data_fidelity=L2(),
        max_iter=2,
        params_algo={"stepsize": [0.5, 0.5], "lambda": [0.1, 0.1], "g_param": WIDTH},
        unfold=True,
        trainable_params=["stepsize", "lambda"],
    )
    loss = (model(y, blur) - x).square().mean()
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite()) and p.grad != 0 for p in model.params_algo["lambda"])
    assert all(p.grad is not None and bool(p.grad.isfinite()) and p.grad != 0 for p in model.params_algo["stepsize"])
    with torch.no_grad():
        assert model(y, blur).shape == x.shape
