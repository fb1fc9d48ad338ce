"""``DAEPrior`` and ``DAEDenoiser`` swapped into deepinv's own solvers, next to PnP and RED."""

import deepinv as dinv
import pytest
import torch
from deepinv.optim import L2
from deepinv.optim.prior import RED, PnP

from daep_deepinv import DAEDenoiser, DAEPrior

WIDTH = 0.1
SOLVERS = {
    "GD": {"stepsize": 0.3},
    "PGD": {"stepsize": 0.8},
    "HQS": {"stepsize": 0.5},
    "ADMM": {"stepsize": 0.8},
    "DRS": {"stepsize": 0.8},
    "FISTA": {"stepsize": 0.4},
    "MD": {"stepsize": 0.3},
    "PMD": {"stepsize": 0.3},
}
#: Those that evaluate the prior through its gradient.
BY_GRADIENT = ("GD", "MD")
SHAPE = (3, 5, 4)


@pytest.fixture
def problem(images):
    x = images(2, *SHAPE, dtype=torch.float64)
    physics = dinv.physics.Inpainting(SHAPE, mask=0.6, rng=torch.Generator().manual_seed(0)).to(torch.float64)
    return physics, physics.A(x)


def solve(algorithm, prior, physics, y, **kwargs):
    arguments = {"max_iter": 200, "lambda_reg": 1.0, "g_param": WIDTH, **SOLVERS[algorithm], **kwargs}
    model = getattr(dinv.optim, algorithm)(prior=prior, data_fidelity=L2(), **arguments)
    return model(y, physics, compute_metrics=True)


