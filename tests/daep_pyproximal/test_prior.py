"""The prior as a ``ProxOperator``: its contract, and what pyproximal's own solvers make of it."""

import numpy as np
import pytest
import torch

from daep_prior import ConvDAE, MeanShiftPrior, UNetDAE

pyproximal = pytest.importorskip("pyproximal", reason="pip install daep-prior[pyproximal]")
pylops = pytest.importorskip("pylops")

from daep_pyproximal import DAEPrior  # noqa: E402

DIMS = (3, 8, 12)


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return UNetDAE(widths=(4, 8), blocks=1).fold()


@pytest.fixture
def x():
    return np.random.default_rng(0).random(np.prod(DIMS))


def test_it_is_a_prox_operator_that_says_it_has_a_gradient(unet):
    prior = DAEPrior(DIMS, unet)
    assert isinstance(prior, pyproximal.ProxOperator) and prior.hasgrad


@pytest.mark.parametrize(("dims", "axis"), [((8, 12), 0), ((3, 8, 12), 0), ((8, 12, 3), -1)])
def test_the_gradient_is_the_finite_difference_of_the_value(unet, dims, axis):
    prior = DAEPrior(dims, unet, channel_axis=axis, noise="fixed", dtype=torch.float64)
    rng = np.random.default_rng(1)
    x, direction = rng.random(np.prod(dims)), rng.standard_normal(np.prod(dims))
    difference = (prior(x + 1e-6 * direction) - prior(x - 1e-6 * direction)) / 2e-6
    assert prior.grad(x) @ direction == pytest.approx(difference, rel=1e-5)


def test_layouts_are_the_same_image(unet, x):
    first = DAEPrior(DIMS, unet, noise="none")
    last = DAEPrior((8, 12, 3), unet, channel_axis=-1, noise="none")
    y = np.moveaxis(x.reshape(DIMS), 0, -1).ravel()
    assert last(y) == pytest.approx(first(x), rel=1e-5)
    assert np.allclose(np.moveaxis(last.grad(y).reshape(8, 12, 3), -1, 0).ravel(), first.grad(x), atol=1e-5)


def test_it_is_the_energy_of_the_core(unet, x):
    prior = DAEPrior(DIMS, unet, sigma=0.1, noise="fixed", dtype=torch.float64)
    core = MeanShiftPrior(unet, sigma=0.1, noise="fixed")
    assert prior(x) == pytest.approx(float(core.value(torch.from_numpy(x).view(1, *DIMS))))


def test_the_proximal_step_meets_its_optimality_condition(unet, x):
    prior = DAEPrior(DIMS, unet, noise="fixed", dtype=torch.float64, prox_iterations=300)
    moved = prior.prox(x, 0.3)
    assert np.allclose(moved - x, -0.3 * prior.grad(moved), atol=1e-3)
    assert 0.3 * prior(moved) + np.sum((moved - x) ** 2) / 2 < 0.3 * prior(x)


def test_types_and_shapes_come_back_as_they_went_in(unet, x):
    prior = DAEPrior(DIMS, unet)
    for array in (x, x.astype("float32"), x.reshape(DIMS), x[::-1]):
        for out in (prior.grad(array), prior.prox(array, 0.5)):
            assert out.dtype == array.dtype and out.shape == array.shape


def test_the_users_array_is_left_alone_even_if_it_is_read_only(unet, x, recwarn):
    before = x.copy()
    x.flags.writeable = False
    prior = DAEPrior(DIMS, unet)
    prior(x), prior.grad(x), prior.prox(x, 0.5)
    assert np.array_equal(x, before) and not recwarn.list


def test_fresh_noise_starts_again_on_reset(unet, x):
    prior = DAEPrior(DIMS, unet)
    first = prior.grad(x)
    assert not np.array_equal(prior.grad(x), first)
    prior.reset()
    assert np.array_equal(prior.grad(x), first)


def test_a_weighted_prior_is_the_prior_times_its_weight(unet, x):
    prior = DAEPrior(DIMS, unet, noise="fixed")
    assert (2.0 * prior)(x) == pytest.approx(2 * prior(x))
    assert np.allclose((2.0 * prior).grad(x), 2 * prior.grad(x))


def test_unsuitable_arguments_are_refused_by_name(unet, x):
    with pytest.raises(ValueError, match="shape"):
        DAEPrior((8,), unet)
    with pytest.raises(ValueError, match="channel_axis"):
        DAEPrior(DIMS, unet, channel_axis=-1)
    with pytest.raises(ValueError, match="sigma"):
        DAEPrior(DIMS, unet, sigma=-1.0)
    with pytest.raises(TypeError, match="samlpes"):
        DAEPrior(DIMS, unet, samlpes=2)
    with pytest.raises(ValueError, match="x: got"):
        DAEPrior(DIMS, unet)(x[1:])
    with pytest.raises(ValueError, match="tau"):
        DAEPrior(DIMS, unet).prox(x, 0.0)


def smoother():
    """``r(x) = -(x - local mean)``: a convex energy, so that every solver must find its minimum."""
    dae = ConvDAE(depth=2, width=6, batch_norm=False)
    stencil = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    stencil[1, 1] -= 1
    with torch.no_grad():
        for parameter in dae.body.parameters():
            parameter.zero_()
        for channel in range(3):
            for k, sign in enumerate((1, -1)):
                dae.body[0].weight[2 * channel + k, channel] = sign * stencil
                dae.body[2].weight[channel, 2 * channel + k, 1, 1] = sign
    return dae.fold()


def test_pyproximals_solvers_find_the_minimiser():
    """Optimality condition of ``weight/2 ||Op x - y||^2 + R(x)`` for a gradient and for a proximal solver."""
    weight, rng = 2.0, np.random.default_rng(0)
    prior = DAEPrior(DIMS, smoother(), noise="none", dtype=torch.float64, prox_iterations=100)
    Op = pylops.Diagonal(rng.uniform(0.5, 1, np.prod(DIMS)))
    y = rng.random(np.prod(DIMS))
    data = pyproximal.L2(Op, y, sigma=weight, niter=200, solver="cg", kwargs_solver={"tol": 1e-10})
    solve = pyproximal.optimization.primal
    gradient = solve.ProximalGradient(prior, data, np.zeros_like(y), tau=0.5, niter=150, acceleration="fista")
    admm, _ = solve.ADMM(data, prior, np.zeros_like(y), tau=1.0, niter=60)
    for found, tolerance in ((gradient, 1e-4), (admm, 2e-3)):
        assert np.allclose(weight * Op.H @ (Op @ found - y) + prior.grad(found), 0, atol=tolerance)