@pytest.mark.parametrize("noise", ["fixed", "none"])
@pytest.mark.parametrize("algorithm", SOLVERS)
def test_the_objective_falls_and_stays_low(algorithm, noise, problem, make_gaussian):
    """Against the objective of the start, and against that of half the iterations."""
    physics, y = problem
    prior = DAEPrior(make_gaussian(SHAPE), noise=noise, max_iter_inter=10)
    x, metrics = solve(algorithm, prior, physics, y)
    start = physics.A_adjoint(y)
    before = L2()(start, y, physics) + prior(start, WIDTH)
    after = L2()(x, y, physics) + prior(x, WIDTH)
    assert bool((after < before).all())
    assert bool((after < 0.5 * before).all()) or noise == "fixed"
    for cost in metrics["cost"]:
        assert cost[-1] <= cost[len(cost) // 2] + 1e-6


@pytest.mark.parametrize("algorithm", ["GD", "PGD", "FISTA", "ADMM", "DRS", "MD"])
def test_solvers_agree_on_the_minimiser(algorithm, problem, make_gaussian):
    """Different routes, one quadratic objective: the same image. HQS and PMD minimise other objectives or go slower."""
    physics, y = problem
    gaussian = make_gaussian(SHAPE)
    prior = DAEPrior(gaussian, noise="none")
    kwargs = {"max_iter": 100, "lambda_reg": 5.0}
    if algorithm not in BY_GRADIENT:  # the inner proximal steps are iterative; run them to the end
        prox = prior.prox
        prior.prox = lambda x, sigma, **k: prox(x, sigma, **{**k, "max_iter_inter": 60, "tol_inter": 1e-9})
    if algorithm in BY_GRADIENT:
        kwargs |= {"max_iter": 2500, "stepsize": 0.3}
    x, _ = solve(algorithm, prior, physics, y, **kwargs)
    condition = L2().grad(x, y, physics) + 5.0 * prior.grad(x, WIDTH)
    assert condition.abs().max() < 1e-3


@pytest.mark.parametrize("algorithm", SOLVERS)
def test_with_fresh_noise_every_solver_runs_on_a_real_network(algorithm, network, images):
    x = images(2, 3, 16, 12)
    physics = dinv.physics.Inpainting((3, 16, 12), mask=0.6)
    out, metrics = solve(algorithm, DAEPrior(network), physics, physics(x), max_iter=4)
    assert out.shape == x.shape
    assert bool(out.isfinite().all())
    assert [len(cost) for cost in metrics["cost"]] == [4, 4]


def test_pdcp_runs(network, images):
    x = images(2, 3, 16, 12)
    physics = dinv.physics.Inpainting((3, 16, 12), mask=0.6)
    y = physics(x)
    model = dinv.optim.PDCP(
        prior=DAEPrior(network, noise="fixed"), data_fidelity=L2(), max_iter=4, stepsize=0.5, stepsize_dual=0.5,
        g_param=WIDTH, lambda_reg=1.0,
    )  # fmt: skip
    assert model(y, physics, init=(physics.A_adjoint(y), physics.A_adjoint(y), y)).shape == x.shape


@pytest.mark.parametrize("algorithm", ["PGD", "HQS", "ADMM", "DRS", "FISTA"])
def test_pnp_takes_our_networks(algorithm, network, images):
    x = images(2, 3, 16, 12)
    physics = dinv.physics.Inpainting((3, 16, 12), mask=0.6)
    prior = PnP(denoiser=DAEDenoiser(network))
    out, metrics = solve(algorithm, prior, physics, physics(x), max_iter=4)
    assert out.shape == x.shape
    assert "cost" not in metrics


@pytest.mark.parametrize("algorithm", ["GD", "PGD", "FISTA"])
def test_red_takes_our_networks(algorithm, network, images):
    x = images(2, 3, 16, 12)
    physics = dinv.physics.Inpainting((3, 16, 12), mask=0.6)
    kwargs = {} if algorithm == "GD" else {"g_first": True}
    out, _ = solve(algorithm, RED(denoiser=DAEDenoiser(network)), physics, physics(x), max_iter=4, **kwargs)
    assert out.shape == x.shape


def test_dpir_takes_our_network(unet, images):
    """The peer the comparison is with: PnP-HQS with DPIR's schedule, on our noise-conditional network."""
    x = images(2, 3, 16, 12)
    physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    assert dinv.optim.DPIR(0.1, denoiser=DAEDenoiser(unet), device="cpu")(physics(x), physics).shape == x.shape


def test_swapping_the_prior_is_one_line(images, network):
    """A script's solver, rebuilt with our prior in the place of its own and nothing else changed."""
    x = images(1, 3, 16, 12)
    physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    y = physics(x)
    for prior in (RED(denoiser=DAEDenoiser(network)), DAEPrior(network)):
        model = dinv.optim.GD(
            prior=prior, data_fidelity=L2(), stepsize=0.2, sigma_denoiser=0.1, lambda_reg=0.5, max_iter=5
        )
        assert model(y, physics).shape == x.shape


def test_backtracking_accepts_the_prior(problem, make_gaussian):
    physics, y = problem
    prior = DAEPrior(make_gaussian(SHAPE), noise="fixed")
    _, metrics = solve("GD", prior, physics, y, stepsize=3.0, backtracking=True, max_iter=60)
    for cost in metrics["cost"]:
        assert cost[-1] < cost[0]


def test_a_solver_with_a_list_of_priors_uses_each(images, network, make_spy):
    x = images(1, 3, 16, 12)
    physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    spies = [make_spy() for _ in range(3)]
    priors = [DAEPrior(spy, jacobian=False) for spy in spies]
    dinv.optim.GD(prior=priors, data_fidelity=L2(), stepsize=0.2, g_param=0.1, max_iter=3)(physics(x), physics)
    assert [spy.evaluations for spy in spies] == [1, 1, 1]


@pytest.mark.parametrize("algorithm", ["GD", "PGD", "HQS"])
@pytest.mark.parametrize("jacobian_free", [True, False])
def test_a_deepinv_solver_as_deep_equilibrium_model_trains_the_network(algorithm, jacobian_free, network, images):
    x = images(2, 3, 16, 12)
    physics = dinv.physics.Inpainting((3, 16, 12), mask=0.6)
    network.requires_grad_()
    model = getattr(dinv.optim, algorithm)(
        prior=DAEPrior(network, noise="fixed"),
        data_fidelity=L2(),
        stepsize=0.5,
        g_param=WIDTH,
        lambda_reg=1.0,
        trainable_params=["stepsize"],
        max_iter=5,
        DEQ=dinv.optim.DEQConfig(jacobian_free=jacobian_free, max_iter_backward=3),
    )
    (model(physics(x), physics) - x).square().mean().backward()
    assert any(float(p.grad.abs().max()) > 0 for p in network.parameters() if p.grad is not None)
